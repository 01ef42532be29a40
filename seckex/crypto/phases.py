"""The three-phase exchange, one pure function for each message: docs/messages.md, section 11.

A has B's prekey; both are on line. m1 hides who A is from everybody but B, m2 proves B to A, m3 proves A to B. The
KEK comes of both sealed secrets and of fresh shares: who steals every key that lasts, prekeys included, cannot read
what was recorded, and who has A's keys cannot pose as B to A. `begin` and `finish` are A's, `answer` and `verify` B's;
what they keep between is in `Begun` and `Answered`, and gone with them.

All raise `Malformed`, `AuthenticationFailed` and `BadCertificate` for what a peer sent, without a word on what is
sealed; `answer` also `PeerIncompatible`. Whoever calls sees to it that B takes nothing under the KEK before `verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.envelope import sign
from seckex.crypto.envelope import verify as verify_signature
from seckex.crypto.groups.curves import X25519Share
from seckex.crypto.hpke import seal
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey, sign_prekey, verify_prekey
from seckex.crypto.schedule import lp
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256, InvalidTag, new_aead
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw, Malformed, PeerIncompatible, PeerMisbehaved
from seckex.wire.numbers import Code, Suite
from seckex.wire.phases import (
    KEY_SIZE,
    Introduction,
    Moving,
    Phase1,
    Phase2,
    Phase3,
    Reply,
    decode_introduction,
    decode_phase1,
    decode_phase2,
    decode_phase3,
    decode_reply,
    decode_signature,
    encode_introduction,
    encode_phase1,
    encode_phase2,
    encode_phase3,
    encode_reply,
    encode_signature,
    phase1_head,
    phase2_head,
    phase2_shares,
)
from seckex.wire.prekey import decode_prekey

EXCHANGE_ID_SIZE: Final = 16

_FIRST: Final = b"seckex1 phase 1"
_SECOND: Final = b"seckex1 phase 2"
_THIRD: Final = b"seckex1 phase 3"
_SIGNED_BY_B: Final = b"seckex1 phase 2 signature"
_SIGNED_BY_A: Final = b"seckex1 phase 3 signature"
_NONCE: Final = bytes(12)


@frozen
class Exchanged:
    """What an exchange has given: a KEK of source 4 for one dialog, and who is at the other end.

    ``digest`` is H(m1 | m2); ``exporter`` is what keying material for others comes from, 32 octets. ``suite`` is that
    of the dialog's envelopes, ``moving`` says what the dialog had before.
    """

    digest: bytes
    kek: Secret
    exporter: Secret
    suite: Suite
    dialog_id: bytes
    moving: Moving | None
    voucher: Voucher
    chain: tuple[bytes, ...]

    @property
    def exchange_id(self) -> bytes:
        """What the KEK header names it by."""
        return self.digest[:EXCHANGE_ID_SIZE]


@frozen
class Randomness:
    """What one side draws for one exchange, 32 octets each: its nonce, its share's private key, what it seals."""

    nonce: bytes
    share: bytes = field(repr=False)
    key: bytes = field(repr=False)


@frozen
class Begun:
    """What A keeps between m1 and m2."""

    identity: Identity
    prekey: PrivatePrekey
    target: PublicPrekey
    first: Phase1 = field(repr=False)
    octets: bytes = field(repr=False)
    share: X25519Share
    key: Secret


@frozen
class Answered:
    """What B keeps between m2 and m3; nothing of ``exchanged`` is to be used before `verify` has returned it."""

    exchanged: Exchanged
    handshake: Secret
    names: bytes = field(repr=False)


def _names(a: str, b: str) -> bytes:
    return lp(a.encode()) + lp(b.encode())


def _expand(prk: bytes, info: bytes) -> Secret:
    return Secret(SHA256.expand(prk, info, KEY_SIZE))


def _phase2_key(ka: Secret, dh: Secret, digest: bytes) -> Secret:
    return _expand(SHA256.extract(_SECOND, lp(ka.octets) + lp(dh.octets)), digest)


def _unseal(key: Secret, sealed: bytes, covered: bytes) -> bytes:
    try:
        return new_aead(Suite.AES_256_GCM, key.octets).decrypt(_NONCE, sealed, covered)
    except InvalidTag:
        raise AuthenticationFailed("the seal of a phase does not open") from None


def _finish(share: X25519Share, value: bytes) -> Secret:
    try:
        return share.finish(value)
    except PeerMisbehaved as error:
        raise AuthenticationFailed(error.why) from None


@frozen
class _Final:
    """s3 and H(m1 | m2)."""

    prk: bytes = field(repr=False)
    digest: bytes

    @classmethod
    def of(cls, ka: Secret, kb: Secret, dh: Secret, digest: bytes) -> _Final:
        return cls(SHA256.extract(_THIRD, lp(ka.octets) + lp(kb.octets) + lp(dh.octets)), digest)

    def key(self, label: bytes) -> Secret:
        return _expand(self.prk, label + self.digest)

    def exchanged(self, first: Phase1, voucher: Voucher, chain: tuple[bytes, ...]) -> Exchanged:
        return Exchanged(
            self.digest,
            self.key(b"kek"),
            self.key(b"exporter"),
            first.suite,
            first.dialog_id,
            first.moving,
            voucher,
            chain,
        )


