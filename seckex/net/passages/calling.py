"""A node's passages: its end of the first hop, through the agent that it is registered by.

Which links go through which agent the role says (`Admission`); here is what is
made of it at the socket, told to the operator and kept for ``status``. An agent
that refuses is told of to whoever can register anew; one that cannot be reached
likewise, as a hint. Links are built again by `seckex.net.upkeep`, which sees to
the pauses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from attrs import define, frozen
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from seckex.dialog.link import Link
from seckex.events.mobile_node import TrafficEnded, TrafficFailed, TrafficPasses, TrafficRefused
from seckex.net.address import PeerAddress
from seckex.net.log import EventLog
from seckex.net.passages.descriptor import Through
from seckex.net.passages.showing import shown_octets
from seckex.net.principal import Clock
from seckex.node.drops import Drops
from seckex.passage.faces import ANEW, Admission, End, Figures, Party
from seckex.passage.hop import HopEnd
from seckex.wire.passage import NONCE_SIZE

_REGISTERS: Final = "registering anew"
_TRIES: Final = "trying again, by another agent where one is heard"
_NOBODY: Final = Party("", b"")


@frozen
class Route:
    """Where the links of an association go: to what ``endpoint`` connects to, ``through`` a hop if there is one.

    ``failed`` hears of attempts that led to no connection.
    """

    endpoint: IStreamClientEndpoint
    through: Through | None
    failed: Callable[[Failure], None]


@define(eq=False)
class _Passage:
    """One that was begun: by which SPI ``here`` of its association, with ``peer``, and since when (wall clock)."""

    here: int
    peer: str
    admission: Admission
    began: float
    opened: bool = False


class Calls:
    """All of them.

    ``refused`` is called with the SPI of an association and the code that the agent said, 0 where it is not reached.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        entropy: Callable[[int], bytes],
        log: EventLog,
        refused: Callable[[int, int], None],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._entropy = entropy
        self._log = log
        self._refused = refused
        self._open: dict[HopEnd, _Passage] = {}
        self._drops = Drops()
        self._last: dict[str, Any] | None = None
        self._counts: Counter[str] = Counter()

    def route(self, admission: Admission, here: int, peer: str) -> Route:
        """Return where links under an association with ``peer``, whose SPI here is ``here``, go by an admission."""
        begun: dict[HopEnd, _Passage] = {}

        def begin(link: Link) -> HopEnd:
            hop = HopEnd.calling(admission, self._entropy(NONCE_SIZE), self._clock.now(), link)
            begun[hop] = _Passage(here, peer, admission, self._clock.wall())
            return hop

        def opened(hop: HopEnd) -> None:
            self._opened(hop, begun[hop])

        def ended(hop: HopEnd) -> None:
            self._ended(hop, begun.pop(hop))

        def failed(failure: Failure) -> None:
            self._counts["failed"] += 1
            self._failed(_Passage(here, peer, admission, 0.0), f"it cannot be reached: {failure.getErrorMessage()}")
            self._refused(here, 0)

        endpoint = PeerAddress(self._reactor, admission.host, admission.port)
        return Route(endpoint, Through(begin, opened, ended), failed)

    # -- what becomes of them

    def _opened(self, hop: HopEnd, passage: _Passage) -> None:
        passage.opened = True
        self._open[hop] = passage
        self._last = None
        self._counts["opened"] += 1
        admission = passage.admission
        self._log.report(TrafficPasses(passage.peer, admission.callee, _address(admission), hop.ident.hex()))

    def _ended(self, hop: HopEnd, passage: _Passage) -> None:
        self._open.pop(hop, None)
        ending, admission = hop.ending, passage.admission
        if passage.opened:
            self._counts["closed"] += 1
            figures = self._figures(hop, passage)
            octets = figures.outward.carried, figures.inward.carried
            self._log.report(TrafficEnded(passage.peer, admission.callee, hop.ident.hex(), str(ending), *octets))
        if ending is None:
            return
        if ending.end is End.REFUSED:
            anew = ending.code in ANEW
            then = _REGISTERS if anew else _TRIES
            self._counts["refused"] += 1
            where = admission.callee, _address(admission)
            self._log.report(TrafficRefused(passage.peer, *where, ending.code, ending.hint, then))
            self._remember(admission, ending.code, str(ending), then)
            self._refused(passage.here, ending.code)
        elif ending.end not in (End.FINISHED, End.CLOSED) and not passage.opened:
            self._counts["failed"] += 1
            self._failed(passage, str(ending))

    def _failed(self, passage: _Passage, why: str) -> None:
        self._remember(passage.admission, 0, why, _TRIES)
        if self._drops.ration("passage", self._clock.now()):
            admission, left_out = passage.admission, self._drops.left_out()
            told = TrafficFailed(passage.peer, admission.callee, _address(admission), why, left_out)
            self._log.report(told)

    def _remember(self, admission: Admission, code: int, why: str, then: str) -> None:
        at = int(self._clock.wall())
        where = {"agent": admission.callee, "address": _address(admission)}
        self._last = {**where, "code": code, "why": why, "then": then, "at": at}

    def _figures(self, hop: HopEnd, passage: _Passage) -> Figures:
        return hop.figures(_NOBODY, passage.began, self._clock.wall())

    # -- what is told of them

    def status(self) -> dict[str, Any]:
        """Return those that are open, and why the last one that was tried could not be had, if so."""
        return {"open": [self._shown(hop, passage) for hop, passage in self._open.items()], "failure": self._last}

    def _shown(self, hop: HopEnd, passage: _Passage) -> dict[str, Any]:
        admission, figures = passage.admission, self._figures(hop, passage)
        return {
            "passage": hop.ident.hex(),
            "peer": passage.peer,
            "agent": admission.callee,
            "address": _address(admission),
            "spi_in": passage.here,
            "since": int(passage.began),
            **shown_octets(figures),
        }

    @property
    def counters(self) -> dict[str, int]:
        """What became of them, and how many are open."""
        named = ("opened", "closed", "refused", "failed")
        return {f"passages.{name}": self._counts[name] for name in named} | {"passages.standing": len(self._open)}


def _address(admission: Admission) -> str:
    host = f"[{admission.host}]" if ":" in admission.host else admission.host
    return f"{host}:{admission.port}"
