"""The responder's side of an exchange by certificates: docs/protocol.md, section 14.

An offer comes from somebody who has proved nothing but an address, so that it
is answered from memory alone: nothing is made durable, copies of it get the
same CHOICE again, and what is kept for it gives way to younger ones. What
CHOICE says of us anybody can learn who asks. CONFIRM says who asks, and why not
if it does not prove that; then the association is made durable, and CONFIRMED
follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.certified import root_of
from seckex.crypto.identity import Voucher
from seckex.errors import AuthenticationFailed, BadCertificate, Malformed, PeerFault, PeerIncompatible
from seckex.events import (
    AssociationConfirmed,
    CertificateRefused,
    CounterSent,
    NegotiationRefused,
    StoreTrouble,
)
from seckex.exchange import certified_messages as messages
from seckex.exchange.answer import Refusal, shed
from seckex.exchange.attempt import Outcome
from seckex.exchange.certified_initiator import certificates_of
from seckex.exchange.certified_shares import respond
from seckex.exchange.messages import Received, build_confirmed
from seckex.exchange.terms import Terms, bounded, established
from seckex.exchange.transcript import Transcript
from seckex.machine import (
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
)
from seckex.sa.association import Agreement, Association
from seckex.sa.offer import Offer, to_payload
from seckex.sa.proposal import Chosen, Countered, own_offer, told
from seckex.sa.store import PutAssociation
from seckex.wire.extensions import Detail, Exchange, Extension, SaPayloadExtension
from seckex.wire.numbers import LOWEST_SPI, MAX_ROUNDS, NONCE_SIZE, Code, Kind, ProtocolId, Role
from seckex.wire.payloads import encode_sa

#: Tells whether a principal may negotiate by certificate.
Admit: TypeAlias = Callable[[str], bool]


@frozen
class Offered:
    """An OFFER came; ``full`` names a table that has no room for its result."""

    received: Received
    path: Path
    full: str = ""


@frozen
class Confirmed:
    """A CONFIRM came; ``full`` names a table that has no room for its result."""

    received: Received
    path: Path
    full: str = ""


@frozen
class Finished:
    """The end; awaits nothing, late copies are let pass."""

    def receive(self, _event: Offered | Confirmed | Tick, _now: Now) -> Step:
        """Stay."""
        return Step(self)


@frozen
class ExpectOffer:
    """Awaits the offer of round ``round``; ``spi`` is the initiator's, 0 before the first round."""

    terms: Terms
    admit: Admit = field(repr=False)
    transcript: Transcript
    round: int = 1
    spi: int = 0

    def receive(self, event: Offered, _now: Now) -> Step:
        """See `TRANSITIONS`; raises `Malformed` and stays."""
        received = event.received
        messages.check_plain(received)
        exchange = received.need(Exchange)
        heard = self.transcript.heard(exchange.round, Role.INITIATOR, received.octets)
        try:
            refusal = self._admit(event, exchange)
            if refusal is None:
                return self._select(event, exchange, heard)
        except PeerFault as fault:
            refusal = Refusal(fault.code, fault.why, fault.proposal, fault.transform)
        except Malformed as fault:
            refusal = Refusal(Code.POORLY_FORMED, str(fault))
        return self._refuse(event, exchange, heard, refusal, ())

    def _admit(self, event: Offered, exchange: Exchange) -> Refusal | None:
        """Return why the offer is not even looked at, if so."""
        if exchange.round != self.round or (self.round > 1 and exchange.initiator_spi != self.spi):
            return Refusal(Code.UNKNOWN_EXCHANGE, f"round {exchange.round} of an exchange that is not remembered")
        if exchange.initiator_spi < LOWEST_SPI or exchange.responder_spi:
            return Refusal(Code.POORLY_FORMED, "the SPIs of the exchange extension")
        if event.full:
            return Refusal(Code.INSUFFICIENT_RESOURCES, f"{event.full} full; try later")
        return None

    def _select(self, event: Offered, exchange: Exchange, heard: Transcript) -> Step:
        terms, payload = self.terms, event.received.need(SaPayloadExtension)
        selected = terms.selector.select(payload.payload, payload.offset)
        verdict = selected.verdict
        reasons = told(verdict.reasons)
        agrees = isinstance(verdict, Chosen) and verdict.agreement.algorithm(ProtocolId.KEY_AGREEMENT) is not None
        if isinstance(verdict, Chosen) and agrees:
            value, shared = respond(selected, terms)
            spi = terms.new_spi(exchange.initiator_spi)
            said = Exchange(exchange.round, exchange.initiator_spi, spi, terms.entropy(NONCE_SIZE))
            choice = messages.build_choice(
                certificates_of(terms).identity,
                event.received.header.identification,
                (said, SaPayloadExtension(selected.choice(value))),
                (verdict.agreement.prf, shared),
                heard,
            )
            spis = (exchange.initiator_spi, spi)
            place = messages.Place(exchange.round, spis, choice.transcript, choice.handshake)
            state = ExpectConfirm(terms, self.admit, place, verdict.agreement, choice.octets, reasons)
            return Step(state, (Send(choice.octets, event.path),))
        if isinstance(verdict, Countered) and self.round < MAX_ROUNDS:
            return self._counter(event, exchange, heard, verdict.counter, reasons)
        first = verdict.reasons[0] if verdict.reasons else None
        code = Code.TOO_MANY_ROUNDS if self.round == MAX_ROUNDS else Code.NOTHING_ACCEPTABLE
        last = f"{MAX_ROUNDS} rounds without agreement: " if self.round == MAX_ROUNDS else ""
        why = last + ("; ".join(reasons) or "there is no key agreement in it, which certificates need")
        numbers = (first.proposal, first.transform) if first else (0, 0)
        return self._refuse(event, exchange, heard, Refusal(code, why, *numbers, own_offer(terms.policy)), reasons)

    def _counter(
        self, event: Offered, exchange: Exchange, heard: Transcript, offer: Offer, reasons: tuple[str, ...]
    ) -> Step:
        text, said = next(shed("; ".join(reasons), offer))
        sa = SaPayloadExtension(encode_sa(to_payload(said)))
        answer, after = self._answer(Kind.COUNTER, event, exchange, heard, (sa, Detail(Code.COUNTER_OFFER, 0, 0, text)))
        state = ExpectOffer(self.terms, self.admit, after, self.round + 1, exchange.initiator_spi)
        report = CounterSent(str(event.path), self.round, str(said), reasons)
        return Step(state, (Send(answer, event.path), Report(report)))

    def _refuse(
        self, event: Offered, exchange: Exchange, heard: Transcript, refusal: Refusal, reasons: tuple[str, ...]
    ) -> Step:
        text, said = next(shed(refusal.why, refusal.acceptable or Offer(())))
        sa = (SaPayloadExtension(encode_sa(to_payload(said))),) if said.alternatives else ()
        detail = Detail(refusal.code, refusal.proposal, refusal.transform, text)
        answer, _ = self._answer(Kind.REFUSAL, event, exchange, heard, (detail, *sa))
        acceptable = str(refusal.acceptable) if refusal.acceptable else ""
        where, local = str(event.path), self.terms.local
        report = NegotiationRefused(where, local, refusal.code, refusal.why, reasons, acceptable)
        return Step(Finished(), (Send(answer, event.path), Report(report)))

    def _answer(
        self, kind: Kind, event: Offered, exchange: Exchange, heard: Transcript, extensions: tuple[Extension, ...]
    ) -> tuple[bytes, Transcript]:
        said = evolve(exchange, responder_spi=0, nonce=self.terms.entropy(NONCE_SIZE))
        return messages.build_plain(kind, event.received.header.identification, said, extensions, heard)


