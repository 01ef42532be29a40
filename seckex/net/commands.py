"""What is answered on the control socket: requests in, objects out; see `seckex.net.control` for the socket itself.

`up` and `rekey` begin something and answer when it has come to an end: the
events that follow tell what became of it. Whoever asks says how long it will
wait; when that is over it is told so, and what was begun goes on by itself.
Everything that a request holds is checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from seckex.crypto.schedule import SHORTEST_EXPORT
from seckex.events import (
    AssociationEstablished,
    Event,
    KeysExported,
    NegotiationFailed,
    NegotiationRefused,
    OperatorAsked,
    StoreTrouble,
)
from seckex.events.mobile_node import Registered
from seckex.net.awaiting import Reading, awaited
from seckex.net.control import Answer, Commands, Declined, Request, Streams
from seckex.net.history import History, failure
from seckex.net.log import EventLog, event_record
from seckex.net.operator import LONGEST_CONTEXT, LONGEST_LABEL, Operator
from seckex.net.status import StatusReport
from seckex.net.watching import Watcher
from seckex.sa.association import Association

PATIENCE: Final = 35
LONGEST_PATIENCE: Final = 120
LONGEST_EXPORT: Final = 8160  # 255 hashes of 32 octets (RFC 5869)


class ControlCommands:
    """See the module."""

    def __init__(self, operator: Operator, report: StatusReport, log: EventLog, reactor: Any) -> None:
        self._operator = operator
        self._report = report
        self._log = log
        self._reactor = reactor
        self._history = History(operator.local)
        log.subscribe(self._history.heard)

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {
            "status": self._report.answer,
            "explain": self._explain,
            "events": self._events,
            "up": self._up,
            "rekey": self._rekey,
            "down": self._down,
            "export": self._export,
        }

    def streams(self) -> Streams:
        """Return what feeds each stream, by its name."""
        return {"monitor": self._monitor}

    # -- looking

    def _explain(self, request: Request) -> Answer:
        peer = self._peer(request)
        held = self._operator.associations(peer)
        return {
            "schema": "seckex.explain-peer/1",
            "local": self._operator.local,
            "role": self._report.role,
            "peer": peer,
            "association": self._told(held[-1]) if held else None,
            "registration": self._report.registration(peer),
            "failures": self._history.failures(peer),
            "clock": self._history.clock(peer),
            "dropped": {name: count for name, count in self._report.counted().items() if name.startswith("dropped.")},
        }

    def _events(self, _request: Request) -> Answer:
        return {"schema": "seckex.events/1", "events": [event_record(at, event) for at, event in self._log.recent]}

    def _monitor(self, _request: Request, watcher: Watcher) -> Callable[[], None]:
        watcher.tell({"schema": "seckex.monitor/1", "daemon": self._report.daemon()})
        return self._log.subscribe(lambda at, event: watcher.tell(event_record(at, event)))

    # -- acting

    def _up(self, request: Request) -> Answer | Deferred[Answer]:
        peer, seconds = self._peer(request), patience_of(request)
        held = self._operator.associations(peer)
        if not held and not self._operator.has_address(peer):
            why = (
                f"{peer} has no address in this configuration: a {self._report.role} waits for its peers to begin, "
                "and cannot call them; run `seckex up` where they are"
            )
            raise Declined(why, "no-address")
        self._log.report(OperatorAsked("up", peer))
        if held:
            if self._operator.has_address(peer):
                self._operator.up(peer)
            return self._done("up", peer, held[-1], already=True)
        return self._begin("up", peer, seconds, lambda: self._operator.up(peer), self._negotiated("up", peer))

    def _rekey(self, request: Request) -> Deferred[Answer]:
        peer, seconds = self._peer(request), patience_of(request)
        if not self._operator.associations(peer):
            raise Declined(f"there is no association with {peer} to replace; `seckex up {peer}` makes one", "none")
        self._log.report(OperatorAsked("rekey", peer))
        return self._begin("rekey", peer, seconds, lambda: self._operator.rekey(peer), self._negotiated("rekey", peer))

    def _down(self, request: Request) -> Answer:
        peer = self._peer(request)
        held = self._operator.associations(peer)
        self._log.report(OperatorAsked("down", peer))
        self._operator.down(peer)
        return self._done("down", peer, None, already=not held) | {"ended": [one.spi_in for one in held]}

    def _negotiated(self, command: str, peer: str) -> Reading:
        def read(event: Event) -> Answer | None:
            match event:
                case AssociationEstablished(peer=who, spi_in=spi) | Registered(peer=who, spi_in=spi) if who == peer:
                    made = [one for one in self._operator.associations(peer) if one.spi_in == spi]
                    return self._done(command, peer, made[0] if made else None)
                case NegotiationRefused(peer=who) | NegotiationFailed(peer=who) | StoreTrouble(peer=who) if who == peer:
                    told = self._history.failures(peer)
                    return self._not_done(command, peer, told[0] if told else failure(event))
            return None

        return read

    def _export(self, request: Request) -> Answer:
        peer = self._peer(request)
        label, context, length = _label(request), _context(request), _length(request)
        association, key = self._operator.export(peer, label.encode(), context, length)
        self._log.report(KeysExported(peer, association.spi_in, label, length))
        return {
            "schema": "seckex.export/1",
            "peer": peer,
            "spi_in": association.spi_in,
            "spi_out": association.spi_out,
            "label": label,
            "length": length,
            "key": key.octets.hex(),
        }

    # -- waiting

    def _begin(
        self, command: str, peer: str, seconds: int, begin: Callable[[], None], read: Reading
    ) -> Deferred[Answer]:
        """Call ``begin`` and return what ``read`` makes of one of the events that follow, within ``seconds``."""
        return awaited(self._log, self._reactor, peer, seconds, begin, read, self._not_done(command, peer, None))

    def _done(self, command: str, peer: str, association: Association | None, *, already: bool = False) -> Answer:
        told = None if association is None else self._told(association)
        return _outcome(command, peer) | {"done": True, "already": already, "association": told}

    def _not_done(self, command: str, peer: str, why: dict[str, Any] | None) -> Answer:
        return _outcome(command, peer) | {"failure": why}

    def _told(self, association: Association) -> dict[str, Any]:
        return self._report.association(association, self._report.clock.wall())

    def _peer(self, request: Request) -> str:
        peer = request.get("peer")
        if not isinstance(peer, str):
            raise Declined("the request needs a peer", "unfit")
        if not self._operator.knows(peer):
            known = sorted(self._operator.known())
            named = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
            has = f"which knows {named}" if known else "which has none"
            raise Declined(f"{peer!r} is no peer of {self._operator.local}, {has}", "unknown-peer")
        return peer


def _outcome(command: str, peer: str) -> Answer:
    return {
        "schema": f"seckex.{command}/1",
        "peer": peer,
        "done": False,
        "already": False,
        "association": None,
        "failure": None,
        "pending": None,
        "events": [],
    }


def _whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    value = request.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise Declined(f"{name} must be a whole number from {least} to {most}", "unfit")
    return value


def patience_of(request: Request) -> int:
    """Return how many seconds who asks will wait; raises `Declined`."""
    return _whole(request, "seconds", PATIENCE, 1, LONGEST_PATIENCE)


def _length(request: Request) -> int:
    return _whole(request, "length", SHORTEST_EXPORT, SHORTEST_EXPORT, LONGEST_EXPORT)


def _label(request: Request) -> str:
    label = request.get("label")
    if not isinstance(label, str) or not label.isprintable() or not 0 < len(label.encode()) <= LONGEST_LABEL:
        raise Declined(f"label must be printable text of 1 to {LONGEST_LABEL} octets", "unfit")
    return label


def _context(request: Request) -> bytes:
    text = request.get("context", "")
    try:
        context = bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        context = None
    if context is None or len(context) > LONGEST_CONTEXT:
        raise Declined(f"context must be hexadecimal digits of at most {LONGEST_CONTEXT} octets", "unfit")
    return context
