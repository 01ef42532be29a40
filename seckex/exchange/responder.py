"""The responder's side of an exchange: docs/protocol.md, sections 6 to 9.

An offer is verified under KEY 0 before anything else is done with it, and
whatever is answered is durable before it leaves: the answer itself, the
replay record and the new association, in one unit. So a state between an offer
and its answer awaits the store.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.errors import Malformed, PeerFault, PeerIncompatible, SeckexError
from seckex.events import (
    AssociationConfirmed,
    AssociationEnded,
    CounterSent,
    NegotiationRefused,
    StoreTrouble,
)
from seckex.exchange.answer import Refusal, choose, counter, refuse, reply
from seckex.exchange.attempt import Outcome
from seckex.exchange.messages import Received, build_confirmed, unseal_names, verify_confirm, verify_request
from seckex.exchange.shares import Respond, Responded, responding
from seckex.exchange.terms import Terms, established
from seckex.exchange.transcript import Transcript
from seckex.machine import (
    Action,
    Deliver,
    Now,
    Path,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Report,
    Send,
    Step,
    Tick,
    Transitions,
    Work,
    Worked,
)
from seckex.sa.association import Association
from seckex.sa.offer import Offer, from_payload
from seckex.sa.proposal import Chosen, Countered, own_offer, told
from seckex.sa.selector import Selected
from seckex.sa.store import ConfirmAssociation, DeleteAssociation, PutAssociation, PutReplay, ReplayRecord, Unit
from seckex.wire.extensions import Detail, Exchange, SaPayloadExtension
from seckex.wire.numbers import LOWEST_SPI, MAX_ROUNDS, REQUEST_SIZE, Code, Kind
from seckex.wire.payloads import decode_sa

# How long an association may wait for the initiator's proof of its keys.
CONFIRM_WITHIN: Final = 60.0

# These refusals accept nothing and leave no record: old requests, replayed, must not fill the tables, and full tables
# must not need room to say so.
_UNRECORDED: Final = frozenset((Code.IDENTIFICATION_MISMATCH, Code.INSUFFICIENT_RESOURCES))


@frozen
class Offered:
    """An OFFER came; ``request`` is the digest of its stem, ``full`` names a table that has no room for its result.

    ``clock`` is the time by which its Identification is judged, the wall clock's where None.
    """

    received: Received
    path: Path
    request: bytes
    full: str = ""
    clock: float | None = None

    def judged(self, now: Now) -> Now:
        """Return ``now`` by that clock."""
        return now if self.clock is None else now._replace(wall=self.clock)


@frozen
class Abandoned:
    """An ABANDON came."""

    received: Received


@frozen
class Confirmed:
    """A CONFIRM came."""

    received: Received
    path: Path


@frozen
class Proved:
    """The initiator has proved the keys by a link's first record."""


@frozen
class Usable:
    """The association may be used: its initiator has proved the keys."""

    association: Association


@frozen
class Ended:
    """The association is to be forgotten."""

    association: Association


