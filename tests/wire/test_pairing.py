"""Cards and the messages of pairing, as octets of their docstring and as values."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.pairing import (
    MAX_CARD,
    MAX_PAIRING,
    Card,
    Commit,
    Confirm,
    PairingMessage,
    Refuse,
    Reveal,
    armour,
    decode_card,
    decode_pairing,
    encode_card,
    encode_pairing,
    unarmour,
)
from seckex.wire.prekey import encode_prekey
from tests.wire.messages import PREKEY, SIGNATURE, B, chains, exactly, signatures
from tests.wire.samples import FEW, faults_of, mutated, nais

CARD = Card(B, "192.0.2.1:4434", (b"certificate",), (), SIGNATURE)
CARD_OCTETS = (
    b"\x01\0\x10" + B.encode() + b"\x0e192.0.2.1:4434" + b"\0\x0e\x01\0\x0bcertificate" + b"\0" + b"\x08" + SIGNATURE
)
WITH_PREKEY = evolve(CARD, prekeys=(encode_prekey(PREKEY),))
MESSAGES: tuple[PairingMessage, ...] = (Commit(b"c" * 32), Reveal(b"n" * 32, CARD_OCTETS), Confirm(SIGNATURE), Refuse())


class CardTests(SynchronousTestCase):
    def test_a_card_has_the_octets_of_its_description(self) -> None:
        self.assertEqual(encode_card(CARD), CARD_OCTETS)
        self.assertEqual(decode_card(CARD_OCTETS), CARD)
        self.assertEqual(decode_card(CARD_OCTETS).unsigned, CARD_OCTETS[:-9])
        self.assertEqual(decode_card(encode_card(WITH_PREKEY)), WITH_PREKEY)

    @FEW
    @given(st.builds(Card, nais, st.text("abc.:[]019", max_size=40), chains, st.just(()), signatures))
    def test_any_card(self, card: Card) -> None:
        self.assertEqual(decode_card(encode_card(card)), card)

    def test_cut_anywhere_or_with_something_behind_it(self) -> None:
        for octets in (CARD_OCTETS, encode_card(WITH_PREKEY)):
            for size in range(len(octets)):
                self.assertRaises(Malformed, decode_card, octets[:size])
            self.assertRaises(Malformed, decode_card, octets + b"\0")

    def test_what_cannot_be_on_a_card(self) -> None:
        for at, value, field in (
            (1, b"\1", "Reserved"),
            (20, b"\n", "address"),
            (20, b"\xff", "address"),
            (34, b"\0\x0d", "certificate"),
            (50, b"\5", "Count"),
            (51, b"\0", "signature"),
        ):
            octets = CARD_OCTETS[:at] + value + CARD_OCTETS[at + len(value) :]
            self.assertEqual(self.assertRaises(Malformed, decode_card, octets).field, field)
        self.assertRaises(UnsupportedVersion, decode_card, b"\2" + CARD_OCTETS[1:])
        self.assertRaises(Malformed, decode_card, bytes(MAX_CARD + 1))
        damaged = encode_card(WITH_PREKEY).replace(b"p" * 16 + b"\0\x20", b"p" * 16 + b"\0\x21")
        self.assertEqual(self.assertRaises(Malformed, decode_card, damaged).field, "prekey")

    def test_what_would_not_be_read_is_not_written(self) -> None:
        for card in (
            evolve(CARD, signature=b""),
            evolve(CARD, signature=bytes(73)),
            evolve(CARD, nai="nobody"),
            evolve(CARD, address="\n"),
            evolve(CARD, address="x" * 256),
            evolve(CARD, chain=()),
            evolve(CARD, prekeys=(b"",) * 5),
            evolve(CARD, prekeys=(bytes(MAX_CARD),)),
        ):
            self.assertRaises(ApiMisuse, encode_card, card)

    @FEW
    @given(mutated(st.sampled_from([CARD_OCTETS, encode_card(WITH_PREKEY)])))
    def test_what_is_altered_is_read_or_refused(self, octets: bytes) -> None:
        card = faults_of(decode_card, octets)
        if card is not None:
            self.assertEqual(encode_card(card), octets)


class ArmourTests(SynchronousTestCase):
    def test_text_around_a_card_does_not_matter(self) -> None:
        text = "From: somebody\r\n\r\n" + armour(CARD_OCTETS).replace("\n", "\r\n") + "\r\nregards"
        self.assertEqual(unarmour(text.encode()), CARD_OCTETS)

    @FEW
    @given(st.binary(max_size=300))
    def test_any(self, octets: bytes) -> None:
        text = armour(octets)
        self.assertEqual(unarmour(text.encode()), octets)
        self.assertLessEqual(max(map(len, text.splitlines())), 64)

    def test_what_is_none(self) -> None:
        text = armour(CARD_OCTETS)
        for wrong in ("", text[:-10], text[10:], text.replace("AQ", "A"), text.replace("A", "ä")):
            self.assertRaises(Malformed, unarmour, wrong.encode())


class MessageTests(SynchronousTestCase):
    def test_messages_have_the_octets_of_their_description(self) -> None:
        self.assertEqual(encode_pairing(MESSAGES[0]), b"\0\x22\x01\x01" + b"c" * 32)
        self.assertEqual(encode_pairing(MESSAGES[1])[:3], (33 + len(CARD_OCTETS)).to_bytes(2, "big") + b"\x02")
        self.assertEqual(encode_pairing(MESSAGES[1])[3:], b"n" * 32 + CARD_OCTETS)
        self.assertEqual(encode_pairing(MESSAGES[2]), b"\0\x0a\x03\x08" + SIGNATURE)
        self.assertEqual(encode_pairing(MESSAGES[3]), b"\0\x01\x04")
        for message in MESSAGES:
            self.assertEqual(decode_pairing(encode_pairing(message)[2:]), message)

    def test_cut_or_with_something_behind_them(self) -> None:
        for message in MESSAGES:
            octets = encode_pairing(message)[2:]
            if not isinstance(message, Reveal):
                for size in range(len(octets)):
                    self.assertRaises(Malformed, decode_pairing, octets[:size])
                self.assertRaises(Malformed, decode_pairing, octets + b"\0")
        for size in range(33):
            self.assertRaises(Malformed, decode_pairing, (b"\2" + bytes(32))[:size])

    def test_what_is_no_message(self) -> None:
        for octets in (b"", b"\0", b"\5", bytes(MAX_PAIRING + 1)):
            self.assertRaises(Malformed, decode_pairing, octets)
        self.assertRaises(UnsupportedVersion, decode_pairing, b"\1\2" + bytes(32))
        self.assertRaises(ApiMisuse, encode_pairing, Commit(b"short"))
        self.assertRaises(ApiMisuse, encode_pairing, Reveal(bytes(32), bytes(MAX_PAIRING)))

    @FEW
    @given(exactly(32), st.binary(max_size=100))
    def test_any_that_reveals(self, nonce: bytes, card: bytes) -> None:
        self.assertEqual(decode_pairing(encode_pairing(Reveal(nonce, card))[2:]), Reveal(nonce, card))
