"""One registration, from the first request to keys that are durable: docs/registration.md.

`begin` takes the next index. Each state is named for what it awaits; a request
leaves once its index is durable as used, and nothing that came of a reply is used
before it is durable. A reply that does not verify raises and leaves the state as it is.

What an agent says of itself nobody authenticates. A refusal of its own ends the
attempt, but only after the home agent's reply has had `LINGER` more to come: whoever
can see a request and answer it faster keeps nobody from registering by that alone. It never
changes what is offered.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.crypto.authority import registration_root
from seckex.crypto.registration import NO_PREVIOUS
from seckex.errors import AuthenticationFailed, PeerFault, Unfeasible
from seckex.events import ClocksApart, CounterReceived, NegotiationRefused, StoreTrouble
from seckex.events.mobile_node import AgentRefused, RegistrationSent
from seckex.machine import (
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
from seckex.roles.mobile_node.attempt import (
    Attempt,
    Cause,
    CookieAsked,
    Done,
    Ended,
    Failed,
    Hint,
    Moved,
    Refused,
    Reply,
    Sending,
)
from seckex.roles.mobile_node.countering import acceptable_in, taken_up
from seckex.roles.mobile_node.plan import Offers, opening, remaining
from seckex.roles.mobile_node.records import REGISTRATION, Home, Registration
from seckex.roles.mobile_node.request import Agreed, Request, Verdict, Wish, draft
from seckex.sa.association import Association
from seckex.sa.proposal import own_offer
from seckex.sa.store import DeleteAssociation, DeleteRecord, PutAssociation, PutRecord, Unit
from seckex.wire.mobileip import AgentRefusal, NodeReply, with_cookie
from seckex.wire.numbers import MAX_ROUNDS, Code, Kem, Role
from seckex.wire.registration import Answer

LINGER: Final = 1.0
# So many times a request is sent again with the cookie that somebody asks for.
MOST_COOKIES: Final = 4


def begin(attempt: Attempt, home: Home) -> Step:
    """Begin a registration by what is shared: ``home``."""
    return _round(attempt, home, 1, NO_PREVIOUS, opening(attempt.plan, attempt.plan.kem))


def _round(attempt: Attempt, home: Home, number: int, previous: bytes, offers: Offers) -> Step:
    """Make the next index durable as used, before anything is said under it."""
    spi_home = attempt.new_spi()
    spi_agent = attempt.new_spi()
    while spi_agent == spi_home:
        spi_agent = attempt.new_spi()
    wish = Wish(attempt.lifetime, number, previous, offers, spi_home, spi_agent, attempt.shift)
    spent = evolve(home, chain=home.chain.after())
    return Step(ExpectIndex(attempt, home, spent, wish), (Persist((PutRecord(spent.record()),)),))


@frozen
class ExpectIndex:
    """Awaits that the index of ``home`` is durable as used; ``spent`` is what is shared then."""

    attempt: Attempt
    home: Home
    spent: Home
    wish: Wish

    def receive(self, event: Persisted | PersistConflict | PersistFailed, now: Now) -> Step:
        """See `TRANSITIONS`."""
        attempt, plan = self.attempt, self.attempt.plan
        if not isinstance(event, Persisted):
            why = event.why if isinstance(event, PersistFailed) else "it contradicts itself"
            lost = Failed(
                attempt, self.home, Cause.HERE, Code.INSUFFICIENT_RESOURCES, f"the store cannot be written: {why}"
            )
            return Step(Finished(), (Report(StoreTrouble(plan.home_agent, why)), Deliver(lost)))
        moved = Deliver(Moved(self.spent))
        try:
            request = draft(plan, self.home, attempt.agent, self.wish, attempt.entropy, now)
        except (PeerFault, Unfeasible) as fault:
            return Step(Finished(), (moved, *attempt.failed(self.spent, Cause.HERE, 0, str(fault))))
        sending = Sending(request.octets, 0, attempt.first_wait, now.monotonic + attempt.give_up)
        sending, actions = sending.again(attempt, now)
        wish, agent = self.wish, attempt.agent
        event_of_it = RegistrationSent(
            plan.home_agent, agent.nai, str(agent.path), wish.round, wish.lifetime, request.fallback, str(wish.offers)
        )
        return Step(ExpectReply(attempt, self.spent, request, sending), (moved, Report(event_of_it), *actions))


@frozen
class ExpectReply:
    """Has sent; awaits the home agent's reply. ``refusal`` is what the agent has said of itself meanwhile."""

    attempt: Attempt
    home: Home
    request: Request
    sending: Sending
    refusal: AgentRefusal | None = None

    @property
    def identification(self) -> int:
        """What the reply has to repeat."""
        return self.request.identification

    def receive(self, event: Reply | Refused | CookieAsked | Hint | Tick, now: Now) -> Step:
        """See `TRANSITIONS`."""
        match event:
            case Reply(reply):
                return self._replied(reply, now)
            case Refused(refusal):
                return self._refused(refusal, now)
            case CookieAsked(cookie):
                return self._cookie_asked(cookie, now)
            case Hint(why, unsent):
                return self._hinted(why, unsent, now)
            case Tick():
                return self._ticked(now)

    def _refused(self, refusal: AgentRefusal, now: Now) -> Step:
        if self.refusal is not None:
            return Step(self)
        agent, code, text = self.attempt.agent, refusal.header.code, refusal.detail.text
        event = AgentRefused(self.attempt.plan.home_agent, agent.nai, str(agent.path), code, text)
        return Step(evolve(self, refusal=refusal), (Report(event), Arm(now.monotonic + LINGER)))

    def _hinted(self, why: str, unsent: bool, now: Now) -> Step:
        hinted = evolve(self, attempt=self.attempt.hinted(why))
        soon = now.monotonic + LINGER
        if not unsent or self.refusal is not None or self.sending.give_up <= soon:
            return Step(hinted)
        # Where no way leads there is nothing to wait for; others may be asked.
        return Step(evolve(hinted, sending=evolve(self.sending, give_up=soon)), (Arm(soon),))

    def _cookie_asked(self, cookie: bytes, now: Now) -> Step:
        octets = with_cookie(self.request.octets, cookie)
        spent = self.sending.cookies == MOST_COOKIES or self.refusal is not None
        if spent or octets == self.sending.octets or self.attempt.path(octets).tcp:
            return Step(self)
        # The sending that was asked for a cookie does not count as one that nobody answered.
        sending = evolve(
            self.sending,
            octets=octets,
            sent=self.sending.sent - 1,
            wait=self.attempt.first_wait,
            cookies=self.sending.cookies + 1,
        )
        sending, actions = sending.again(self.attempt, now)
        return Step(evolve(self, sending=sending), actions)

    def _ticked(self, now: Now) -> Step:
        attempt = self.attempt
        if self.refusal is not None:
            code, text = self.refusal.header.code, self.refusal.detail.text
            why = f"the agent says (not authenticated): {text}"
            return Step(Finished(), attempt.failed(self.home, Cause.AGENT, code, why))
        if now.monotonic < self.sending.give_up:
            sending, actions = self.sending.again(attempt, now)
            return Step(evolve(self, sending=sending), actions)
        path = attempt.path(self.sending.octets)
        why = f"no reply from {path} to {self.sending.sent} requests"
        return Step(Finished(), attempt.failed(self.home, Cause.SILENCE, 0, why, self._causes(now)))

    def _causes(self, now: Now) -> tuple[str, ...]:
        plan, over = self.attempt.plan, int(now.wall) - self.request.home_key_until
        causes = [
            f"no foreign agent takes registrations at {self.attempt.agent.path}, or a firewall is between",
            f"{plan.home_agent} cannot be reached from there, or does not trust that agent (its log tells)",
            f"{plan.home_agent} does not know {plan.local} by version {self.home.kvno} of KEY 0 (its log tells)",
        ]
        if over > 0:
            why = f"the key of {plan.home_agent} that is known here was to be used until {over} s ago: provision again"
            causes.insert(0, why)
        return tuple(causes)

    def _replied(self, reply: NodeReply, now: Now) -> Step:
        """Take a reply; raises `AuthenticationFailed`."""
        try:
            verdict = self.request.judge(reply)
        except PeerFault as fault:
            return self._breach(self._answered(), fault)
        home = self._answered(verdict)
        if verdict.accepted:
            return self._accepted(reply, verdict, home, now)
        answer, plan = verdict.answer, self.attempt.plan
        text = "" if answer.detail is None else answer.detail.text
        if answer.code == Code.COUNTER_OFFER:
            return self._countered(verdict, home, text)
        anew = evolve(self.attempt, again=True)
        if answer.code == Code.IDENTIFICATION_MISMATCH and not self.attempt.again:
            shift = answer.clock - int(now.wall)
            step = begin(evolve(anew, shift=shift), home)
            return Step(step.state, (Report(ClocksApart(plan.home_agent, shift)), *step.actions))
        if answer.code == Code.UNKNOWN_EXCHANGE and not self.attempt.again:
            return begin(anew, home)
        return self._end(home, plan.home_agent, answer.code, text, acceptable_in(answer, plan))

    def _breach(self, home: Home, fault: PeerFault) -> Step:
        """End for what the home agent, being authenticated, should not have said."""
        return Step(Finished(), self.attempt.failed(home, Cause.HOME_AGENT, fault.code, fault.why))

    def _answered(self, verdict: Verdict | None = None) -> Home:
        """Return what is shared once a reply was authentic: later indices count from this one."""
        told = () if verdict is None else verdict.answer.home_keys
        # An answer has room for those of its own KEM; what it says nothing of goes on.
        others = tuple(key for key in self.home.keys if key.kem not in {each.kem for each in told})
        return evolve(self.home, answered=self.home.chain.index, keys=(*told, *others))

    def _end(self, home: Home, by: str, code: int, why: str, acceptable: str, detail: tuple[str, ...] = ()) -> Step:
        """End for a refusal, the home agent's or ours."""
        attempt, peer = self.attempt, self.attempt.plan.home_agent
        event = NegotiationRefused(peer, by, code, why, detail, acceptable)
        causes = (f"acceptable would be {acceptable}",) if acceptable else ()
        failed = Failed(attempt, home, Cause.HOME_AGENT, code, why, (*detail, *causes))
        return Step(Finished(), (Report(event), Deliver(failed)))

    # -- counter-offers

    def _countered(self, verdict: Verdict, home: Home, text: str) -> Step:
        answer, plan, wish = verdict.answer, self.attempt.plan, self.request.wish
        acceptable = acceptable_in(answer, plan)
        heard = Report(CounterReceived(plan.home_agent, wish.round, acceptable, text))
        try:
            offers = taken_up(answer, plan, wish.offers, self._possible) or remaining(plan, wish.offers)
        except PeerFault as fault:
            step = self._breach(home, fault)
            return Step(step.state, (heard, *step.actions))
        if wish.round == MAX_ROUNDS:
            why = f"{MAX_ROUNDS} rounds without agreement"
            step = self._end(home, plan.local, Code.TOO_MANY_ROUNDS, why, acceptable)
        elif offers is None:
            why, own = "the counter-offer is not within our own policy", (f"ours is {own_offer(plan.policy)}",)
            step = self._end(home, plan.local, Code.NOTHING_ACCEPTABLE, why, acceptable, own)
        else:
            step = _round(self.attempt, home, wish.round + 1, verdict.previous, offers)
        return Step(step.state, (heard, *step.actions))

    def _possible(self, kem: Kem) -> bool:
        return self.home.key(kem) is not None and self.attempt.agent.passes_on(kem)

    # -- acceptance

    def _accepted(self, reply: NodeReply, verdict: Verdict, home: Home, now: Now) -> Step:
        attempt = self.attempt
        healed = evolve(home, root=verdict.root)
        gone = tuple(map(DeleteAssociation, attempt.held))
        if not attempt.lifetime:
            over: Unit = (PutRecord(healed.record()), DeleteRecord(REGISTRATION, home.home_agent.encode()), *gone)
            return Step(ExpectStored(attempt, Ended(attempt, healed)), (Persist(over),))
        try:
            agreed = self.request.agree(reply, verdict)
        except PeerFault as fault:
            # It was accepted there, under the root that comes next, and no key of it is used.
            return self._breach(healed, fault)
        # What comes of a registration does not outlive it.
        lifetime = min(agreed.agreement.lifetime, agreed.lifetime)
        registration = self._registration(verdict.answer, agreed, lifetime, now)
        done = Done(attempt, healed, registration, self._association(verdict, agreed, lifetime, now))
        unit: Unit = (
            *gone,
            PutAssociation(done.association),
            PutRecord(healed.record()),
            PutRecord(done.registration.record()),
        )
        return Step(ExpectStored(attempt, done), (Persist(unit),))

    def _registration(self, answer: Answer, agreed: Agreed, lifetime: int, now: Now) -> Registration:
        attempt, wish = self.attempt, self.request.wish
        return Registration(
            home_agent=attempt.plan.home_agent,
            agent=attempt.agent.nai,
            path=attempt.agent.path,
            care_of=attempt.agent.care_of,
            home_address=answer.home_address,
            lifetime=agreed.lifetime,
            since=now.wall,
            serves=lifetime,
            spi_in=wish.spi_home,
            mode=answer.mode,
            kem=wish.offers.kem,
            rounds=wish.round,
            fallback=self.request.fallback,
            passages=attempt.plan.passages and attempt.agent.carries,
            visit=agreed.visit,
        )

    def _association(self, verdict: Verdict, agreed: Agreed, lifetime: int, now: Now) -> Association:
        plan, agreement = self.attempt.plan, agreed.agreement
        return Association(
            role=Role.INITIATOR,
            local=plan.local,
            peer=plan.home_agent,
            spi_in=self.request.wish.spi_home,
            spi_out=agreed.spi_out,
            agreement=agreement if agreement.lifetime == lifetime else evolve(agreement, lifetime=lifetime),
            created=now.wall,
            transcript=verdict.tr,
            keys=agreed.keys,
            confirmed=True,
            root=registration_root(self.home.kvno),
        )


