"""The initiator's side of an exchange: docs/protocol.md, sections 6 to 9.

``begin`` makes the first offer. Each state is named for what it awaits; what
cannot be verified raises and leaves the state as it is, so nobody but the
responder can end an exchange early. A counter-offer leads to a new round with
a fresh nonce and key share, and the transcript of all rounds goes into the
keys.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.crypto.groups.interface import Share
from seckex.crypto.schedule import AgreedKeys, agree
from seckex.crypto.secrets import Secret, equal
from seckex.errors import AuthenticationFailed, Malformed, PeerFault, PeerMisbehaved, SeckexError
from seckex.events import (
    AssociationConfirmed,
    ClocksApart,
    CounterReceived,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
    PeerUnreachable,
    StoreTrouble,
    VersionsHeard,
)
from seckex.exchange.attempt import (
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    GIVE_UP,
    MOST_COOKIES,
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
    sending,
)
from seckex.exchange.messages import (
    Received,
    build_abandon,
    build_confirm,
    build_offer,
    choice_mac,
    verify_answer,
    verify_confirm,
    with_cookie,
)
from seckex.exchange.shares import Begin, Finish, Shares, beginning, known_group
from seckex.exchange.terms import Terms, bounded, established
from seckex.exchange.transcript import Transcript
from seckex.machine import (
    Arm,
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
    Work,
    Worked,
)
from seckex.sa.association import Association
from seckex.sa.offer import Offer, from_payload, numbered, to_payload
from seckex.sa.proposal import Chosen, accept, own_offer, select, told
from seckex.sa.store import ConfirmAssociation, PutAssociation
from seckex.wire.extensions import Clock, Detail, Exchange, SaPayloadExtension, clipped
from seckex.wire.numbers import (
    LOWEST_SPI,
    MAX_ROUNDS,
    NONCE_SIZE,
    PRF_HMAC_SHA2_256,
    VERSIONS_SPOKEN,
    Code,
    Kind,
    ProtocolId,
    Role,
)
from seckex.wire.payloads import decode_sa, encode_sa

# How long a renewal under an association is tried before one under what vouched for it at first.
RENEW_WITHIN: Final = 10.0

InitiatorEvent: TypeAlias = Answer | OtherVersions | Unknown | Tick | Persisted | PersistConflict | PersistFailed


@frozen
class Unverified:
    """A CHOICE did not verify, which took work to find out; the exchange goes on."""

    path: Path
    why: str


@frozen
class Confirmed:
    """The responder has said that it holds the association which ``spi_in`` names here."""

    spi_in: int


@frozen
class Finished:
    """The end; awaits nothing, late copies of answers are let pass."""

    def receive(self, _event: Answer | OtherVersions | Unknown | Tick, _now: Now) -> Step:
        """Stay."""
        return Step(self)


@frozen
class Doubted:
    """Somebody says, unauthenticated, that the responder does not know the association which ``spi_in`` names here."""

    spi_in: int


def begin(terms: Terms, path: Path, now: Now, shift: int = 0) -> Step:
    """Make the first offer of a new exchange; a renewal gives up sooner, since there is another way."""
    patience = RENEW_WITHIN if terms.replaces else GIVE_UP
    attempt = Attempt(terms, path, terms.new_spi(), now.monotonic + patience, shift)
    return _begin(attempt, now)


def _begin(attempt: Attempt, now: Now) -> Step:
    terms = attempt.terms
    transcript = Transcript.between(terms.local, terms.peer, terms.authority.binding)
    return _offer(attempt, terms.opening, terms.opened, 1, transcript, now)


def _offer(attempt: Attempt, offer: Offer, opened: int, number: int, before: Transcript, now: Now) -> Step:
    """Send ``offer`` as round ``number``; ``opened`` counts the policy's proposals that were offered by now."""
    # A choice becomes an offer: its number is that of the other's counter-offer.
    offer = numbered(offer.alternatives)
    call = beginning(offer, attempt.terms)
    draft = Draft(attempt, offer, opened, number, before, call)
    if call.heavy:
        return Step(ExpectShares(draft), (Work(call),))
    return draft.send(call(), now)


