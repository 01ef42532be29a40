"""The initiator's side of a node: having an association with every wanted peer.

A peer that is wanted is negotiated with until there is an association, after
failures with growing pauses, and again before the association's life is over:
at 80 to 90 % of it, drawn anew each time, so that many nodes do not come at
once. The old association goes on until it expires or its links are done.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Final

from attrs import define, evolve

from seckex.exchange import initiator
from seckex.exchange.attempt import Answer, OtherVersions, Outcome
from seckex.exchange.messages import Received
from seckex.exchange.terms import Entropy
from seckex.machine import Now, Tick
from seckex.node.actions import NodeAction, Ready, Unavailable
from seckex.node.associations import AssociationTable
from seckex.node.conversation import Conversation, Driver
from seckex.node.drops import Drops
from seckex.node.limits import Peer
from seckex.sa.association import Association
from seckex.wire.numbers import Role

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
RENEW_FROM, RENEW_TO = 0.8, 0.9


@define(eq=False)
class Wanted:
    """A peer with which an association is to be had: what is under way, and when to begin next."""

    peer: Peer
    conversation: Conversation | None = None
    association: Association | None = None
    begin_at: float | None = None
    pause: float = FIRST_PAUSE
    shift: int = 0
    hinted_at: float = -math.inf


class Seeking:
    """See the module."""

    def __init__(
        self,
        peers: Mapping[str, Peer],
        driver: Driver,
        associations: AssociationTable,
        drops: Drops,
        entropy: Entropy,
    ) -> None:
        self._peers = peers
        self._driver = driver
        self._associations = associations
        self._drops = drops
        self._entropy = entropy
        self._wanted: dict[str, Wanted] = {}
        self._expecting: dict[int, Conversation] = {}
        self._identifications: dict[Conversation, int] = {}
        self._timers: list[tuple[float, int, Conversation]] = []
        self._sequence = 0
        # Whether something became due earlier than it was; whoever arms a timer takes note and resets it.
        self.sooner = False

    def want(self, nai: str, now: Now, actions: list[NodeAction]) -> None:
        """Have an association with ``nai`` from now on; one from before a restart serves."""
        peer = self._peers[nai]
        if nai in self._wanted or peer.path is None:
            return
        wanted = self._wanted[nai] = Wanted(peer)
        association = self._associations.newest(nai)
        if association is not None and association.role is Role.INITIATOR:
            self._use(wanted, association, now, actions)
        else:
            self._begin(wanted, now, actions)

    def renew(self, association: Association, now: Now, *, hinted: bool) -> None:
        """Negotiate anew in place of ``association``, unless that is under way or it is not the one in use.

        ``hinted`` tells that the reason for it is not authenticated.
        """
        wanted = self._wanted.get(association.peer)
        if wanted is None or wanted.conversation is not None or wanted.association is None:
            return
        if wanted.association.spi_in != association.spi_in:
            return
        soon = now.monotonic
        if hinted:
            # Anybody on the path can forge a hint: the first is followed soon, others a minute after the one before.
            soon = max(soon + FIRST_PAUSE, wanted.hinted_at + LONGEST_PAUSE)
        if wanted.begin_at is None or soon < wanted.begin_at:
            wanted.begin_at = soon
            wanted.hinted_at = soon if hinted else wanted.hinted_at
            self.sooner = True

    def _begin(self, wanted: Wanted, now: Now, actions: list[NodeAction]) -> None:
        wanted.begin_at = None
        if wanted.peer.path is None:
            return
        step = initiator.begin(wanted.peer.terms, wanted.peer.path, now, wanted.shift)
        conversation = Conversation(step.state, initiator.TRANSITIONS, self, wanted.peer.terms.peer)
        wanted.conversation = conversation
        self._driver.take(conversation, step.state, step.actions, now, actions)

    def _use(self, wanted: Wanted, association: Association, now: Now, actions: list[NodeAction]) -> None:
        drawn = int.from_bytes(self._entropy(2), "big") / 0xFFFF
        share = RENEW_FROM + (RENEW_TO - RENEW_FROM) * drawn
        most = association.agreement.lifetime * share
        # A clock that was set back does not make the association younger than new.
        left = min(max(association.created + most - now.wall, 0), most)
        wanted.association = association
        wanted.begin_at = now.monotonic + left
        self.sooner = True
        actions.append(Ready(association))

    # -- what comes in

    def answered(self, received: Received, now: Now, actions: list[NodeAction]) -> None:
        """Take an answer; raises `AuthenticationFailed` and `Malformed`."""
        conversation = self._expecting.get(received.header.identification)
        if conversation is None:
            # A late copy of an answer that came already, most of the time.
            self._drops.counters["answers-unexpected"] += 1
            return
        self._driver.drive(conversation, Answer(received), now, actions)

    def hinted(
        self, identification: int, versions: tuple[int, ...], address: str, now: Now, actions: list[NodeAction]
    ) -> None:
        """Take a VERSIONS."""
        conversation = self._expecting.get(identification)
        if conversation is not None:
            self._driver.drive(conversation, OtherVersions(versions, address), now, actions)

    # -- what conversations report

    def moved(self, conversation: Conversation, _now: Now, _actions: list[NodeAction]) -> None:
        """Keep a conversation where its answers and its timer will look for it."""
        state = conversation.state
        identification = getattr(state, "identification", None)
        before = self._identifications.get(conversation)
        if before is not None and before != identification:
            del self._expecting[before], self._identifications[conversation]
        if identification is not None:
            self._expecting[identification] = conversation
            self._identifications[conversation] = identification
        if isinstance(state, initiator.ExpectAnswer):
            self._wanted[conversation.peer].shift = state.attempt.shift
        if conversation.deadline is not None:
            self._sequence += 1
            heapq.heappush(self._timers, (conversation.deadline, self._sequence, conversation))
            self.sooner = True

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take a result: an association, its confirmation, or a failure."""
        wanted = self._wanted[conversation.peer]
        match result:
            case Outcome(association=None, why=why):
                wanted.conversation = None
                pause, wanted.pause = wanted.pause, min(wanted.pause * 2, LONGEST_PAUSE)
                wanted.begin_at = now.monotonic + pause
                self.sooner = True
                actions.append(Unavailable(conversation.peer, why, pause))
            case Outcome(association=Association() as association):
                wanted.conversation = None
                wanted.pause = FIRST_PAUSE
                self._associations.add(association)
                self._use(wanted, association, now, actions)
            case initiator.Unverified(path, why):
                self._drops.note("unauthenticated", why, path, now, actions)
            case initiator.Confirmed(spi_in):
                held = self._associations.get(spi_in)
                if held is not None:
                    self._associations.add(evolve(held, confirmed=True))

    def expired(self, association: Association, now: Now) -> None:
        """Take note that an association is gone: begin anew at once if it was the one in use."""
        wanted = self._wanted.get(association.peer)
        if wanted is not None and wanted.association is not None and wanted.association.spi_in == association.spi_in:
            wanted.association = None
            if wanted.conversation is None:
                wanted.begin_at = now.monotonic
                self.sooner = True

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """Repeat requests and begin what is due."""
        while self._timers and self._timers[0][0] <= now.monotonic:
            deadline, _, conversation = heapq.heappop(self._timers)
            if conversation.deadline == deadline:
                self._driver.drive(conversation, Tick(), now, actions)
        for wanted in self._wanted.values():
            if wanted.begin_at is not None and wanted.begin_at <= now.monotonic and wanted.conversation is None:
                self._begin(wanted, now, actions)

    def deadlines(self) -> list[float | None]:
        """Return when `tick` has something to do (monotonic)."""
        timers = [self._timers[0][0]] if self._timers else []
        return [*timers, *(wanted.begin_at for wanted in self._wanted.values() if wanted.conversation is None)]