@frozen
class ExpectConfirm:
    """Has proved who it is; awaits the same of the initiator. ``choice`` is said again to copies of the offer."""

    terms: Terms
    admit: Admit = field(repr=False)
    place: messages.Place
    agreement: Agreement
    choice: bytes = field(repr=False)
    reasons: tuple[str, ...]

    def receive(self, event: Offered | Confirmed | Tick, now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and `Malformed` and stays."""
        if isinstance(event, Tick):
            return Step(Finished())
        if isinstance(event, Offered):
            return Step(self, (Send(self.choice, event.path),))
        # What opens was said by whoever agreed on the key, so that a fault in it ends the exchange.
        presented = messages.open_confirm(event.received, self.place)
        try:
            voucher = presented.verify(certificates_of(self.terms).trust, now.wall)
            agreement = self._admit(event, voucher, now)
        except BadCertificate as bad:
            report = CertificateRefused("anybody we know", str(event.path), bad.flaw.value, bad.why)
            return self.refuse(event, bad.code, bad.why, Report(report))
        except PeerFault as fault:
            return self.refuse(event, fault.code, fault.why, self._refused(event, fault.code, fault.why))
        except AuthenticationFailed as error:
            why, code = str(error), Code.FAILED_AUTHENTICATION
            return self.refuse(event, code, why, self._refused(event, code, why))
        names = voucher.nai, self.terms.local
        keys, after = messages.verify_confirm(event.received, names, self.place)
        association = Association(
            role=Role.RESPONDER,
            local=self.terms.local,
            peer=voucher.nai,
            spi_in=self.place.spis[1],
            spi_out=self.place.spis[0],
            agreement=agreement,
            created=now.wall,
            transcript=after.digest,
            keys=keys,
            confirmed=True,
            root=root_of(presented.chain),
        )
        return Step(ExpectStored(self, event, association), (Persist((PutAssociation(association),)),))

    def _admit(self, event: Confirmed, voucher: Voucher, now: Now) -> Agreement:
        """Return the agreement with whom CONFIRM proves to be; raises `PeerFault` where there is none."""
        if not self.admit(voucher.nai):
            raise PeerIncompatible(Code.PROHIBITED, f"{voucher.nai} may not negotiate here")
        if event.full:
            raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, f"{event.full} full; try later")
        ends = min(voucher.not_after, certificates_of(self.terms).identity.not_after)
        return bounded(self.agreement, ends, now)

    def _refused(self, event: Confirmed, code: int, why: str) -> Report:
        return Report(NegotiationRefused(str(event.path), self.terms.local, code, why, (), ""))

    def refuse(self, event: Confirmed, code: int, why: str, report: Report) -> Step:
        """Return the end that says why CONFIRM is not taken."""
        text, _ = next(shed(why, Offer(())))
        said = Exchange(self.place.round, self.place.spis[0], 0, self.terms.entropy(NONCE_SIZE))
        received, nai = event.received, self.terms.local
        identification = received.header.identification
        detail = Detail(code, 0, 0, text)
        opened = messages.opened_part(received)
        answer = messages.build_refusal(opened, identification, said, detail, nai, self.place)
        return Step(Done(opened, answer), (Send(answer, event.path), report))


@frozen
class ExpectStored:
    """Has an association that both ends have proved; awaits its being durable. Copies of CONFIRM are let pass."""

    before: ExpectConfirm
    confirmed: Confirmed
    association: Association

    def receive(
        self, event: Persisted | PersistConflict | PersistFailed | Offered | Confirmed | Tick, _now: Now
    ) -> Step:
        """See `TRANSITIONS`."""
        association, received = self.association, self.confirmed.received
        peer, spi = association.peer, association.spi_in
        match event:
            case Persisted():
                answer = build_confirmed(association.keys, spi, received.header.identification, association.transcript)
                told = Report(established(association, self.before.place.round, self.before.reasons))
                done = (told, Report(AssociationConfirmed(peer, spi)), Deliver(Outcome(peer, association)))
                state = Done(received.octets, answer)
                return Step(state, (Send(answer, self.confirmed.path), *done))
            case PersistConflict():
                # Our new SPI was taken by another worker's association: the initiator begins anew.
                return Step(Finished())
            case PersistFailed(why):
                said = "the store cannot be written; try later"
                trouble = Report(StoreTrouble(peer, why))
                return self.before.refuse(self.confirmed, Code.INSUFFICIENT_RESOURCES, said, trouble)
        return Step(self)


@frozen
class Done:
    """Has answered a CONFIRM that began with ``confirm``; copies of it get the same answer."""

    confirm: bytes = field(repr=False)
    answer: bytes = field(repr=False)

    def receive(self, event: Offered | Confirmed | Tick, _now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and stays."""
        if isinstance(event, Tick):
            return Step(Finished())
        if isinstance(event, Offered):
            return Step(self)
        if not event.received.octets.startswith(self.confirm):
            raise AuthenticationFailed("another CONFIRM than the one that was answered")
        return Step(self, (Send(self.answer, event.path),))


CertifiedResponderState: TypeAlias = ExpectOffer | ExpectConfirm | ExpectStored | Done | Finished

TRANSITIONS: Final[Transitions] = {
    ExpectOffer: {Offered: frozenset({ExpectOffer, ExpectConfirm, Finished})},
    ExpectConfirm: {
        Offered: frozenset({ExpectConfirm}),
        Confirmed: frozenset({ExpectStored, Done}),
        Tick: frozenset({Finished}),
    },
    ExpectStored: {
        Persisted: frozenset({Done}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Done}),
        Offered: frozenset({ExpectStored}),
        Confirmed: frozenset({ExpectStored}),
        Tick: frozenset({ExpectStored}),
    },
    Done: {
        Offered: frozenset({Done}),
        Confirmed: frozenset({Done}),
        Tick: frozenset({Finished}),
    },
    Finished: {
        Offered: frozenset({Finished}),
        Confirmed: frozenset({Finished}),
        Tick: frozenset({Finished}),
    },
}
