"""Registrations under way: from a message over a hop to the reply, or to the code that says that there is none.

In this order, the cheapest first: what was replied before, which costs a hash;
what is being replied to; requests that were answered to another message of their agent's; the
agent; the node; and then a conversation (`seckex.roles.home_agent.serving`) that has the
node's turn. What is met with silence is counted by its cause, reported within a ration, and its
neighbour is told a code.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Final

from attrs import define, field, frozen

from seckex.crypto.suites import SHA256
from seckex.errors import Malformed, PeerFault
from seckex.events import CounterSent, Event, NegotiationRefused, StoreTrouble
from seckex.events.home_agent import CenterPassedOver, NodeDeregistered, NodeRegistered, RequestUnheard
from seckex.machine import Now, Report, State, Tick
from seckex.node.conversation import Conversation, Driver
from seckex.node.tables import ExpiringTable
from seckex.roles.faces import Adopt, Relay, Release
from seckex.roles.home_agent import serving
from seckex.roles.home_agent.answer import Heard, Said, seal_to_agent
from seckex.roles.home_agent.choices import AgentSide
from seckex.roles.home_agent.home import Home
from seckex.roles.home_agent.judgement import NO_ADDRESS, Granted, judge
from seckex.roles.home_agent.pseudonyms import NO_PSEUDONYM
from seckex.roles.home_agent.recognition import admit, recognize
from seckex.roles.home_agent.refusals import Sealed, Unheard
from seckex.roles.home_agent.turns import Turns
from seckex.wire import hop
from seckex.wire.extensions import Detail, clipped
from seckex.wire.keying import KeyMaterial
from seckex.wire.mobileip import AgentRequest, decode_agent_request
from seckex.wire.numbers import MOST_HOPS, Code, Kem
from seckex.wire.registration import MAX_REASON

#: A center that has failed is passed over for so long while there are others.
PASSED_OVER_FOR: Final = 10.0

_MOST_ASKERS: Final = 4
_MOST_REFUSALS: Final = 1024
_TOLD: Final = {Kem.X25519: (Kem.X25519,), Kem.X25519_ML_KEM_768: (Kem.X25519_ML_KEM_768, Kem.X25519)}


@frozen
class Asker:
    """Who has asked over a hop, and under which Identification."""

    neighbour: str
    identification: int


@define(eq=False)
class _UnderWay:
    """A request whose reply is not durable yet; the same octets may come over several hops."""

    req: bytes
    askers: list[Asker]


@frozen
class LastRefusal:
    """Why a node was refused last, and when (wall-clock seconds)."""

    code: int
    why: str
    agent: str
    at: float


class _Serving(Conversation):
    """A registration's conversation; it has its node's turn."""

    __slots__ = ("heard",)

    def __init__(self, heard: Heard, state: State, owner: Registering) -> None:
        super().__init__(state, serving.TRANSITIONS, owner, heard.nai)
        self.heard = heard


@frozen
class _Waiting:
    """A request that waits for its node's turn."""

    asker: Asker
    message: bytes = field(repr=False)


#: Who may have a node's turn: a registration, or what a center tells of the node (None).
NodeTurns = Turns[_Serving | str, _Waiting]


