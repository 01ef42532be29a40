"""What a responder says: CHOICE, COUNTER and REFUSAL, never longer than what they answer.

An answer that would be longer sheds first the list of what would be
acceptable, from its end, and then text (docs/protocol.md, section 12).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import evolve, frozen

from seckex.crypto.schedule import PRF_HASHES, agree
from seckex.exchange.messages import Received, build_answer, choice_mac, choice_start, request_digest
from seckex.exchange.shares import Responded
from seckex.exchange.terms import Terms, bounded
from seckex.exchange.transcript import Transcript
from seckex.machine import Now, Path, Send
from seckex.sa.association import Association
from seckex.sa.offer import Offer, to_payload
from seckex.sa.proposal import Chosen
from seckex.sa.selector import Selected
from seckex.wire.extensions import Clock, Detail, Exchange, Extension, SaPayloadExtension, clipped
from seckex.wire.numbers import MAX_DATAGRAM, NONCE_SIZE, Code, Kind, Role
from seckex.wire.payloads import encode_sa
from seckex.wire.stem import encode_use_tcp

_SHORT_TEXT: Final = 64


def reply(answer: bytes, request: bytes, path: Path) -> tuple[Send, ...]:
    """Return the sending of an answer: itself over TCP and where it fits, else the hint to ask over TCP.

    By UDP no answer is longer than its request, nor than a datagram that is never
    fragmented; nothing is said where even the hint would be longer than the request.
    """
    if path.tcp or len(answer) <= min(len(request), MAX_DATAGRAM):
        return (Send(answer, path),)
    return ask_for_tcp(request, path)


def ask_for_tcp(request: bytes, path: Path) -> tuple[Send, ...]:
    """Return the sending of USE_TCP, which a request over UDP gets that is only answered over TCP."""
    hint = encode_use_tcp(request, request_digest(request))
    return () if hint is None else (Send(hint, path),)


@frozen
class Refusal:
    """Why there is no choice: what goes into a detail extension, and what would be acceptable."""

    code: Code
    why: str
    proposal: int = 0
    transform: int = 0
    acceptable: Offer | None = None


def choose(
    terms: Terms,
    received: Received,
    heard: Transcript,
    selected: Selected,
    chosen: Chosen,
    responded: Responded,
    spi: int,
    now: Now,
) -> tuple[bytes, Association]:
    """Return CHOICE and the association it establishes."""
    exchange = received.need(Exchange)
    agreement = chosen.agreement
    said = Exchange(exchange.round, exchange.initiator_spi, spi, terms.entropy(NONCE_SIZE))
    octets, transcript = choice_start(
        terms.authority,
        received.header.identification,
        (said, SaPayloadExtension(selected.choice(responded.value))),
        PRF_HASHES[agreement.prf].size,
        exchange.round,
        heard,
    )
    names, spis = (terms.peer, terms.local), (exchange.initiator_spi, spi)
    keys = agree(agreement.prf, terms.authority.mix, responded.secret, transcript.digest, names, spis)
    association = Association(
        role=Role.RESPONDER,
        local=terms.local,
        peer=terms.peer,
        spi_in=spi,
        spi_out=exchange.initiator_spi,
        agreement=bounded(agreement, terms.not_after, now),
        created=now.wall,
        transcript=transcript.digest,
        keys=keys,
        root=terms.authority.root,
        replaces=terms.replaces,
        tie=min(exchange.nonce, said.nonce),
    )
    return octets + choice_mac(keys, transcript), association


def counter(
    terms: Terms, received: Received, heard: Transcript, offer: Offer, why: str
) -> tuple[bytes, Transcript, Offer]:
    """Return COUNTER, the transcript after it and as much of ``offer`` as it holds."""
    for text, said in shed(why, offer):
        detail = Detail(Code.COUNTER_OFFER, 0, 0, text)
        sa = SaPayloadExtension(encode_sa(to_payload(said)))
        octets, after = _answer(Kind.COUNTER, terms, received, heard, (sa, detail))
        if len(octets) <= len(received.octets):
            break
    return octets, after, said


def refuse(terms: Terms, received: Received, heard: Transcript, refusal: Refusal, now: Now) -> bytes:
    """Return REFUSAL."""
    # Modulo 2^64: a clock before 1970 is as good as any, since Identifications are modulo 2^32.
    clock = (Clock(int(now.wall) & 0xFFFFFFFFFFFFFFFF),) if refusal.code is Code.IDENTIFICATION_MISMATCH else ()
    for text, said in shed(refusal.why, refusal.acceptable or Offer(())):
        detail = Detail(refusal.code, refusal.proposal, refusal.transform, text)
        sa = (SaPayloadExtension(encode_sa(to_payload(said))),) if said.alternatives else ()
        octets, _ = _answer(Kind.REFUSAL, terms, received, heard, (detail, *clock, *sa))
        if len(octets) <= len(received.octets):
            break
    return octets


def _answer(
    kind: Kind, terms: Terms, received: Received, heard: Transcript, extensions: tuple[Extension, ...]
) -> tuple[bytes, Transcript]:
    exchange = received.need(Exchange)
    said = evolve(exchange, responder_spi=0, nonce=terms.entropy(NONCE_SIZE))
    identification = received.header.identification
    return build_answer(kind, terms.authority, identification, (said, *extensions), exchange.round, heard)


def shed(text: str, offer: Offer) -> Iterator[tuple[str, Offer]]:
    """Yield ever shorter ways to say it, at least one."""
    text = clipped(text)
    kept = offer.alternatives
    yield text, offer
    while len(kept) > 1:
        kept = kept[:-1]
        yield text, evolve(offer, alternatives=kept)
    yield clipped(text, _SHORT_TEXT), evolve(offer, alternatives=kept)
    yield "", evolve(offer, alternatives=kept)
