"""The initiator's side of an exchange by certificates: docs/protocol.md, section 14.

The offer says nothing of who we are. The responder's CHOICE proves who it is,
and only then our own certificates go out, sealed, in CONFIRM. The association
is used, and made durable, once CONFIRMED has verified.

A CHOICE that does not prove the peer's name leaves the exchange waiting, since
anybody on the way could have said it; why it did not is told, and stands among
the causes when no other comes. COUNTER, and REFUSAL of an offer, are believed
without proof: whoever forges one makes this exchange fail and nothing else, as
all that was heard goes into what both ends sign.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.certified import Certificates, root_of
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Flaw, Malformed, PeerFault, PeerMisbehaved
from seckex.events import (
    AssociationConfirmed,
    CertificateRefused,
    CounterReceived,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
    PeerUnreachable,
    StoreTrouble,
    VersionsHeard,
)
from seckex.exchange import certified_messages as messages
from seckex.exchange.attempt import (
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    GIVE_UP,
    MOST_HINTS,
    Answer,
    Attempt,
    CookieAsked,
    OtherVersions,
    Outcome,
    Retry,
    TcpAsked,
    Unknown,
    Unreachable,
)
from seckex.exchange.certified_shares import finish, light, with_shares
from seckex.exchange.messages import Received, verify_confirm
from seckex.exchange.shares import Shares
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
    Step,
    Tick,
    Transitions,
)
from seckex.sa.association import Association
from seckex.sa.offer import Offer, from_payload, numbered, to_payload
from seckex.sa.proposal import Chosen, accept, own_offer, select, told
from seckex.sa.store import PutAssociation
from seckex.wire.extensions import Detail, Exchange, SaPayloadExtension
from seckex.wire.numbers import LOWEST_SPI, MAX_ROUNDS, NONCE_SIZE, VERSIONS_SPOKEN, Code, Kind, Role
from seckex.wire.payloads import decode_sa, encode_sa

CertifiedEvent: TypeAlias = Answer | OtherVersions | Unknown | CookieAsked | TcpAsked | Unreachable | Tick


@frozen
class Finished:
    """The end; awaits nothing, late copies of answers are let pass."""

    def receive(self, _event: CertifiedEvent, _now: Now) -> Step:
        """Stay."""
        return Step(self)


def certificates_of(terms: Terms) -> Certificates:
    """Return the certificates that an exchange is by; raises `ApiMisuse`."""
    if not isinstance(terms.authority, Certificates):
        raise ApiMisuse("this exchange is not by certificates")
    return terms.authority


def begin(terms: Terms, path: Path, now: Now) -> Step:
    """Make the first offer of a new exchange, unless our own certificates have expired."""
    attempt = Attempt(light(terms), path, terms.new_spi(), now.monotonic + GIVE_UP)
    if not attempt.terms.policy.proposals:
        why = "no proposal of our policy has a group for exchanges by certificates"
        causes = ("groups that take long have no part in them",)
        return _end(attempt, 0, why, NegotiationFailed(terms.peer, why, causes))
    if now.wall >= certificates_of(terms).identity.not_after:
        why = f"{terms.authority} has expired, or one above it"
        return _end(attempt, 0, why, NegotiationFailed(terms.peer, why, ("seckex cert show tells which",)))
    return _begin(attempt, now)


def _begin(attempt: Attempt, now: Now) -> Step:
    policy = attempt.terms.policy
    opened = policy.open_with or len(policy.proposals)
    return _offer(attempt, own_offer(policy, 0, opened), opened, 1, messages.beginning(), now)


def _offer(attempt: Attempt, offer: Offer, opened: int, number: int, before: Transcript, now: Now) -> Step:
    """Send ``offer`` as round ``number``; ``opened`` counts the policy's proposals that were offered by now."""
    terms = attempt.terms
    offer, held = with_shares(numbered(offer.alternatives), terms)
    identification = attempt.identification(now)
    exchange = Exchange(number, attempt.spi, 0, terms.entropy(NONCE_SIZE))
    sa = SaPayloadExtension(encode_sa(to_payload(offer)))
    request, transcript = messages.build_plain(Kind.OFFER, identification, exchange, (sa,), before)
    retry, actions = Retry(request, 0, FIRST_WAIT).again(attempt, now)
    state = ExpectAnswer(attempt, retry, number, identification, offer, opened, held, transcript)
    sent = OfferSent(terms.peer, str(attempt.path), number, attempt.spi, str(offer))
    return Step(state, (Report(sent), *actions))


