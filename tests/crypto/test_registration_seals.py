"""What is sealed and signed in a registration: by the document, and in no other place than it was meant for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.registration_seals import (
    open_agent_secrets,
    open_answer,
    open_identity,
    seal_agent_secrets,
    seal_answer,
    seal_identity,
    sign_reply,
    sign_request,
    verify_reply,
    verify_request,
)
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed
from tests.crypto.certified import NOW, Maker, key, trust
from tests.crypto.plain import expand, prefixed

KEY: Final = bytes(range(32))
TR: Final = hashlib.sha384(b"a transcript").digest()
HEADER: Final = bytes(range(20))
FA, HA, OTHER = "fa@visited.example", "agent@home.example", "fa@else.example"
ROOT: Final = Maker.root()
TRUST: Final = trust(ROOT)


def nearly(octets: bytes) -> list[bytes]:
    """Return what is not quite ``octets``."""
    turned = [
        octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :] for at in (0, len(octets) // 2, -1 % len(octets))
    ]
    return [*turned, octets[:-1], octets + b"\0", b""]


class SealTests(SynchronousTestCase):
    def test_the_identity_block(self) -> None:
        sealed = seal_identity(Secret(KEY), b"hd", b"\1" * 256)
        self.assertEqual(sealed, AESGCM(KEY).encrypt(bytes(12), b"\1" * 256, b"hd"))
        self.assertEqual((len(sealed), open_identity(Secret(KEY), b"hd", sealed)), (272, b"\1" * 256))

    def test_the_answer_and_the_agents_secrets(self) -> None:
        for seal, opened, label in (
            (seal_answer, open_answer, b"seckex1 answer"),
            (seal_agent_secrets, open_agent_secrets, b"seckex1 agent"),
        ):
            sealed = seal(Secret(KEY), TR, HEADER, b"\1" * 640)
            own = AESGCM(expand("sha256", KEY, label, 32))
            self.assertEqual(sealed, own.encrypt(bytes(12), b"\1" * 640, TR + HEADER))
            self.assertEqual((len(sealed), opened(Secret(KEY), TR, HEADER, sealed)), (656, b"\1" * 640))

    def test_nothing_else_opens_the_identity_block(self) -> None:
        sealed = seal_identity(Secret(KEY), b"hd", b"\1" * 256)
        for octets in nearly(sealed):
            self.assertRaises(AuthenticationFailed, open_identity, Secret(KEY), b"hd", octets)
        for hd in nearly(b"hd"):
            self.assertRaises(AuthenticationFailed, open_identity, Secret(KEY), hd, sealed)
        for kid in nearly(KEY)[:3]:
            self.assertRaises(AuthenticationFailed, open_identity, Secret(kid), b"hd", sealed)

    def test_nothing_else_opens_an_answer_or_secrets(self) -> None:
        pairs: tuple[tuple[Callable[..., bytes], Callable[..., bytes]], ...] = (
            (seal_answer, open_answer),
            (seal_agent_secrets, open_agent_secrets),
        )
        for seal, opened in pairs:
            sealed = seal(Secret(KEY), TR, HEADER, b"\1" * 640)
            for octets in nearly(sealed):
                self.assertRaises(AuthenticationFailed, opened, Secret(KEY), TR, HEADER, octets)
            for tr in nearly(TR):
                self.assertRaises(AuthenticationFailed, opened, Secret(KEY), tr, HEADER, sealed)
            for header in nearly(HEADER):
                self.assertRaises(AuthenticationFailed, opened, Secret(KEY), TR, header, sealed)
            for secret in nearly(KEY)[:3]:
                self.assertRaises(AuthenticationFailed, opened, Secret(secret), TR, HEADER, sealed)

    def test_one_is_not_taken_for_another(self) -> None:
        one, other = seal_answer(Secret(KEY), TR, HEADER, b"a"), seal_agent_secrets(Secret(KEY), TR, HEADER, b"a")
        self.assertRaises(AuthenticationFailed, open_agent_secrets, Secret(KEY), TR, HEADER, one)
        self.assertRaises(AuthenticationFailed, open_answer, Secret(KEY), TR, HEADER, other)
        self.assertRaises(AuthenticationFailed, open_identity, Secret(KEY), TR + HEADER, one)


class SignatureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.agent, self.home = ROOT.identity(FA), ROOT.identity(HA)
        self.vouched = {one.nai: TRUST.verify(one.chain, NOW) for one in (self.agent, self.home, ROOT.identity(OTHER))}

    def test_the_agents_is_that_of_section_5(self) -> None:
        signature = sign_request(self.agent, b"covered", HA)
        digest = hashlib.sha256(prefixed(FA.encode()) + prefixed(b"covered") + prefixed(HA.encode())).digest()
        own = key(f"principal {FA}").public_key()
        own.verify(signature, b"seckex1 fa\0" + digest, ec.ECDSA(hashes.SHA256()))
        verify_request(self.vouched[FA], signature, b"covered", HA)

    def test_the_home_agents_is_that_of_section_6(self) -> None:
        signature = sign_reply(self.home, FA, b"request", b"covered")
        digest = hashlib.sha256(prefixed(FA.encode()) + prefixed(b"request") + prefixed(b"covered")).digest()
        own = key(f"principal {HA}").public_key()
        own.verify(signature, b"seckex1 ha\0" + digest, ec.ECDSA(hashes.SHA256()))
        verify_reply(self.vouched[HA], signature, FA, b"request", b"covered")

    def test_the_agents_covers_everything(self) -> None:
        signature = sign_request(self.agent, b"covered", HA)
        for wrong in nearly(signature):
            self.assertRaises(AuthenticationFailed, verify_request, self.vouched[FA], wrong, b"covered", HA)
        for covered in nearly(b"covered"):
            self.assertRaises(AuthenticationFailed, verify_request, self.vouched[FA], signature, covered, HA)
        self.assertRaises(AuthenticationFailed, verify_request, self.vouched[FA], signature, b"covered", OTHER)
        self.assertRaises(AuthenticationFailed, verify_request, self.vouched[OTHER], signature, b"covered", HA)

    def test_the_home_agents_covers_everything(self) -> None:
        signature, voucher = sign_reply(self.home, FA, b"request", b"covered"), self.vouched[HA]
        for wrong in nearly(signature):
            self.assertRaises(AuthenticationFailed, verify_reply, voucher, wrong, FA, b"request", b"covered")
        for covered in nearly(b"covered"):
            self.assertRaises(AuthenticationFailed, verify_reply, voucher, signature, FA, b"request", covered)
        for request in nearly(b"request"):
            self.assertRaises(AuthenticationFailed, verify_reply, voucher, signature, FA, request, b"covered")
        self.assertRaises(AuthenticationFailed, verify_reply, voucher, signature, OTHER, b"request", b"covered")
        self.assertRaises(AuthenticationFailed, verify_reply, self.vouched[FA], signature, FA, b"request", b"covered")

    def test_neither_says_what_the_other_says(self) -> None:
        # The same three parts in the same order, by the same key: the label tells.
        signature = sign_request(self.agent, b"covered", HA)
        fault = (verify_reply, self.vouched[FA], signature, FA, b"covered", HA.encode())
        self.assertRaises(AuthenticationFailed, *fault)
        backwards = sign_reply(self.agent, FA, b"covered", HA.encode())
        self.assertRaises(AuthenticationFailed, verify_request, self.vouched[FA], backwards, b"covered", HA)

    def test_parts_cannot_run_into_each_other(self) -> None:
        signature = sign_reply(self.home, FA, b"request", b"covered")
        self.assertRaises(AuthenticationFailed, verify_reply, self.vouched[HA], signature, FA, b"requestc", b"overed")
