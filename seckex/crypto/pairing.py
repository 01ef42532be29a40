"""Cards that prove who made them, and the codes that two people compare.

A card is signed with the key of the certificate that is first in it. That does
not say whether it is the card of whom one means: the codes do, and they cover
both sides' certificates, so that both people see another code if either card
was exchanged for somebody's on the way.

Two kinds of code. Where cards were carried as files somebody may have had all
the time in the world to look for cards whose codes collide, so that code is long:
60 digits. Over a connection both have committed to what the code is made of before
either could know it, so that whoever is between them has one try: 16 digits, of
which one in 10^16 is right. See docs/operations.md, Pairing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve, field, frozen
from cryptography.x509 import Certificate

from seckex.crypto.certificates import bounded, check_dates, not_before, read_certificate
from seckex.crypto.identity import Identity, Voucher
from seckex.crypto.pinned import voucher_of
from seckex.crypto.schedule import lp
from seckex.crypto.secrets import equal
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw
from seckex.wire.pairing import Card, decode_card, encode_card, encode_card_unsigned

_CARD: Final = b"seckex1 pair card"
_COMMITMENT: Final = b"seckex1 pair commitment"
_TRANSCRIPT: Final = b"seckex1 pair transcript"
_CALLER: Final = b"seckex1 pair caller"
_CALLEE: Final = b"seckex1 pair callee"
_LIVE: Final = b"seckex1 pair code"
_CARRIED: Final = b"seckex1 pair certificates"

_LIVE_GROUPS: Final = 4, 4
_CARRIED_GROUPS: Final = 12, 5


@frozen
class Acquaintance:
    """A card that its principal has signed: what is to be compared by people before it is believed."""

    card: Card
    octets: bytes = field(repr=False)
    certificate: Certificate = field(repr=False)
    voucher: Voucher

    @property
    def nai(self) -> str:
        """Who it says that it is."""
        return self.voucher.nai

    @property
    def since(self) -> float:
        """When its certificate begins, in seconds since 1970."""
        return not_before(self.certificate)


def make_card(identity: Identity, address: str, prekeys: Sequence[bytes] = ()) -> bytes:
    """Return our card; raises `ApiMisuse` for what does not fit on one."""
    card = Card(identity.nai, address, identity.chain, tuple(prekeys))
    unsigned = encode_card_unsigned(card)
    return encode_card(evolve(card, signature=identity.sign(_CARD, SHA256.digest(unsigned))))


def read_card(octets: bytes) -> Acquaintance:
    """Read a card, whatever its dates; raises `Malformed`, `BadCertificate` and `AuthenticationFailed`."""
    card = decode_card(octets)
    bounded(card.chain)
    certificate = read_certificate(card.chain[0])
    voucher = voucher_of(certificate)
    if voucher.nai != card.nai:
        raise BadCertificate(Flaw.WRONG_NAME, f"a card of {card.nai} with the certificate of {voucher.nai}")
    voucher.verify(card.signature, _CARD, SHA256.digest(card.unsigned))
    return Acquaintance(card, octets, certificate, voucher)


def meet(octets: bytes, own: str, now: float) -> Acquaintance:
    """Read the card of somebody else that is good at ``now``, wall-clock seconds; raises as `read_card` does."""
    found = read_card(octets)
    check_dates(found.certificate, now)
    if found.nai == own:
        raise BadCertificate(Flaw.WRONG_NAME, f"the card is of {own}, which is ourselves")
    return found


def commitment(nonce: bytes, card: bytes) -> bytes:
    """Return what a caller says before it reveals a nonce of 32 octets and its card."""
    return SHA256.digest(_COMMITMENT, lp(nonce), lp(card))


def check_commitment(said: bytes, nonce: bytes, card: bytes) -> None:
    """Raise `AuthenticationFailed` where something else was committed to."""
    if not equal(said, commitment(nonce, card)):
        raise AuthenticationFailed("what was revealed is not what was committed to")


def pair_transcript(caller: tuple[bytes, bytes], callee: tuple[bytes, bytes]) -> bytes:
    """Return the hash of nonce and card of both sides of a connection."""
    return SHA256.digest(_TRANSCRIPT, *map(lp, (*caller, *callee)))


def live_code(transcript: bytes) -> str:
    """Return what two people compare who are connected now: 4 groups of 4 digits."""
    return _digits(_LIVE, transcript, *_LIVE_GROUPS)


def carried_code(one: Identity | Voucher, other: Identity | Voucher) -> str:
    """Return what two people compare who have exchanged files: 12 groups of 5 digits, the same at both ends."""
    said = sorted(lp(each.nai.encode()) + bytes.fromhex(each.fingerprint) for each in (one, other))
    return _digits(_CARRIED, b"".join(said), *_CARRIED_GROUPS)


def sign_confirmation(identity: Identity, transcript: bytes, *, caller: bool) -> bytes:
    """Return the signature by which one side says that its person has found the codes equal."""
    return identity.sign(_CALLER if caller else _CALLEE, transcript)


def check_confirmation(voucher: Voucher, signature: bytes, transcript: bytes, *, caller: bool) -> None:
    """Raise `AuthenticationFailed` unless the other side has said so; ``caller`` is whether that is the caller."""
    voucher.verify(signature, _CALLER if caller else _CALLEE, transcript)


def _digits(label: bytes, covered: bytes, groups: int, each: int) -> str:
    # 32 octets are so many more than the digits hold that all numbers are as good as equally likely.
    number = int.from_bytes(SHA256.digest(label, covered), "big") % 10 ** (groups * each)
    text = f"{number:0{groups * each}}"
    return " ".join(text[at : at + each] for at in range(0, len(text), each))
