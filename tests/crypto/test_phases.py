"""The three-phase exchange: its keys computed a second time, and everybody who would stand between."""

from __future__ import annotations

import hashlib
from typing import Final

from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto import phases
from seckex.crypto.envelope import sign, verify
from seckex.crypto.hpke import seal
from seckex.crypto.identity import TrustAnchors
from seckex.crypto.phases import Answered, Begun, Exchanged, Randomness
from seckex.crypto.prekeys import PrivatePrekey
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw, Malformed, PeerIncompatible, SeckexError
from seckex.wire.numbers import Kem, Suite
from seckex.wire.phases import (
    Introduction,
    Moving,
    Phase3,
    Reply,
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
    phase1_head,
    phase2_head,
)
from tests.crypto.certified import DAY, NOW, Maker
from tests.crypto.messaging import DIALOG, TRUST, Somebody, a, e, somebody, t
from tests.crypto.plain import expand, extract, prefixed
from tests.crypto.test_kem import SMALL

OF_A: Final = Randomness(b"n" * 32, b"x" * 32, b"A" * 32)
OF_B: Final = Randomness(b"N" * 32, b"y" * 32, b"B" * 32)
MOVING: Final = Moving(b"former KEK's id.", 7, 3)
SUITES: Final = frozenset(Suite)


def digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def expand32(prk: bytes, info: bytes) -> bytes:
    return expand("sha256", prk, info, 32)


def first(by: Somebody, to: Somebody, drawn: Randomness = OF_A, moving: Moving | None = MOVING) -> tuple[Begun, bytes]:
    return phases.begin(by.identity, by.private, to.prekey, Suite.AES_256_GCM, DIALOG, moving, drawn)


def second(
    m1: bytes, at: Somebody, drawn: Randomness = OF_B, trust: TrustAnchors = TRUST, now: float = NOW
) -> tuple[Answered, bytes]:
    def prekey(prekey_id: bytes) -> PrivatePrekey | None:
        return at.private if prekey_id == at.private.id else None

    return phases.answer(m1, at.identity, trust, prekey, SUITES, drawn, now)


class Play:
    """One honest exchange, with all that was said."""

    def __init__(self, by: Somebody, to: Somebody) -> None:
        self.begun, self.m1 = first(by, to)
        self.answered, self.m2 = second(self.m1, to)
        self.at_a, self.m3 = phases.finish(self.begun, self.m2, TRUST, NOW)
        self.at_b = phases.verify(self.answered, self.m3)


class AgreementTests(SynchronousTestCase):
    def test_both_have_the_same_and_know_each_other(self) -> None:
        for kem in Kem:
            by, to = somebody("a@example.org", kem), somebody("t@example.net", kem)
            play = Play(by, to)
            for name in ("digest", "kek", "exporter", "suite", "dialog_id", "moving"):
                self.assertEqual(getattr(play.at_a, name), getattr(play.at_b, name), name)
            self.assertEqual((play.at_a.voucher.nai, play.at_b.voucher.nai), (to.nai, by.nai))
            self.assertEqual((play.at_a.chain, play.at_b.chain), (to.identity.chain, by.identity.chain))
            self.assertEqual((play.at_a.dialog_id, play.at_a.moving), (DIALOG, MOVING))
            self.assertEqual(play.at_a.exchange_id, digest(play.m1, play.m2)[:16])

    def test_a_new_dialog(self) -> None:
        begun, m1 = first(a(), t(), moving=None)
        answered, m2 = second(m1, t())
        exchanged, m3 = phases.finish(begun, m2, TRUST, NOW)
        self.assertEqual(phases.verify(answered, m3), exchanged_as(exchanged, answered))
        self.assertIsNone(exchanged.moving)

    def test_every_exchange_has_keys_of_its_own(self) -> None:
        keks = [Play(a(), t()).at_a.kek]
        for by_a, by_b in (
            (evolve(OF_A, nonce=b"o" * 32), OF_B),
            (evolve(OF_A, share=b"o" * 32), OF_B),
            (evolve(OF_A, key=b"o" * 32), OF_B),
            (OF_A, evolve(OF_B, nonce=b"o" * 32)),
            (OF_A, evolve(OF_B, share=b"o" * 32)),
            (OF_A, evolve(OF_B, key=b"o" * 32)),
        ):
            begun, m1 = first(a(), t(), by_a)
            _, m2 = second(m1, t(), by_b)
            keks.append(phases.finish(begun, m2, TRUST, NOW)[0].kek)
        for at, kek in enumerate(keks):
            self.assertNotIn(kek, keks[:at])

    def test_nothing_secret_is_shown(self) -> None:
        play = Play(a(), t())
        shown = "".join(map(repr, (OF_A, play.begun, play.answered, play.at_a)))
        for secret in (OF_A.key, OF_A.share, play.at_a.kek.octets, play.answered.handshake.octets):
            self.assertNotIn(repr(secret), shown)


