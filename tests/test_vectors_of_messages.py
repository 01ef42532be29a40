"""The worked example of a durable dialog, and this program's own parts fed with the same keys."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_der_x509_certificate
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import (
    body_key,
    chain_hash,
    dsk_id,
    kek_id,
    message_path,
    sign_pair,
    unwrap_dsk,
    verify_pair,
    wrap_dsk,
)
from seckex.crypto.identity import Identity
from seckex.crypto.kek import kek_info, open_kek
from seckex.crypto.pinned import PinnedTrust
from seckex.crypto.prekeys import PrivatePrekey
from seckex.crypto.secrets import Secret
from seckex.delivery.record import BodyOpener
from seckex.wire.bodies import Held, Processed, decode_frames, unpack_messages
from seckex.wire.envelope import Envelope, decode_envelope, encode_envelope
from seckex.wire.numbers import Kem, Suite
from tests import vectors_of_messages as example
from tests.vectors_of_docs import DIALOG_ID, PRIVATE_R, SALT_I, SALT_R, SECONDS


class MessageVectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        made = example.compute()
        self.keys = made.keys
        self.said = [layout.octets for layout in made.said.values()]
        self.envelopes = [decode_envelope(octets) for octets in self.said]
        certificate = load_der_x509_certificate(self.keys["certificate A"])
        self.identity = Identity([certificate], ec.derive_private_key(example.SIGNING_A, ec.SECP256R1()))
        self.trust = PinnedTrust([certificate])

    def opener(self, name: str, salt: bytes, direction: int) -> BodyOpener:
        fingerprint = self.keys["fingerprint B" if direction else "fingerprint A"]
        key = body_key(
            Suite.AES_256_GCM,
            Secret(example.DSK),
            salt,
            self.keys["path"],
            direction,
            fingerprint,
            DIALOG_ID,
        )
        self.assertEqual(key.key.octets + key.prefix, self.keys[f"body {name}"])
        self.assertEqual(key.context.to_bytes(4, "big"), self.keys[f"context {name}"])
        return BodyOpener(key, DIALOG_ID, bool(direction))

    def test_envelopes_are_read_and_written_as_they_stand(self) -> None:
        for octets, envelope in zip(self.said, self.envelopes, strict=True):
            self.assertEqual(encode_envelope(envelope), octets)

    def test_names_of_keys(self) -> None:
        self.assertEqual(message_path(example.HELLO_A, example.HELLO_B), self.keys["path"])
        self.assertEqual(kek_id(Secret(example.KEK)), self.keys["kek_id"])
        self.assertEqual(dsk_id(Secret(example.DSK)), self.keys["dsk_id"])

    def first(self) -> Envelope:
        return self.envelopes[0]

    def test_the_kek_opens_and_the_session_key_under_it(self) -> None:
        whole = self.first()
        if whole.kek is None or whole.key is None or whole.pair is None:
            self.fail("not in the whole shape")
        life = (SECONDS, SECONDS + 1)
        prekey = PrivatePrekey(Kem.X25519, Secret(PRIVATE_R), *life)
        self.assertEqual(prekey.id, whole.kek.source_id)
        pair = whole.pair
        info = kek_info(
            pair.initiator,
            pair.initiator_fingerprint,
            pair.target,
            pair.target_fingerprint,
            prekey.id,
            DIALOG_ID,
        )
        kek = open_kek(prekey, info, whole.kek.sealed)
        self.assertEqual(kek.octets, example.KEK)
        dsk = unwrap_dsk(kek, 1, whole.key.sealed, DIALOG_ID, whole.kek_octets)
        self.assertEqual(dsk.octets, example.DSK)
        self.assertEqual(wrap_dsk(kek, 1, dsk, DIALOG_ID, whole.kek_octets), whole.key.sealed)

    def test_the_initiator_has_signed(self) -> None:
        whole = self.first()
        if whole.pair is None:
            self.fail("no service pair")
        voucher = self.trust.verify(whole.pair.chain, SECONDS)
        self.assertEqual(voucher.nai, whole.pair.initiator)
        self.assertEqual(bytes.fromhex(voucher.fingerprint), whole.pair.initiator_fingerprint)
        verify_pair(voucher, whole.pair.proof, whole.signed)
        self.assertEqual(sign_pair(self.identity, whole.signed), whole.pair.proof)

    def test_bodies_open_and_say_what_was_said(self) -> None:
        out, back = self.opener("out", SALT_I, 0), self.opener("back", SALT_R, 1)
        whole, state, _ = self.envelopes
        self.assertEqual(unpack_messages(out.open_decoded(whole), 1), [(example.TYPE, 0, example.MESSAGES[0])])
        chain = chain_hash(whole.pair_unsigned, whole.kek_octets, whole.key_octets)
        self.assertEqual(decode_frames(back.open_decoded(state)), (Processed(example.PROCESSED), Held(chain)))
        self.assertEqual(unpack_messages(out.open(self.said[2]), 1), [(example.TYPE, 0, example.MESSAGES[1])])
