"""All that an operator can ask a key distribution center, put together for a daemon or for its database alone."""

from __future__ import annotations

from typing import Protocol

from seckex.net.control import Commands
from seckex.net.kdc_archive import ArchiveCommands, Between, Storing
from seckex.net.kdc_audit import AuditCommands, Logs
from seckex.net.kdc_commands import Asking, KdcCommands
from seckex.net.kdc_fleets import Aside, FleetCommands
from seckex.net.principal import Clock
from seckex.roles.kdc.center import Center

SOCKET, OFF_LINE = "socket", "off line"


class Keeping(Logs, Storing, Protocol):
    """A store, as far as commands need it."""


def commands_of(
    center: Center,
    ask: Asking,
    aside: Aside,
    between: Between,
    clock: Clock,
    store: Keeping,
    place: str = SOCKET,
) -> Commands:
    """Return what answers each command, by its name; ``place`` is where requests come from.

    ``aside`` has something done that takes long, ``between`` when nothing else uses the store.
    """
    desk = KdcCommands(center, ask, clock, place)
    fleets = FleetCommands(center, desk, aside, clock)
    archives = ArchiveCommands(center, ask, desk.by, aside, between, store, clock)
    return {**desk.commands(), **fleets.commands(), **AuditCommands(store, aside).commands(), **archives.commands()}