@frozen
class ExpectStored:
    """Has what it wanted; awaits its being durable."""

    attempt: Attempt
    result: Done | Ended

    def receive(self, event: Persisted | PersistConflict | PersistFailed, _now: Now) -> Step:
        """See `TRANSITIONS`."""
        if not isinstance(event, Persisted):
            # Another worker's association has our SPI, which is as unlikely as harmless, or the store is full.
            why = event.why if isinstance(event, PersistFailed) else "the SPI is in use by now"
            peer = self.attempt.plan.home_agent
            lost = Failed(
                self.attempt, self.result.home, Cause.HERE, Code.INSUFFICIENT_RESOURCES, f"nothing was stored: {why}"
            )
            return Step(Finished(), (Report(StoreTrouble(peer, why)), Deliver(lost)))
        return Step(Finished(), (Deliver(self.result),))


@frozen
class Finished:
    """The end; awaits nothing."""

    def receive(self, _event: object, _now: Now) -> Step:
        """Raise: nothing is given to what has ended."""
        raise AuthenticationFailed("the registration has ended")


RegisteringState: TypeAlias = ExpectIndex | ExpectReply | ExpectStored | Finished

TRANSITIONS: Final[Transitions] = {
    ExpectIndex: {
        Persisted: frozenset({ExpectReply, Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    ExpectReply: {
        Reply: frozenset({ExpectIndex, ExpectStored, Finished}),
        Refused: frozenset({ExpectReply}),
        CookieAsked: frozenset({ExpectReply}),
        Hint: frozenset({ExpectReply}),
        Tick: frozenset({ExpectReply, Finished}),
    },
    ExpectStored: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    Finished: {},
}
