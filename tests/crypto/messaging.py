"""Principals that send each other messages, with certificates, prekeys and all that goes into headers.

A and T are honest; E has a certificate of the same authority, and does what it likes.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from attrs import evolve, frozen

from seckex.crypto.envelope import kek_id, sign_pair, wrap_dsk
from seckex.crypto.hpke import seed_size
from seckex.crypto.identity import Identity, TrustAnchors
from seckex.crypto.kek import kek_info, seal_kek
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey, make_prekey, sign_prekey, verify_prekey
from seckex.crypto.secrets import Secret
from seckex.wire.envelope_headers import KekHeader, SessionKeyHeader, encode_kek, encode_key
from seckex.wire.envelope_pair import ServicePair, encode_pair_unsigned
from seckex.wire.numbers import Kem, MessageKek, PairAlgorithm
from seckex.wire.prekey import decode_prekey
from tests.crypto.certified import DAY, NOW, Maker

DIALOG: Final = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaec1")
KEK: Final = Secret(b"k" * 32)
DSK: Final = Secret(b"d" * 32)
EXPIRY: Final = int(NOW + DAY)
ROOT: Final = Maker.root()
TRUST: Final = TrustAnchors([ROOT.certificate])


@frozen
class Somebody:
    """One principal: who it is, and its prekey."""

    identity: Identity
    private: PrivatePrekey
    told: bytes

    @property
    def nai(self) -> str:
        return self.identity.nai

    @property
    def fingerprint(self) -> bytes:
        return bytes.fromhex(self.identity.fingerprint)

    @property
    def prekey(self) -> PublicPrekey:
        return verify_prekey(decode_prekey(self.told), TRUST, NOW)


@cache
def somebody(nai: str, kem: Kem = Kem.X25519) -> Somebody:
    identity = ROOT.identity(nai)
    seed = (nai.encode() * 96)[: seed_size(kem)]
    private = make_prekey(kem, seed, NOW - 300, NOW + 2 * DAY)
    return Somebody(identity, private, sign_prekey(private, identity))


def a() -> Somebody:
    return somebody("a@example.org")


def t() -> Somebody:
    return somebody("t@example.net")


def e() -> Somebody:
    return somebody("e@example.com")


def info_of(initiator: Somebody, target: Somebody, dialog_id: bytes = DIALOG) -> bytes:
    return kek_info(initiator.nai, initiator.fingerprint, target.nai, target.fingerprint, target.private.id, dialog_id)


@frozen
class Chain:
    """Headers of one dialog, before they are signed."""

    pair: ServicePair
    kek: KekHeader
    key: SessionKeyHeader

    @property
    def octets(self) -> tuple[bytes, bytes, bytes]:
        return encode_pair_unsigned(self.pair), encode_kek(self.kek), encode_key(self.key)

    def signed(self, before: bytes = b"preamble | dialog header") -> bytes:
        return before + b"".join(self.octets)

    def proof(self, by: Somebody) -> bytes:
        return sign_pair(by.identity, self.signed())


def pair_of(initiator: Somebody, target: Somebody, service: str = "orders") -> ServicePair:
    return ServicePair(
        PairAlgorithm.ECDSA,
        initiator.nai,
        initiator.identity.issued,
        initiator.fingerprint,
        target.nai,
        target.identity.issued,
        target.fingerprint,
        "",
        service,
        4,
        initiator.identity.chain,
    )


def chain_of(
    initiator: Somebody, target: Somebody, dialog_id: bytes = DIALOG, kek: Secret = KEK, dsk: Secret = DSK
) -> Chain:
    """Return the headers that an honest initiator makes."""
    sealed = seal_kek(target.prekey, info_of(initiator, target, dialog_id), kek)
    header = KekHeader(MessageKek.PREKEY, target.private.kem, kek_id(kek), EXPIRY, target.private.id, sealed)
    wrapped = wrap_dsk(kek, 1, dsk, dialog_id, encode_kek(header))
    return Chain(pair_of(initiator, target), header, SessionKeyHeader(1, b"dsk--id.", kek_id(kek), wrapped))


def by(chain: Chain, other: Somebody) -> Chain:
    """Return the same headers in the name of somebody else, who can sign them."""
    pair = evolve(
        chain.pair,
        initiator=other.nai,
        initiator_issued=other.identity.issued,
        initiator_fingerprint=other.fingerprint,
        chain=other.identity.chain,
    )
    return evolve(chain, pair=pair)
