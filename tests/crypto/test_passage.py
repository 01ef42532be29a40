"""The keys and MACs of hops against docs/passages.md, section 3, written down a second time."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.passage import (
    RunningMac,
    accept_mac,
    admit_key,
    open_mac,
    proof_keys,
    refuse_mac,
    verify_accept,
    verify_open,
    verify_refuse,
)
from seckex.crypto.schedule import AgreedKeys, lp
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, Hop
from seckex.wire.passage import AcceptFrame, OpenFrame, RefuseFrame, encode_accept, encode_open, encode_refuse
from tests.crypto.plain import expand, extract
from tests.wire.samples import FEW

KEYS = AgreedKeys(PRF_HMAC_SHA2_256, Secret(bytes(range(32))), b"a context")
NONCE_C, NONCE_R = b"nonce of caller.", b"nonce of callee."
ADMIT = admit_key(KEYS, Hop.MN_FA)
OPENING = encode_open(OpenFrame(Hop.MN_FA, 0x1234, 1_700_000_000_000_000, NONCE_C))

# What somebody else's program may be held to.
VECTOR = {
    "admit": "6bc59c42aea7211656be6eeb04c8f72049bd7aa2581e255322f95df18106f683",
    "open": (
        "505301000000123400060a24181e40006e6f6e6365206f662063616c6c65722e"
        "ca3492e58376bd3b73010c5a37fc0f30a2da1ee9101f6f7528fdf0872602c35e"
    ),
    "accept": (
        "010000306e6f6e6365206f662063616c6c65652ed9307a4063a493f9beb98b500cedf5cfa169a48c346c74137f8746338e1ec3ff"
    ),
    "refuse": "04000022012ebef8cc4589fd922f126155164ee7882b92d22276f5bfb4e9943a81ec096d3a47",
    "caller": "5a811c312803b5ee794d293ee12f49d636b993583ffc41d30b40e4cfac7aa959",
    "callee": "18c21bb0b6275090167c114cb631b112d823966ffc5ba9859526c52d63671488",
    "ident": "9cfd276026d62b062e0ede3686213e02",
    "first": "b4d5e10a088206549eb304ff66cb62af",
    "second": "7160df2fa0f12d1a1f7d33f80b2ce3db",
}


def whole(mac: bytes, octets: bytes) -> bytes:
    return octets[:-32] + mac


class KeyTests(SynchronousTestCase):
    def test_the_admitting_key_is_an_export(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            for hop in Hop:
                size = hashlib.new(name).digest_size
                keys = AgreedKeys(prf, Secret(bytes(size)), b"a context")
                exporter = expand(name, bytes(size), b"seckex1 exporter" + b"a context", size)
                context = hashlib.new(name, bytes([hop])).digest()
                info = lp(b"seckex1 passage") + lp(context) + b"\x00\x20"
                self.assertEqual(admit_key(keys, hop).octets, expand(name, exporter, info, 32))
        self.assertNotEqual(admit_key(KEYS, Hop.MN_FA), admit_key(KEYS, Hop.FA_HA))

    def test_macs_of_the_opening(self) -> None:
        digest = hashlib.sha256(OPENING).digest()
        accept, refuse = encode_accept(AcceptFrame(NONCE_R)), encode_refuse(RefuseFrame(300))
        for made, covered in (
            (open_mac(ADMIT, OPENING), b"open" + OPENING[:32]),
            (accept_mac(ADMIT, OPENING, accept), b"accept" + digest + accept[:20]),
            (refuse_mac(ADMIT, OPENING, refuse), b"refuse" + digest + refuse[:6]),
        ):
            self.assertEqual(made, hmac.digest(ADMIT.octets, covered, "sha256"))

    def test_an_altered_frame_does_not_verify(self) -> None:
        opening = whole(open_mac(ADMIT, OPENING), OPENING)
        accept = encode_accept(AcceptFrame(NONCE_R))
        accept = whole(accept_mac(ADMIT, opening, accept), accept)
        refuse = encode_refuse(RefuseFrame(300))
        refuse = whole(refuse_mac(ADMIT, opening, refuse), refuse)
        verify_open(ADMIT, opening)
        verify_accept(ADMIT, opening, accept)
        verify_refuse(ADMIT, opening, refuse)
        other = admit_key(KEYS, Hop.FA_HA)
        for verify, octets in (
            (verify_open, opening),
            (lambda key, octets: verify_accept(key, opening, octets), accept),
            (lambda key, octets: verify_refuse(key, opening, octets), refuse),
        ):
            self.assertRaises(AuthenticationFailed, verify, other, octets)
            self.assertRaises(AuthenticationFailed, verify, ADMIT, octets[:-1])
            for at in range(len(octets)):
                altered = bytearray(octets)
                altered[at] ^= 0x10
                self.assertRaises(AuthenticationFailed, verify, ADMIT, bytes(altered))
        another = opening[:-1] + bytes([opening[-1] ^ 1])
        self.assertRaises(AuthenticationFailed, verify_accept, ADMIT, another, accept)
        self.assertRaises(AuthenticationFailed, verify_refuse, ADMIT, another, refuse)

    def test_keys_of_proofs(self) -> None:
        carry = extract("sha256", NONCE_C + NONCE_R, ADMIT.octets)
        digest = hashlib.sha256(OPENING).digest()
        keys = proof_keys(ADMIT, OPENING, NONCE_R)
        self.assertEqual(keys.caller.octets, expand("sha256", carry, b"seckex1 passage c" + digest, 32))
        self.assertEqual(keys.callee.octets, expand("sha256", carry, b"seckex1 passage r" + digest, 32))
        self.assertEqual(keys.ident, expand("sha256", carry, b"seckex1 passage id", 16))
        self.assertNotIn(keys.caller.octets.hex(), repr(keys))
        self.assertRaises(ApiMisuse, proof_keys, ADMIT, OPENING[1:], NONCE_R)
        self.assertRaises(ApiMisuse, proof_keys, ADMIT, OPENING, b"")


class RunningMacTests(SynchronousTestCase):
    KEY = Secret(bytes(range(100, 132)))

    def expected(self, number: int, octets: bytes, sent: int, received: int) -> bytes:
        covered = octets + sent.to_bytes(8, "big") + received.to_bytes(8, "big")
        return AESGCM(self.KEY.octets).encrypt(number.to_bytes(12, "big"), b"", covered)

    @FEW
    @given(st.lists(st.lists(st.binary(max_size=70), max_size=5), max_size=4))
    def test_tags_are_those_of_gcm_over_what_came_since_the_last(self, rounds: list[list[bytes]]) -> None:
        ours, theirs = RunningMac(self.KEY), RunningMac(self.KEY)
        for number, pieces in enumerate(rounds):
            for piece in pieces:
                ours.cover(memoryview(bytearray(piece)))
            theirs.cover(b"".join(pieces))
            tag = ours.tag(number, 7)
            self.assertEqual(tag, self.expected(number, b"".join(pieces), number, 7))
            theirs.verify(number, 7, tag)

    def test_other_octets_counts_or_numbers_do_not_verify(self) -> None:
        maker = RunningMac(self.KEY)
        maker.cover(b"octets")
        tag = maker.tag(6, 0)
        for octets, sent, received in ((b"octetz", 6, 0), (b"octet", 6, 0), (b"octets", 7, 0), (b"octets", 6, 1)):
            other = RunningMac(self.KEY)
            other.cover(octets)
            self.assertRaises(AuthenticationFailed, other.verify, sent, received, tag)
        later = RunningMac(self.KEY)
        later.tag(0, 0)
        later.cover(b"octets")
        self.assertRaises(AuthenticationFailed, later.verify, 6, 0, tag)
        stranger = RunningMac(Secret(bytes(32)))
        stranger.cover(b"octets")
        self.assertRaises(AuthenticationFailed, stranger.verify, 6, 0, tag)

    def test_a_key_does_not_serve_for_ever(self) -> None:
        mac = RunningMac(self.KEY)
        mac.number = (1 << 32) - 1
        mac.tag(0, 0)
        self.assertRaises(ApiMisuse, mac.cover, b"x")
        self.assertRaises(ApiMisuse, mac.tag, 0, 0)
        self.assertNotIn(self.KEY.octets.hex(), repr(mac))


def computed() -> dict[str, str]:
    """Return what `VECTOR` has, as this package makes it."""
    opening = whole(open_mac(ADMIT, OPENING), OPENING)
    accept, refuse = encode_accept(AcceptFrame(NONCE_R)), encode_refuse(RefuseFrame(302))
    keys = proof_keys(ADMIT, opening, NONCE_R)
    mac = RunningMac(keys.caller)
    first = mac.tag(0, 0)
    mac.cover(b"the octets of a link")
    found = {
        "admit": ADMIT.octets,
        "open": opening,
        "accept": whole(accept_mac(ADMIT, opening, accept), accept),
        "refuse": whole(refuse_mac(ADMIT, opening, refuse), refuse),
        "caller": keys.caller.octets,
        "callee": keys.callee.octets,
        "ident": keys.ident,
        "first": first,
        "second": mac.tag(20, 12),
    }
    return {name: octets.hex() for name, octets in found.items()}


class VectorTests(SynchronousTestCase):
    def test_the_same_as_ever(self) -> None:
        self.assertEqual(computed(), VECTOR)