@frozen
class Draft:
    """An offer that lacks its key exchanges, which ``call`` makes."""

    attempt: Attempt
    offer: Offer = field(repr=False)
    opened: int
    round: int
    before: Transcript
    call: Begin

    def send(self, shares: tuple[Share, ...], now: Now) -> Step:
        """Return the step that sends it."""
        attempt, number, terms = self.attempt, self.round, self.attempt.terms
        offer = self.call.within(self.offer, shares, terms.policy)
        identification = attempt.identification(now)
        exchange = Exchange(number, attempt.spi, 0, terms.entropy(NONCE_SIZE))
        sa = SaPayloadExtension(encode_sa(to_payload(offer)))
        names = (terms.local, terms.peer)
        request, transcript = build_offer(terms.authority, identification, exchange, names, sa, self.before)
        retry, actions = Retry(request, 0, FIRST_WAIT).again(attempt, now)
        held = self.call.held(shares)
        state = ExpectAnswer(
            attempt, retry, number, identification, offer, self.opened, held, transcript, exchange.nonce, self.before
        )
        sent = OfferSent(terms.peer, str(attempt.path), number, attempt.spi, str(offer))
        return Step(state, (Report(sent), *actions))


@frozen
class ExpectShares:
    """Would offer; awaits the key exchanges, which take long."""

    draft: Draft

    def receive(self, event: Worked, now: Now) -> Step:
        """See `TRANSITIONS`."""
        if not isinstance(event.result, SeckexError):
            return self.draft.send(event.result, now)
        terms, why = self.draft.attempt.terms, str(event.result)
        failed = Report(NegotiationFailed(terms.peer, why, ()))
        return Step(Finished(), (failed, Deliver(Outcome(terms.peer, None, 0, why))))