def exchanged_as(ours: Exchanged, answered: Answered) -> Exchanged:
    """Return what the other end has when it has the same: the other one's name."""
    return evolve(ours, voucher=answered.exchanged.voucher, chain=answered.exchanged.chain)


class FormulaTests(SynchronousTestCase):
    """docs/messages.md, section 11, from its formulas."""

    def test_all_of_it(self) -> None:
        play = Play(a(), t())
        m1, m2 = play.m1, play.m2
        names = prefixed(a().nai.encode()) + prefixed(t().nai.encode())
        one, two = decode_phase1(m1), decode_phase2(m2)
        dh = X25519PrivateKey.from_private_bytes(OF_B.share).exchange(X25519PublicKey.from_public_bytes(one.share))
        # m1
        info = b"seckex1 phase 1" + digest(phase1_head(one)) + prefixed(t().nai.encode())
        introduced = t().private.open(one.sealed, info).octets
        self.assertEqual(introduced, encode_introduction(Introduction(a().identity.chain, a().told, OF_A.key)))
        # m2
        shown = m1 + OF_B.nonce + two.share
        self.assertEqual(phase2_head(two), b"\1\0\0\0" + OF_B.nonce + two.share)
        k2 = expand32(extract("sha256", b"seckex1 phase 2", prefixed(OF_A.key) + prefixed(dh)), digest(shown))
        reply = decode_reply(AESGCM(k2).decrypt(bytes(12), two.sealed, phase2_head(two)))
        self.assertEqual(reply.chain, t().identity.chain)
        info = b"seckex1 phase 2" + digest(shown) + prefixed(t().nai.encode())
        self.assertEqual(a().private.open(reply.sealed, info).octets, OF_B.key)
        voucher = TRUST.verify(reply.chain, NOW)
        said = digest(digest(shown, reply.sealed), names)
        voucher.verify(reply.signature, b"seckex1 phase 2 signature", said)
        # m3
        s3 = extract("sha256", b"seckex1 phase 3", prefixed(OF_A.key) + prefixed(OF_B.key) + prefixed(dh))
        k3 = expand32(s3, b"handshake" + digest(m1, m2))
        signature = decode_signature(AESGCM(k3).decrypt(bytes(12), decode_phase3(play.m3).sealed, b""))
        voucher = TRUST.verify(a().identity.chain, NOW)
        voucher.verify(signature, b"seckex1 phase 3 signature", digest(digest(m1, m2), names))
        self.assertEqual(play.at_a.kek.octets, expand32(s3, b"kek" + digest(m1, m2)))
        self.assertEqual(play.at_a.exporter.octets, expand32(s3, b"exporter" + digest(m1, m2)))