def begin(
    identity: Identity,
    prekey: PrivatePrekey,
    target: PublicPrekey,
    suite: Suite,
    dialog_id: bytes,
    moving: Moving | None,
    drawn: Randomness,
) -> tuple[Begun, bytes]:
    """Return what A keeps, and m1; ``prekey`` is A's own, ``target`` B's."""
    key = Secret(drawn.key)
    share = X25519Share(drawn.share)
    first = Phase1(suite, drawn.nonce, share.value, target.id, dialog_id, moving, b"")
    introduced = encode_introduction(Introduction(identity.chain, sign_prekey(prekey, identity), key.octets))
    info = _FIRST + SHA256.digest(phase1_head(first)) + lp(target.nai.encode())
    first = evolve(first, sealed=seal(target.kem, target.public, info, Secret(introduced)))
    octets = encode_phase1(first)
    return Begun(identity, prekey, target, first, octets, share, key), octets


def answer(
    octets: bytes,
    identity: Identity,
    trust: Trust,
    private_prekey: Callable[[bytes], PrivatePrekey | None],
    suites: Set[Suite],
    drawn: Randomness,
    now: float,
) -> tuple[Answered, bytes]:
    """Return what B keeps, and m2, for m1; ``private_prekey`` finds B's own by their ids, ``suites`` are allowed.

    ``now`` in wall-clock seconds. This costs B as much as anybody likes to ask for: whoever calls has to know first
    that the asker hears the answer.
    """
    first = decode_phase1(octets)
    if first.suite not in suites:
        raise PeerIncompatible(Code.PROHIBITED, f"{first.suite.name} is not allowed here")
    prekey = private_prekey(first.prekey_id)
    if prekey is None or now >= prekey.expiry:
        raise AuthenticationFailed("a phase is sealed to no prekey of ours")
    info = _FIRST + SHA256.digest(phase1_head(first)) + lp(identity.nai.encode())
    introduced = decode_introduction(prekey.open(first.sealed, info).octets)
    voucher = trust.verify(introduced.chain, now)
    theirs = verify_prekey(decode_prekey(introduced.prekey), trust, now)
    if theirs.nai != voucher.nai:
        raise BadCertificate(Flaw.WRONG_NAME, f"{voucher.nai} has introduced itself with a prekey of {theirs.nai}")
    ka, kb = Secret(introduced.key), Secret(drawn.key)
    share = X25519Share(drawn.share)
    dh = _finish(share, first.share)
    second = Phase2(first.suite, drawn.nonce, share.value, b"")
    shown = octets + phase2_shares(second)
    digest = SHA256.digest(shown)
    sealed = seal(theirs.kem, theirs.public, _SECOND + digest + lp(identity.nai.encode()), kb)
    names = _names(voucher.nai, identity.nai)
    signature = sign(identity, _SIGNED_BY_B, SHA256.digest(shown, sealed) + names)
    reply = encode_reply(Reply(identity.chain, sealed, signature))
    k2 = _phase2_key(ka, dh, digest)
    aead = new_aead(Suite.AES_256_GCM, k2.octets)
    said = encode_phase2(evolve(second, sealed=aead.encrypt(_NONCE, reply, phase2_head(second))))
    final = _Final.of(ka, kb, dh, SHA256.digest(octets, said))
    exchanged = final.exchanged(first, voucher, introduced.chain)
    return Answered(exchanged, final.key(b"handshake"), names), said


def finish(begun: Begun, octets: bytes, trust: Trust, now: float) -> tuple[Exchanged, bytes]:
    """Return what A has got, and m3, for m2; from then on A may seal under the KEK. ``now`` in wall-clock seconds."""
    first, second = begun.first, decode_phase2(octets)
    if second.suite is not first.suite:
        raise Malformed("Suite", 0, f"is not {first.suite.name}, which was asked for")
    dh = _finish(begun.share, second.share)
    shown = begun.octets + phase2_shares(second)
    digest = SHA256.digest(shown)
    k2 = _phase2_key(begun.key, dh, digest)
    reply = decode_reply(_unseal(k2, second.sealed, phase2_head(second)))
    voucher = trust.verify(reply.chain, now)
    if voucher.nai != begun.target.nai:
        raise BadCertificate(Flaw.WRONG_NAME, f"{voucher.nai} has answered in place of {begun.target.nai}")
    names = _names(begun.identity.nai, voucher.nai)
    verify_signature(voucher, reply.signature, _SIGNED_BY_B, SHA256.digest(shown, reply.sealed) + names)
    kb = begun.prekey.open(reply.sealed, _SECOND + digest + lp(voucher.nai.encode()))
    if len(kb) != KEY_SIZE:
        raise Malformed("sB", 0, f"seals {len(kb)} octets")
    final = _Final.of(begun.key, kb, dh, SHA256.digest(begun.octets, octets))
    signature = sign(begun.identity, _SIGNED_BY_A, final.digest + names)
    aead = new_aead(Suite.AES_256_GCM, final.key(b"handshake").octets)
    said = encode_phase3(Phase3(aead.encrypt(_NONCE, encode_signature(signature), None)))
    return final.exchanged(first, voucher, reply.chain), said


def verify(answered: Answered, octets: bytes) -> Exchanged:
    """Return what B has got, for m3."""
    signature = decode_signature(_unseal(answered.handshake, decode_phase3(octets).sealed, b""))
    exchanged = answered.exchanged
    verify_signature(exchanged.voucher, signature, _SIGNED_BY_A, exchanged.digest + answered.names)
    return exchanged