@frozen
class ExpectAnswer:
    """Has offered; awaits CHOICE, COUNTER or REFUSAL of this round."""

    attempt: Attempt
    retry: Retry
    round: int
    identification: int
    offer: Offer = field(repr=False)
    opened: int
    shares: Shares = field(repr=False)
    transcript: Transcript
    nonce: bytes
    before: Transcript
    earlier: tuple[Transcript, ...] = ()

    def receive(
        self, event: Answer | OtherVersions | Unknown | CookieAsked | TcpAsked | Unreachable | Tick, now: Now
    ) -> Step:
        """See `TRANSITIONS`."""
        match event:
            case Answer(received):
                return self._answered(received, now)
            case OtherVersions(versions, address):
                hint = f"{address} says that it speaks protocol version {', '.join(map(str, versions))} only"
                return self._hinted(hint, VersionsHeard(self.attempt.terms.peer, address, versions, VERSIONS_SPOKEN))
            case CookieAsked(cookie):
                return self._cookie_asked(cookie, now)
            case TcpAsked():
                retry, actions = self.retry.over_tcp(self.attempt, event)
                return Step(evolve(self, retry=retry), actions)
            case Unreachable(why):
                return self._hinted(why, PeerUnreachable(self.attempt.terms.peer, str(self.attempt.path), why))
            case Unknown(address):
                return self._unknown(address)
            case Tick():
                return self._ticked(now)

    def _hinted(self, hint: str, event: VersionsHeard | PeerUnreachable) -> Step:
        if hint in self.attempt.hints or len(self.attempt.hints) == MOST_HINTS:
            return Step(self)
        hints = (*self.attempt.hints, hint)
        return Step(evolve(self, attempt=evolve(self.attempt, hints=hints)), (Report(event),))

    def _cookie_asked(self, cookie: bytes, now: Now) -> Step:
        """Send the offer again with ``cookie``; an answer may still be to one of its earlier sendings."""
        if len(self.earlier) == MOST_COOKIES or sending(self.retry.request, self.attempt.path).path.tcp:
            return Step(self)
        authority = self.attempt.terms.authority
        request, transcript = with_cookie(self.retry.request, cookie, authority, self.round, self.before)
        if request == self.retry.request:
            return Step(self)
        # The sending that was asked for a cookie does not count as one that nobody answered.
        retry, actions = Retry(request, self.retry.sent - 1, FIRST_WAIT).again(self.attempt, now)
        earlier = (self.transcript, *self.earlier)
        return Step(evolve(self, retry=retry, transcript=transcript, earlier=earlier), actions)

    def _unknown(self, address: str) -> Step:
        terms = self.attempt.terms
        if terms.replaces:
            # Nothing is lost by believing it: the next exchange is under what vouched for the association at first.
            why = f"{address} says that it does not know {terms.authority}"
            return self._end(Code.UNKNOWN_ASSOCIATION, why, NegotiationFailed(terms.peer, why, ()))
        hint = f"{address} says that it does not know {terms.authority}"
        if hint in self.attempt.hints or len(self.attempt.hints) == MOST_HINTS:
            return Step(self)
        return Step(evolve(self, attempt=evolve(self.attempt, hints=(*self.attempt.hints, hint))))

    def _ticked(self, now: Now) -> Step:
        if self.round > 1 and self.retry.sent == FORGOTTEN_AFTER and not self.attempt.again:
            # A responder that has restarted cannot verify a later round, and so cannot answer it.
            return _begin(evolve(self.attempt, spi=self.attempt.terms.new_spi(), again=True), now)
        if now.monotonic < self.attempt.give_up:
            retry, actions = self.retry.again(self.attempt, now)
            return Step(evolve(self, retry=retry), actions)
        terms, path = self.attempt.terms, self.attempt.path
        causes = (
            *self.attempt.hints,
            f"no seckex responder runs at {path if path.tcp else f'UDP {path}'}, or a firewall is between",
            f"it does not know {terms.authority}, or holds another key under that SPI (its log tells)",
        )
        why = f"no answer from {path} to {self.retry.sent} requests"
        return self._end(0, why, NegotiationFailed(terms.peer, why, causes))

    def _end(self, code: int, why: str, event: NegotiationFailed | NegotiationRefused | StoreTrouble) -> Step:
        return Step(Finished(), (Report(event), Deliver(Outcome(self.attempt.terms.peer, None, code, why))))

    def _breach(self, code: Code, why: str) -> Step:
        """End the exchange for what the responder, being authenticated, should not have said."""
        terms = self.attempt.terms
        return self._end(code, why, NegotiationRefused(terms.peer, terms.local, code, why, (), ""))

    def _answered(self, received: Received, now: Now) -> Step:
        exchange = received.need(Exchange)
        if (exchange.initiator_spi, exchange.round) != (self.attempt.spi, self.round):
            raise AuthenticationFailed("an answer to another round")
        try:
            return self._believed(received, exchange, now)
        except AuthenticationFailed:
            # A CHOICE was held against all sendings at once.
            if not self.earlier or received.header.kind is Kind.CHOICE:
                raise
        return evolve(self, transcript=self.earlier[0], earlier=self.earlier[1:])._answered(received, now)

    def _believed(self, received: Received, exchange: Exchange, now: Now) -> Step:
        """Take an answer to the sending that ``transcript`` holds; raises `AuthenticationFailed`."""
        match received.header.kind:
            case Kind.CHOICE:
                return self._chosen(received, exchange, now)
            case Kind.COUNTER:
                return self._countered(received, now)
            case Kind.REFUSAL:
                return self._refused(received, now)
        raise AuthenticationFailed("not an answer to an offer")

    def _chosen(self, received: Received, exchange: Exchange, now: Now) -> Step:
        reading = self._read_choice(received)
        if reading.call is not None and reading.heavy:
            # Whoever knows the Identification can have this done; the exchange goes on where it was for nothing.
            return Step(ExpectSecret(self, received, exchange, reading), (Work(reading.call),))
        try:
            shared = Secret(b"") if reading.call is None else reading.call()
        except PeerFault as fault:
            raise _unreadable(fault) from None
        return self.agreed(received, exchange, reading, shared, now)

    def agreed(self, received: Received, exchange: Exchange, reading: Reading, shared: Secret, now: Now) -> Step:
        """Take a CHOICE with the secret that it leads to; raises `AuthenticationFailed`."""
        keys, transcript = self._verify_choice(received, exchange, reading, shared)
        choice, terms = reading.choice, self.attempt.terms
        # From here on the responder has spoken: a fault is its own and ends the exchange.
        try:
            if exchange.responder_spi < LOWEST_SPI or exchange.responder_spi == self.attempt.spi:
                raise PeerMisbehaved(Code.POORLY_FORMED, "the responder's SPI is reserved")
            agreement = bounded(accept(choice, self.offer, terms.policy), terms.not_after, now)
        except PeerFault as fault:
            return self._breach(fault.code, fault.why)
        association = Association(
            role=Role.INITIATOR,
            local=terms.local,
            peer=terms.peer,
            spi_in=self.attempt.spi,
            spi_out=exchange.responder_spi,
            agreement=agreement,
            created=now.wall,
            transcript=transcript.digest,
            keys=keys,
            root=terms.authority.root,
            replaces=terms.replaces,
            tie=min(self.nonce, exchange.nonce),
        )
        return Step(ExpectStored(self.attempt, association, self.round), (Persist((PutAssociation(association),)),))

    def _read_choice(self, received: Received) -> Reading:
        """Return what an unverified CHOICE says; raises `AuthenticationFailed`."""
        payload = received.need(SaPayloadExtension)
        try:
            choice = from_payload(decode_sa(payload.payload, payload.offset), choice=True)
        except (PeerFault, Malformed) as fault:
            raise _unreadable(fault) from None
        chosen = choice.alternatives[0]
        algorithms = {m.protocol: m.transforms[0].algorithm for m in chosen.protocols if m.transforms}
        group, prf = algorithms.get(ProtocolId.KEY_AGREEMENT), algorithms.get(ProtocolId.PRF)
        number = prf.transform_id if prf else PRF_HMAC_SHA2_256
        if group is None:
            return Reading(choice, number)
        share = self.shares.get(group.group)
        if share is None:
            raise AuthenticationFailed(f"CHOICE takes {group}, for which there was no key exchange")
        heavy = known_group(group, self.attempt.terms.policy).heavy
        return Reading(choice, number, Finish(share, chosen.shares.get(group.group, b"")), heavy)

    def _verify_choice(
        self, received: Received, exchange: Exchange, reading: Reading, shared: Secret
    ) -> tuple[AgreedKeys, Transcript]:
        """Return what CHOICE leads to once its MAC has verified; raises `AuthenticationFailed` before.

        It may answer any sending of the offer, each of which has a transcript of its own.
        """
        terms = self.attempt.terms
        for offered in (self.transcript, *self.earlier):
            transcript = offered.heard(self.round, Role.RESPONDER, received.signed)
            keys = agree(
                reading.prf,
                terms.authority.mix,
                shared,
                transcript.digest,
                (terms.local, terms.peer),
                (self.attempt.spi, exchange.responder_spi),
            )
            if equal(received.mac, choice_mac(keys, transcript)):
                return keys, transcript
        raise AuthenticationFailed("the MAC of CHOICE does not verify")

    def _countered(self, received: Received, now: Now) -> Step:
        terms = self.attempt.terms
        transcript = verify_answer(received, terms.authority, self.round, self.transcript)
        try:
            payload, detail = received.need(SaPayloadExtension), received.need(Detail)
            counter = from_payload(decode_sa(payload.payload, payload.offset))
        except PeerFault as fault:
            return self._breach(fault.code, fault.why)
        except Malformed as fault:
            return self._breach(Code.POORLY_FORMED, str(fault))
        heard = Report(CounterReceived(terms.peer, self.round, str(counter), detail.text))
        verdict = select(counter, terms.policy, shares_needed=False)
        unoffered = len(terms.policy.proposals) - self.opened
        if self.round == MAX_ROUNDS:
            why, code = f"{MAX_ROUNDS} rounds without agreement", Code.TOO_MANY_ROUNDS
        elif isinstance(verdict, Chosen):
            offer = numbered((verdict.alternative,))
            step = _offer(self.attempt, offer, self.opened, self.round + 1, transcript, now)
            return Step(step.state, (heard, *step.actions))
        elif unoffered:
            offer = own_offer(terms.policy, self.opened)
            everything = len(terms.policy.proposals)
            step = _offer(self.attempt, offer, everything, self.round + 1, transcript, now)
            return Step(step.state, (heard, *step.actions))
        else:
            why, code = "the counter-offer is not within our own policy", Code.NOTHING_ACCEPTABLE
        reasons = told(verdict.reasons)
        own = own_offer(terms.policy)
        step = self._end(code, why, NegotiationRefused(terms.peer, terms.local, code, why, reasons, str(own)))
        farewell = sending(self._abandon(transcript, code, "; ".join((why, *reasons)), own, now), self.attempt.path)
        return Step(step.state, (heard, *((farewell,) if self.round < MAX_ROUNDS else ()), *step.actions))

    def _abandon(self, transcript: Transcript, code: Code, why: str, own: Offer, now: Now) -> bytes:
        """Return the message that tells the responder why this ends."""
        terms = self.attempt.terms
        identification = self.attempt.identification(now)
        exchange = Exchange(self.round + 1, self.attempt.spi, 0, terms.entropy(NONCE_SIZE))
        said = (Detail(code, 0, 0, clipped(why)), SaPayloadExtension(encode_sa(to_payload(own))))
        return build_abandon(terms.authority, identification, exchange, said, transcript)

    def _refused(self, received: Received, now: Now) -> Step:
        terms = self.attempt.terms
        verify_answer(received, terms.authority, self.round, self.transcript)
        detail, clock = received.need(Detail), received.find(Clock)
        if detail.code == Code.IDENTIFICATION_MISMATCH and clock is not None and not self.attempt.again:
            shift = clock.seconds - int(now.wall)
            step = _begin(evolve(self.attempt, spi=terms.new_spi(), shift=shift, again=True), now)
            return Step(step.state, (Report(ClocksApart(terms.peer, shift)), *step.actions))
        if detail.code == Code.UNKNOWN_EXCHANGE and not self.attempt.again:
            return _begin(evolve(self.attempt, spi=terms.new_spi(), again=True), now)
        payload = received.find(SaPayloadExtension)
        try:
            acceptable = "" if payload is None else str(from_payload(decode_sa(payload.payload, payload.offset)))
        except (PeerFault, Malformed) as fault:
            acceptable = f"something that cannot be read: {fault.why}"
        places = (("proposal", detail.proposal), ("transform", detail.transform))
        where = tuple(f"{name} {number}" for name, number in places if number)
        refused = NegotiationRefused(terms.peer, terms.peer, detail.code, detail.text, where, acceptable)
        return self._end(detail.code, detail.text, refused)


