"""What a daemon says of itself on the control socket: the object that ``seckex status --json`` prints."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from attrs import define, field

from seckex import __version__
from seckex.dialog.stream import Dialog
from seckex.events import DialogClosed, DialogOpened, Event, NegotiationFailed, NegotiationRefused, StoreTrouble
from seckex.machine import Now
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.usage import Traffic
from seckex.node.node import Node
from seckex.sa.algorithms import PROTOCOL_NAMES
from seckex.sa.association import Association
from seckex.wire.numbers import Code

SCHEMA: Final = "seckex.status/1"
# Of so many dialogs that are open the age is known; of older ones it is not.
MOST_AGES: Final = 65536


@define
class StatusReport:
    """Knows where everything is that `status` tells."""

    role: str
    worker: int
    node: Node
    traffic: Traffic
    log: EventLog
    clock: Clock
    listening: Callable[[], list[str]]
    extras: Callable[[], dict[str, Any]]
    counters: Callable[[], dict[str, int]]
    configuration: str = ""
    key_log: str = ""
    _started: Now = field(init=False)
    _opened: dict[str, float] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._started = self.clock.now()
        self.log.subscribe(self._heard)

    def _heard(self, _at: float, event: Event) -> None:
        """Take note of when dialogs were opened: the core, which carries them, knows no clock."""
        if isinstance(event, DialogOpened):
            if len(self._opened) >= MOST_AGES:
                del self._opened[next(iter(self._opened))]
            self._opened[event.dialog] = self.clock.monotonic()
        elif isinstance(event, DialogClosed):
            self._opened.pop(event.dialog, None)

    def answer(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the object."""
        wall = self.clock.wall()
        return {
            "schema": SCHEMA,
            "daemon": self.daemon(),
            "associations": [self.association(association, wall) for association in self.node.associations],
            **self.extras(),
            "refusals": [_trouble(at, event) for at, event in reversed(self.log.troubles)],
            "counters": self.counted(),
        }

    def daemon(self) -> dict[str, Any]:
        """Return who this is."""
        return {
            "role": self.role,
            "nai": self.node.local,
            "version": __version__,
            "pid": os.getpid(),
            "worker": self.worker,
            "configuration": self.configuration,
            "started": self._started.wall,
            "uptime": self.clock.monotonic() - self._started.monotonic,
            "listening": self.listening(),
            "key_log": self.key_log or None,
        }

    @property
    def started(self) -> float:
        """When the daemon started (wall clock)."""
        return self._started.wall

    def counted(self) -> dict[str, int]:
        """Return every counter by its name."""
        return self.node.counters | self.counters()

    def registration(self, peer: str) -> dict[str, Any] | None:
        """Return what is told of registering with ``peer``, None where that is not what is done with it."""
        extras = self.extras()
        node: dict[str, Any] | None = extras.get("roles", {}).get("mobile-node")
        if node is None or node["home-agent"] != peer:
            return None
        return {**node, "passages": extras.get("passages")}

    def association(self, association: Association, wall: float) -> dict[str, Any]:
        """Return what is told of one association at ``wall``."""
        octets_in, octets_out = self.traffic.carried(association)
        agreement = association.agreement
        return {
            "peer": association.peer,
            "role": association.role.name.lower(),
            "spi_in": association.spi_in,
            "spi_out": association.spi_out,
            "transforms": {PROTOCOL_NAMES[chosen.protocol]: chosen.name for chosen in agreement.algorithms},
            "created": association.created,
            "age": wall - association.created,
            "lifetime_left": association.expires - wall,
            "octets_in": octets_in,
            "octets_out": octets_out,
            "octets_bound": association.octet_bound or None,
            "confirmed": association.confirmed,
            "authority": association.root,
            "replaces": association.replaces or None,
            "dialogs": [self._dialog(dialog) for link in self.traffic.links(association) for dialog in link.dialogs],
        }

    def _dialog(self, dialog: Dialog) -> dict[str, Any]:
        opened = self._opened.get(dialog.dialog_id.hex())
        return {
            "id": dialog.dialog_id.hex(),
            "service": dialog.service,
            "octets_in": dialog.received,
            "octets_out": dialog.sent,
            "age": None if opened is None else self.clock.monotonic() - opened,
        }


def _trouble(at: float, event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"at": at, "peer": getattr(event, "peer", "")}
    match event:
        case NegotiationRefused():
            detail = [*event.detail, *([f"acceptable: {event.acceptable}"] if event.acceptable else [])]
            told |= {"code": event.code, "label": event.label, "side": event.by, "reason": event.reason}
            return told | {"detail": detail}
        case NegotiationFailed():
            told |= {"code": 0, "label": "no-answer", "side": "", "reason": event.why}
            return told | {"detail": list(event.causes)}
        case StoreTrouble():
            code = Code.INSUFFICIENT_RESOURCES
            told |= {"code": int(code), "label": code.label, "side": "", "reason": event.why}
    return told | {"detail": []}
