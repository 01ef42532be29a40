"""A negotiation between two principals that happens nowhere: two real nodes, and no network, clock or disk.

What would come of two configurations can be seen beforehand: the datagrams of
one node are handed to the other at once, commits go into memory, and time goes on
to the next deadline whenever there is nothing to do. It is over when both hold
an association, when the initiator has given up, or after `LONGEST` seconds of
that time, and in any case after `MOST_EVENTS` events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from attrs import define, field, frozen

from seckex.errors import SeckexError
from seckex.events import Event
from seckex.exchange.terms import Terms
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Commit, NodeAction, Unavailable, Work
from seckex.node.limits import Flood, Limits, Peer
from seckex.node.node import Node
from seckex.sa.association import Association
from seckex.sa.store import MemoryStore

LONGEST: Final = 120.0
MOST_EVENTS: Final = 1000

# Addresses for documentation (RFC 5737): nothing is sent there.
_INITIATOR: Final = Path("192.0.2.1", 4434)
_RESPONDER: Final = Path("192.0.2.2", 4434)

# Two that meet alone do not crowd each other.
_CALM: Final = Flood(cookies="never")


@frozen
class Happened:
    """An event, who reported it (a NAI), and after how many seconds."""

    at: float
    who: str
    event: Event


@frozen
class Rehearsal:
    """What came of it: all that happened, and the association as each end holds it."""

    happened: tuple[Happened, ...]
    ours: Association | None
    theirs: Association | None


@define(eq=False)
class _Side:
    node: Node
    path: Path
    store: MemoryStore = field(factory=MemoryStore)


class _Stage:
    def __init__(self, initiator: Terms, responder: Terms, wall: float) -> None:
        # What each draws is drawn from its own terms.
        self.initiator = _Side(_node(initiator, _RESPONDER), _INITIATOR)
        self.responder = _Side(_node(responder, None), _RESPONDER)
        self._sides = (self.initiator, self.responder)
        self._wall = wall
        self._elapsed = 0.0
        self._due: deque[Callable[[], None]] = deque()
        self.happened: list[Happened] = []
        self.given_up = False
        for side in self._sides:
            self.run(side, side.node.start(side.store.load(0, wall), self.now()))

    def now(self) -> Now:
        return Now(self._elapsed, self._wall + self._elapsed)

    def run(self, side: _Side, actions: list[NodeAction]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._due.append(partial(self._arrive, side, action))
            elif isinstance(action, Commit):
                self._due.append(partial(self._commit, side, action))
            elif isinstance(action, Work):
                self._due.append(partial(self._work, side, action))
            elif isinstance(action, Report):
                self.happened.append(Happened(self._elapsed, side.node.local, action.event))
            elif isinstance(action, Unavailable):
                self.given_up = True

    def _arrive(self, sender: _Side, sent: Send) -> None:
        for side in self._sides:
            if side.path[:2] == sent.path[:2]:
                source = sender.path._replace(tcp=sent.path.tcp)
                self.run(side, side.node.receive(sent.octets, source, self.now()))

    def _commit(self, side: _Side, commit: Commit) -> None:
        (outcome,) = side.store.commit([commit.unit])
        self.run(side, side.node.committed(commit.token, outcome, self.now()))

    def _work(self, side: _Side, work: Work) -> None:
        try:
            result: object = work.call()
        except SeckexError as error:
            result = error
        self.run(side, side.node.worked(work.token, result, self.now()))

    def play(self, done: Callable[[], bool]) -> None:
        """Go on until ``done`` and nothing is due at once, or until a limit."""
        while len(self.happened) < MOST_EVENTS:
            if self._due:
                self._due.popleft()()
                continue
            deadlines = [side.node.next_deadline(self.now()) for side in self._sides]
            following = min((deadline for deadline in deadlines if deadline is not None), default=LONGEST)
            if done() or following >= LONGEST:
                return
            self._elapsed = max(self._elapsed, following)
            for side in self._sides:
                self.run(side, side.node.tick(self.now()))


def _node(terms: Terms, peer: Path | None) -> Node:
    return Node(terms.local, [Peer(terms, peer)], terms.entropy, Limits(flood=_CALM))


def rehearse(initiator: Terms, responder: Terms, wall: float) -> Rehearsal:
    """Have ``initiator`` negotiate with ``responder`` at ``wall`` (seconds since 1970), and return what came of it."""
    stage = _Stage(initiator, responder, wall)

    def held(side: _Side) -> Association | None:
        return side.node.associations.newest(responder.local if side is stage.initiator else initiator.local)

    def done() -> bool:
        found = held(stage.initiator)
        return stage.given_up or (found is not None and found.confirmed)

    stage.run(stage.initiator, stage.initiator.node.want(responder.local, stage.now()))
    stage.play(done)
    return Rehearsal(tuple(stage.happened), held(stage.initiator), held(stage.responder))