def _unreadable(fault: PeerFault | Malformed) -> AuthenticationFailed:
    return AuthenticationFailed(f"CHOICE cannot be read: {fault}")


@frozen
class Reading:
    """What a CHOICE says that has not been verified: ``call`` makes the secret, None without key agreement."""

    choice: Offer = field(repr=False)
    prf: int
    call: Finish | None = None
    heavy: bool = False


@frozen
class ExpectSecret:
    """Has a CHOICE that takes long to verify; awaits the secret. Nothing is repeated, other answers are let pass."""

    before: ExpectAnswer
    received: Received
    exchange: Exchange
    reading: Reading

    def receive(self, event: Worked, now: Now) -> Step:
        """See `TRANSITIONS`."""
        try:
            if isinstance(event.result, SeckexError):
                raise AuthenticationFailed(f"CHOICE cannot be read: {event.result}")
            return self.before.agreed(self.received, self.exchange, self.reading, event.result, now)
        except AuthenticationFailed as error:
            attempt, retry = self.before.attempt, self.before.retry
            told = Deliver(Unverified(attempt.path, str(error)))
            return Step(self.before, (told, Arm(min(now.monotonic + retry.wait, attempt.give_up))))


@frozen
class ExpectStored:
    """Has an association; awaits its being durable."""

    attempt: Attempt
    association: Association
    round: int

    def receive(self, event: InitiatorEvent, now: Now) -> Step:
        """See `TRANSITIONS`."""
        match event:
            case Persisted():
                return self._stored(now)
            case PersistConflict():
                # Our own SPI was taken by another worker's association: as unlikely as it is harmless.
                return _begin(evolve(self.attempt, spi=self.attempt.terms.new_spi()), now)
            case PersistFailed(why):
                peer = self.association.peer
                lost = Outcome(peer, None, Code.INSUFFICIENT_RESOURCES, why)
                return Step(Finished(), (Report(StoreTrouble(peer, why)), Deliver(lost)))
        return Step(self)

    def _stored(self, now: Now) -> Step:
        association = self.association
        identification = self.attempt.identification(now)
        confirm = build_confirm(association.keys, association.spi_out, identification, association.transcript)
        attempt = evolve(self.attempt, give_up=now.monotonic + GIVE_UP)
        retry, actions = Retry(confirm, 0, FIRST_WAIT).again(attempt, now)
        event = established(association, self.round, ())
        state = ExpectConfirmed(attempt, association, identification, retry)
        return Step(state, (Report(event), Deliver(Outcome(association.peer, association)), *actions))


