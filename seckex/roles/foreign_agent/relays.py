"""Requests under way: their conversations, who awaits what, and what was answered.

A request is known by the SHA-256 of req from when it comes until `KEPT_FOR`
seconds after it was answered. A repetition meanwhile is answered with the same
octets, or when the answer is there; it costs no public-key work and changes
nothing but where the node is, which may have had to connect anew.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from attrs import define, evolve, field

from seckex.crypto.kem import kem
from seckex.events import shown
from seckex.events.foreign_agent import VisitorLeft, VisitorRegistered
from seckex.machine import Now, Path, Report, Send, Tick
from seckex.node.conversation import Conversation, Driver
from seckex.node.drops import Drops
from seckex.node.tables import ExpiringTable
from seckex.roles.faces import Relay
from seckex.roles.foreign_agent import relaying
from seckex.roles.foreign_agent.asked import Asked
from seckex.roles.foreign_agent.reply import Verified
from seckex.roles.foreign_agent.terms import AgentTerms
from seckex.roles.foreign_agent.visitors import Visitor, Visitors
from seckex.roles.passing import EndingPassages
from seckex.sa.algorithms import PROTOCOL_NAMES
from seckex.sa.association import Agreement
from seckex.sa.store import Outcome, Unit
from seckex.wire import hop
from seckex.wire.extensions import Detail, clipped
from seckex.wire.mobileip import NodeRequest, encode_agent_refusal
from seckex.wire.numbers import MOST_HOPS, Code

#: docs/registration.md, section 13.
KEPT_FOR: Final = 20.0
_MOST_TEXT: Final = 160


@define(eq=False)
class _UnderWay:
    """Which request, where its node is, and under what hops know it."""

    digest: bytes
    request: NodeRequest
    path: Path
    identification: int
    message: bytes = field(repr=False)
    spis: frozenset[int]


class Relays:
    """See the module; at most ``terms.limits.under_way``, to which whoever begins one keeps."""

    def __init__(self, terms: AgentTerms, visitors: Visitors, ending: EndingPassages) -> None:
        self._terms = terms
        self._visitors = visitors
        self._ending = ending
        self._driver = Driver()
        self._under_way: dict[Conversation, _UnderWay] = {}
        self._by_digest: dict[bytes, Conversation] = {}
        self._by_identification: dict[int, Conversation] = {}
        self._spis: set[int] = set()
        self._answers: ExpiringTable[bytes, bytes] = ExpiringTable(terms.limits.answers, KEPT_FOR, yielding=True)
        self._timers: list[tuple[float, int, Conversation]] = []
        self._sequence = 0
        self._counts: Counter[str] = Counter()
        self._rationed = Drops()
        #: Told of each visitor that has ended otherwise than with its lifetime or by its home agent's REVOCATION.
        self.ended: Callable[[Visitor, list[Any]], None] = lambda _visitor, _actions: None

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def counters(self) -> dict[str, int]:
        """What became of requests, and the sizes of tables."""
        return dict(self._counts) | {"under-way": len(self._under_way), "answers": len(self._answers)}

    def reconfigure(self, terms: AgentTerms) -> None:
        """Go by other terms from now on; what is under way goes on by those of before."""
        self._terms = terms
        self._answers.limit = terms.limits.answers

    # -- what comes from nodes

    def repeats(self, digest: bytes, path: Path, actions: list[Any]) -> bool:
        """Tell whether a request is known already; it is answered if it was before."""
        answer, conversation = self._answers.get(digest), self._by_digest.get(digest)
        if answer is not None:
            actions.append(Send(answer, path))
        elif conversation is not None:
            under_way = self._under_way[conversation]
            if path.host == under_way.path.host:
                under_way.path = path
        else:
            return False
        self._counts["repeated"] += 1
        return True

    def taken(self, spi: int) -> bool:
        """Tell whether an SPI names something here."""
        return spi in self._spis or self._visitors.has_spi(spi)

    def begin(self, digest: bytes, asked: Asked, path: Path, now: Now, actions: list[Any]) -> None:
        """Relay a request."""
        terms, request, shares = self._terms, asked.request, asked.shares
        hops, until = terms.next_hops(request.home_agent), now.monotonic + relaying.GIVE_UP_AFTER
        state = relaying.ExpectReply(asked, terms, hops, until)
        conversation = Conversation(state, relaying.TRANSITIONS, self, request.home_agent)
        spis = frozenset((shares.spi_home, shares.spi_node))
        under_way = _UnderWay(digest, request, path, self._new_identification(), asked.message, spis)
        self._under_way[conversation] = under_way
        self._by_digest[digest] = conversation
        self._by_identification[under_way.identification] = conversation
        self._spis |= spis
        self._driver.take(conversation, state, state.begin(now), now, actions)

    def _new_identification(self) -> int:
        while True:
            drawn = int.from_bytes(self._terms.entropy(8), "big")
            if drawn not in self._by_identification:
                return drawn

    # -- what comes from the home network

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return identification in self._by_identification

    def happened(self, identification: int, event: object, now: Now, actions: list[Any]) -> None:
        """Take what a neighbour said to a request, or that it could not be said."""
        conversation = self._by_identification.get(identification)
        if conversation is not None and isinstance(conversation.state, relaying.ExpectReply):
            self._driver.drive(conversation, event, now, actions)
        else:
            # Of one that was stored or given up on meanwhile.
            self._counts["answers-unexpected"] += 1

    def commit(self, unit: Unit, actions: list[Any]) -> int:
        """Make durable what no request waits for; return its token."""
        asked: list[Any] = []
        self._driver.commit(None, unit, asked)
        actions += asked
        token: int = asked[0].token
        return token

    def committed(self, token: int, outcome: Outcome | str, now: Now, actions: list[Any]) -> bool:
        """Take what became of a commit; return whether a request has waited for it."""
        conversation, _ = self._driver.committed(token, outcome, now, actions)
        return conversation is not None

    def worked(self, token: int, result: object, now: Now, actions: list[Any]) -> None:
        """See `Role.worked`."""
        self._driver.worked(token, result, now, actions)

    # -- time

    def tick(self, now: Now, actions: list[Any]) -> None:
        """Go on where nothing has come, and forget old answers."""
        while self._timers and self._timers[0][0] <= now.monotonic:
            deadline, _, conversation = heapq.heappop(self._timers)
            if conversation.deadline == deadline and conversation in self._under_way:
                self._driver.drive(conversation, Tick(), now, actions)
        for _ in self._answers.expired(now.monotonic):
            pass

    def deadline(self) -> float:
        """Return when `tick` has something to do (monotonic)."""
        while self._timers and self._timers[0][2].deadline != self._timers[0][0]:
            heapq.heappop(self._timers)
        timer = self._timers[0][0] if self._timers else math.inf
        oldest = self._answers.deadline()
        # Answers may live a little longer, so that many go at once.
        return min(timer, math.inf if oldest is None else math.ceil(oldest))

    # -- what conversations do

    def moved(self, conversation: Conversation, now: Now, actions: list[Any]) -> None:
        """See `Owner.moved`."""
        del now, actions
        if conversation.deadline is not None:
            self._sequence += 1
            heapq.heappush(self._timers, (conversation.deadline, self._sequence, conversation))

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[Any]) -> None:
        """See `Owner.delivered`."""
        under_way = self._under_way[conversation]
        if isinstance(result, relaying.Ask):
            self._counts["relayed"] += 1
            route = hop.Route(MOST_HOPS, under_way.request.home_agent, (self._terms.nai,))
            message = hop.Relay(under_way.identification, route, under_way.message)
            actions.append(Relay(result.neighbour, hop.encode_hop(message)))
        elif isinstance(result, relaying.Pass):
            self._pass(result.verified, now, actions)
            self._answer(conversation, result.verified.octets, now, actions)
        elif isinstance(result, relaying.Tell):
            if self._rationed.ration("", now):
                actions.append(Report(evolve(result.event, suppressed=self._rationed.left_out())))
        elif isinstance(result, relaying.TurnAway):
            self._counts[f"turned-away.{result.code.label}"] += 1
            refusal = refused(result.code, under_way.request.header.identification, result.text)
            self._answer(conversation, refusal, now, actions)

    def _pass(self, verified: Verified, now: Now, actions: list[Any]) -> None:
        visitor, agreement = verified.visitor, verified.agreement
        if visitor is not None and agreement is not None:
            self._counts["registered"] += 1
            before = self._visitors.put(visitor)
            if before is not None:
                self.ended(before, actions)
                self._ending.replaced(before.spi_node, now)
            actions.append(Report(_told(visitor, agreement, again=before is not None)))
        elif verified.left:
            self._counts["left"] += 1
            gone = self._visitors.pop(verified.left)
            if gone is not None:
                self.ended(gone, actions)
                actions.append(Report(VisitorLeft(gone.home_agent, gone.pseudonym.hex(), "it has deregistered")))
                self._ending.end(gone.spi_node, "its node has deregistered", actions)
        else:
            self._counts["refused-at-home"] += 1

    def _answer(self, conversation: Conversation, octets: bytes, now: Now, actions: list[Any]) -> None:
        """Answer, for the first time and whenever the same is asked again."""
        conversation.deadline = None
        under_way = self._under_way.pop(conversation)
        del self._by_digest[under_way.digest], self._by_identification[under_way.identification]
        self._spis -= under_way.spis
        self._answers.put(under_way.digest, octets, now.monotonic)
        actions.append(Send(octets, under_way.path))


def refused(code: Code, identification: int, text: str) -> bytes:
    """Return what an agent tells a node of itself."""
    return encode_agent_refusal(code, identification, Detail(code, 0, 0, clipped(shown(text), _MOST_TEXT)))


def keying_of(visitor: Visitor) -> tuple[str, str]:
    """Return the names of a visitor's keying mode and KEM."""
    return visitor.mode.name.lower().replace("_", "-"), kem(visitor.kem).name


def _told(visitor: Visitor, agreement: Agreement, *, again: bool) -> VisitorRegistered:
    transforms = {PROTOCOL_NAMES[one.protocol]: one.name for one in agreement.algorithms}
    lifetime = visitor.until - visitor.since
    who = visitor.home_agent, visitor.pseudonym.hex()
    return VisitorRegistered(*who, lifetime, *keying_of(visitor), transforms, again)
