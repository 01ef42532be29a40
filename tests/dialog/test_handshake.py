"""Opening a link: HELLO, HELLO and proof; and everything that must not open one."""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.schedule import LinkKeys
from seckex.dialog.faces import Cause
from seckex.dialog.handshake import (
    TRANSITIONS,
    Arrived,
    Closed,
    ExpectHelloOfInitiator,
    ExpectHelloOfResponder,
    ExpectProof,
    Open,
    Proved,
    Stopped,
)
from seckex.dialog.link import Link
from seckex.dialog.plain import seal_record
from seckex.errors import ApiMisuse
from seckex.machine import Now, advance
from seckex.wire.dialog import Hello, Notice, Record, decode_record, encode_hello, encode_notice, encode_record
from seckex.wire.numbers import Code, RecordType, Suite
from tests.dialog.parts import (
    CREATED,
    LIMITS,
    SALT_I,
    SALT_R,
    SPI,
    LinkCase,
    Pair,
    Program,
    association,
    clock,
    kinds,
    schedule,
    split,
)


def hello_i(salt: bytes = SALT_I, spi: int = SPI, limits: Hello = LIMITS, counter: int = 0) -> Record:
    """Return an initiator's HELLO, made by hand."""
    record = Record(
        Suite.AES_256_GCM,
        False,
        CREATED // 1000,
        RecordType.HELLO,
        encode_hello(limits),
        counter=counter,
        salt=salt,
        spi=spi,
    )
    return seal_record(record, schedule().hello_i(salt))


def hint(code: int = Code.UNKNOWN_ASSOCIATION) -> bytes:
    """Return what anybody could send."""
    body = encode_notice(Notice(code))
    return encode_record(Record(Suite.AES_256_GCM, True, 1, RecordType.CLOSE, body, sealed=False))


class OpeningTests(LinkCase):
    def test_two_hellos_and_a_ping(self) -> None:
        pair = Pair()
        # initiator -> responder: HELLO, exactly as made by hand
        self.assertEqual(bytes(pair.i.sent), encode_record(hello_i()))
        pair.move(pair.i)
        # responder -> initiator: HELLO; the initiator's may have been a copy, so nothing is open yet
        self.assertEqual(kinds(bytes(pair.r.sent)), ["HELLO"])
        self.assertEqual(pair.r.said, [])
        pair.move(pair.r)
        # initiator -> responder: PING at once, which is proof
        self.assertEqual(pair.i.said, ["opened"])
        self.assertEqual(kinds(bytes(pair.i.sent)), ["PING"])
        pair.move(pair.i)
        self.assertEqual(pair.r.said, ["opened"])
        self.assertEqual(kinds(bytes(pair.r.sent)), ["PONG"])
        pair.settle()
        self.assertEqual((pair.i.said, pair.r.said), (["opened"], ["opened"]))
        for side in (pair.i, pair.r):
            self.assertTrue(side.link.is_open)
            self.assertIsNotNone(side.link.association)

    def test_with_every_suite(self) -> None:
        for suite in Suite:
            pair = Pair(ours=association(suite)).opened()
            dialog, program, _, far = pair.dialog()
            dialog.write(b"there")
            pair.settle()
            self.assertEqual((program.said, far.got), (["opened"], b"there"))

    def test_however_the_octets_are_cut(self) -> None:
        for most in (1, 2, 3, 7, 11, 12, 13, 59, 60, 61, 95, 96, 97):
            pair = Pair()
            pair.settle(most)
            dialog, _, _, far = pair.dialog()
            dialog.write(b"x" * 1000)
            dialog.end()
            pair.settle(most)
            self.assertEqual((far.got, far.said), (b"x" * 1000, ["opened", "ended"]))

    def test_the_first_record_may_be_more_than_a_ping(self) -> None:
        """Its body is small, whatever this side allows later."""
        pair = Pair(limits_r=Hello(65536, 4, 1024))
        pair.move(pair.i)
        pair.move(pair.r)
        program = Program()
        pair.i.link.open("s" * 255, b"D" * 16, program)
        pair.settle()
        self.assertEqual(program.said, ["opened"])

    def test_no_key_is_used_twice(self) -> None:
        """Fresh salts give fresh keys, though all counters begin at 0."""
        seen = set()
        for salts in ((SALT_I, SALT_R), (b"J" * 16, SALT_R), (SALT_I, b"Q" * 16)):
            keys: LinkKeys = schedule().body(*salts)
            seen |= {keys.initiator.key.octets, keys.responder.key.octets}
        self.assertEqual(len(seen), 6)