def _end(attempt: Attempt, code: int, why: str, event: NegotiationFailed | NegotiationRefused | StoreTrouble) -> Step:
    return Step(Finished(), (Report(event), Deliver(Outcome(attempt.terms.peer, None, code, why))))


def _refusal(attempt: Attempt, received: Received) -> Step:
    """Return the end that a REFUSAL is."""
    peer, detail = attempt.terms.peer, received.need(Detail)
    payload = received.find(SaPayloadExtension)
    try:
        acceptable = "" if payload is None else str(from_payload(decode_sa(payload.payload, payload.offset)))
    except (PeerFault, Malformed) as fault:
        acceptable = f"something that cannot be read: {fault.why}"
    places = (("proposal", detail.proposal), ("transform", detail.transform))
    where = tuple(f"{name} {number}" for name, number in places if number)
    return _end(
        attempt, detail.code, detail.text, NegotiationRefused(peer, peer, detail.code, detail.text, where, acceptable)
    )


@frozen
class ExpectAnswer:
    """Has offered; awaits CHOICE, COUNTER or REFUSAL of this round."""

    attempt: Attempt
    retry: Retry
    round: int
    identification: int
    offer: Offer = field(repr=False)
    opened: int
    held: Shares = field(repr=False)
    transcript: Transcript

    def receive(self, event: CertifiedEvent, now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and `Malformed` and stays."""
        match event:
            case Answer(received):
                return self._answered(received, now)
            case OtherVersions(versions, address):
                hint = f"{address} says that it speaks protocol version {', '.join(map(str, versions))} only"
                return self._hinted(hint, VersionsHeard(self.attempt.terms.peer, address, versions, VERSIONS_SPOKEN))
            case Unreachable(why):
                return self._hinted(why, PeerUnreachable(self.attempt.terms.peer, str(self.attempt.path), why))
            case Tick():
                return self._ticked(now)
        # Who is asked over TCP has no use for a cookie, nor for TCP.
        return Step(self)

    def _hinted(self, hint: str, event: VersionsHeard | PeerUnreachable | CertificateRefused) -> Step:
        if hint in self.attempt.hints or len(self.attempt.hints) == MOST_HINTS:
            return Step(self)
        attempt = evolve(self.attempt, hints=(*self.attempt.hints, hint))
        return Step(evolve(self, attempt=attempt), (Report(event),))

    def _ticked(self, now: Now) -> Step:
        if self.round > 1 and self.retry.sent == FORGOTTEN_AFTER and not self.attempt.again:
            # A responder that has restarted does not know of the earlier rounds.
            return _begin(evolve(self.attempt, spi=self.attempt.terms.new_spi(), again=True), now)
        if now.monotonic < self.attempt.give_up:
            retry, actions = self.retry.again(self.attempt, now)
            return Step(evolve(self, retry=retry), actions)
        path = self.attempt.path
        causes = (
            *self.attempt.hints,
            f"no seckex responder runs at {path}, or a firewall is between",
            "it has no certificates configured (its log tells)",
        )
        why = f"no answer that proves who it is from {path} to {self.retry.sent} requests"
        return _end(self.attempt, 0, why, NegotiationFailed(self.attempt.terms.peer, why, causes))

    def _breach(self, code: Code, why: str) -> Step:
        """End the exchange for what cannot go on."""
        terms = self.attempt.terms
        return _end(self.attempt, code, why, NegotiationRefused(terms.peer, terms.local, code, why, (), ""))

    def _answered(self, received: Received, now: Now) -> Step:
        exchange = received.need(Exchange)
        if (exchange.initiator_spi, exchange.round) != (self.attempt.spi, self.round):
            raise AuthenticationFailed("an answer to another round")
        if received.header.spi:
            raise AuthenticationFailed("an answer under an SPI to an offer without one")
        match received.header.kind:
            case Kind.CHOICE:
                try:
                    return self._chosen(received, exchange, now)
                except BadCertificate as bad:
                    peer, address = self.attempt.terms.peer, str(self.attempt.path)
                    hint = f"{address} does not prove to be {peer}: {bad.why}"
                    return self._hinted(hint, CertificateRefused(peer, address, bad.flaw.value, bad.why))
            case Kind.COUNTER:
                messages.check_plain(received)
                return self._countered(received, now)
            case Kind.REFUSAL:
                messages.check_plain(received)
                return self._refused(received, now)
        raise AuthenticationFailed("not an answer to an offer")

    def _chosen(self, received: Received, exchange: Exchange, now: Now) -> Step:
        """Take a CHOICE; raises `BadCertificate` for one that somebody else than the peer may have said."""
        terms = self.attempt.terms
        certificates = certificates_of(terms)
        payload = received.need(SaPayloadExtension)
        try:
            choice = from_payload(decode_sa(payload.payload, payload.offset), choice=True)
            agreed = finish(self.held, choice.alternatives[0])
        except (PeerFault, Malformed) as fault:
            raise AuthenticationFailed(f"CHOICE cannot be read: {fault.why}") from None
        handshake, presented = messages.open_choice(received, self.round, agreed, self.transcript)
        voucher = presented.verify(certificates.trust, now.wall)
        if voucher.nai != terms.peer:
            raise BadCertificate(Flaw.WRONG_NAME, f"the certificate is of {voucher.nai}")
        transcript = messages.verify_choice(received, self.round, handshake, voucher.nai, self.transcript)
        # From here on the responder has spoken: a fault is its own and ends the exchange.
        try:
            if exchange.responder_spi < LOWEST_SPI or exchange.responder_spi == self.attempt.spi:
                raise PeerMisbehaved(Code.POORLY_FORMED, "the responder's SPI is reserved")
            agreement = bounded(
                accept(choice, self.offer, terms.policy), min(voucher.not_after, certificates.identity.not_after), now
            )
        except PeerFault as fault:
            return self._breach(fault.code, fault.why)
        place = messages.Place(self.round, (self.attempt.spi, exchange.responder_spi), transcript, handshake)
        identification = self.attempt.identification(now)
        confirm, keys, after = messages.build_confirm(certificates.identity, terms.peer, identification, place)
        association = Association(
            role=Role.INITIATOR,
            local=terms.local,
            peer=terms.peer,
            spi_in=self.attempt.spi,
            spi_out=exchange.responder_spi,
            agreement=agreement,
            created=now.wall,
            transcript=after.digest,
            keys=keys,
            confirmed=True,
            root=root_of(presented.chain),
        )
        attempt = evolve(self.attempt, give_up=now.monotonic + GIVE_UP)
        retry, actions = Retry(confirm, 0, FIRST_WAIT).again(attempt, now)
        return Step(ExpectConfirmed(attempt, association, place, identification, retry), actions)

    def _countered(self, received: Received, now: Now) -> Step:
        terms, payload, detail = self.attempt.terms, received.need(SaPayloadExtension), received.need(Detail)
        transcript = self.transcript.heard(self.round, Role.RESPONDER, received.octets)
        try:
            counter = from_payload(decode_sa(payload.payload, payload.offset))
        except PeerFault as fault:
            return self._breach(fault.code, fault.why)
        heard = Report(CounterReceived(terms.peer, self.round, str(counter), detail.text))
        verdict = select(counter, terms.policy, shares_needed=False)
        opened = len(terms.policy.proposals)
        if self.round < MAX_ROUNDS and isinstance(verdict, Chosen):
            step = _offer(self.attempt, numbered((verdict.alternative,)), self.opened, self.round + 1, transcript, now)
        elif self.round < MAX_ROUNDS and self.opened < opened:
            offer = own_offer(terms.policy, self.opened)
            step = _offer(self.attempt, offer, opened, self.round + 1, transcript, now)
        else:
            code = Code.TOO_MANY_ROUNDS if self.round == MAX_ROUNDS else Code.NOTHING_ACCEPTABLE
            last = f"{MAX_ROUNDS} rounds without agreement"
            why = last if self.round == MAX_ROUNDS else "the counter-offer is not within our own policy"
            reasons, own = told(verdict.reasons), str(own_offer(terms.policy))
            event = NegotiationRefused(terms.peer, terms.local, code, why, reasons, own)
            step = _end(self.attempt, code, why, event)
        return Step(step.state, (heard, *step.actions))

    def _refused(self, received: Received, now: Now) -> Step:
        if received.need(Detail).code == Code.UNKNOWN_EXCHANGE and not self.attempt.again:
            return _begin(evolve(self.attempt, spi=self.attempt.terms.new_spi(), again=True), now)
        return _refusal(self.attempt, received)


@frozen
class ExpectConfirmed:
    """Has proved who it is to a responder that has; awaits CONFIRMED, or REFUSAL of our certificates."""

    attempt: Attempt
    association: Association
    place: messages.Place
    identification: int
    retry: Retry

    def receive(self, event: CertifiedEvent, now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and `Malformed` and stays."""
        association, terms = self.association, self.attempt.terms
        match event:
            case Answer(received) if received.header.kind is Kind.REFUSAL:
                messages.verify_refusal(self.retry.request, received, terms.peer, self.place)
                return _refusal(self.attempt, received)
            case Answer(received):
                verify_confirm(received, Kind.CONFIRMED, association.keys, association.transcript)
                state = ExpectStored(self.attempt, association, self.place.round)
                return Step(state, (Persist((PutAssociation(association),)),))
            case Tick() if now.monotonic < self.attempt.give_up:
                retry, actions = self.retry.again(self.attempt, now)
                return Step(evolve(self, retry=retry), actions)
            case Tick():
                why = f"no answer from {self.attempt.path} to {self.retry.sent} confirmations"
                causes = ("the responder has forgotten the exchange, or cannot be reached any more",)
                return _end(self.attempt, 0, why, NegotiationFailed(terms.peer, why, causes))
        return Step(self)


@frozen
class ExpectStored:
    """Has an association that both ends have proved; awaits its being durable."""

    attempt: Attempt
    association: Association
    round: int

    def receive(self, event: CertifiedEvent | Persisted | PersistConflict | PersistFailed, now: Now) -> Step:
        """See `TRANSITIONS`."""
        association, peer = self.association, self.association.peer
        match event:
            case Persisted():
                told = Report(established(association, self.round, ()))
                done = Report(AssociationConfirmed(peer, association.spi_in))
                return Step(Finished(), (told, done, Deliver(Outcome(peer, association))))
            case PersistConflict():
                # Our own SPI was taken by another worker's association: as unlikely as it is harmless.
                attempt = evolve(self.attempt, spi=self.attempt.terms.new_spi(), give_up=now.monotonic + GIVE_UP)
                return _begin(attempt, now)
            case PersistFailed(why):
                return _end(self.attempt, Code.INSUFFICIENT_RESOURCES, why, StoreTrouble(peer, why))
        return Step(self)


CertifiedInitiatorState: TypeAlias = ExpectAnswer | ExpectConfirmed | ExpectStored | Finished

_ASIDE: Final = (OtherVersions, Unknown, CookieAsked, TcpAsked, Unreachable)

TRANSITIONS: Final[Transitions] = {
    ExpectAnswer: {
        Answer: frozenset({ExpectAnswer, ExpectConfirmed, Finished}),
        Tick: frozenset({ExpectAnswer, Finished}),
        **{event: frozenset({ExpectAnswer}) for event in _ASIDE},
    },
    ExpectConfirmed: {
        Answer: frozenset({ExpectStored, Finished}),
        Tick: frozenset({ExpectConfirmed, Finished}),
        **{event: frozenset({ExpectConfirmed}) for event in _ASIDE},
    },
    ExpectStored: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({ExpectAnswer}),
        PersistFailed: frozenset({Finished}),
        **{event: frozenset({ExpectStored}) for event in (Answer, Tick, *_ASIDE)},
    },
    Finished: {event: frozenset({Finished}) for event in (Answer, Tick, *_ASIDE)},
}
