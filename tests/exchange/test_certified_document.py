"""Section 14 of docs/protocol.md, implemented once more from the document, and held against what the program says.

Nothing of the program's cryptography, codecs or transcripts is used to compute:
what it says is read at the places that the document gives, and every key, MAC and
signature is made or verified here.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import load_der_x509_certificate

from seckex.crypto.certified import Handshake
from seckex.crypto.secrets import Secret
from tests.conversation import CHACHA, HOME, NODE, policy, proposal, sealing
from tests.exchange.certified import CertifiedCase
from tests.link import Datagram

ROUND_AT: Final = 20
HASHES: Final = {5: "sha256", 6: "sha384"}


def u16(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def lp(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


class Document:
    """What both ends compute, from the messages and the key agreement's secret."""

    def __init__(self, said: list[bytes], shared: bytes, prf: int) -> None:
        self.hash = HASHES[prf]
        self.size = hashlib.new(self.hash).digest_size
        self.shared = shared
        *before, choice, confirm, confirmed = said
        start = hashlib.sha384(b"seckex1 transcript" + lp(b"") + lp(b"") + b"seckex1 certificates").digest()
        for number, octets in enumerate(before):
            start = self.heard(start, octets[ROUND_AT], 1 + number % 2, octets)
        self.before, self.choice, self.confirm, self.confirmed = start, choice, confirm, confirmed
        self.round = choice[ROUND_AT]

    @staticmethod
    def heard(transcript: bytes, number: int, role: int, octets: bytes) -> bytes:
        return hashlib.sha384(transcript + bytes((number, role)) + lp(octets)).digest()

    def mac(self, key: bytes, octets: bytes) -> bytes:
        return hmac.new(key, octets, self.hash).digest()

    def expand(self, key: bytes, info: bytes, length: int) -> bytes:
        octets, block = b"", b""
        while len(octets) < length:
            block = self.mac(key, block + info + bytes((len(octets) // self.size + 1,)))
            octets += block
        return octets[:length]

    def sealed(self, message: bytes) -> tuple[int, int]:
        """Return where the sealed octets of a message begin and end."""
        at = 16
        while message[at + 1] != 25:
            at += 4 + u16(message[at + 2 : at + 4])
        return at + 4, at + 4 + u16(message[at + 2 : at + 4])

    def opened(self, key: bytes, message: bytes) -> tuple[bytes, list[bytes], bytes]:
        """Return the chain's octets, its certificates and the signature."""
        start, end = self.sealed(message)
        clear = AESGCM(key).decrypt(bytes(12), message[start:end], message[:start])
        at, chain = 1, []
        for _ in range(clear[0]):
            size = u16(clear[at : at + 2])
            chain.append(clear[at + 2 : at + 2 + size])
            at += 2 + size
        signature = clear[at + 1 : at + 1 + clear[at]]
        if len(clear) % 256 or any(clear[at + 1 + clear[at] :]):
            raise AssertionError("padding")
        return clear[:at], chain, signature

    def signed(self, chain: list[bytes], signature: bytes, label: bytes, upto: bytes, octets: bytes) -> str:
        """Verify a signature; return the name that its certificate has."""
        certificate = load_der_x509_certificate(chain[0])
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        over = label + b"\0" + hashlib.sha384(upto + lp(octets)).digest()
        key.verify(signature, over, ec.ECDSA(hashes.SHA256()))
        return certificate.subject.rfc4514_string()

    def run(self) -> bytes:
        """Verify all that was said; return ``prk`` of the association."""
        start, _ = self.sealed(self.choice)
        upto = self.heard(self.before, self.round, 2, self.choice[:start])
        hs = self.mac(upto, lp(self.shared))
        octets, chain, signature = self.opened(self.expand(hs, b"seckex1 identity r", 32), self.choice)
        self.signed(chain, signature, b"seckex1 responder signature", upto, octets)
        covered = self.heard(self.before, self.round, 2, self.choice[: -self.size])
        certified_r = self.expand(hs, b"seckex1 certified r", self.size)
        said = b"seckex1 certified choice" + covered + lp(HOME.encode())
        self.same(self.choice[-self.size :], self.mac(certified_r, said))
        after = self.heard(self.before, self.round, 2, self.choice)

        start, _ = self.sealed(self.confirm)
        upto = self.heard(after, self.round, 1, self.confirm[:start])
        octets, chain, signature = self.opened(self.expand(hs, b"seckex1 identity i" + after, 32), self.confirm)
        self.signed(chain, signature, b"seckex1 initiator signature", upto, octets)
        covered = self.heard(after, self.round, 1, self.confirm[: -self.size])
        mix = self.expand(hs, b"seckex1 certified mix", self.size)
        prk = self.mac(covered, lp(mix) + lp(b""))
        spi_i = self.choice[ROUND_AT + 4 : ROUND_AT + 8]
        context = b"\x07" + lp(NODE.encode()) + lp(HOME.encode()) + spi_i + self.confirm[12:16]
        confirm_i, confirm_r = (
            self.expand(prk, b"seckex1 confirm " + role + context, self.size) for role in (b"i", b"r")
        )
        self.same(self.confirm[-self.size :], self.mac(confirm_i, b"seckex1 confirm" + covered + self.confirm[:16]))
        said = b"seckex1 confirmed" + covered + self.confirmed[:16]
        self.same(self.confirmed[-self.size :], self.mac(confirm_r, said))
        return prk

    @staticmethod
    def same(found: bytes, expected: bytes) -> None:
        if found != expected:
            raise AssertionError(f"{found.hex()} where the document has {expected.hex()}")


class DocumentTests(CertifiedCase):
    def talk(self, prf: int, *how: Any) -> None:
        secrets: list[bytes] = []
        genuine = Handshake.of

        def of(number: int, shared: Secret, transcript: bytes) -> Handshake:
            secrets.append(shared.octets)
            return genuine(number, shared, transcript)

        self.patch(Handshake, "of", of)
        node, home = self.certified(*how)
        ours = self.agreed(node, home)
        said: list[Datagram] = self.network.sent
        document = Document([datagram.octets for datagram in said], secrets[0], prf)
        self.assertEqual(document.run(), ours.keys.secret.octets)

    def test_one_round(self) -> None:
        self.talk(5)

    def test_two_rounds(self) -> None:
        self.talk(5, policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1), CHACHA)

    def test_another_hash_and_group(self) -> None:
        other = policy(proposal("aes-256-gcm prf-hmac-sha-384 x25519-ml-kem-768"))
        self.talk(6, other, other)

    def test_it_can_fail(self) -> None:
        error = self.assertRaises(AssertionError, Document.same, b"\1", b"\2")
        self.assertIn("where the document has", str(error))