class AlterationTests(SynchronousTestCase):
    """Every octet of every message is another: nobody agrees on anything."""

    def setUp(self) -> None:
        self.play = Play(a(), t())

    def altered(self, octets: bytes) -> list[bytes]:
        step = 1 + len(octets) // 150
        places = {*range(0, len(octets), step), *range(min(110, len(octets))), len(octets) - 1}
        changed = [octets[:at] + bytes([octets[at] ^ 1 << at % 8]) + octets[at + 1 :] for at in sorted(places)]
        return [*changed, b"", octets[:-1], octets + b"\0"]

    def test_m1(self) -> None:
        answered = 0
        for m1 in self.altered(self.play.m1):
            try:
                _, m2 = second(m1, t())
            except SeckexError:
                continue
            answered += 1
            self.assertRaises(SeckexError, phases.finish, self.play.begun, m2, TRUST, NOW)
        # Whatever stands before the seal is bound by it.
        self.assertEqual(answered, 0)

    def test_m2(self) -> None:
        for m2 in self.altered(self.play.m2):
            self.assertRaises(SeckexError, phases.finish, self.play.begun, m2, TRUST, NOW)

    def test_m3(self) -> None:
        for m3 in self.altered(self.play.m3):
            self.assertRaises(SeckexError, phases.verify, self.play.answered, m3)

    def test_another_suite_is_not_slipped_in(self) -> None:
        other = evolve(decode_phase1(self.play.m1), suite=Suite.AES_128_GCM)
        self.assertRaises(AuthenticationFailed, second, encode_phase1(other), t())
        answer = evolve(decode_phase2(self.play.m2), suite=Suite.AES_128_GCM)
        self.assertRaises(Malformed, phases.finish, self.play.begun, encode_phase2(answer), TRUST, NOW)

    def test_a_suite_that_is_not_allowed(self) -> None:
        def prekey(_: bytes) -> PrivatePrekey:
            return t().private

        only = frozenset({Suite.CHACHA20_POLY1305})
        self.assertRaises(PeerIncompatible, phases.answer, self.play.m1, t().identity, TRUST, prekey, only, OF_B, NOW)


class ReplayTests(SynchronousTestCase):
    def test_a_copy_of_m1_gets_an_answer_that_nobody_can_use(self) -> None:
        play = Play(a(), t())
        answered, m2 = second(play.m1, t(), evolve(OF_B, nonce=b"f" * 32, share=b"f" * 32, key=b"f" * 32))
        self.assertRaises(AuthenticationFailed, phases.verify, answered, play.m3)
        self.assertNotEqual(answered.exchanged.kek, play.at_a.kek)
        # m2 of the one is no answer to another, though A has drawn the same prekey and name.
        begun, _ = first(a(), t(), evolve(OF_A, share=b"z" * 32))
        self.assertRaises(AuthenticationFailed, phases.finish, begun, m2, TRUST, NOW)

    def test_m3_of_another_exchange(self) -> None:
        begun, m1 = first(a(), t(), evolve(OF_A, nonce=b"o" * 32))
        answered, m2 = second(m1, t())
        _, m3 = phases.finish(begun, m2, TRUST, NOW)
        phases.verify(answered, m3)
        self.assertRaises(AuthenticationFailed, phases.verify, Play(a(), t()).answered, m3)