@frozen
class ExpectConfirmed:
    """Uses its association; awaits CONFIRMED, so that the responder is known to hold it."""

    attempt: Attempt
    association: Association
    identification: int
    retry: Retry

    def receive(self, event: Answer | OtherVersions | Unknown | TcpAsked | Tick, now: Now) -> Step:
        """See `TRANSITIONS`."""
        association = self.association
        if isinstance(event, TcpAsked):
            retry, actions = self.retry.over_tcp(self.attempt, event)
            return Step(evolve(self, retry=retry), actions)
        if isinstance(event, Answer):
            verify_confirm(event.received, Kind.CONFIRMED, association.keys, association.transcript)
            done = Report(AssociationConfirmed(association.peer, association.spi_in))
            mark = Persist((ConfirmAssociation(association.spi_in),))
            return Step(ExpectMarked(), (mark, done, Deliver(Confirmed(association.spi_in))))
        if isinstance(event, OtherVersions):
            return Step(self)
        if isinstance(event, Unknown):
            why = f"{event.address} says that it does not know the association"
            failed = NegotiationFailed(association.peer, why, ())
            return Step(Finished(), (Report(failed), Deliver(Doubted(association.spi_in))))
        if now.monotonic < self.attempt.give_up:
            retry, actions = self.retry.again(self.attempt, now)
            return Step(evolve(self, retry=retry), actions)
        why = f"no answer to {self.retry.sent} confirmations"
        causes = ("the association stays in use; its first link proves it as well",)
        return Step(Finished(), (Report(NegotiationFailed(association.peer, why, causes)),))


