"""What went wrong with each peer, for `seckex explain`: who refused, why, and what each side would have taken.

Bounds: the last `MOST_PER_PEER` negotiations without agreement of each of the
`MOST_PEERS` peers that were heard of last; the oldest give way.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from attrs import define, field

from seckex.events import (
    AssociationEstablished,
    ClocksApart,
    CounterReceived,
    CounterSent,
    Event,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
    PeerUnreachable,
    StoreTrouble,
    VersionsHeard,
)
from seckex.events.home_agent import NodeRegistered
from seckex.events.mobile_node import AgentRefused, Registered, RegistrationSent
from seckex.wire.numbers import Code

MOST_PER_PEER: Final = 16
MOST_PEERS: Final = 256
MOST_HINTS: Final = 8


@define
class _Talk:
    """What is remembered of one peer: of the negotiation under way, and of those that came to nothing."""

    offered: dict[str, str] = field(factory=dict)
    hints: list[str] = field(factory=list)
    clock: dict[str, Any] | None = None
    failures: deque[dict[str, Any]] = field(factory=lambda: deque(maxlen=MOST_PER_PEER))


class History:
    """See the module; ``local`` is our NAI."""

    def __init__(self, local: str) -> None:
        self._local = local
        self._talks: dict[str, _Talk] = {}

    def heard(self, at: float, event: Event) -> None:
        """Take note of what happened at ``at`` (seconds since 1970)."""
        match event:
            case OfferSent(round=1) | RegistrationSent(round=1):
                talk = self._talk(event.peer)
                talk.offered, talk.hints = {self._local: event.offer}, []
            case OfferSent() | RegistrationSent():
                self._talk(event.peer).offered[self._local] = event.offer
            case CounterSent(round=1):
                self._talk(event.peer).offered = {self._local: event.counter}
            case CounterSent():
                self._talk(event.peer).offered[self._local] = event.counter
            case CounterReceived():
                self._talk(event.peer).offered[event.peer] = event.counter
            case VersionsHeard() | PeerUnreachable() | AgentRefused():
                hints = self._talk(event.peer).hints
                if str(event) not in hints and len(hints) < MOST_HINTS:
                    hints.append(str(event))
            case ClocksApart():
                self._talk(event.peer).clock = {"at": at, "seconds": event.seconds}
            case AssociationEstablished() | Registered() | NodeRegistered():
                self._talk(event.peer).offered = {}
            case NegotiationRefused() | NegotiationFailed() | StoreTrouble():
                self._failed(at, event)

    def _talk(self, peer: str) -> _Talk:
        talk = self._talks.pop(peer, None) or _Talk()
        if len(self._talks) >= MOST_PEERS:
            del self._talks[next(iter(self._talks))]
        self._talks[peer] = talk
        return talk

    def _failed(self, at: float, event: NegotiationRefused | NegotiationFailed | StoreTrouble) -> None:
        talk = self._talk(event.peer)
        taken, talk.offered = talk.offered, {}
        if isinstance(event, NegotiationRefused) and event.acceptable:
            taken = taken | {event.by: event.acceptable}
        sides = [{"side": side, "offers": offers} for side, offers in taken.items()]
        talk.failures.append({"at": at} | failure(event) | {"acceptable": sides, "hints": list(talk.hints)})

    def failures(self, peer: str) -> list[dict[str, Any]]:
        """Return what came to nothing with ``peer``, the youngest first."""
        talk = self._talks.get(peer)
        return list(reversed(talk.failures)) if talk else []

    def clock(self, peer: str) -> dict[str, Any] | None:
        """Return how far apart the clock of ``peer`` was when that last mattered, and when that was."""
        talk = self._talks.get(peer)
        return talk.clock if talk else None


def failure(event: NegotiationRefused | NegotiationFailed | StoreTrouble) -> dict[str, Any]:
    """Return why there was no agreement: ``how``, ``by``, ``code``, ``label``, ``reason``, ``detail``, ``causes``."""
    match event:
        case NegotiationRefused():
            how = {"how": "refused", "by": event.by, "code": event.code, "label": event.label}
            return how | {"reason": event.reason, "detail": list(event.detail), "causes": []}
        case NegotiationFailed():
            how = {"how": "no-answer", "by": "", "code": 0, "label": "no-answer"}
            return how | {"reason": event.why, "detail": [], "causes": list(event.causes)}
        case StoreTrouble():
            code = Code.INSUFFICIENT_RESOURCES
            how = {"how": "not-stored", "by": "", "code": int(code), "label": code.label}
            return how | {"reason": event.why, "detail": [], "causes": ["see that there is room, and who may write"]}