@frozen
class ExpectOffer:
    """Awaits the offer of round ``round``; ``spi`` is the initiator's, 0 before the first round."""

    terms: Terms
    transcript: Transcript
    round: int = 1
    spi: int = 0

    def receive(self, event: Offered | Abandoned, now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and `Malformed` and stays."""
        received = event.received
        if isinstance(event, Abandoned):
            return self._abandoned(received)
        if len(received.octets) < REQUEST_SIZE:
            raise Malformed(
                "OFFER", len(received.octets), f"shorter than {REQUEST_SIZE} octets, which answers may have"
            )
        exchange = received.need(Exchange)
        heard = verify_request(received, Kind.OFFER, self.terms.authority, self.transcript)
        said = self._answer(event, exchange, heard, now)
        if isinstance(said, Pending):
            return Step(ExpectWorked(self, event, heard, said), (Work(said.call),))
        return self.conclude(event, heard, said, now)

    def conclude(self, event: Offered, heard: Transcript, said: Said, now: Now) -> Step:
        """Have what is to be said made durable, save for what needs no record."""
        received = event.received
        if event.full and (said.refusal is None or said.refusal.code not in _UNRECORDED):
            said = self._refuse(received, heard, _no_room(event.full), (), now)
        if said.refusal is not None and said.refusal.code in _UNRECORDED:
            return Step(Finished(), (*reply(said.answer, received.octets, event.path), *_refused(self.terms, said)))
        record = PutReplay(
            ReplayRecord(
                spi=self.terms.authority.spi,
                identification=received.header.identification,
                request=event.request,
                answer=said.answer,
                # Identifications count whole seconds, so the last second of the window is part of it.
                expires=event.judged(now).wall + 2 * self.terms.clock_window + 1,
            )
        )
        association = said.association
        unit: Unit = (record,) if association is None else (record, PutAssociation(association))
        return Step(ExpectStored(self.terms, event, heard, said), (Persist(unit),))

    def _abandoned(self, received: Received) -> Step:
        verify_request(received, Kind.ABANDON, self.terms.authority, self.transcript)
        peer, detail, payload = self.terms.peer, received.need(Detail), received.need(SaPayloadExtension)
        try:
            acceptable = str(from_payload(decode_sa(payload.payload, payload.offset)))
        except (PeerFault, Malformed) as fault:
            acceptable = f"something that cannot be read: {fault.why}"
        event = NegotiationRefused(peer, peer, detail.code, detail.text, (), acceptable)
        return Step(Finished(), (Report(event),))

    def _answer(self, event: Offered, exchange: Exchange, heard: Transcript, now: Now) -> Said | Pending:
        """Return what to say, or what has to be worked out first; a fault of the peer becomes a refusal."""
        received = event.received
        try:
            refusal = self._admit(event, exchange, event.judged(now))
            if refusal is not None:
                return self._refuse(received, heard, refusal, (), event.judged(now))
            payload = received.need(SaPayloadExtension)
            selected = self.terms.selector.select(payload.payload, payload.offset)
            return self._select(received, exchange, heard, selected, now)
        except PeerFault as fault:
            refusal = _refusal_of(fault)
        except Malformed as fault:
            refusal = Refusal(Code.POORLY_FORMED, str(fault))
        return self._refuse(received, heard, refusal, (), now)

    def worked(self, event: Offered, heard: Transcript, pending: Pending, result: object, now: Now) -> Said:
        """Return what to say now that the work which an answer waited for is done."""
        received, verdicts = event.received, self.terms.verdicts
        self.terms.aside.give_back()
        responded = result if isinstance(result, Responded) else Responded(fault=_own_fault(result))
        brought = pending.call.brought
        if brought is not None and responded.verdict is not None:
            verdicts.found(brought, responded.verdict, now.monotonic)
        if responded.fault is not None:
            return self._refuse(received, heard, _refusal_of(responded.fault), (), now)
        selected, chosen, spi = (
            pending.selected,
            pending.chosen,
            self.terms.new_spi(received.need(Exchange).initiator_spi),
        )
        answer, association = choose(self.terms, received, heard, selected, chosen, responded, spi, now)
        return self._chosen(answer, chosen, association)

    def _chosen(self, answer: bytes, chosen: Chosen, association: Association) -> Said:
        return Said(answer, told(chosen.reasons), self.round, association)

    def _admit(self, event: Offered, exchange: Exchange, now: Now) -> Refusal | None:
        """Return why the offer is not even looked at, if so."""
        terms = self.terms
        names = unseal_names(event.received, terms.authority)
        if names != (terms.peer, terms.local):
            why = f"{names[0]} asks for {names[1]}, but this KEY 0 is between {terms.peer} and {terms.local}"
            return Refusal(Code.WRONG_IDENTITY, why)
        seconds = event.received.header.identification >> 32
        apart = (seconds - int(now.wall) + 0x80000000) % 0x100000000 - 0x80000000
        if abs(apart) > terms.clock_window:
            why = f"clocks are {apart:+d} s apart, {terms.clock_window} s are allowed"
            return Refusal(Code.IDENTIFICATION_MISMATCH, why)
        if exchange.round != self.round or (self.round > 1 and exchange.initiator_spi != self.spi):
            return Refusal(Code.UNKNOWN_EXCHANGE, f"round {exchange.round} of an exchange that is not remembered")
        if exchange.initiator_spi < LOWEST_SPI or exchange.responder_spi:
            return Refusal(Code.POORLY_FORMED, "the SPIs of the exchange extension")
        if event.full:
            return _no_room(event.full)
        return None

    def _select(
        self, received: Received, exchange: Exchange, heard: Transcript, selected: Selected, now: Now
    ) -> Said | Pending:
        terms = self.terms
        verdict = selected.verdict
        reasons = told(verdict.reasons)
        if isinstance(verdict, Chosen):
            return self._agree(received, heard, selected, verdict, now)
        if isinstance(verdict, Countered) and self.round < MAX_ROUNDS:
            answer, after, said = counter(terms, received, heard, verdict.counter, "; ".join(reasons))
            following = ExpectOffer(terms, after, self.round + 1, exchange.initiator_spi)
            return Said(answer, reasons, self.round, countered=(said, following))
        rounds = self.round == MAX_ROUNDS
        code, why = (
            (Code.TOO_MANY_ROUNDS, f"{MAX_ROUNDS} rounds without agreement: " + "; ".join(reasons))
            if rounds
            else (Code.NOTHING_ACCEPTABLE, "; ".join(reasons))
        )
        first = verdict.reasons[0] if verdict.reasons else None
        refusal = Refusal(
            code, why, first.proposal if first else 0, first.transform if first else 0, own_offer(terms.policy)
        )
        return self._refuse(received, heard, refusal, reasons, now)

    def _agree(
        self, received: Received, heard: Transcript, selected: Selected, chosen: Chosen, now: Now
    ) -> Said | Pending:
        spi = self.terms.new_spi(received.need(Exchange).initiator_spi)
        call = responding(selected, self.terms)
        if call is not None and call.heavy:
            why = self._no_time(call, now)
            if not why:
                return Pending(selected, chosen, call)
            return self._refuse(received, heard, Refusal(Code.INSUFFICIENT_RESOURCES, why), (), now)
        responded = Responded() if call is None else call()
        if responded.fault is not None:
            raise responded.fault
        answer, association = choose(self.terms, received, heard, selected, chosen, responded, spi, now)
        return self._chosen(answer, chosen, association)

    def _no_time(self, call: Respond, now: Now) -> str:
        """Return why work cannot be done aside now; nothing if it can, and is counted."""
        terms = self.terms
        if not terms.aside.take():
            return "too many key agreements are under way; try later"
        if call.brought is not None and not terms.verdicts.may_begin(now.monotonic):
            terms.aside.give_back()
            return f"{call.brought.name} is yet to be verified, and another group was just now; try later"
        return ""

    def _refuse(
        self, received: Received, heard: Transcript, refusal: Refusal, reasons: tuple[str, ...], now: Now
    ) -> Said:
        answer = refuse(self.terms, received, heard, refusal, now)
        return Said(answer, reasons, self.round, refusal=refusal)


@frozen
class Said:
    """An answer that waits to be durable, and what it means: one of the last three is set."""

    answer: bytes = field(repr=False)
    reasons: tuple[str, ...]
    round: int
    association: Association | None = None
    countered: tuple[Offer, ExpectOffer] | None = None
    refusal: Refusal | None = None


@frozen
class Pending:
    """An offer that will be chosen from, once ``call`` has made the responder's value."""

    selected: Selected
    chosen: Chosen = field(repr=False)
    call: Respond


def _refusal_of(fault: PeerFault) -> Refusal:
    return Refusal(fault.code, fault.why, fault.proposal, fault.transform)


def _own_fault(result: object) -> PeerFault:
    """Return what the peer is told of work that has failed: it leaves a record, like every answer to such an offer."""
    why = str(result) if isinstance(result, SeckexError) else "this daemon failed"
    return PeerIncompatible(Code.UNSPECIFIED, why)


def _no_room(table: str) -> Refusal:
    return Refusal(Code.INSUFFICIENT_RESOURCES, f"{table} full; try later")


def _refused(terms: Terms, said: Said) -> tuple[Action, ...]:
    refusal = said.refusal
    if refusal is None:
        return ()
    acceptable = str(refusal.acceptable) if refusal.acceptable else ""
    event = NegotiationRefused(terms.peer, terms.local, refusal.code, refusal.why, said.reasons, acceptable)
    return (Report(event),)


@frozen
class ExpectWorked:
    """Would choose; awaits the work that its answer needs. Copies of the offer are let pass meanwhile."""

    before: ExpectOffer
    offered: Offered
    heard: Transcript
    pending: Pending

    def receive(self, event: Worked, now: Now) -> Step:
        """See `TRANSITIONS`."""
        said = self.before.worked(self.offered, self.heard, self.pending, event.result, now)
        return self.before.conclude(self.offered, self.heard, said, now)


@frozen
class ExpectStored:
    """Has an answer; awaits its being durable."""

    terms: Terms
    offered: Offered
    heard: Transcript
    said: Said

    def receive(self, event: Persisted | PersistConflict | PersistFailed, now: Now) -> Step:
        """See `TRANSITIONS`."""
        if isinstance(event, PersistFailed):
            return self._failed(event.why, now)
        if isinstance(event, PersistConflict):
            # Another worker answers this very request, or our new SPI was taken: the initiator asks again.
            return Step(Finished())
        said, peer = self.said, self.terms.peer
        send = reply(said.answer, self.offered.received.octets, self.offered.path)
        if said.association is not None:
            report = Report(established(said.association, said.round, said.reasons))
            state = ExpectConfirm(self.terms, said.association)
            return Step(state, (*send, report, Deliver(Outcome(peer, said.association))))
        if said.countered is not None:
            offer, following = said.countered
            return Step(following, (*send, Report(CounterSent(peer, said.round, str(offer), said.reasons))))
        return Step(Finished(), (*send, *_refused(self.terms, said)))

    def _failed(self, why: str, now: Now) -> Step:
        """Nothing was stored, so nothing was accepted; say so, which needs no record."""
        refusal = Refusal(Code.INSUFFICIENT_RESOURCES, "the store cannot be written; try later")
        answer = refuse(self.terms, self.offered.received, self.heard, refusal, now)
        trouble = Report(StoreTrouble(self.terms.peer, why))
        return Step(Finished(), (*reply(answer, self.offered.received.octets, self.offered.path), trouble))


@frozen
class ExpectConfirm:
    """Holds an association that it may not use; awaits the initiator's proof of the keys."""

    terms: Terms
    association: Association

    def receive(self, event: Confirmed | Proved | Tick, _now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and stays."""
        association = self.association
        if isinstance(event, Tick):
            ended = AssociationEnded(association.peer, association.spi_in, "never confirmed by the initiator")
            forget = Persist((DeleteAssociation(association.spi_in),))
            return Step(ExpectMarked(()), (forget, Report(ended), Deliver(Ended(association))))
        send: tuple[Action, ...] = ()
        if isinstance(event, Confirmed):
            send = answer_confirm(association, event)
        mark = Persist((ConfirmAssociation(association.spi_in),))
        report = Report(AssociationConfirmed(association.peer, association.spi_in))
        return Step(ExpectMarked(send), (mark, report, Deliver(Usable(association))))


@frozen
class ExpectMarked:
    """Awaits the store's word on a mark; ``then`` is what depends on it."""

    then: tuple[Action, ...]

    def receive(self, event: Persisted | PersistConflict | PersistFailed, _now: Now) -> Step:
        """See `TRANSITIONS`; where the mark could not be stored the initiator asks again."""
        return Step(Finished(), self.then if isinstance(event, Persisted) else ())


@frozen
class Finished:
    """The end; awaits nothing."""

    def receive(self, _event: object, _now: Now) -> Step:
        """Stay."""
        return Step(self)


def answer_confirm(association: Association, event: Confirmed) -> tuple[Send, ...]:
    """Return CONFIRMED for a CONFIRM that verifies; raises `AuthenticationFailed`."""
    keys, spi = association.keys, association.spi_in
    verify_confirm(event.received, Kind.CONFIRM, keys, association.transcript)
    identification = event.received.header.identification
    confirmed = build_confirmed(keys, spi, identification, association.transcript)
    return reply(confirmed, event.received.octets, event.path)


ResponderState: TypeAlias = ExpectOffer | ExpectWorked | ExpectStored | ExpectConfirm | ExpectMarked | Finished

TRANSITIONS: Final[Transitions] = {
    ExpectOffer: {
        Offered: frozenset({ExpectWorked, ExpectStored, Finished}),
        Abandoned: frozenset({Finished}),
    },
    ExpectWorked: {Worked: frozenset({ExpectStored})},
    ExpectStored: {
        Persisted: frozenset({ExpectConfirm, ExpectOffer, Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    ExpectConfirm: {
        Confirmed: frozenset({ExpectMarked}),
        Proved: frozenset({ExpectMarked}),
        Tick: frozenset({ExpectMarked}),
    },
    ExpectMarked: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    Finished: {},
}
