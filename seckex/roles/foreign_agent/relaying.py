"""One request on its way: said to a next hop, answered, stored, passed on.

Next hops are tried in turn: the following one where a neighbour cannot be
reached, says that it cannot go on, says something that is no reply of the home
agent's, or nothing for a while. What the home network has decided is final. A reply of
the home agent is believed from whichever neighbour was asked, however late. A registration is durable before the
node hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.errors import AuthenticationFailed, BadCertificate, Malformed, PeerFault
from seckex.events import StoreTrouble
from seckex.events.foreign_agent import (
    HomeAgentRefused,
    HomeNetworkRefused,
    NoReply,
    RelayFailed,
    ReplyUnbelievable,
)
from seckex.machine import (
    Action,
    Arm,
    Deliver,
    Now,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Report,
    Step,
    Tick,
    Transitions,
)
from seckex.roles.foreign_agent.asked import Asked
from seckex.roles.foreign_agent.reply import Verified, verify
from seckex.roles.foreign_agent.terms import AgentTerms
from seckex.wire.numbers import Code

#: Nodes ask for 15 s: they are to hear that nothing came before they give up.
GIVE_UP_AFTER: Final = 12.0
#: How long one next hop is waited for while there is another one.
NEXT_AFTER: Final = 4.0

#: Refusals that are of the neighbour, or of its way: another one may do better. All others are the home network's.
_OF_THE_WAY: Final = frozenset(
    (
        Code.UNKNOWN_REALM,
        Code.KDC_UNREACHABLE,
        Code.ROUTING_LOOP,
        Code.NO_SECURE_HOP,
        Code.NEXT_HOP_UNREACHABLE,
        Code.INSUFFICIENT_RESOURCES,
        Code.UNSPECIFIED,
    )
)

#: What the node is told of a refusal that came over the hop; 64 of any other: it begins anew.
_HINTS: Final[Mapping[int, Code]] = {
    Code.AGENT_FAILED_AUTHENTICATION: Code.AGENT_PROHIBITED,
    Code.UNKNOWN_DOMAIN: Code.AGENT_PROHIBITED,
    Code.AGENT_NOT_ALLOWED: Code.AGENT_PROHIBITED,
    Code.PROHIBITED: Code.AGENT_PROHIBITED,
    Code.BAD_CERTIFICATE: Code.AGENT_PROHIBITED,
    # With the agent, that is: what node and home agent do not agree on is sealed.
    Code.NOTHING_ACCEPTABLE: Code.AGENT_PROHIBITED,
    Code.UNKNOWN_HOME_AGENT: Code.HOME_AGENT_UNREACHABLE,
    Code.INSUFFICIENT_RESOURCES: Code.HOME_AGENT_UNREACHABLE,
    Code.KDC_UNREACHABLE: Code.HOME_AGENT_UNREACHABLE,
    Code.UNKNOWN_REALM: Code.HOME_NETWORK_UNREACHABLE,
    Code.ROUTING_LOOP: Code.HOME_NETWORK_UNREACHABLE,
    Code.NO_SECURE_HOP: Code.HOME_NETWORK_UNREACHABLE,
    Code.NEXT_HOP_UNREACHABLE: Code.HOME_NETWORK_UNREACHABLE,
}
#: What there is to be told of them that a node can use.
_ADVICE: Final = {
    Code.AGENT_UNSPECIFIED: "the home network has no reply to this; the home agent's log says why: begin anew",
    Code.AGENT_PROHIBITED: "the home network does not take requests from this agent; try another one",
    Code.HOME_AGENT_FAILED_AUTHENTICATION: "what came was not the home agent's; try another agent",
    Code.AGENT_POORLY_FORMED_REPLY: "the home agent's reply made no sense; try another agent",
    Code.AGENT_TIMEOUT: "nothing came from the home network",
    Code.HOME_NETWORK_UNREACHABLE: "there is no way to the home network from here; try another agent",
    Code.HOME_AGENT_UNREACHABLE: "the home agent cannot be reached from here; try again later",
}


# -- what happens


@frozen
class Replied:
    """A neighbour says that this is the home agent's reply."""

    neighbour: str
    octets: bytes = field(repr=False)


@frozen
class Declined:
    """A neighbour says that it does not go on with the request, or that somebody behind it, ``by``, does not."""

    neighbour: str
    by: str
    code: int
    text: str


@frozen
class Unsent:
    """The request could not be said to a neighbour."""

    neighbour: str
    code: int
    text: str


# -- what is delivered


@frozen
class Ask:
    """Say the request to this neighbour."""

    neighbour: str


@frozen
class Pass:
    """Pass the reply on; what it did is durable."""

    verified: Verified


@frozen
class TurnAway:
    """Tell the node that there is no reply, and why as far as it is its business."""

    code: Code
    text: str


@frozen
class Tell:
    """Tell the operator, within a ration: anybody can bring this about."""

    event: Rationed


Rationed: TypeAlias = RelayFailed | HomeNetworkRefused | HomeAgentRefused | ReplyUnbelievable | NoReply
Delivered: TypeAlias = Ask | Pass | TurnAway | Tell


# -- states


