"""Envelopes, as octets written by hand from docs/messages.md and as values."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.envelope import (
    Envelope,
    decode_envelope,
    encode_envelope,
    encode_preamble,
    envelope_flags,
    envelope_size,
    signed_octets,
)
from seckex.wire.envelope_headers import Routing, encode_dialog_header, encode_kek, encode_key
from seckex.wire.envelope_pair import AnonymousPair, encode_anonymous, encode_pair_unsigned
from seckex.wire.numbers import MAX_BODY, Kem, MessageKek, PairAlgorithm
from tests.wire.messages import (
    ANONYMOUS,
    BODY,
    ENVELOPES,
    FRAGMENT,
    HYBRID,
    KEK,
    KEY,
    MAC_PAIR,
    MESSAGES,
    MIC,
    NAMED,
    OF_ASSOCIATION,
    PAIR,
    SALT,
    SALTED,
    SHORT_ENVELOPE,
    SIGNATURE,
    STATE,
    THREE_PHASE,
    A,
    B,
    envelopes,
)
from tests.wire.samples import FEW, faults_of, mutated

DIALOG_OCTETS = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 01 00 0003 0000 0000 0000000000000007 0000000000000002")
SHORT_OCTETS = (
    bytes.fromhex("534b 01 01 0000 0028 00000020 00065bfeda446480 00000007 0000000000000005")
    + MIC
    + DIALOG_OCTETS
    + BODY
)
PAIR_OCTETS = (
    bytes.fromhex("00dc 01 00 10")
    + A.encode()
    + bytes.fromhex("000000006ab13b80")
    + b"a" * 32
    + b"\x10"
    + B.encode()
    + bytes.fromhex("000000006a18a500")
    + b"b" * 32
    + b"\0\x06orders\x04\0\x16\x02\0\x0bcertificate\0\x06issuer"
)
PROOF_OCTETS = b"\x08" + SIGNATURE + bytes(64)
KEK_OCTETS = (
    bytes.fromhex("007b 01 01") + b"k" * 16 + bytes.fromhex("000000006ab28d00 10") + b"p" * 16 + b"\0\x50" + b"h" * 80
)
KEY_OCTETS = bytes.fromhex("004c 0000 00000001") + b"dsk--id." + b"k" * 16 + b"s" * 48


def octets(named: str) -> bytes:
    return encode_envelope(ENVELOPES[named])


def altered(octets: bytes, at: int, value: str) -> bytes:
    new = bytes.fromhex(value)
    return octets[:at] + new + octets[at + len(new) :]


class KnownOctetsTests(SynchronousTestCase):
    def test_the_short_shape_has_the_octets_of_the_document(self) -> None:
        self.assertEqual(encode_envelope(SHORT_ENVELOPE), SHORT_OCTETS)
        self.assertEqual(decode_envelope(SHORT_OCTETS), SHORT_ENVELOPE)

    def test_so_has_the_whole_shape(self) -> None:
        headers = DIALOG_OCTETS + PAIR_OCTETS + PROOF_OCTETS + KEK_OCTETS + KEY_OCTETS
        start = bytes.fromhex("534b 01 01 000f") + len(headers).to_bytes(2, "big") + bytes.fromhex("00000020")
        preamble = start + bytes.fromhex("00065bfeda446480") + SALT + bytes.fromhex("0000000000000005")
        self.assertEqual(octets("whole"), preamble + MIC + headers + BODY)
        read = decode_envelope(octets("whole"))
        self.assertEqual(read.pair_octets, PAIR_OCTETS + PROOF_OCTETS)
        self.assertEqual(read.pair_unsigned, PAIR_OCTETS)
        self.assertEqual(read.kek_octets, KEK_OCTETS)
        self.assertEqual(read.key_octets, KEY_OCTETS)
        self.assertEqual(read.associated, preamble + headers)
        self.assertEqual(read.signed, preamble + DIALOG_OCTETS + PAIR_OCTETS + KEK_OCTETS + KEY_OCTETS)

    def test_a_routing_header_is_covered_as_far_as_its_length(self) -> None:
        routed = evolve(ENVELOPES["whole"], routing=Routing(7, B, A))
        said = encode_envelope(routed)
        header = bytes.fromhex("0023 0000 07 10") + B.encode() + b"\x10" + A.encode()
        self.assertEqual(said[60:][: len(header)], header)
        read = decode_envelope(said)
        self.assertEqual(read.routing, Routing(7, B, A))
        self.assertEqual(read.associated, said[:44] + header[:4] + said[60 + len(header) : -len(BODY)])
        self.assertNotIn(header[:4], read.signed)
        # A relay has lowered the hops.
        changed = decode_envelope(altered(said, 64, "06"))
        self.assertEqual((changed.associated, changed.signed), (read.associated, read.signed))

    def test_what_a_signature_covers_can_be_written_before_it_is_there(self) -> None:
        for name in ("whole", "whole_hybrid", "whole_association", "whole_three_phase"):
            envelope = ENVELOPES[name]
            said = octets(name)
            pair, kek, key = envelope.pair, envelope.kek, envelope.key
            if pair is None or kek is None or key is None:
                self.fail(name)
            length = int.from_bytes(said[6:8], "big")
            preamble = encode_preamble(
                envelope.suite, envelope_flags(envelope), length, 32, envelope.created, envelope.counter, 0, SALT
            )
            unsigned = encode_pair_unsigned(evolve(pair, proof=b""))
            signed = signed_octets(
                preamble, encode_dialog_header(envelope.dialog), unsigned, encode_kek(kek), encode_key(key)
            )
            self.assertEqual(decode_envelope(said).signed, signed)

    def test_signatures_of_every_size_make_the_same_lengths(self) -> None:
        sizes = set()
        for size in range(1, 73):
            pair = evolve(PAIR, proof=b"\x01" * size)
            said = encode_envelope(evolve(ENVELOPES["whole"], pair=pair))
            self.assertEqual(decode_envelope(said).pair, pair)
            sizes.add(len(said))
        self.assertEqual(len(sizes), 1)

    def test_a_message_of_a_kibioctet_has_few_octets_around_it(self) -> None:
        self.assertLessEqual(len(SHORT_OCTETS) - len(BODY) + 13 + 20, 128)

    def test_only_who_has_a_pair_has_something_signed(self) -> None:
        for name, envelope in ENVELOPES.items():
            read = decode_envelope(octets(name))
            self.assertEqual(bool(read.signed), envelope.pair is not None, name)
            self.assertEqual(bool(read.kek_octets), envelope.kek is not None, name)
            self.assertEqual(bool(read.key_octets), envelope.key is not None, name)


class RoundTripTests(SynchronousTestCase):
    @FEW
    @given(envelopes())
    def test_any_envelope(self, envelope: Envelope) -> None:
        said = encode_envelope(envelope)
        self.assertEqual(decode_envelope(said), envelope)
        self.assertEqual(encode_envelope(decode_envelope(said)), said)
        self.assertEqual(envelope_size(said), len(said))


class WholeCutTrailingTests(SynchronousTestCase):
    def test_cut_anywhere_an_envelope_is_malformed(self) -> None:
        for name in ENVELOPES:
            said = octets(name)
            for size in range(len(said)):
                self.assertRaises(Malformed, decode_envelope, said[:size])

    def test_with_something_behind_it_too(self) -> None:
        for name in ENVELOPES:
            self.assertRaises(Malformed, decode_envelope, octets(name) + b"\0")

    def test_its_size_is_known_from_the_twelfth_octet_on(self) -> None:
        for name in ENVELOPES:
            said = octets(name)
            for size in range(0, len(said), 3):
                self.assertEqual(envelope_size(said[:size]), len(said) if size >= 12 else None)

    def test_every_length_of_every_header_must_be_right(self) -> None:
        for name in ("whole", "whole_kdc", "anonymous", "new_key", "short"):
            said = octets(name)
            for length in range(int.from_bytes(said[6:8], "big") + 3):
                if length != int.from_bytes(said[6:8], "big"):
                    self.assertRaises(Malformed, decode_envelope, altered(said, 6, f"{length:04x}"))
                    # Also where header and body together have the right size.
                    rest = len(said) - (48 if name == "short" else 60) - length
                    if rest >= 0:
                        moved = altered(said, 6, f"{length:04x}{rest:08x}")
                        self.assertRaises(Malformed, decode_envelope, moved)

    def test_so_must_those_inside(self) -> None:
        said = octets("whole")
        for at, size in ((100, 2), (100 + len(PAIR_OCTETS) + 73, 2), (100 + len(PAIR_OCTETS) + 73 + 127, 2)):
            right = int.from_bytes(said[at : at + size], "big")
            for length in {*range(right + 200), 0xFFFF, 0x8000} - {right}:
                self.assertRaises(Malformed, decode_envelope, altered(said, at, f"{length:04x}"))

    @FEW
    @given(mutated(st.sampled_from([octets(name) for name in ENVELOPES])))
    def test_what_is_altered_is_read_or_refused(self, said: bytes) -> None:
        read = faults_of(decode_envelope, said)
        faults_of(envelope_size, said)
        if read is not None:
            self.assertEqual(encode_envelope(read), said)


class RefusalTests(SynchronousTestCase):
    def assertMalformed(self, said: bytes, field: str) -> None:
        error = self.assertRaises(Malformed, decode_envelope, said)
        self.assertEqual(error.field, field)

    def test_another_protocol_version_or_suite(self) -> None:
        self.assertMalformed(altered(SHORT_OCTETS, 0, "4d53"), "Magic")
        self.assertRaises(UnsupportedVersion, decode_envelope, altered(SHORT_OCTETS, 2, "02"))
        self.assertMalformed(altered(SHORT_OCTETS, 3, "04"), "Suite")

    def test_every_other_combination_of_flags(self) -> None:
        shapes = {
            shape | more
            for shape in (0x0F, 0x0D, 0x09, 0x00, 0x19, 0x10)
            for more in (0, 0x20, 0x40, 0x60)
        }  # fmt: skip
        for flags in range(0x10000):
            if flags not in shapes:
                error = self.assertRaises(Malformed, envelope_size, altered(SHORT_OCTETS[:12], 4, f"{flags:04x}"))
                self.assertEqual(error.field, "Flags")

    def test_bodies_that_are_too_short_or_too_long(self) -> None:
        for size in (0, 31, MAX_BODY + 1, 0xFFFFFFFF):
            self.assertMalformed(altered(SHORT_OCTETS, 8, f"{size:08x}"), "Body length")

    def test_headers_that_are_too_long(self) -> None:
        self.assertMalformed(altered(octets("whole"), 6, f"{12_289:04x}"), "Header length")

    def test_dialog_headers(self) -> None:
        for name, at, value, field in (
            ("short", 16, "00", "Kind"),
            ("short", 16, "04", "Kind"),
            ("short", 17, "01", "Reserved"),
            ("short", 18, "0000", "Count"),
            ("short", 18, "1001", "Count"),
            ("short", 20, "0001", "Fragment"),
            ("short", 22, "0001", "Fragment"),
            ("short", 24, "00" * 8, "Sequence"),
            ("short", 24, "ff" * 8, "Sequence"),
            ("short", 16, "02", "Flags"),
            ("short_fragment", 16, "01", "Flags"),
            ("short_fragment", 18, "0002", "Count"),
            ("short_fragment", 20, "0002", "Fragment"),
            ("short_fragment", 22, "0001", "Fragments"),
            ("short_back", 18, "0001", "Count"),
            ("short_back", 31, "01", "Sequence"),
        ):
            self.assertMalformed(altered(octets(name), 48 + at, value), field)

    def test_service_pairs(self) -> None:
        at = 100
        proof_at = at + len(PAIR_OCTETS)
        for where, value, field in (
            (at, "2001", "Length"),
            (at + 2, "03", "Algorithm"),
            (at + 3, "01", "Reserved"),
            (at + 5, "40", "initiator's NAI"),
            (proof_at - 25, "08", "Priority"),
            (proof_at, "00", "signature"),
            (proof_at, "49", "signature"),
            (proof_at + 72, "01", "padding"),
            (proof_at - 22, "00", "Count"),
            (proof_at - 22, "05", "Count"),
        ):
            self.assertMalformed(altered(octets("whole"), where, value), field)
        empty = octets("whole").replace(b"\x06orders\x04", b"\0\x06orders"[:8])
        self.assertMalformed(empty, "target's service")

    def test_a_mac_has_neither_certificates_nor_dates(self) -> None:
        self.assertMalformed(altered(octets("whole"), 102, "02"), "chain")
        said = octets("whole_association")
        self.assertMalformed(altered(said, 100 + 4 + 1 + 16 + 7, "01"), "issue date")

    def test_key_exchange_keys(self) -> None:
        at = 100 + len(PAIR_OCTETS) + len(PROOF_OCTETS)
        for where, value, field in (
            (at + 2, "00", "Source"),
            (at + 2, "05", "Source"),
            (at + 3, "00", "KEM"),
            (at + 3, "02", "sealed KEK"),
            (at + 3, "03", "KEM"),
            (at + 2, "02", "KEM"),
            (at + 2, "0200", "source id"),
            (at + 2, "0400", "sealed KEK"),
            (at + 28, "0f", "sealed KEK"),
        ):
            self.assertMalformed(altered(octets("whole"), where, value), field)

    def test_session_keys(self) -> None:
        said = octets("named")
        for where, value, field in (
            (100, "001d", "Length"),
            (102, "01", "Reserved"),
            (104, "00000000", "Generation"),
        ):
            self.assertMalformed(altered(said, where, value), field)

    def test_routing_headers(self) -> None:
        said = octets("new_key")
        for where, value, field in (
            (62, "0001", "Reserved"),
            (66, "20", "destination"),
            (66, "40", "destination"),
            (83, "11", "origin"),
            (60, "0024", "routing header"),
        ):
            self.assertMalformed(altered(said, where, value), field)


class TogetherTests(SynchronousTestCase):
    """Headers that are right by themselves, and wrong beside others, are neither read nor written."""

    def test_they_are_not_written(self) -> None:
        wrong: tuple[tuple[str, dict[str, Any]], ...] = (
            ("short", {"salt": SALT}),
            ("short", {"key": KEY}),
            ("short", {"context": 1 << 32}),
            ("short", {"mic": b"short"}),
            ("short", {"body": BODY[:31]}),
            ("short", {"body": bytes(MAX_BODY + 1)}),
            ("short", {"pair": PAIR}),
            ("named", {"salt": b""}),
            ("named", {"salt": b"short"}),
            ("named", {"context": 1}),
            ("named", {"pair": PAIR}),
            ("named_back", {"key": KEY}),
            ("whole", {"key": None}),
            ("whole", {"key": NAMED}),
            ("whole", {"key": evolve(KEY, kek_id=b"K" * 16)}),
            ("whole", {"kek": ANONYMOUS}),
            ("whole", {"back": True}),
            ("whole", {"pair": MAC_PAIR}),
            ("whole_three_phase", {"pair": MAC_PAIR}),
            ("anonymous", {"kek": KEK}),
            ("anonymous", {"kek": OF_ASSOCIATION}),
            ("anonymous", {"kek": THREE_PHASE}),
            ("anonymous", {"kek": HYBRID}),
        )
        for name, changes in wrong:
            self.assertRaises(ApiMisuse, encode_envelope, evolve(ENVELOPES[name], **changes))

    def assertRefused(self, said: bytes, field: str, why: str) -> None:
        error = self.assertRaises(Malformed, decode_envelope, said)
        self.assertEqual(error.field, field)
        self.assertIn(why, str(error))

    def test_a_sealed_session_key_back(self) -> None:
        said = encode_envelope(evolve(SALTED, key=KEY))
        self.assertRefused(altered(said, 4, "0019"), "session key header", "direction back")

    def test_a_session_key_under_another_kek(self) -> None:
        said = octets("whole").replace(b"dsk--id." + b"k" * 16, b"dsk--id." + b"K" * 16)
        self.assertRefused(said, "session key header", "another KEK")

    def test_a_kek_without_a_sealed_session_key(self) -> None:
        whole = octets("whole")
        length = int.from_bytes(whole[6:8], "big") - 48
        said = altered(whole, 6, f"{length:04x}").replace(KEY_OCTETS, altered(KEY_OCTETS[:-48], 0, "001c"))
        self.assertRefused(said, "session key header", "no sealed DSK")

    def test_an_anonymous_kek_beside_a_pair_and_the_other_way_round(self) -> None:
        whole, anonymous = octets("whole"), octets("anonymous")
        kek = encode_kek(ANONYMOUS)
        length = int.from_bytes(whole[6:8], "big") + 40
        said = altered(whole, 6, f"{length:04x}").replace(KEK_OCTETS, kek)
        self.assertRefused(said, "KEK header", "more than a KEK")
        length = int.from_bytes(anonymous[6:8], "big") - 40
        said = altered(anonymous, 6, f"{length:04x}").replace(kek, KEK_OCTETS)
        self.assertRefused(said, "KEK header", "anonymous")

    def test_a_mac_under_a_kek_that_anybody_can_seal(self) -> None:
        for kek in (KEK, THREE_PHASE):
            said = octets("whole_association")
            new = encode_kek(kek)
            length = int.from_bytes(said[6:8], "big") + len(new) - len(encode_kek(OF_ASSOCIATION))
            said = altered(said, 6, f"{length:04x}").replace(encode_kek(OF_ASSOCIATION), new)
            self.assertRefused(said, "KEK header", "MAC")


class MisuseTests(SynchronousTestCase):
    def test_headers_that_nobody_would_read(self) -> None:
        for dialog in (
            evolve(MESSAGES, count=0),
            evolve(MESSAGES, sequence=0),
            evolve(MESSAGES, dialog_id=b"short"),
            evolve(MESSAGES, acknowledged=1 << 64),
            evolve(FRAGMENT, fragment=2),
            evolve(STATE, count=1),
        ):
            self.assertRaises(ApiMisuse, encode_envelope, evolve(SHORT_ENVELOPE, dialog=dialog))
        for pair in (
            evolve(PAIR, initiator="nobody"),
            evolve(PAIR, chain=()),
            evolve(PAIR, chain=(bytes(6145),)),
            evolve(PAIR, service=""),
            evolve(PAIR, own="x" * 256),
            evolve(PAIR, priority=8),
            evolve(PAIR, proof=b""),
            evolve(PAIR, proof=bytes(73)),
            evolve(PAIR, target_fingerprint=bytes(31)),
            evolve(PAIR, algorithm=PairAlgorithm.MAC),
            evolve(MAC_PAIR, proof=bytes(31)),
            evolve(MAC_PAIR, target_issued=1),
        ):
            whole = evolve(ENVELOPES["whole_association"], pair=pair)
            self.assertRaises(ApiMisuse, encode_envelope, whole)
        for kek in (
            evolve(KEK, kem=None),
            evolve(KEK, kem=Kem.X25519_ML_KEM_768),
            evolve(KEK, source_id=b"short"),
            evolve(KEK, kek_id=b"short"),
            evolve(KEK, sealed=b"h" * 79),
            evolve(KEK, sealed=b"h" * 2000),
            evolve(OF_ASSOCIATION, kem=Kem.X25519),
            evolve(OF_ASSOCIATION, source=MessageKek.PREKEY),
        ):
            self.assertRaises(ApiMisuse, encode_kek, kek)
        for key in (
            evolve(KEY, generation=0),
            evolve(KEY, generation=1 << 32),
            evolve(KEY, sealed=b"s" * 47),
            evolve(KEY, dsk_id=b"short"),
            evolve(KEY, kek_id=b"short"),
        ):
            self.assertRaises(ApiMisuse, encode_key, key)

    def test_the_longest_headers_fit(self) -> None:
        chain = (bytes(6144),)
        name = "n" * 126 + "@" + "r" * 126
        pair = evolve(PAIR, chain=chain, proof=bytes(72), initiator=name, target=name, own="o" * 255, service="s" * 255)
        routed = Routing(255, name, name)
        said = encode_envelope(evolve(SALTED, pair=pair, kek=HYBRID, key=KEY, routing=routed))
        self.assertEqual(decode_envelope(said).pair, pair)

    def test_what_an_anonymous_initiator_seals(self) -> None:
        said = encode_anonymous(AnonymousPair(B, "", "orders", 4))
        self.assertEqual(said, b"\x10" + B.encode() + b"\0\x06orders\x04")