@frozen
class ExpectMarked:
    """Is confirmed; awaits nothing but the store's word on having noted it."""

    def receive(self, event: object, _now: Now) -> Step:
        """End on whatever the store says: the mark is a convenience, not a promise."""
        return Step(Finished() if isinstance(event, Persisted | PersistConflict | PersistFailed) else self)


InitiatorState: TypeAlias = (
    ExpectShares | ExpectAnswer | ExpectSecret | ExpectStored | ExpectConfirmed | ExpectMarked | Finished
)

TRANSITIONS: Final[Transitions] = {
    ExpectShares: {Worked: frozenset({ExpectAnswer, Finished})},
    ExpectAnswer: {
        Answer: frozenset({ExpectAnswer, ExpectShares, ExpectSecret, ExpectStored, Finished}),
        OtherVersions: frozenset({ExpectAnswer}),
        CookieAsked: frozenset({ExpectAnswer}),
        TcpAsked: frozenset({ExpectAnswer}),
        Unreachable: frozenset({ExpectAnswer}),
        Unknown: frozenset({ExpectAnswer, Finished}),
        Tick: frozenset({ExpectAnswer, ExpectShares, Finished}),
    },
    ExpectSecret: {Worked: frozenset({ExpectAnswer, ExpectStored, Finished})},
    ExpectStored: {
        Persisted: frozenset({ExpectConfirmed}),
        PersistConflict: frozenset({ExpectAnswer, ExpectShares}),
        PersistFailed: frozenset({Finished}),
        Answer: frozenset({ExpectStored}),
        OtherVersions: frozenset({ExpectStored}),
        Unknown: frozenset({ExpectStored}),
        Tick: frozenset({ExpectStored}),
    },
    ExpectConfirmed: {
        Answer: frozenset({ExpectMarked}),
        OtherVersions: frozenset({ExpectConfirmed}),
        TcpAsked: frozenset({ExpectConfirmed}),
        Unknown: frozenset({Finished}),
        Tick: frozenset({ExpectConfirmed, Finished}),
    },
    ExpectMarked: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
        Answer: frozenset({ExpectMarked}),
        OtherVersions: frozenset({ExpectMarked}),
        Unknown: frozenset({ExpectMarked}),
        Tick: frozenset({ExpectMarked}),
    },
    Finished: {
        Answer: frozenset({Finished}),
        OtherVersions: frozenset({Finished}),
        Unknown: frozenset({Finished}),
        Tick: frozenset({Finished}),
    },
}
