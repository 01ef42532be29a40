"""Conversations of ours that await an answer: by its Identification, and by their timers."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from seckex.exchange import certified_initiator, initiator
from seckex.exchange.attempt import Answer, CookieAsked, OtherVersions, TcpAsked, Unknown, Unreachable
from seckex.exchange.messages import Received
from seckex.machine import Now, Path, Tick
from seckex.node.actions import NodeAction
from seckex.node.conversation import Conversation, Driver
from seckex.node.drops import Drops
from seckex.wire.extensions import Cookie, RequestDigest
from seckex.wire.numbers import Kind


class Asking:
    """See the module; as many entries as there are conversations under way, each of which gives up by itself."""

    def __init__(self, driver: Driver, drops: Drops) -> None:
        self._driver = driver
        self._drops = drops
        self._expecting: dict[int, Conversation] = {}
        self._identifications: dict[Conversation, int] = {}
        self._timers: list[tuple[float, int, Conversation]] = []
        self._sequence = 0
        # Whether something became due earlier than it was; whoever arms a timer takes note and resets it.
        self.sooner = False

    def __len__(self) -> int:
        return len(self._expecting)

    def moved(self, conversation: Conversation) -> None:
        """Keep a conversation where its answers and its timer will look for it."""
        identification = getattr(conversation.state, "identification", None)
        before = self._identifications.get(conversation)
        if before is not None and before != identification:
            del self._expecting[before], self._identifications[conversation]
        if identification is not None:
            self._expecting[identification] = conversation
            self._identifications[conversation] = identification
        if conversation.deadline is not None:
            self._sequence += 1
            heapq.heappush(self._timers, (conversation.deadline, self._sequence, conversation))
            self.sooner = True

    def forget(self, conversation: Conversation) -> None:
        """Await nothing more for a conversation: it is not wanted any longer."""
        conversation.deadline = None
        before = self._identifications.pop(conversation, None)
        if before is not None:
            del self._expecting[before]

    def let_go(self, unwanted: Callable[[Conversation], bool]) -> None:
        """Await nothing more for such conversations."""
        for conversation in tuple(self._identifications):
            if unwanted(conversation):
                self.forget(conversation)

    def answered(self, received: Received, now: Now, actions: list[NodeAction]) -> None:
        """Take an answer; raises `AuthenticationFailed` and `Malformed`.

        COOKIE and USE_TCP are not authenticated: they change how a request is sent, never what it says.
        """
        conversation = self._expecting.get(received.header.identification)
        if conversation is None:
            # A late copy of an answer that came already, most of the time.
            self._drops.counters["answers-unexpected"] += 1
            return
        state, kind = conversation.state, received.header.kind
        if kind is Kind.COOKIE:
            if isinstance(state, initiator.ExpectAnswer) and received.header.spi == state.attempt.terms.authority.spi:
                self._driver.drive(conversation, CookieAsked(received.need(Cookie).cookie), now, actions)
        elif kind is Kind.USE_TCP:
            if isinstance(state, initiator.ExpectAnswer | initiator.ExpectConfirmed):
                self._driver.drive(conversation, TcpAsked(received.need(RequestDigest).digest), now, actions)
        else:
            self._driver.drive(conversation, Answer(received), now, actions)

    def unreachable(self, host: str, port: int, why: str, now: Now, actions: list[NodeAction]) -> None:
        """Take note that nothing could be sent to where peers are asked."""
        for conversation in list(self._expecting.values()):
            state = conversation.state
            if not isinstance(state, initiator.ExpectAnswer | certified_initiator.ExpectAnswer):
                continue
            if state.attempt.path[:2] == (host, port):
                self._driver.drive(conversation, Unreachable(why), now, actions)

    def unverified(self, path: Path, why: str, now: Now, actions: list[NodeAction]) -> None:
        """Take note of an answer that took work to find out that it does not verify."""
        self._drops.note("unauthenticated", why, path, now, actions)

    def hinted(self, identification: int, event: OtherVersions | Unknown, now: Now, actions: list[NodeAction]) -> None:
        """Take a VERSIONS or UNKNOWN."""
        conversation = self._expecting.get(identification)
        if conversation is not None:
            self._driver.drive(conversation, event, now, actions)

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """Repeat what is due."""
        while self._timers and self._timers[0][0] <= now.monotonic:
            deadline, _, conversation = heapq.heappop(self._timers)
            if conversation.deadline == deadline:
                self._driver.drive(conversation, Tick(), now, actions)

    def deadline(self) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        return self._timers[0][0] if self._timers else None