class ImpersonationTests(SynchronousTestCase):
    """E has a certificate, and stands between."""

    def test_m1_reaches_whom_it_is_for(self) -> None:
        _, m1 = first(a(), t())
        self.assertRaises(AuthenticationFailed, second, m1, e())
        # E claims T's prekey by its id, and does not have it.
        liar = evolve(e(), private=t().private)
        error = self.assertRaises(AuthenticationFailed, second, m1, liar)
        self.assertIn("does not open", str(error))

    def test_m1_in_another_name_without_its_keys(self) -> None:
        """E introduces itself as A, with A's certificates and prekey, which anybody can see."""
        begun, m1 = self.introduced(Introduction(a().identity.chain, a().told, OF_A.key))
        answered, m2 = second(m1, t())
        # It has kA and x, so it opens m2; but neither kB nor A's signature.
        liar = evolve(begun, identity=e().identity, prekey=e().private)
        self.assertRaises(AuthenticationFailed, phases.finish, liar, m2, TRUST, NOW)
        guessed = AESGCM(bytes(32)).encrypt(bytes(12), b"\0\0\0\1?", None)
        self.assertRaises(AuthenticationFailed, phases.verify, answered, encode_phase3(Phase3(guessed)))

    def test_with_the_prekey_of_another(self) -> None:
        """E shows its own certificates and A's prekey, or A's certificates and its own prekey."""
        for chain, told in ((e().identity.chain, a().told), (a().identity.chain, e().told)):
            _, m1 = self.introduced(Introduction(chain, told, OF_A.key))
            error = self.assertRaises(BadCertificate, second, m1, t())
            self.assertEqual(error.flaw, Flaw.WRONG_NAME)

    def introduced(self, introduction: Introduction) -> tuple[Begun, bytes]:
        """Return an m1 of whoever knows x and kA, that introduces anybody."""
        begun, m1 = first(a(), t())
        one = decode_phase1(m1)
        info = b"seckex1 phase 1" + digest(phase1_head(one)) + prefixed(t().nai.encode())
        prekey = t().prekey
        sealed = seal(prekey.kem, prekey.public, info, Secret(encode_introduction(introduction)))
        m1 = encode_phase1(evolve(one, sealed=sealed))
        return evolve(begun, octets=m1, first=decode_phase1(m1)), m1

    def test_e_answers_in_place_of_t(self) -> None:
        """A wants E, and E answers with T's name; or A wants T, and E, who got kA somehow, answers."""
        begun, m1 = first(a(), e())
        m2 = self.answered_as(m1, e(), chain=t())
        self.assertRaises(BadCertificate, phases.finish, begun, m2, TRUST, NOW)
        begun, m1 = first(a(), t())
        for chain, flaw in ((e(), BadCertificate), (t(), AuthenticationFailed)):
            m2 = self.answered_as(m1, e(), chain=chain)
            self.assertRaises(flaw, phases.finish, begun, m2, TRUST, NOW)

    def answered_as(self, m1: bytes, signer: Somebody, chain: Somebody) -> bytes:
        """Return an m2 by ``signer`` with the certificates of ``chain``, who knows all that A has sealed."""
        y = X25519PrivateKey.from_private_bytes(OF_B.share)
        share = y.public_key().public_bytes_raw()
        dh = y.exchange(X25519PublicKey.from_public_bytes(decode_phase1(m1).share))
        head = b"\1\0\0\0" + OF_B.nonce + share
        shown = m1 + OF_B.nonce + share
        nai = prefixed(chain.nai.encode())
        prekey = a().prekey
        sealed = seal(prekey.kem, prekey.public, b"seckex1 phase 2" + digest(shown) + nai, Secret(OF_B.key))
        covered = digest(shown, sealed) + prefixed(a().nai.encode()) + nai
        signature = sign(signer.identity, b"seckex1 phase 2 signature", covered)
        reply = encode_reply(Reply(chain.identity.chain, sealed, signature))
        k2 = expand32(extract("sha256", b"seckex1 phase 2", prefixed(OF_A.key) + prefixed(dh)), digest(shown))
        return head + prefixed(AESGCM(k2).encrypt(bytes(12), reply, head))

    def test_the_forger_above_is_right_but_for_the_name(self) -> None:
        begun, m1 = first(a(), t())
        exchanged, _ = phases.finish(begun, self.answered_as(m1, t(), chain=t()), TRUST, NOW)
        self.assertEqual(exchanged.voucher.nai, t().nai)

    def test_an_unknown_key_share(self) -> None:
        """E relays: A talks to E, E to T with A's nonces and share; keys and signatures name the two that talk."""
        with_e, m1 = first(a(), e())
        one = decode_phase1(m1)
        info = b"seckex1 phase 1" + digest(phase1_head(one)) + prefixed(e().nai.encode())
        introduction = e().private.open(one.sealed, info)
        # E seals the same introduction to T.
        onward = evolve(one, prekey_id=t().private.id)
        info = b"seckex1 phase 1" + digest(phase1_head(onward)) + prefixed(t().nai.encode())
        onward = evolve(onward, sealed=seal(Kem.X25519, t().prekey.public, info, introduction))
        answered, m2 = second(encode_phase1(onward), t())
        # T believes that it talks to A; A takes the answer for E's, and finds that it is not.
        self.assertRaises(AuthenticationFailed, phases.finish, with_e, m2, TRUST, NOW)
        # Nor has E anything to say in A's place: m3 needs kB and A's signature.
        ours, m3 = phases.finish(with_e, second(m1, e())[1], TRUST, NOW)
        self.assertRaises(AuthenticationFailed, phases.verify, answered, m3)
        self.assertNotEqual(ours.kek, answered.exchanged.kek)

    def test_who_has_all_lasting_keys_of_a_cannot_pose_as_b_to_a(self) -> None:
        """Of A everything is stolen; to answer in B's place E needs B's prekey, or its signature."""
        begun, m1 = first(a(), t())
        for chain, fault in ((t(), AuthenticationFailed), (a(), BadCertificate)):
            m2 = self.answered_as(m1, a(), chain=chain)
            self.assertRaises(fault, phases.finish, begun, m2, TRUST, NOW)

    def test_who_has_all_lasting_keys_of_b_cannot_pose_as_a_to_b(self) -> None:
        begun, m1 = self.introduced(Introduction(a().identity.chain, a().told, OF_A.key))
        answered, m2 = second(m1, t())
        # The thief signs m3 with B's key, even knowing kB.
        m3 = signed_by(begun, t(), m2)
        self.assertRaises(AuthenticationFailed, phases.verify, answered, m3)
        phases.verify(answered, signed_by(begun, a(), m2))

    def test_signatures_of_one_phase_are_none_of_the_other(self) -> None:
        play = Play(a(), t())
        names = prefixed(a().nai.encode()) + prefixed(t().nai.encode())
        covered = play.at_a.digest + names
        signature = sign(a().identity, b"seckex1 phase 3 signature", covered)
        verify(play.at_b.voucher, signature, b"seckex1 phase 3 signature", covered)
        self.assertRaises(
            AuthenticationFailed, verify, play.at_b.voucher, signature, b"seckex1 phase 2 signature", covered
        )


