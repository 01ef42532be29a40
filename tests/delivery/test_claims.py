"""The 35 claims that messages of dialogs were written after, each with a test of its name.

The documents speak of encryption with a private key where a signature is meant, and of computer readable media where
a program is; what a claim asks for is looked at on the wire, with the primitives and not with what sealed it.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import (
    association_fingerprint,
    body_key,
    chain_hash,
    dsk_id,
    kek_id,
    mac_pair,
    unwrap_dsk,
    verify_pair,
)
from seckex.crypto.kek import exported_kek, kek_export, kek_info, open_kek
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import InvalidTag, new_aead
from seckex.delivery.keys import accepting, doorkeeper, initiating
from seckex.delivery.keys.faces import HeadersMissing
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.sources import PrekeySource
from seckex.errors import AuthenticationFailed
from seckex.wire.envelope import Envelope, decode_envelope, encode_envelope
from seckex.wire.numbers import VERSION, MessageKek, Suite
from tests.delivery.keys.people import BODY, DIALOG, EVE, HOME, NODE, PATH, SERVICE, Person, Talk
from tests.delivery.keys.shapes import ANONYMOUS, NEW_KEY, SHORT, WHOLE, shape_of
from tests.roaming.certificates import identity, trust

CLAIMS: Final = 35


class ClaimsTests(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        self.talk = Talk()

    # -- what a test opens by itself

    def envelope(self, octets: bytes | None = None) -> Envelope:
        return decode_envelope(self.talk.say() if octets is None else octets)

    def open_by_hand(self, whole: Envelope) -> tuple[Secret, Secret, bytes]:
        """Return KEK, DSK and body of an envelope with all headers, by the primitives alone."""
        kek = self.kek_by_hand(whole)
        dsk = self.dsk_by_hand(whole, kek)
        return kek, dsk, self.body_by_hand(whole, dsk, whole.salt)

    def kek_by_hand(self, whole: Envelope) -> Secret:
        assert whole.pair is not None
        assert whole.kek is not None
        pair, prekey = whole.pair, self.talk.home.private[whole.kek.source_id]
        info = kek_info(
            pair.initiator,
            pair.initiator_fingerprint,
            pair.target,
            pair.target_fingerprint,
            prekey.id,
            whole.dialog.dialog_id,
        )
        return open_kek(prekey, info, whole.kek.sealed)

    def dsk_by_hand(self, whole: Envelope, kek: Secret) -> Secret:
        assert whole.key is not None
        return unwrap_dsk(kek, whole.key.generation, whole.key.sealed, whole.dialog.dialog_id, whole.kek_octets)

    def body_by_hand(self, envelope: Envelope, dsk: Secret, salt: bytes) -> bytes:
        sender = bytes.fromhex(identity(NODE).fingerprint)
        key = body_key(envelope.suite, dsk, salt, PATH, 0, sender, envelope.dialog.dialog_id)
        nonce = key.prefix + envelope.counter.to_bytes(8, "big")
        return new_aead(key.suite, key.key.octets).decrypt(nonce, envelope.body + envelope.mic, envelope.associated)

    # -- generating

    def test_claim_01_a_message_is_made_of_four_things_that_are_sealed_one_under_the_other(self) -> None:
        whole = self.envelope()
        assert whole.pair is not None
        verify_pair(trust().verify(whole.pair.chain, self.talk.clock.wall), whole.pair.proof, whole.signed)
        kek, dsk, body = self.open_by_hand(whole)
        self.assertEqual(body, BODY)
        self.assertEqual(len({kek.octets, dsk.octets, body}), 3)
        self.assertNotIn(BODY, self.talk.say())

    def test_claim_02_a_message_begins_with_a_security_preamble(self) -> None:
        for shape in (WHOLE, SHORT):
            said = self.talk.say()
            self.assertEqual(shape_of(said), shape)
            self.assertEqual(said[:2], b"SK")
            self.talk.hear(said)
            self.talk.hold()

    def test_claim_03_the_preamble_has_version_mic_creation_time_and_salt(self) -> None:
        said = self.talk.say()
        whole = self.envelope(said)
        self.assertEqual(said[2], VERSION)
        self.assertEqual(int.from_bytes(said[12:20], "big"), int(self.talk.clock.wall * 1e6))
        self.assertEqual((said[20:36], said[44:60]), (whole.salt, whole.mic))
        self.talk.reconnect()
        self.assertNotEqual(self.envelope().salt, whole.salt)

    def test_claim_04_the_service_pair_header_comes_of_the_initiator_s_private_key(self) -> None:
        whole = self.envelope()
        assert whole.pair is not None
        for name, right in ((NODE, True), (HOME, False)):
            voucher = trust().verify(identity(name).chain, self.talk.clock.wall)
            if right:
                verify_pair(voucher, whole.pair.proof, whole.signed)
            else:
                self.assertRaises(AuthenticationFailed, verify_pair, voucher, whole.pair.proof, whole.signed)

    def test_claim_05_it_has_the_names_and_issue_dates_of_both_certificates_and_a_signature(self) -> None:
        pair = self.envelope().pair
        assert pair is not None
        found = [
            (pair.initiator, pair.initiator_issued, pair.initiator_fingerprint),
            (pair.target, pair.target_issued, pair.target_fingerprint),
        ]
        ours = [(each.nai, each.issued, bytes.fromhex(each.fingerprint)) for each in map(identity, (NODE, HOME))]
        self.assertEqual(found, ours)
        self.assertEqual((pair.service, bool(pair.proof)), (SERVICE, True))

    def test_claim_06_the_signature_is_over_a_hash_of_those_fields(self) -> None:
        whole = self.envelope()
        pair = whole.pair
        assert pair is not None
        signed = b"seckex1 service pair signature\0" + hashlib.sha256(whole.signed).digest()
        voucher = trust().verify(pair.chain, self.talk.clock.wall)
        voucher.verify(pair.proof, signed.partition(b"\0")[0], hashlib.sha256(whole.signed).digest())
        for other in (
            evolve(pair, initiator=EVE),
            evolve(pair, initiator_issued=pair.initiator_issued + 1),
            evolve(pair, target=EVE),
            evolve(pair, target_issued=pair.target_issued + 1),
        ):
            altered = decode_envelope(encode_envelope(evolve(whole, pair=other)))
            self.assertNotEqual(altered.signed, whole.signed)
            self.assertRaises(AuthenticationFailed, verify_pair, voucher, pair.proof, altered.signed)

    def test_claim_07_the_kek_header_comes_of_the_target_s_public_key(self) -> None:
        whole = self.envelope()
        assert whole.kek is not None
        told = self.talk.node.known[HOME]
        self.assertEqual((whole.kek.source, whole.kek.source_id), (MessageKek.PREKEY, told.id))
        self.assertEqual(told.public, self.talk.home.private[told.id].public)
        other = Person(HOME, self.talk.clock, seed="another")
        self.talk.home.private = {told.id: next(iter(other.private.values()))}
        self.assertRaises(AuthenticationFailed, self.kek_by_hand, whole)

    def test_claim_08_it_has_the_kek_s_id_and_the_kek_encrypted(self) -> None:
        whole = self.envelope()
        assert whole.kek is not None
        kek = self.kek_by_hand(whole)
        self.assertEqual(whole.kek.kek_id, kek_id(kek))
        self.assertNotIn(kek.octets, encode_envelope(whole))

    def test_claim_09_the_kek_is_symmetric(self) -> None:
        # The same octets seal session keys at one end and open them at the other.
        whole = self.envelope()
        kek = self.kek_by_hand(whole)
        ours = self.talk.ours.kek
        assert ours is not None
        self.assertEqual(ours.secret, kek)
        self.dsk_by_hand(whole, kek)

    def test_claim_10_a_kek_of_128_bits_is_exceeded_and_suites_with_128_bits_are_there(self) -> None:
        # A KEK has 256 bits, more than the claim's 128; bodies go under a key of 128 bits if that is asked for.
        self.assertEqual(len(self.kek_by_hand(self.envelope())), 32)
        self.talk = Talk(suite=Suite.AES_128_GCM)
        whole = self.envelope()
        _, dsk, body = self.open_by_hand(whole)
        self.assertEqual((whole.suite, body), (Suite.AES_128_GCM, BODY))
        self.assertEqual(len(body_key(whole.suite, dsk, whole.salt, PATH, 0, bytes(32), DIALOG).key), 16)

    def test_claim_11_a_kek_is_of_one_initiator_and_one_target(self) -> None:
        keks = set()
        for node in (NODE, EVE):
            for home in (HOME, "third@example.org"):
                ours, theirs = Person(node, self.talk.clock, seed=home), Person(home, self.talk.clock)
                ours.hear(theirs)
                dialog = Initiating(ours, Terms(DIALOG, home, SERVICE), PrekeySource(ours))
                dialog.connection(PATH, self.talk.clock.now)
                header = decode_envelope(dialog.seal(1, 1, 0, 0, 1, 0, BODY, self.talk.clock.now)).kek
                assert header is not None
                keks.add(header.kek_id)
        self.assertEqual(len(keks), 4)
        # And it opens for no other pair, though the prekey is the target's own.
        whole = self.envelope()
        assert whole.pair is not None
        stranger = bytes.fromhex(identity(EVE).fingerprint)
        pair = whole.pair
        for other in (
            evolve(pair, initiator=EVE),
            evolve(pair, initiator_fingerprint=stranger),
            evolve(pair, target=EVE),
        ):
            self.assertRaises(AuthenticationFailed, self.kek_by_hand, evolve(whole, pair=other))

    def test_claim_12_all_messages_of_the_pair_rest_on_it(self) -> None:
        whole = self.envelope()
        kek, dsk, _ = self.open_by_hand(whole)
        self.talk.hear(encode_envelope(whole))
        self.talk.hold()
        for _ in range(3):
            self.assertEqual(self.body_by_hand(self.envelope(), dsk, whole.salt), BODY)
        self.talk.ours.rotate(self.talk.clock.now)
        later = self.envelope()
        assert later.key is not None
        later_dsk = unwrap_dsk(kek, later.key.generation, later.key.sealed, DIALOG, whole.kek_octets)
        self.assertEqual(self.body_by_hand(later, later_dsk, later.salt), BODY)

    def test_claim_13_the_session_key_header_comes_of_the_kek(self) -> None:
        whole = self.envelope()
        self.dsk_by_hand(whole, self.kek_by_hand(whole))
        self.assertRaises(AuthenticationFailed, self.dsk_by_hand, whole, Secret(bytes(32)))

    def test_claim_14_it_has_the_session_key_s_id_and_the_key_encrypted(self) -> None:
        whole = self.envelope()
        assert whole.key is not None
        _, dsk, _ = self.open_by_hand(whole)
        self.assertEqual(whole.key.dsk_id, dsk_id(dsk))
        self.assertNotIn(dsk.octets, encode_envelope(whole))

    def test_claim_15_the_mic_is_over_message_and_headers(self) -> None:
        whole = self.envelope()
        _, dsk, _ = self.open_by_hand(whole)
        altered = bytearray(whole.body)
        altered[0] ^= 1
        self.assertRaises(InvalidTag, self.body_by_hand, evolve(whole, body=bytes(altered)), dsk, whole.salt)
        for at in range(len(whole.associated)):
            octets = bytearray(whole.associated)
            octets[at] ^= 1
            self.assertRaises(InvalidTag, self.body_by_hand, evolve(whole, associated=bytes(octets)), dsk, whole.salt)

    def test_claim_16_the_mic_is_one_way(self) -> None:
        # The tag of an AEAD, keyed: neither message nor key follow from it, and no other message has it.
        self.talk.settle()
        mics = {self.envelope().mic for _ in range(64)}
        self.assertEqual((len(mics), {len(mic) for mic in mics}), (64, {16}))
        # Where an association vouches, and for what names headers, it is a hash by itself.
        self.talk = Talk(MessageKek.ASSOCIATION)
        whole = self.envelope()
        assert whole.pair is not None
        assert whole.kek is not None
        export = kek_export(self.talk.home.spis[next(iter(self.talk.home.spis))].keys, NODE, HOME, DIALOG)
        self.assertEqual(whole.pair.proof, mac_pair(exported_kek(export, whole.kek.sealed), whole.signed))
        self.assertEqual(whole.pair.initiator_fingerprint, association_fingerprint(NODE))

    # -- receiving

    def test_claim_17_a_receiver_opens_each_only_where_it_is_not_cached(self) -> None:
        said = [self.talk.say() for _ in range(2)]
        counts = self.counted()
        self.assertEqual(self.talk.hear(said[0]).body, BODY)
        self.assertEqual(counts, {"verify_pair": 1, "open_kek": 1, "unwrap_dsk": 1})
        # All headers again: authentication information, KEK and DSK are there already.
        self.assertEqual(self.talk.hear(said[1]).body, BODY)
        self.talk.hold()
        self.assertEqual(self.talk.hear(self.talk.say()).body, BODY)
        self.assertEqual(counts, {"verify_pair": 1, "open_kek": 1, "unwrap_dsk": 1})
        self.talk.ours.rotate(self.talk.clock.now)
        self.assertEqual(self.talk.hear(self.talk.say()).body, BODY)
        self.assertEqual(counts, {"verify_pair": 1, "open_kek": 1, "unwrap_dsk": 2})

    def counted(self) -> dict[str, int]:
        """Count from now on how often a target verifies and opens."""
        counts = dict.fromkeys(("verify_pair", "open_kek", "unwrap_dsk"), 0)
        taking = importlib.import_module("seckex.delivery.keys.taking")
        for module, name in ((taking, "verify_pair"), (taking, "open_kek"), (doorkeeper, "unwrap_dsk")):

            def counting(*args: object, name: str = name, really: object = getattr(module, name)) -> object:
                counts[name] += 1
                return really(*args)  # type: ignore[operator]  # a function of that module

            self.patch(module, name, counting)
        return counts

    def test_claim_18_the_dialog_s_state_at_the_endpoint_says_what_is_cached(self) -> None:
        self.talk.settle()
        short = self.talk.say()
        other = Talk(dialog_id=bytes(16))
        other.door = self.talk.door
        unknown = other.begin(PrekeySource(self.talk.node))
        headers = unknown.seal(1, 1, 0, 0, 1, 0, BODY, self.talk.clock.now)
        self.assertEqual(self.talk.hear(short).body, BODY)
        # The same KEK id or context in another dialog is not cached.
        moved = short[:48] + headers[60:76] + short[64:]
        with self.assertRaises(HeadersMissing):
            self.talk.hear(moved)

    def test_claim_19_what_is_received_has_pair_kek_and_session_key_headers_and_a_body(self) -> None:
        self.assertEqual(shape_of(self.talk.say()), WHOLE)

    def test_claim_20_what_is_received_has_the_pair_header_s_fields(self) -> None:
        opened = self.talk.hear(self.talk.say())
        self.assertEqual((opened.pair.initiator, opened.pair.target), (self.mine(NODE), self.mine(HOME)))

    def mine(self, name: str) -> object:
        return (self.talk.node if name == NODE else self.talk.home).principals[0]

    def test_claim_21_what_is_received_has_the_kek_s_id_and_the_kek_encrypted(self) -> None:
        whole = self.envelope()
        self.talk.hear(encode_envelope(whole))
        kek = self.talk.theirs.kek
        assert kek is not None
        assert whole.kek is not None
        self.assertEqual((kek.id, kek.secret), (whole.kek.kek_id, self.kek_by_hand(whole)))

    def test_claim_22_what_is_received_has_the_session_key_s_id_and_the_key_encrypted(self) -> None:
        whole = self.envelope()
        self.talk.hear(encode_envelope(whole))
        entry = self.talk.theirs.entry
        assert entry is not None
        assert whole.key is not None
        self.assertEqual(entry.generations[whole.key.dsk_id].dsk, self.open_by_hand(whole)[1])

    def test_claim_23_what_is_received_has_the_preamble_s_fields_and_they_are_judged(self) -> None:
        said = self.talk.say()
        opened = self.talk.hear(said)
        self.assertEqual(opened.created, self.talk.clock.wall)
        version = said[:2] + b"\2" + said[3:]
        later = said[:12] + (int(self.talk.clock.wall * 1e6) + 10**10).to_bytes(8, "big") + said[20:]
        salted = said[:20] + bytes(16) + said[36:]
        mic = said[:44] + bytes(16) + said[60:]
        for altered in (version, later, salted, mic):
            with self.assertRaises(Exception) as caught:
                self.talk.hear(altered)
            self.assertIn("seckex", type(caught.exception).__module__)

    def test_claim_24_a_receiver_holds_a_kek_to_its_pair(self) -> None:
        whole = self.talk.say()
        eve = Person(EVE, self.talk.clock)
        eve.private, eve.known = self.talk.home.private, self.talk.node.known
        self.talk.hear(whole)
        # Another target, even with the prekey's private half, is not whom the header is for.
        door = doorkeeper.Doorkeeper(eve)
        with self.assertRaises(HeadersMissing) as caught:
            door.open(whole, PATH, self.talk.clock.now)
        self.assertEqual(caught.exception.field, "target's fingerprint")

    def test_claim_25_all_messages_received_of_the_pair_rest_on_it(self) -> None:
        self.talk.settle()
        short, answer = self.talk.say(), self.talk.answer()
        self.talk.door.forget(self.talk.theirs)
        self.assertRaises(HeadersMissing, self.talk.hear, short)
        self.talk.ours.reseed()
        self.assertRaises(HeadersMissing, self.talk.heed, answer)

    # -- the methods

    def test_claim_26_the_method_signs_seals_wraps_and_encrypts(self) -> None:
        counts = {"sign_pair": 0, "wrap_dsk": 0}
        for name in counts:

            def counting(*args: object, name: str = name, really: object = getattr(initiating, name)) -> object:
                counts[name] += 1
                return really(*args)  # type: ignore[operator]  # a function of that module

            self.patch(initiating, name, counting)
        whole = self.envelope()
        self.assertEqual(counts, {"sign_pair": 1, "wrap_dsk": 1})
        self.assertEqual(self.open_by_hand(whole)[2], BODY)

    def test_claim_27_the_method_gives_one_message_of_all_four(self) -> None:
        said = self.talk.say()
        whole = self.envelope(said)
        parts = whole.pair_octets + whole.kek_octets + whole.key_octets + whole.body
        self.assertTrue(said.endswith(parts))
        self.assertEqual(self.talk.hear(said).body, BODY)

    def test_claim_28_each_is_in_a_header_of_its_own(self) -> None:
        whole = self.envelope()
        assert whole.pair is not None
        assert whole.kek is not None
        assert whole.key is not None
        self.assertIn(whole.pair.proof, whole.pair_octets)
        self.assertIn(whole.kek.sealed, whole.kek_octets)
        self.assertIn(whole.key.sealed, whole.key_octets)

    def test_claim_29_each_is_made_only_where_its_header_is_not_cached(self) -> None:
        self.assertEqual([shape_of(self.talk.say()) for _ in range(2)], [WHOLE] * 2)
        self.talk.hear(self.talk.say())
        said = self.talk.hold()
        held = self.talk.theirs.entry
        assert held is not None
        self.assertEqual(said, next(iter(held.generations.values())).chain)
        self.assertEqual(shape_of(self.talk.say()), SHORT)
        self.talk.ours.rotate(self.talk.clock.now)
        self.assertEqual(shape_of(self.talk.say()), NEW_KEY)
        self.talk.ours.rotate(self.talk.clock.now, kek=True)
        whole = self.envelope()
        self.assertEqual(
            self.talk.hear(encode_envelope(whole)).chain,
            chain_hash(whole.pair_unsigned, whole.kek_octets, whole.key_octets),
        )

    def test_claim_30_a_program_carries_out_the_method_of_sending(self) -> None:
        self.is_a_program_of_its_own(initiating.Initiating.seal)

    def is_a_program_of_its_own(self, function: object) -> None:
        """See that it is code of this package, which uses what it is given and no device of any other kind."""
        module = inspect.getmodule(function)
        assert module is not None
        self.assertTrue(module.__name__.startswith("seckex.delivery.keys."))
        imported = {
            line.split()[1].partition(".")[0]
            for line in inspect.getsource(module).splitlines()
            if line.startswith(("import ", "from "))
        }
        self.assertLessEqual(imported, {"__future__", "attrs", "collections", "seckex", "struct", "typing"})

    def test_claim_31_with_headers_stored_a_message_takes_the_session_key_alone(self) -> None:
        self.talk.settle()
        said = [self.talk.say() for _ in range(3)]
        self.talk.home.private.clear()
        self.talk.home.trust = None
        counts = self.counted()
        for each in said:
            self.assertEqual(shape_of(each), SHORT)
            self.assertEqual(self.talk.hear(each).body, BODY)
        self.assertEqual(set(counts.values()), {0})

    def test_claim_32_what_is_stored_is_what_the_headers_had(self) -> None:
        whole = self.envelope()
        opened = self.talk.hear(encode_envelope(whole))
        kek = self.talk.theirs.kek
        assert kek is not None
        self.assertEqual((kek.pair_unsigned, kek.octets), (whole.pair_unsigned, whole.kek_octets))
        self.assertEqual(opened.chain, chain_hash(whole.pair_unsigned, whole.kek_octets, whole.key_octets))

    def test_claim_33_what_is_not_stored_is_opened_with_public_private_and_exchange_key(self) -> None:
        whole = self.talk.say()
        for spoil in ("trust", "private half"):
            # The same two once more, as after a start: nothing is stored.
            self.talk = talk = Talk()
            if spoil == "trust":
                talk.home.trust = None
            else:
                talk.home.private.clear()
            self.assertRaises(HeadersMissing, talk.hear, whole)
            self.assertEqual(len(talk.door), 0)
        counts = self.counted()
        self.assertEqual(Talk().hear(whole).body, BODY)
        self.assertEqual(counts, {"verify_pair": 1, "open_kek": 1, "unwrap_dsk": 1})

    def test_claim_34_a_program_carries_out_the_method_of_receiving(self) -> None:
        self.is_a_program_of_its_own(doorkeeper.Doorkeeper.open)
        self.is_a_program_of_its_own(accepting.Accepting.seal)

    def test_claim_35_a_packet_without_a_service_pair_header_is_one_too(self) -> None:
        self.talk = Talk(anonymous=True)
        said = self.talk.say()
        packet = self.envelope(said)
        self.assertEqual(shape_of(said), ANONYMOUS)
        assert packet.kek is not None
        assert packet.key is not None
        self.assertTrue(packet.kek.sealed and packet.key.sealed and packet.body)
        opened = self.talk.hear(said)
        self.assertEqual((opened.peer, opened.body), ("", BODY))
        kek = self.talk.theirs.kek
        assert kek is not None
        self.assertEqual(
            dsk_id(unwrap_dsk(kek.secret, 1, packet.key.sealed, DIALOG, packet.kek_octets)), packet.key.dsk_id
        )


class WholeTests(SynchronousTestCase):
    """The list itself."""

    def test_every_claim_has_its_test(self) -> None:
        found = [name for name in vars(ClaimsTests) if name.startswith("test_claim_")]
        self.assertEqual([int(name.split("_")[2]) for name in found], list(range(1, CLAIMS + 1)))