class Registering:
    """See the module."""

    def __init__(self, home: Home, driver: Driver) -> None:
        self._home = home
        self._driver = driver
        self.turns = NodeTurns()
        self.drops = home.drops
        self.counters: Counter[str] = Counter()
        self.refusals: OrderedDict[str, LastRefusal] = OrderedDict()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._reqs: set[bytes] = set()
        self._asking: ExpiringTable[int, _Serving] = ExpiringTable(home.terms.limits.under_way, serving.KEYS_WITHIN)
        self._failed: dict[str, float] = {}
        #: Whether somebody has named a node that is not known here.
        self.unknown_named = False

    def __len__(self) -> int:
        return len(self._under_way)

    def awaits(self, identification: int) -> bool:
        """Tell whether an answer of a center with this Identification is awaited."""
        return identification in self._asking

    # -- requests

    def relayed(self, asker: Asker, message: bytes, now: Now, actions: list[Any]) -> None:
        """Take an agent's message that has come over a hop."""
        home = self._home
        digest = SHA256.digest(message)
        kept = home.replies.get(digest)
        if kept is not None:
            self.counters["repeated"] += 1
            actions.append(_relayed(asker, kept.octets))
            return
        under_way = self._under_way.get(digest)
        if under_way is not None:
            if asker not in under_way.askers:
                under_way.askers = [*under_way.askers, asker][-_MOST_ASKERS:]
            return
        try:
            asked, req = self._read(message)
            side = self._agent(asked, now)
            for_agent = seal_to_agent(asked, home.terms)
            found = recognize(asked.request, home.nodes, home.statics.of(asked.request.kem))
            heard = Heard(asked, found, digest, req, for_agent)
            if self._has_turn(heard, asker, message, now, actions):
                self._begin(heard, side, asker, now, actions)
        except Unheard as refusal:
            self._unheard(refusal, asker, now, actions)

    def _read(self, message: bytes) -> tuple[AgentRequest, bytes]:
        try:
            asked = decode_agent_request(message)
        except Malformed as error:
            raise Unheard(Code.POORLY_FORMED, "malformed", str(error)) from None
        except PeerFault as fault:
            raise Unheard(fault.code, "incompatible", fault.why) from None
        req = SHA256.digest(asked.request.octets)
        if self._home.replies.answered(req) or req in self._reqs:
            why = f"{asked.request.agent} has sent a request again that it had sent before with other octets of its own"
            raise Unheard(Code.BEGIN_ANEW, "begin-anew", why)
        if len(self._under_way) >= self._home.terms.limits.under_way:
            raise Unheard(Code.INSUFFICIENT_RESOURCES, "full", "too many registrations are under way")
        return asked, req

    def _agent(self, asked: AgentRequest, now: Now) -> AgentSide:
        admit(asked, self._home.terms, now)
        return self._home.choosing.of_agent(asked)

    def _has_turn(self, heard: Heard, asker: Asker, message: bytes, now: Now, actions: list[Any]) -> bool:
        """Tell whether the node has nothing else under way; a request that was given up makes room."""
        holder = self.turns.holder(heard.nai)
        if holder is None:
            return True
        if isinstance(holder, _Serving) and isinstance(holder.state, serving.ExpectKeys):
            if heard.found.block.index > holder.heard.found.block.index:
                self.let_go(heard.nai, "the node has begun anew", now, actions)
                return True
            why = f"{heard.nai} has used index {heard.found.block.index}, and a later one since"
            raise Unheard(Code.REPLAYED, "replay", why)
        before = self.turns.wait(heard.nai, _Waiting(asker, message))
        if before is not None:
            self._not_relayed(before.asker, Code.BEGIN_ANEW, "the node has begun anew", actions)
        return False

    def _begin(self, heard: Heard, side: AgentSide, asker: Asker, now: Now, actions: list[Any]) -> None:
        home, nai = self._home, heard.nai
        verdict = judge(
            heard.asked,
            side,
            heard.found,
            home.terms,
            home.choosing,
            home.nodes,
            home.rounds.get(nai),
            now,
            home.clock(now),
        )
        keys = home.statics.told(*_TOLD[heard.asked.request.kem])
        pseudonym = self._pseudonym(heard, verdict, now)
        step = serving.begin(serving.Case(heard, home.terms, self.centers(now), keys, pseudonym), verdict, now)
        conversation = _Serving(heard, step.state, self)
        self.turns.take(nai, conversation)
        self._under_way[heard.digest] = _UnderWay(heard.req, [asker])
        self._reqs.add(heard.req)
        if isinstance(verdict, Granted) and verdict.home_address != NO_ADDRESS:
            home.nodes.claim(nai, verdict.home_address)
        self._driver.take(conversation, step.state, step.actions, now, actions)

    def _pseudonym(self, heard: Heard, verdict: Granted | Sealed, now: Now) -> bytes:
        """Return what the agent is told to call the node."""
        if isinstance(verdict, Sealed):
            return NO_PSEUDONYM
        node, agent, home = heard.found.node, heard.asked.request.agent, self._home
        if verdict.choices is None:
            return home.pseudonyms.of_visit(node, agent, home.terms, now)
        return home.pseudonyms.give(node, agent, verdict.lifetime, home.terms, now)

    def let_go(self, nai: str, why: str, now: Now, actions: list[Any]) -> None:
        """Give up what waits for keys of a node."""
        holder = self.turns.holder(nai)
        if isinstance(holder, _Serving) and isinstance(holder.state, serving.ExpectKeys):
            self._asking.pop(holder.state.identification)
            self._end(holder, Code.BEGIN_ANEW, why, now, actions)

    def _end(self, conversation: _Serving, code: Code, why: str, now: Now, actions: list[Any]) -> None:
        for asker in self._over(conversation):
            self._not_relayed(asker, code, why, actions)
        self.ended(conversation.peer, now, actions)

    def _over(self, conversation: _Serving) -> list[Asker]:
        heard = conversation.heard
        self._reqs.discard(heard.req)
        return self._under_way.pop(heard.digest).askers

    def ended(self, nai: str, now: Now, actions: list[Any]) -> None:
        """End a node's turn and take the request that waits for it, if there is one."""
        self._home.nodes.yield_claim(nai)
        waiting = self.turns.end(nai)
        if waiting is not None:
            self.relayed(waiting.asker, waiting.message, now, actions)

    # -- refusals over hops

    def _unheard(self, refusal: Unheard, asker: Asker, now: Now, actions: list[Any]) -> None:
        self.unknown_named = self.unknown_named or bool(refusal.unknown)
        if self.drops.ration(refusal.cause, now):
            suppressed = self.drops.left_out()
            actions.append(
                Report(RequestUnheard(asker.neighbour, refusal.cause, refusal.code, refusal.why, suppressed))
            )
        code = _ON_HOPS.get(refusal.code, refusal.code)
        self._not_relayed(asker, code, _COARSE.get(code, refusal.why), actions)

    def _not_relayed(self, asker: Asker, code: Code, why: str, actions: list[Any]) -> None:
        home = self._home.terms.nai
        detail = Detail(code, 0, 0, clipped(why, MAX_REASON))
        said = hop.NotRelayed(asker.identification, detail, hop.Route(MOST_HOPS, home, (home,)))
        actions.append(Relay(asker.neighbour, hop.encode_hop(said)))

    # -- centers

    def centers(self, now: Now) -> tuple[str, ...]:
        """Return the centers in the order in which to ask them: those that have failed just now come last."""
        failed = self._failed
        if not failed:
            return self._home.terms.centers
        for center in [center for center, until in failed.items() if until <= now.monotonic]:
            del failed[center]
        return tuple(sorted(self._home.terms.centers, key=lambda center: failed.get(center, 0.0)))

    def issued(self, center: str, identification: int, material: KeyMaterial, now: Now, actions: list[Any]) -> None:
        """Take a center's keys."""
        self._answered(center, identification, serving.Issued(material), now, actions)

    def not_issued(self, center: str, identification: int, detail: Detail, now: Now, actions: list[Any]) -> None:
        """Take a center's refusal, or that it could not be reached."""
        self._answered(center, identification, serving.NotIssued(detail), now, actions)

    def _answered(
        self,
        center: str,
        identification: int,
        event: serving.Issued | serving.NotIssued,
        now: Now,
        actions: list[Any],
    ) -> None:
        conversation = self._asking.get(identification)
        if conversation is None or not isinstance(conversation.state, serving.ExpectKeys):
            return
        if conversation.state.center != center:
            self.drops.ration("not-asked", now)
            return
        self._asking.pop(identification)
        if isinstance(event, serving.NotIssued):
            self._passed_over(conversation, event.detail.text, now, actions)
        self._driver.drive(conversation, event, now, actions)

    def _passed_over(self, conversation: _Serving, why: str, now: Now, actions: list[Any]) -> None:
        state = conversation.state
        if isinstance(state, serving.ExpectKeys):
            self.counters["centers-failed"] += 1
            self._failed[state.center] = now.monotonic + PASSED_OVER_FOR
            if self.drops.ration("center", now):
                actions.append(Report(CenterPassedOver(state.center, conversation.peer, why)))

    def tick(self, now: Now, actions: list[Any]) -> None:
        """Ask others in place of centers that have taken too long."""
        for _, conversation in self._asking.expired(now.monotonic):
            self._passed_over(conversation, "it does not answer", now, actions)
            self._driver.drive(conversation, Tick(), now, actions)

    def deadline(self) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        return self._asking.deadline()

    # -- what conversations report

    def moved(self, conversation: Conversation, now: Now, _actions: list[Any]) -> None:
        """Keep a conversation where its answer and its timer will look for it."""
        state = conversation.state
        if isinstance(conversation, _Serving) and isinstance(state, serving.ExpectKeys):
            self._asking.put(state.identification, conversation, now.monotonic)

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[Any]) -> None:
        """Take a result."""
        if not isinstance(conversation, _Serving):
            return
        match result:
            case serving.Ask(center, message):
                actions.append(Relay(center, hop.encode_hop(message)))
            case serving.Concluded(said):
                self._concluded(conversation, said, now, actions)
            case serving.Failed(code, cause, why):
                if self.drops.ration(cause, now):
                    actions.append(Report(StoreTrouble(conversation.peer, why)))
                self._end(conversation, code, _COARSE[code], now, actions)

    def _concluded(self, conversation: _Serving, said: Said, now: Now, actions: list[Any]) -> None:
        home, heard = self._home, conversation.heard
        askers = self._over(conversation)
        home.nodes.put(said.node)
        home.replies.keep(heard.digest, said.reply, said.until)
        home.rounds.pop(heard.nai)
        if said.previous is not None:
            home.rounds.put(heard.nai, said.previous, now.monotonic)
        actions += [_relayed(asker, said.reply.octets) for asker in askers]
        if said.association is not None:
            actions.append(Adopt(said.association, said.gone))
        else:
            actions += [Release(spi, "the node has deregistered") for spi in said.gone]
        more = home.leaving.registered(heard.nai, said.ended, home.terms.entropy, now, actions)
        if more:
            self._driver.commit(None, more, actions)
        actions.append(Report(self._told(heard, said, now)))
        self.ended(heard.nai, now, actions)

    def _told(self, heard: Heard, said: Said, now: Now) -> Event:
        request, nai = heard.asked.request, heard.nai
        if said.refusal is not None:
            return self._refused(heard, said.refusal, now)
        association, by = said.association, request.agent
        if association is None:
            self.counters["deregistered"] += 1
            return NodeDeregistered(nai, by)
        self.counters["registered"] += 1
        binding, address = said.node.bindings[-1], said.node.home_address
        self._home.bound(nai, binding.until)
        mode = self._home.terms.keying.name.lower().replace("_", "-")
        where, fallback = "" if address is None else str(address), heard.found.fallback
        return NodeRegistered(
            nai, by, str(request.care_of), where, binding.lifetime, mode, association.spi_in, fallback
        )

    def _refused(self, heard: Heard, refusal: Sealed, now: Now) -> CounterSent | NegotiationRefused:
        self.counters["refused"] += 1
        request, nai, here = heard.asked.request, heard.nai, self._home.terms.nai
        offers = (("KEY 1", refusal.home), ("KEY 3", refusal.visit))
        would = "; ".join(f"{offer} for {key}" for key, offer in offers if offer is not None)
        if refusal.code == Code.COUNTER_OFFER:
            return CounterSent(nai, request.round, would, (refusal.why,))
        self._remember(nai, LastRefusal(refusal.code, refusal.why, request.agent, now.wall))
        return NegotiationRefused(nai, here, refusal.code, refusal.why, (f"through {request.agent}",), would)

    def _remember(self, nai: str, refusal: LastRefusal) -> None:
        self.refusals.pop(nai, None)
        self.refusals[nai] = refusal
        if len(self.refusals) > _MOST_REFUSALS:
            self.refusals.popitem(last=False)


# Of an old request it depends on its form, and on what its node has done since, whether it is known as a replay.
_ON_HOPS: Final = {Code.REPLAYED: Code.FAILED_AUTHENTICATION}
# What neighbours are told where the reason is nobody's business but ours.
_COARSE: Final = {
    Code.FAILED_AUTHENTICATION: "no node has authenticated it",
    Code.INSUFFICIENT_RESOURCES: "the home agent is busy",
    Code.BEGIN_ANEW: "the node is to begin anew",
}


def _relayed(asker: Asker, octets: bytes) -> Relay:
    return Relay(asker.neighbour, hop.encode_hop(hop.Relayed(asker.identification, octets)))