def signed_by(begun: Begun, signer: Somebody, m2: bytes) -> bytes:
    """Return the m3 of who knows all secrets of an exchange, and has the key of another's certificate."""
    exchanged, _ = phases.finish(begun, m2, TRUST, NOW)
    one = decode_phase1(begun.octets)
    dh = X25519PrivateKey.from_private_bytes(OF_B.share).exchange(X25519PublicKey.from_public_bytes(one.share))
    s3 = extract("sha256", b"seckex1 phase 3", prefixed(OF_A.key) + prefixed(OF_B.key) + prefixed(dh))
    k3 = expand32(s3, b"handshake" + digest(begun.octets, m2))
    names = prefixed(begun.identity.nai.encode()) + prefixed(exchanged.voucher.nai.encode())
    signature = sign(signer.identity, b"seckex1 phase 3 signature", exchanged.digest + names)
    return prefixed(AESGCM(k3).encrypt(bytes(12), prefixed(signature), None))


class RefusalTests(SynchronousTestCase):
    def test_shares_of_small_order(self) -> None:
        begun, m1 = first(a(), t())
        for share in SMALL:
            one = evolve(decode_phase1(m1), share=share)
            info = b"seckex1 phase 1" + digest(phase1_head(one)) + prefixed(t().nai.encode())
            introduction = encode_introduction(Introduction(a().identity.chain, a().told, OF_A.key))
            sealed = seal(Kem.X25519, t().prekey.public, info, Secret(introduction))
            self.assertRaises(AuthenticationFailed, second, encode_phase1(evolve(one, sealed=sealed)), t())
            m2 = encode_phase2(evolve(decode_phase2(second(m1, t())[1]), share=share))
            self.assertRaises(AuthenticationFailed, phases.finish, begun, m2, TRUST, NOW)

    def test_a_prekey_that_has_expired_or_is_not_ours(self) -> None:
        _, m1 = first(a(), t())
        self.assertRaises(AuthenticationFailed, second, m1, t(), now=t().private.expiry)
        _, m1 = first(a(), somebody("t@example.net", Kem.X25519_ML_KEM_768))
        self.assertRaises(AuthenticationFailed, second, m1, t())

    def test_who_is_not_trusted(self) -> None:
        stranger = TrustAnchors([Maker.root("stranger").certificate])
        begun, m1 = first(a(), t())
        self.assertRaises(BadCertificate, second, m1, t(), trust=stranger)
        _, m2 = second(m1, t())
        self.assertRaises(BadCertificate, phases.finish, begun, m2, stranger, NOW)
        self.assertRaises(BadCertificate, phases.finish, begun, m2, TRUST, NOW + 11 * DAY)
