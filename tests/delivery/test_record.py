"""The fast path is the plain codec: same octets out, same envelopes in, same refusals; and each counter once."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import BodyKey
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import KEY_SIZES, new_aead
from seckex.delivery.record import MOST_ENVELOPES, WINDOW, BodyOpener, BodySealer
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, SeckexError
from seckex.wire.envelope import Envelope, decode_envelope, encode_envelope
from seckex.wire.envelope_headers import DialogHeader, Routing, encode_kek, encode_key, encode_routing
from seckex.wire.envelope_pair import ServicePair, encode_pair_unsigned
from seckex.wire.numbers import MAX_BODY, MIN_BODY, MessageKind, RecordFlag, Suite
from tests.wire.messages import KEK, KEY, MAC_PAIR, NAMED, OF_ASSOCIATION, PAIR

FEW: Final = settings(max_examples=80, deadline=None)
CREATED: Final = 1_790_000_000_123_456
DIALOG: Final = bytes(range(16))
SALT: Final = b"S" * 16
CONTEXT: Final = 0xC0FFEE
ROUTING: Final = Routing(7, "t@example.net", "a@example.org")


def clock() -> int:
    return CREATED * 1000 + 789


def key(suite: Suite = Suite.AES_256_GCM) -> BodyKey:
    return BodyKey(suite, Secret(bytes(range(KEY_SIZES[suite]))), b"pref", CONTEXT)


def sealer(suite: Suite = Suite.AES_256_GCM, back: bool = False) -> BodySealer:
    return BodySealer(key(suite), DIALOG, back, clock)


def opener(suite: Suite = Suite.AES_256_GCM, back: bool = False) -> BodyOpener:
    return BodyOpener(key(suite), DIALOG, back)


def plain(envelope: Envelope) -> bytes:
    """Return an envelope whose body is plaintext sealed the slow way, by the page."""
    read = decode_envelope(encode_envelope(envelope))
    nonce = b"pref" + envelope.counter.to_bytes(8, "big")
    aead = new_aead(envelope.suite, key(envelope.suite).key.octets)
    sealed = aead.encrypt(nonce, envelope.body, read.associated)
    return encode_envelope(evolve(envelope, body=sealed[:-16], mic=sealed[-16:]))


def short(header: DialogHeader, body: bytes, suite: Suite, back: bool, counter: int) -> Envelope:
    return Envelope(suite, back, CREATED, counter, header, body, context=CONTEXT)


def fields(header: DialogHeader) -> tuple[int, int, int, int, int, int]:
    return (
        header.kind, header.count, header.fragment, header.fragments, header.sequence, header.acknowledged
    )  # fmt: skip


acknowledged = st.integers(0, (1 << 64) - 1)
headers = st.one_of(
    st.builds(
        DialogHeader,
        st.just(DIALOG),
        st.just(MessageKind.MESSAGES),
        st.integers(1, 4096),
        sequence=st.one_of(st.integers(1, 99), st.integers(1, (1 << 64) - 4097)),
        acknowledged=acknowledged,
    ),
    st.builds(
        DialogHeader,
        st.just(DIALOG),
        st.just(MessageKind.FRAGMENT),
        st.just(1),
        st.integers(0, 9),
        st.integers(10, 65535),
        st.integers(1, 99),
        acknowledged,
    ),
    st.builds(DialogHeader, st.just(DIALOG), st.just(MessageKind.STATE), acknowledged=acknowledged),
)
bodies = st.one_of(
    st.binary(min_size=MIN_BODY, max_size=80),
    st.sampled_from([MIN_BODY, 1024, MAX_BODY]).map(lambda size: b"\x5a" * size),
)
MESSAGES: Final = DialogHeader(DIALOG, MessageKind.MESSAGES, 1, sequence=5, acknowledged=3)
BODY: Final = b"b" * 40


class EqualityTests(SynchronousTestCase):
    @FEW
    @given(st.lists(st.tuples(headers, bodies), min_size=1, max_size=4), st.sampled_from(Suite), st.booleans())
    def test_the_short_shape(self, said: list[tuple[DialogHeader, bytes]], suite: Suite, back: bool) -> None:
        fast, reader = sealer(suite, back), opener(suite, back)
        for counter, (header, body) in enumerate(said):
            octets = fast.seal(*fields(header), body)
            self.assertEqual(octets, plain(short(header, body, suite, back, counter)))
            self.assertEqual(reader.open(octets), body)
        self.assertEqual((fast.counter, reader.counter), (len(said), len(said)))
        self.assertEqual(fast.octets, sum(len(body) for _, body in said))

    @FEW
    @given(headers, bodies, st.sampled_from(Suite), st.booleans(), st.booleans())
    def test_salted_shapes(self, header: DialogHeader, body: bytes, suite: Suite, back: bool, routed: bool) -> None:
        fast, reader = sealer(suite, back), opener(suite, back)
        routing = ROUTING if routed else None
        octets = fast.seal(
            *fields(header),
            body,
            encode_key(NAMED),
            RecordFlag.SESSION_KEY,
            SALT,
            encode_routing(ROUTING) if routed else b"",
        )
        expected = Envelope(suite, back, CREATED, 0, header, body, salt=SALT, routing=routing, key=NAMED)
        self.assertEqual(octets, plain(expected))
        self.assertEqual(reader.open(octets), body)

    @FEW
    @given(headers, bodies, st.sampled_from([PAIR, MAC_PAIR]), st.booleans())
    def test_the_whole_shape(self, header: DialogHeader, body: bytes, pair: ServicePair, routed: bool) -> None:
        fast, reader = sealer(), opener()
        kek = OF_ASSOCIATION if pair is MAC_PAIR else KEK
        session = evolve(KEY, kek_id=kek.kek_id)
        asked: list[bytes] = []

        def prove(signed: bytes) -> bytes:
            asked.append(signed)
            return pair.proof

        octets = fast.seal_proven(
            *fields(header),
            body,
            SALT,
            encode_pair_unsigned(pair),
            pair.algorithm,
            encode_kek(kek) + encode_key(session),
            prove,
            encode_routing(ROUTING) if routed else b"",
        )
        routing = ROUTING if routed else None
        expected = Envelope(
            Suite.AES_256_GCM, False, CREATED, 0, header, body,
            salt=SALT, routing=routing, pair=pair, kek=kek, key=session,
        )  # fmt: skip
        self.assertEqual(octets, plain(expected))
        self.assertEqual(asked, [decode_envelope(octets).signed])
        self.assertEqual(reader.open(octets), body)

    @FEW
    @given(st.data())
    def test_what_either_refuses_the_other_does(self, data: st.DataObject) -> None:
        """Any octet of a header is another: it is malformed for both, or fails the integrity check."""
        header = data.draw(headers)
        octets = bytearray(sealer().seal(*fields(header), BODY))
        at = data.draw(st.integers(0, 87))
        octets[at] ^= data.draw(st.integers(1, 255))
        reader = opener()
        error = self.assertRaises(SeckexError, reader.open, bytes(octets))
        try:
            envelope = decode_envelope(bytes(octets))
        except SeckexError as expected:
            self.assertEqual((type(error), str(error)), (type(expected), str(expected)))
        else:
            self.assertIsInstance(error, AuthenticationFailed | Malformed)
            self.assertRaises(type(error), opener().open_decoded, envelope)
        self.assertEqual(reader.counter, 0)

    def test_a_sealed_header_that_cannot_be_is_refused_though_it_verifies(self) -> None:
        """The peer has the keys, and writes what no version 1 has."""
        for said in (
            (1, 0, 0, 0, 5, 0),
            (1, 4097, 0, 0, 5, 0),
            (1, 1, 0, 2, 5, 0),
            (1, 1, 1, 0, 5, 0),
            (1, 1, 0, 0, 0, 0),
            (1, 2, 0, 0, (1 << 64) - 2, 0),
            (2, 1, 2, 2, 5, 0),
            (3, 1, 0, 0, 0, 0),
            (4, 1, 0, 0, 5, 0),
        ):
            self.assertRaises(Malformed, opener().open, sealer().seal(*said, BODY))
        self.assertEqual(opener().open(sealer().seal(1, 1, 0, 0, (1 << 64) - 2, 0, BODY)), BODY)


class WrongKeyTests(SynchronousTestCase):
    def test_another_dialog_direction_suite_or_context(self) -> None:
        octets = sealer().seal(*fields(MESSAGES), BODY)
        for other in (
            BodyOpener(key(), bytes(16), False),
            BodyOpener(key(), DIALOG, True),
            BodyOpener(key(Suite.CHACHA20_POLY1305), DIALOG, False),
            BodyOpener(evolve(key(), context=1), DIALOG, False),
        ):
            self.assertRaises(Malformed, other.open, octets)
        stranger = BodyOpener(evolve(key(), key=Secret(bytes(32))), DIALOG, False)
        self.assertRaises(AuthenticationFailed, stranger.open, octets)

    def test_every_bit(self) -> None:
        octets = sealer().seal(*fields(MESSAGES), BODY)
        reader = opener()
        for bit in range(8 * len(octets)):
            altered = bytearray(octets)
            altered[bit // 8] ^= 1 << bit % 8
            self.assertRaises(SeckexError, reader.open, bytes(altered))
        for size in range(len(octets)):
            self.assertRaises(SeckexError, reader.open, octets[:size])
        self.assertRaises(SeckexError, reader.open, octets + b"\0")
        self.assertEqual(reader.open(octets), BODY)

    def test_only_the_length_of_a_routing_header_is_covered(self) -> None:
        octets = sealer().seal(
            *fields(MESSAGES), BODY, encode_key(NAMED), RecordFlag.SESSION_KEY, SALT, encode_routing(ROUTING)
        )
        fewer = encode_envelope(evolve(decode_envelope(octets), routing=evolve(ROUTING, hops=6)))
        self.assertNotEqual(fewer, octets)
        self.assertEqual(opener().open(fewer), BODY)
        away = encode_envelope(evolve(decode_envelope(octets), routing=None))
        self.assertRaises(AuthenticationFailed, opener().open, away)


class CounterTests(SynchronousTestCase):
    """Each counter is taken once, in whatever order."""

    def setUp(self) -> None:
        self.sealer, self.opener = sealer(), opener()

    def sealed(self, count: int) -> list[bytes]:
        return [self.sealer.seal(*fields(MESSAGES), BODY) for _ in range(count)]

    def again(self, octets: bytes) -> None:
        self.assertRaises(AuthenticationFailed, self.opener.open, octets)

    def test_in_order_and_again(self) -> None:
        said = self.sealed(3)
        for octets in said:
            self.opener.open(octets)
        for octets in said:
            self.again(octets)

    def test_out_of_order(self) -> None:
        said = self.sealed(6)
        for at in (2, 0, 5, 1, 3, 4):
            self.assertEqual(self.opener.open(said[at]), BODY)
        for octets in said:
            self.again(octets)

    def test_the_window_ends(self) -> None:
        said = self.sealed(WINDOW + 3)
        self.opener.open(said[WINDOW])
        self.again(said[0])
        self.opener.open(said[1])
        # In order, the window moves on over what is missing.
        self.opener.open(said[WINDOW + 1])
        self.opener.open(said[WINDOW + 2])
        self.again(said[1])
        self.again(said[2])
        self.opener.open(said[3])
        self.again(said[3])

    def test_a_leap_leaves_nothing_behind(self) -> None:
        early = self.sealed(2)
        self.opener.open(early[0])
        self.sealer.counter = 1 << 31
        self.opener.open(self.sealed(1)[0])
        self.again(early[1])
        self.sealer.counter = (1 << 31) - WINDOW + 1
        self.opener.open(self.sealed(1)[0])

    def test_what_does_not_verify_moves_nothing(self) -> None:
        said = self.sealed(3)
        for octets in said:
            for forged in (octets[:-1] + b"?", octets[:24] + b"\0" * 4 + b"\x7f" * 4 + octets[32:]):
                self.assertRaises(AuthenticationFailed, self.opener.open, forged)
            self.opener.open(octets)

    @FEW
    @given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
    def test_as_a_set_would(self, order: list[int]) -> None:
        taken: set[int] = set()
        reader = opener()
        for counter in order:
            fast = sealer()
            fast.counter = counter
            octets = fast.seal(*fields(MESSAGES), BODY)
            if counter in taken or counter <= max(taken, default=0) - WINDOW:
                self.assertRaises(AuthenticationFailed, reader.open, octets)
            else:
                reader.open(octets)
                taken.add(counter)

    def test_a_key_ends(self) -> None:
        self.sealer.counter = MOST_ENVELOPES - 1
        last = self.sealed(1)[0]
        self.assertEqual(self.opener.open(last), BODY)
        salted: tuple[Any, ...] = (*fields(MESSAGES), BODY, encode_key(NAMED), RecordFlag.SESSION_KEY, SALT)
        for call in (lambda: self.sealed(1), lambda: self.sealer.seal(*salted)):
            error = self.assertRaises(ApiMisuse, call)
            self.assertIn("under one key", str(error))
        self.assertEqual(self.sealer.counter, MOST_ENVELOPES)


class MisuseTests(SynchronousTestCase):
    def test_what_cannot_be_said_uses_no_counter(self) -> None:
        fast = sealer()
        for said in (
            (*fields(MESSAGES), bytes(MIN_BODY - 1)),
            (*fields(MESSAGES), bytes(MAX_BODY + 1)),
            (1, 65536, 0, 0, 5, 0, BODY),
            (1, 1, 0, 0, 1 << 64, 0, BODY),
            (1, 1, 0, 0, 5, 0, BODY, b"", RecordFlag.SESSION_KEY, b"short"),
            (1, 65536, 0, 0, 5, 0, BODY, encode_key(NAMED), RecordFlag.SESSION_KEY, SALT),
        ):
            self.assertRaises(ApiMisuse, fast.seal, *said)
        self.assertEqual((fast.counter, fast.octets), (0, 0))

    def test_nothing_is_shown(self) -> None:
        self.assertEqual(repr(sealer()), "<BodySealer before 0>")
        self.assertEqual(repr(opener()), "<BodyOpener before 0>")
