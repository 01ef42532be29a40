"""The fast path is the plain codec: same octets out, same records in, same refusals."""

from __future__ import annotations

from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.schedule import RecordKey
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import KEY_SIZES
from seckex.dialog.plain import open_record, seal_record
from seckex.dialog.record import LARGEST_INBOX, LARGEST_RECORD, Inbox, Opener, Outbox, Sealer
from seckex.errors import AuthenticationFailed, Malformed, UnsupportedVersion
from seckex.wire.dialog import Record, decode_record, encode_record
from seckex.wire.numbers import MAX_BODY, RecordType, Suite
from tests.dialog.parts import CREATED, clock

FEW = settings(max_examples=60, deadline=None)
CONTEXT = 0xC0FFEE

Opened = tuple[int, int, int, bytes]


def key(suite: Suite) -> RecordKey:
    return RecordKey(suite, Secret(bytes(range(KEY_SIZES[suite]))), b"pref")


@frozen
class Content:
    """What a record says."""

    kind: RecordType
    dialog: int
    sequence: int
    body: bytes

    @property
    def word(self) -> int:
        return self.kind << 24


def plain(content: Content, suite: Suite, from_responder: bool, counter: int) -> Record:
    """Return the record of ``content``, sealed the plain way."""
    record = Record(
        suite=suite,
        from_responder=from_responder,
        created=CREATED // 1000,
        kind=content.kind,
        body=content.body,
        dialog=content.dialog,
        sequence=content.sequence,
        context=CONTEXT,
        counter=counter,
    )
    return seal_record(record, key(suite))


contents = st.one_of(
    st.builds(
        Content,
        st.just(RecordType.DATA),
        st.integers(1, 0xFFFFFFFF),
        st.integers(0, (1 << 64) - 1),
        st.one_of(
            st.binary(min_size=1, max_size=80),
            st.sampled_from([1, 4095, 4096, 4097, 65535, MAX_BODY]).map(lambda size: b"\x5a" * size),
        ),
    ),
    st.builds(Content, st.just(RecordType.PING), st.just(0), st.just(0), st.binary(max_size=64)),
    st.builds(
        Content, st.just(RecordType.CREDIT), st.integers(1, 9), st.integers(0, 99), st.binary(min_size=8, max_size=8)
    ),
)


class Reading:
    """An opener that is fed pieces."""

    def __init__(self, suite: Suite, from_responder: bool = False, largest_body: int = MAX_BODY) -> None:
        self.inbox = Inbox()
        self.inbox.widen()
        self.opener = Opener(key(suite), CONTEXT, from_responder, self.inbox, largest_body)
        self.opened: list[Opened] = []

    def feed(self, octets: bytes) -> None:
        while octets:
            space = self.inbox.space()
            count = min(len(space), len(octets))
            space[:count] = octets[:count]
            self.inbox.end += count
            octets = octets[count:]
            self.opener.open_all({}, lambda *opened: self.opened.append(opened))


class SameTests(SynchronousTestCase):
    @FEW
    @given(st.sampled_from(Suite), st.booleans(), st.lists(contents, min_size=1, max_size=4))
    def test_what_is_sealed_is_what_the_plain_codec_seals(
        self, suite: Suite, from_responder: bool, said: list[Content]
    ) -> None:
        outbox = Outbox()
        sealer = Sealer(key(suite), CONTEXT, from_responder, clock, outbox)
        for content in said:
            sealer.seal(content.dialog, content.word, content.sequence, content.body)
        expected = b"".join(
            encode_record(plain(content, suite, from_responder, counter)) for counter, content in enumerate(said)
        )
        self.assertEqual(bytes(outbox.pending()), expected)
        self.assertEqual((sealer.counter, sealer.octets), (len(said), sum(len(content.body) for content in said)))

    @FEW
    @given(
        st.sampled_from(Suite),
        st.booleans(),
        st.lists(contents, min_size=1, max_size=4),
        st.lists(st.integers(1, 70000), max_size=8),
    )
    def test_what_the_plain_codec_seals_is_opened_however_it_is_cut(
        self, suite: Suite, from_responder: bool, said: list[Content], cuts: list[int]
    ) -> None:
        stream = b"".join(
            encode_record(plain(content, suite, from_responder, counter)) for counter, content in enumerate(said)
        )
        reading = Reading(suite, from_responder)
        for cut in cuts:
            reading.feed(stream[:cut])
            stream = stream[cut:]
        reading.feed(stream)
        self.assertEqual(
            reading.opened, [(content.dialog, content.word, content.sequence, content.body) for content in said]
        )
        self.assertEqual(reading.opener.octets, sum(len(content.body) for content in said))

    @FEW
    @given(contents.filter(lambda content: len(content.body) < 100), st.data())
    def test_one_octet_altered_is_refused_by_both(self, content: Content, data: st.DataObject) -> None:
        octets = bytearray(encode_record(plain(content, Suite.AES_256_GCM, False, 0)))
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at] ^= data.draw(st.integers(1, 255))
        refusals = (Malformed, UnsupportedVersion, AuthenticationFailed)
        with self.assertRaises(refusals):
            open_record(decode_record(bytes(octets)), key(Suite.AES_256_GCM))
        reading = Reading(Suite.AES_256_GCM)
        # A body length made larger waits for more, so more comes.
        with self.assertRaises(refusals):
            reading.feed(bytes(octets) + bytes(LARGEST_RECORD))
        self.assertEqual(reading.opened, [])

    def test_a_large_body_altered_is_refused(self) -> None:
        octets = bytearray(
            encode_record(plain(Content(RecordType.DATA, 1, 0, b"x" * 8192), Suite.AES_256_GCM, False, 0))
        )
        octets[5000] ^= 1
        with self.assertRaises(AuthenticationFailed):
            Reading(Suite.AES_256_GCM).feed(bytes(octets))