class RefusedByTheResponderTests(LinkCase):
    def assertClosed(self, pair: Pair, cause: Cause, answer: list[str] | None = None) -> None:
        closure = pair.r.closure
        self.assertIs(None if closure is None else closure.cause, cause)
        self.assertEqual(kinds(bytes(pair.r.sent)), answer or [])
        self.assertNotIn("opened", pair.r.said)

    def hear(self, octets: bytes) -> Pair:
        """Let a responder hear these octets first."""
        pair = Pair()
        pair.r.link.receive(octets)
        return pair

    def test_another_protocol(self) -> None:
        for octets in (b"G", b"SSH-2.0", b"\x00\x10general", b"S!", b"GET / HTTP/1.0\r\n\r\n"):
            self.assertClosed(self.hear(octets), Cause.FOREIGN)

    def test_a_beginning_is_waited_for(self) -> None:
        pair = self.hear(b"S")
        self.assertIsNone(pair.r.closure)
        pair.r.link.receive(b"K")
        self.assertIsNone(pair.r.closure)

    def test_an_unknown_association_is_hinted_at(self) -> None:
        pair = Pair(known=False)
        pair.move(pair.i)
        self.assertEqual(bytes(pair.r.sent)[:20], hint()[:12] + (CREATED // 1000).to_bytes(8, "big"))
        self.assertClosed(pair, Cause.UNKNOWN_ASSOCIATION, ["CLOSE"])
        pair.settle()
        self.assertEqual(pair.i.said, ["closed: unknown association, unknown-association (300)"])

    def test_another_key(self) -> None:
        pair = Pair(theirs=association(secret=b"another"))
        pair.move(pair.i)
        self.assertClosed(pair, Cause.FORGED)

    def test_another_suite_than_the_association_has(self) -> None:
        pair = Pair(ours=association(Suite.AES_256_GCM), theirs=association(Suite.CHACHA20_POLY1305))
        pair.move(pair.i)
        self.assertClosed(pair, Cause.FORGED)

    def test_every_bit_of_a_hello_counts(self) -> None:
        octets = encode_record(hello_i())
        for bit in range(8 * len(octets)):
            altered = bytearray(octets)
            altered[bit // 8] ^= 1 << bit % 8
            pair = self.hear(bytes(altered) + bytes(700))
            self.assertNotIn("opened", pair.r.said)
            self.assertIsNotNone(pair.r.closure, f"bit {bit}")
            self.assertLessEqual(len(pair.r.sent), len(hint()))

    def test_a_counter_other_than_0(self) -> None:
        self.assertClosed(self.hear(encode_record(hello_i(counter=1))), Cause.MALFORMED)

    def test_impossible_limits(self) -> None:
        good = encode_hello(LIMITS)
        record = evolve(hello_i(), body=good[:8] + bytes(4), mic=bytes(16))
        self.assertClosed(self.hear(encode_record(seal_record(record, schedule().hello_i(SALT_I)))), Cause.MALFORMED)

    def test_a_hello_of_a_responder(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        self.assertClosed(self.hear(bytes(pair.r.sent)), Cause.MALFORMED)

    def test_a_hint(self) -> None:
        self.assertClosed(self.hear(hint()), Cause.MALFORMED)

    def test_a_record_that_is_too_long(self) -> None:
        self.assertClosed(self.hear(bytes.fromhex("534b0101 0080 0010 00000300")), Cause.MALFORMED)

    def test_another_version(self) -> None:
        self.assertClosed(self.hear(bytes.fromhex("534b0201 0085 0018 0000000c")), Cause.MALFORMED)

    def test_a_copy_of_a_hello_proves_nothing(self) -> None:
        """A copy is answered, with a salt that its sender cannot do anything with."""
        recorded = Pair()
        hello = bytes(recorded.i.sent)
        recorded.move(recorded.i)
        recorded.move(recorded.r)
        ping = bytes(recorded.i.sent)
        pair = Pair(salt_r=b"fresh".ljust(16))
        pair.r.link.receive(hello)
        self.assertEqual((pair.r.said, kinds(bytes(pair.r.sent))), ([], ["HELLO"]))
        pair.r.link.receive(ping)
        self.assertClosed(pair, Cause.MALFORMED, ["HELLO"])

    def test_a_second_hello_in_place_of_the_proof(self) -> None:
        pair = self.hear(encode_record(hello_i()) * 2)
        self.assertClosed(pair, Cause.MALFORMED, ["HELLO"])

    def test_a_proof_that_does_not_verify(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        pair.move(pair.r)
        pair.i.sent[40] ^= 1
        pair.move(pair.i)
        self.assertClosed(pair, Cause.FORGED, [])

    def test_a_proof_too_large(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        pair.move(pair.r)
        pair.i.sent[8:12] = (515).to_bytes(4, "big")
        pair.move(pair.i)
        self.assertClosed(pair, Cause.MALFORMED, [])

    def test_time_is_over(self) -> None:
        for moves in (0, 1):
            pair = Pair()
            if moves:
                pair.move(pair.i)
            pair.r.link.expire()
            self.assertClosed(pair, Cause.TIMED_OUT, ["HELLO"] * moves)

    def test_time_is_over_after_it_opened(self) -> None:
        pair = Pair().opened()
        pair.r.link.expire()
        pair.i.link.expire()
        self.assertTrue(pair.r.link.is_open and pair.i.link.is_open)


class RefusedByTheInitiatorTests(LinkCase):
    def assertClosed(self, pair: Pair, cause: Cause) -> None:
        closure = pair.i.closure
        self.assertIs(None if closure is None else closure.cause, cause)
        self.assertNotIn("opened", pair.i.said)

    def hear(self, octets: bytes) -> Pair:
        pair = Pair()
        pair.i.link.receive(octets)
        return pair

    def test_its_own_hello_reflected(self) -> None:
        self.assertClosed(self.hear(encode_record(hello_i())), Cause.MALFORMED)

    def test_every_bit_of_the_answer_counts(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        octets = bytes(pair.r.sent)
        for bit in range(8 * len(octets)):
            altered = bytearray(octets)
            altered[bit // 8] ^= 1 << bit % 8
            pair = self.hear(bytes(altered) + bytes(700))
            self.assertNotIn("opened", pair.i.said)
            self.assertIsNotNone(pair.i.closure, f"bit {bit}")

    def test_the_answer_to_another_hello(self) -> None:
        other = Pair(salt_i=b"K" * 16)
        other.move(other.i)
        self.assertClosed(self.hear(bytes(other.r.sent)), Cause.FORGED)

    def test_an_answer_that_names_another_association(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        record = evolve(decode_record(bytes(pair.r.sent)), spi=SPI + 1)
        self.assertClosed(self.hear(encode_record(record)), Cause.MALFORMED)

    def test_a_hint_is_a_hint(self) -> None:
        self.assertClosed(self.hear(hint()), Cause.UNKNOWN_ASSOCIATION)

    def test_a_hint_of_another_code_is_none(self) -> None:
        self.assertClosed(self.hear(hint(Code.SHUTTING_DOWN)), Cause.MALFORMED)

    def test_time_is_over(self) -> None:
        pair = Pair()
        pair.i.link.expire()
        self.assertClosed(pair, Cause.TIMED_OUT)

    def test_the_connection_is_lost(self) -> None:
        pair = Pair()
        pair.i.link.disconnected("refused")
        self.assertEqual(pair.i.said, ["closed: lost: refused"])

    def test_nothing_can_be_opened_before(self) -> None:
        self.assertRaises(ApiMisuse, Pair().i.link.open, "echo", b"D" * 16, Program())


class StateTests(LinkCase):
    """Every event in every state leads where the table says, or is misuse."""

    def test_all(self) -> None:
        pair = Pair()
        pair.move(pair.i)
        answer = decode_record(next(split(bytes(pair.r.sent))))
        closed = Pair(known=False)
        closed.move(closed.i)
        records = (hello_i(), answer, decode_record(hint()))
        events = (*map(Arrived, records), Proved(), Stopped(closure := closed.r.closure or self.fail()))
        opened = ExpectHelloOfResponder(SALT_I, association()).receive(Arrived(answer), Now(0.0, 0.0)).state
        assert isinstance(opened, Open)
        states = (
            ExpectHelloOfInitiator(SALT_R, LIMITS, lambda _: association()),
            ExpectHelloOfResponder(SALT_I, association()),
            ExpectProof(opened.established),
            opened,
            Closed(closure),
        )
        self.assertLessEqual(set(TRANSITIONS), {type(state) for state in states})
        reached = set()
        for state in states:
            for event in events:
                if type(event) in TRANSITIONS.get(type(state), {}):
                    step = advance(TRANSITIONS, state, event, Now(0.0, 0.0))
                    reached.add((type(state), type(event), type(step.state)))
                else:
                    self.assertRaises(ApiMisuse, advance, TRANSITIONS, state, event, Now(0.0, 0.0))
        allowed = {
            (state, event, after)
            for state, awaited in TRANSITIONS.items()
            for event, afters in awaited.items()
            for after in afters
        }
        self.assertEqual(reached, allowed)

    def test_a_closed_state_awaits_nothing(self) -> None:
        pair = Pair(known=False)
        pair.move(pair.i)
        closed = Closed(pair.r.closure or self.fail())
        self.assertRaises(ApiMisuse, closed.receive, Proved(), Now(0.0, 0.0))

    def test_no_key_shows(self) -> None:
        pair = Pair(ours=association(secret=b"never to be seen")).opened()
        body = schedule(secret=b"never to be seen").body(SALT_I, SALT_R)
        shown = repr(pair.i.link) + repr(pair.r.link) + repr(pair.i.link.association) + repr(body)
        for secret in (b"never to be seen", body.initiator.key.octets, body.initiator.prefix):
            self.assertNotIn(repr(secret)[2:-1], shown)

    def test_a_link_needs_what_it_works_with(self) -> None:
        pair = Pair()
        with self.assertRaises(ApiMisuse):
            Link(owner=pair.i, limits=LIMITS, salt=SALT_I, clock=clock, flush=pair.i.flush)
        with self.assertRaises(ApiMisuse):
            Link(
                owner=pair.i,
                limits=Hello(0, 1, 1024),
                salt=SALT_I,
                clock=clock,
                flush=pair.i.flush,
                association=association(),
            )
