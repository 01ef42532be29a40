"""ECDSA on P-256 with SHA-256 against public test vectors, through what verifies a peer's signature."""

from __future__ import annotations

from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto import identity
from seckex.crypto.identity import Voucher
from seckex.errors import AuthenticationFailed
from tests.crypto import vectors


class VectorTests(SynchronousTestCase):
    skip = vectors.MISSING

    def test_signatures(self) -> None:
        taken = refused = 0
        # The vectors sign any message, we a transcript behind its label.
        self.enterContext(mock.patch.object(identity, "_signed", lambda _label, message: message))
        for vector in vectors.vectors("ecdsa_secp256r1_sha256"):
            point = bytes.fromhex(vector.group["publicKey"]["uncompressed"])
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            voucher = Voucher("node@example.net", 0, "", key)
            signature, message = vector.octets("sig"), vector.octets("msg")
            if vector.valid:
                voucher.verify(signature, b"", message)
                taken += 1
            else:
                self.assertRaises(AuthenticationFailed, voucher.verify, signature, b"", message)
                refused += 1
        self.assertGreater(taken, 100)
        self.assertGreater(refused, 100)