class OrderTests(SynchronousTestCase):
    """Every record is the next one of its own direction, context and suite, or it is refused."""

    first = plain(Content(RecordType.PING, 0, 0, b"one"), Suite.AES_256_GCM, False, 0)
    second = plain(Content(RecordType.PING, 0, 0, b"two"), Suite.AES_256_GCM, False, 1)

    def assertRefused(self, field: str, *records: Record) -> None:
        reading = Reading(Suite.AES_256_GCM)
        error = self.assertRaises(Malformed, reading.feed, b"".join(map(encode_record, records)))
        self.assertEqual(error.field, field)

    def test_replayed(self) -> None:
        self.assertRefused("Counter", self.first, self.first)

    def test_reordered(self) -> None:
        self.assertRefused("Counter", self.second, self.first)

    def test_of_another_context(self) -> None:
        self.assertRefused("Context", evolve(self.first, context=1))

    def test_reflected(self) -> None:
        self.assertRefused("Flags", evolve(self.first, from_responder=True))

    def test_of_another_suite(self) -> None:
        self.assertRefused("Suite", evolve(self.first, suite=Suite.AES_128_GCM))

    def test_not_sealed(self) -> None:
        hint = Record(Suite.AES_256_GCM, True, 1, RecordType.CLOSE, b"\x01\x2c", sealed=False)
        self.assertRefused("Flags", hint)

    def test_too_long_is_refused_before_it_has_come(self) -> None:
        reading = Reading(Suite.AES_256_GCM, largest_body=100)
        octets = encode_record(plain(Content(RecordType.DATA, 1, 0, b"x" * 101), Suite.AES_256_GCM, False, 0))
        error = self.assertRaises(Malformed, reading.feed, octets[:64])
        self.assertEqual(error.field, "Body length")

    def test_nothing_is_opened_after_a_stop(self) -> None:
        reading = Reading(Suite.AES_256_GCM)
        reading.opener.stop()
        reading.feed(encode_record(self.first))
        self.assertEqual(reading.opened, [])


class BufferTests(SynchronousTestCase):
    def test_an_outbox_keeps_what_was_not_sent_when_it_moves_and_grows(self) -> None:
        outbox = Outbox()
        sealer = Sealer(key(Suite.AES_256_GCM), CONTEXT, False, clock, outbox)
        expected = b""
        sent = b""
        for counter in range(40):
            content = Content(RecordType.DATA, 1, counter, bytes([counter]) * 700)
            sealer.seal(content.dialog, content.word, content.sequence, content.body)
            expected += encode_record(plain(content, Suite.AES_256_GCM, False, counter))
            sent += bytes(outbox.pending()[:500])
            outbox.sent(500)
        self.assertEqual(sent + bytes(outbox.pending()), expected)
        outbox.append(b"raw" * 4000)
        self.assertEqual(sent + bytes(outbox.pending()), expected + b"raw" * 4000)

    def test_an_inbox_stays_small_until_it_is_widened(self) -> None:
        inbox = Inbox()
        inbox.end += len(inbox.space())
        self.assertEqual(len(inbox.space()), 0)
        inbox.widen()
        self.assertEqual(len(inbox.space()), 2048)

    def test_an_inbox_grows_only_as_reads_fill_it(self) -> None:
        inbox = Inbox()
        inbox.widen()
        sizes = set()
        for _ in range(20):
            space = inbox.space()
            sizes.add(len(inbox.buffer))
            inbox.end += len(space)
            inbox.start = inbox.end
        self.assertEqual(max(sizes), LARGEST_INBOX)
        self.assertEqual(min(sizes), 2048)
        space = inbox.space()
        inbox.end += 10
        self.assertEqual(len(inbox.space()), len(space) - 10)
