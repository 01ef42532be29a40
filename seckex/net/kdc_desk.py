"""All that an operator can ask a key distribution center, put together for a daemon or for its database alone."""

from __future__ import annotations

from seckex.net.control import Commands
from seckex.net.kdc_audit import AuditCommands, Logs
from seckex.net.kdc_commands import Asking, KdcCommands
from seckex.net.kdc_fleets import Aside, FleetCommands
from seckex.net.principal import Clock
from seckex.roles.kdc.center import Center

SOCKET, OFF_LINE = "socket", "off line"


def commands_of(center: Center, ask: Asking, aside: Aside, clock: Clock, logs: Logs, place: str = SOCKET) -> Commands:
    """Return what answers each command, by its name; ``place`` is where requests come from."""
    desk = KdcCommands(center, ask, clock, place)
    fleets = FleetCommands(center, desk, aside, clock)
    return {**desk.commands(), **fleets.commands(), **AuditCommands(logs, aside).commands()}