@frozen
class ExpectReply:
    """Has been said to ``hops[0]``; ``tried`` are those before it. Gives up at ``until`` (monotonic)."""

    asked: Asked
    terms: AgentTerms
    hops: tuple[str, ...]
    until: float
    tried: tuple[str, ...] = ()

    def receive(self, event: Replied | Declined | Unsent | Tick, now: Now) -> Step:
        """See `TRANSITIONS`."""
        if isinstance(event, Tick):
            return self._silence(now)
        if event.neighbour not in (*self.tried, self.hops[0]):
            return Step(self)
        if isinstance(event, Replied):
            return self._reply(event, now)
        if event.neighbour != self.hops[0]:
            # It was given up on already.
            return Step(self)
        if isinstance(event, Declined) and event.code not in _OF_THE_WAY:
            return self._declined(event)
        code = event.code
        return self._next(now, code, event.text, hint=self._hint(code))

    def _hint(self, code: int) -> Code:
        """Return what the node is told: without relays in between it is the home agent that is not reached."""
        hint = _HINTS.get(code, Code.AGENT_UNSPECIFIED)
        direct = not self.terms.servers and hint is Code.HOME_NETWORK_UNREACHABLE and code != Code.NO_SECURE_HOP
        return Code.HOME_AGENT_UNREACHABLE if direct else hint

    def _reply(self, event: Replied, now: Now) -> Step:
        home_agent = self.asked.request.home_agent
        try:
            verified = verify(event.octets, self.asked, self.terms, now)
        except (AuthenticationFailed, BadCertificate) as fault:
            return self._unbelievable(event, str(fault), Code.HOME_AGENT_FAILED_AUTHENTICATION, now)
        except (Malformed, PeerFault) as fault:
            return self._unbelievable(event, str(fault), Code.AGENT_POORLY_FORMED_REPLY, now)
        if not verified.unit:
            return Step(Finished(), (_tell(HomeAgentRefused(home_agent)), Deliver(Pass(verified))))
        return Step(ExpectStored(home_agent, verified), (Persist(verified.unit),))

    def _unbelievable(self, event: Replied, why: str, hint: Code, now: Now) -> Step:
        report = _tell(ReplyUnbelievable(event.neighbour, self.asked.request.home_agent, why))
        if event.neighbour != self.hops[0]:
            return Step(self, (report,))
        return self._next(now, Code.UNSPECIFIED, why, hint, report)

    def _declined(self, event: Declined) -> Step:
        home_agent = self.asked.request.home_agent
        report = _tell(HomeNetworkRefused(home_agent, event.by, event.code, event.text))
        hint = self._hint(event.code)
        return Step(Finished(), (report, Deliver(TurnAway(hint, _ADVICE[hint]))))

    def _silence(self, now: Now) -> Step:
        hint = Code.AGENT_TIMEOUT
        if now.monotonic < self.until:
            return self._next(now, hint, "it says nothing", hint)
        report = _tell(NoReply(self.asked.request.home_agent, self.hops[0], GIVE_UP_AFTER))
        return Step(Finished(), (report, Deliver(TurnAway(hint, _ADVICE[hint]))))

    def _next(self, now: Now, code: int, why: str, hint: Code, *told: Action) -> Step:
        """Go on to the next hop, or tell the node ``hint`` if there is none."""
        tried, *left = self.hops
        report = told or (_tell(RelayFailed(tried, self.asked.request.home_agent, code, why, left[0] if left else "")),)
        if not left:
            return Step(Finished(), (*report, Deliver(TurnAway(hint, _ADVICE[hint]))))
        state = evolve(self, hops=tuple(left), tried=(*self.tried, tried))
        return Step(state, (*report, *state.begin(now)))

    def begin(self, now: Now) -> tuple[Action, ...]:
        """Return what asks the first of the hops."""
        wait = self.until if len(self.hops) == 1 else min(self.until, now.monotonic + NEXT_AFTER)
        return (Arm(wait), Deliver(Ask(self.hops[0])))


@frozen
class ExpectStored:
    """Has the home agent's reply; awaits that what it says is durable."""

    home_agent: str
    verified: Verified

    def receive(self, event: Persisted | PersistConflict | PersistFailed, _now: Now) -> Step:
        """See `TRANSITIONS`."""
        if isinstance(event, Persisted):
            return Step(Finished(), (Deliver(Pass(self.verified)),))
        why = event.why if isinstance(event, PersistFailed) else "it holds something else"
        away = TurnAway(Code.AGENT_INSUFFICIENT_RESOURCES, "this agent cannot store registrations now")
        return Step(Finished(), (Report(StoreTrouble(f"a visitor of {self.home_agent}", why)), Deliver(away)))


@frozen
class Finished:
    """Was answered."""

    def receive(self, _event: object, _now: Now) -> Step:
        """Stay: `TRANSITIONS` has nothing that could come."""
        return Step(self)


TRANSITIONS: Final[Transitions] = {
    ExpectReply: {
        Replied: frozenset((ExpectReply, ExpectStored, Finished)),
        Declined: frozenset((ExpectReply, Finished)),
        Unsent: frozenset((ExpectReply, Finished)),
        Tick: frozenset((ExpectReply, Finished)),
    },
    ExpectStored: {
        Persisted: frozenset((Finished,)),
        PersistConflict: frozenset((Finished,)),
        PersistFailed: frozenset((Finished,)),
    },
    Finished: {},
}


def _tell(event: Rationed) -> Deliver:
    return Deliver(Tell(event))
