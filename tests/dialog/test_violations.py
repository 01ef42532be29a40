"""What a peer must not do, and what somebody between must not achieve: the link ends, and says why."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.dialog.carriage import Carriage
from seckex.dialog.faces import Cause
from seckex.dialog.stream import Dialog
from seckex.wire.dialog import (
    Hello,
    Notice,
    Opening,
    Record,
    encode_credit,
    encode_hello,
    encode_notice,
    encode_opening,
    encode_record,
)
from seckex.wire.numbers import Code, RecordType, Suite
from seckex.wire.resumption import Standing, encode_resume, encode_resumed
from tests.dialog.parts import DIALOG_ID, LIMITS, LinkCase, Pair, Program, Side, association, kinds, new_id, split

NOTICE = encode_notice(Notice(Code.RESET_BY_PROGRAM, "why"))

#: A body that each type may have.
BODIES = {
    RecordType.HELLO: encode_hello(LIMITS),
    RecordType.OPEN: encode_opening(Opening(DIALOG_ID, "s")),
    RecordType.ACCEPT: b"",
    RecordType.REJECT: NOTICE,
    RecordType.DATA: b"x",
    RecordType.END: b"",
    RecordType.RESET: NOTICE,
    RecordType.CREDIT: encode_credit(1 << 30),
    RecordType.PING: b"",
    RecordType.PONG: b"",
    RecordType.CLOSE: NOTICE,
    RecordType.RESUME: encode_resume(b"unknown".ljust(16), Standing(0, 65536)),
    RecordType.RESUMED: encode_resumed(Standing(0, 65536)),
    RecordType.DONE: b"",
}

T = RecordType
OF_LINK = {T.HELLO, T.PING, T.PONG, T.CLOSE}


def carriage(side: Side) -> Carriage:
    """Return what lets ``side`` say what a well-behaved one would not."""
    assert side.link._carriage is not None
    return side.link._carriage


def raw(link: Carriage, number: int, kind_word: int, body: bytes) -> None:
    """Let ``link`` say what has no type."""
    link._sealer.seal(number, kind_word, 0, body)
    link.ping()


def asked(pair: Pair) -> tuple[Side, int]:
    """Ask the responder for a dialog, which it does not answer: what may it say."""
    pair.r.answer = lambda _: None
    dialog, *_ = pair.dialog()
    return pair.r, dialog.number


def offered(pair: Pair) -> tuple[Side, int]:
    """Ask the responder for a dialog, which it does not answer: what may the initiator say."""
    pair.r.answer = lambda _: None
    dialog, *_ = pair.dialog()
    return pair.i, dialog.number


def carrying(pair: Pair) -> tuple[Side, int]:
    dialog, *_ = pair.dialog()
    return pair.i, dialog.number


def accepted(pair: Pair) -> tuple[Side, int]:
    dialog, *_ = pair.dialog()
    return pair.r, dialog.number


def ended(pair: Pair) -> tuple[Side, int]:
    dialog, *_ = pair.dialog()
    dialog.end()
    pair.settle()
    return pair.i, dialog.number


def other_side_ended(pair: Pair) -> tuple[Side, int]:
    dialog, _, far, _ = pair.dialog()
    far.end()
    pair.settle()
    return pair.i, dialog.number


def finished(pair: Pair) -> tuple[Side, int]:
    dialog, _, far, _ = pair.dialog()
    number = dialog.number
    dialog.end()
    far.end()
    pair.settle()
    return pair.i, number


def reset(pair: Pair) -> tuple[Side, int]:
    dialog, *_ = pair.dialog()
    number = dialog.number
    dialog.reset()
    pair.settle()
    return pair.r, number


def never_opened(pair: Pair) -> tuple[Side, int]:
    pair.r.answer = lambda _: None
    return pair.i, 7


def next_number(pair: Pair) -> tuple[Side, int]:
    pair.r.answer = lambda _: None
    return pair.i, 1


def number_of_the_other_side(pair: Pair) -> tuple[Side, int]:
    return pair.i, 2


ALWAYS = {T.PING, T.CLOSE}

#: In each state of a dialog, the types that its peer may send then; all others end the link.
ALLOWED: dict[Callable[[Pair], tuple[Side, int]], set[RecordType]] = {
    asked: {T.ACCEPT, T.REJECT},
    offered: {T.DATA, T.END, T.RESET, T.CREDIT},
    carrying: {T.DATA, T.END, T.RESET, T.CREDIT},
    accepted: {T.DATA, T.END, T.RESET, T.CREDIT},
    ended: {T.RESET, T.CREDIT},
    other_side_ended: {T.DATA, T.END, T.RESET, T.CREDIT},
    # What may have crossed the end of a dialog is ignored.
    finished: {T.ACCEPT, T.REJECT, T.DATA, T.END, T.RESET, T.CREDIT, T.RESUMED, T.DONE},
    reset: {T.ACCEPT, T.REJECT, T.DATA, T.END, T.RESET, T.CREDIT, T.RESUMED, T.DONE},
    never_opened: {T.OPEN, T.RESUME},
    next_number: {T.OPEN, T.RESUME},
    number_of_the_other_side: set(),
}


class EveryTypeInEveryStateTests(LinkCase):
    def test_all(self) -> None:
        for state, allowed in ALLOWED.items():
            for kind in RecordType:
                pair = Pair().opened()
                side, number = state(pair)
                if kind is T.PING:
                    side.link.ping()
                else:
                    carriage(side).send(kind, 0 if kind in OF_LINK else number, 0, BODIES[kind])
                # Only this way: what is answered was not said by the dialog there.
                pair.move(side)
                other = pair.opposite(side)
                what = f"{kind.name} when {state.__name__}"
                if kind is T.CLOSE:
                    self.assertIs(other.closure and other.closure.cause, Cause.CLOSED_BY_PEER, what)
                elif kind in allowed | ALWAYS:
                    self.assertIsNone(other.closure, f"{what}: {other.closure}")
                else:
                    self.assertIs(other.closure and other.closure.cause, Cause.VIOLATED, what)
                    pair.settle()
                    self.assertIn("closed by peer, protocol-error (305)", side.said[-1], what)

    def test_dialogs_are_lost_when_it_ends(self) -> None:
        pair = Pair().opened()
        _, program, _, far_program = pair.dialog()
        carriage(pair.i).send(T.PONG, 0, 0, b"")
        pair.settle()
        self.assertViolated(pair.r, "PONG without PING")
        for each in (program, far_program):
            self.assertIn("over: lost", each.said[-1])


class RulesOfDialogsTests(LinkCase):
    def say(self, what: Callable[[Carriage, Dialog], None], limits: Hello = LIMITS) -> Pair:
        pair = Pair(limits_i=limits, limits_r=limits).opened()
        dialog, *_ = pair.dialog()
        what(carriage(pair.i), dialog)
        pair.settle()
        return pair

    def test_data_beyond_the_credit(self) -> None:
        pair = Pair().opened()
        dialog, _, far, _ = pair.dialog()
        far.pause()
        dialog.write(b"x" * 65536)
        pair.settle()
        self.assertIsNone(pair.r.closure)
        carriage(pair.i).send_data(dialog.number, 65536, b"x")
        pair.settle()
        self.assertViolated(pair.r, "DATA up to 65537, but the limit is 65536")

    def test_data_larger_than_allowed(self) -> None:
        pair = self.say(lambda link, dialog: link.send_data(dialog.number, 0, b"x" * 1025), Hello(65536, 4, 1024))
        self.assertViolated(pair.r, "1025 where 1024 are allowed")

    def test_data_at_another_offset(self) -> None:
        pair = self.say(lambda link, dialog: link.send_data(dialog.number, 1, b"x"))
        self.assertViolated(pair.r, "DATA at 1, but 0 octets have come")

    def test_data_of_no_octets(self) -> None:
        pair = self.say(lambda link, dialog: link.send_data(dialog.number, 0, b""))
        self.assertViolated(pair.r, "Body length")

    def test_data_after_the_end(self) -> None:
        def say(link: Carriage, dialog: Dialog) -> None:
            dialog.end()
            link.send_data(dialog.number, 0, b"x")

        self.assertViolated(self.say(say).r, "DATA after END")

    def test_an_end_at_another_length(self) -> None:
        pair = self.say(lambda link, dialog: link.send(T.END, dialog.number, 1, b""))
        self.assertViolated(pair.r, "END at 1, but 0 octets have come")

    def test_credit_for_what_was_not_sent(self) -> None:
        pair = self.say(lambda link, dialog: link.send(T.CREDIT, dialog.number, 1, encode_credit(1 << 20)))
        self.assertViolated(pair.r, "CREDIT for 1 octets")

    def test_credit_that_is_taken_back(self) -> None:
        pair = self.say(lambda link, dialog: link.send(T.CREDIT, dialog.number, 0, encode_credit(65535)))
        self.assertViolated(pair.r, "CREDIT for 0 octets up to 65535")

    def test_more_dialogs_than_allowed(self) -> None:
        """They are refused one by one: an end of another dialog may come later, over another link."""
        pair = Pair().opened()
        pair.r.answer = lambda _: None
        for number in range(1, 13, 2):
            carriage(pair.i).send(T.OPEN, number, 0, encode_opening(Opening(new_id(), "s")))
        pair.move(pair.i)
        self.assertEqual(kinds(bytes(pair.r.sent)), ["REJECT", "REJECT"])
        self.assertEqual((len(pair.r.offers), pair.r.closure), (4, None))

    def test_a_number_that_does_not_rise(self) -> None:
        def say(link: Carriage, dialog: Dialog) -> None:
            number = dialog.number
            dialog.reset()
            link.send(T.OPEN, number, 0, BODIES[T.OPEN])

        self.assertViolated(self.say(say).r, "OPEN of dialog 1 after dialog 1")

    def test_a_name_that_is_not_text(self) -> None:
        pair = self.say(lambda link, _: link.send(T.OPEN, 3, 0, DIALOG_ID + b"\xff"))
        self.assertViolated(pair.r, "service name")

    def test_a_closing_that_is_not_text(self) -> None:
        pair = self.say(lambda link, _: link.send(T.CLOSE, 0, 0, b"\x01\x2c\xff"))
        self.assertViolated(pair.r, "text")

    def test_an_unknown_type(self) -> None:
        pair = self.say(lambda link, _: raw(link, 0, 14 << 24, b""))
        self.assertViolated(pair.r, "14 is not a type")

    def test_reserved_octets(self) -> None:
        pair = self.say(lambda link, dialog: raw(link, dialog.number, T.DATA << 24 | 1, b"x"))
        self.assertViolated(pair.r, "reserved octets are not zero")


class BetweenTests(LinkCase):
    """Somebody between the two ends."""

    def talk(self) -> tuple[Pair, bytes]:
        """Return a pair, and five records on their way from the initiator."""
        pair = Pair().opened()
        dialog, *_ = pair.dialog()
        for text in (b"first", b"second", b"third"):
            dialog.write(text)
        dialog.end()
        pair.i.link.ping(b"still there?")
        octets = bytes(pair.i.sent)
        pair.i.sent.clear()
        return pair, octets

    def assertLost(self, pair: Pair, got: bytes) -> None:
        """Check that the responder's link has ended, its dialog is lost, and nothing altered was delivered."""
        program = pair.r.last
        self.assertIs(pair.r.closure and pair.r.closure.cause, Cause.VIOLATED)
        self.assertEqual(program.got, got)
        self.assertIn("over: lost", program.said[-1])
        self.assertEqual(kinds(bytes(pair.r.sent))[-1], "CLOSE")
        pair.settle()
        self.assertIs(pair.i.closure and pair.i.closure.cause, Cause.CLOSED_BY_PEER)

    def test_every_octet_of_every_record_counts(self) -> None:
        _, octets = self.talk()
        ends = []
        at = 0
        for record in split(octets):
            at += len(record)
            ends.append(at)
        texts = (b"first", b"second", b"third", b"", b"")
        for position in range(len(octets)):
            pair, octets = self.talk()
            altered = bytearray(octets)
            altered[position] ^= 0x10
            # a length made larger waits for more
            pair.r.link.receive(bytes(altered) + bytes(70000))
            whole = sum(end <= position for end in ends)
            self.assertLost(pair, b"".join(texts[:whole]))

    def test_replayed(self) -> None:
        pair, octets = self.talk()
        first = next(split(octets))
        pair.r.link.receive(first + first)
        self.assertLost(pair, b"first")

    def test_dropped(self) -> None:
        pair, octets = self.talk()
        first, _, *rest = split(octets)
        pair.r.link.receive(first + b"".join(rest))
        self.assertLost(pair, b"first")

    def test_reordered(self) -> None:
        pair, octets = self.talk()
        first, second, *rest = split(octets)
        pair.r.link.receive(second + first + b"".join(rest))
        self.assertLost(pair, b"")

    def test_reflected(self) -> None:
        pair, octets = self.talk()
        pair.i.link.receive(octets)
        self.assertViolated(pair.i, "Flags")

    def test_spliced_from_another_link(self) -> None:
        pair, _ = self.talk()
        other = Pair(salt_i=b"other".ljust(16)).opened()
        other.i.link.ping()
        pair.r.link.receive(bytes(other.i.sent))
        self.assertLost(pair, b"")

    def test_cut_off(self) -> None:
        """What is cut off is a lost connection, at whatever octet."""
        for cut in (0, 1, 63, 64, 100):
            pair, octets = self.talk()
            pair.r.link.receive(octets[:cut])
            pair.r.link.disconnected("Connection was closed cleanly.")
            self.assertIn("over: lost", pair.r.last.said[-1])
            self.assertNotIn("ended", pair.r.last.said)

    def test_a_hint_injected(self) -> None:
        hint = encode_record(Record(Suite.AES_256_GCM, True, 1, T.CLOSE, encode_notice(Notice(300)), sealed=False))
        pair, _ = self.talk()
        pair.i.link.receive(hint)
        self.assertViolated(pair.i, "not sealed")

    def test_a_hello_injected(self) -> None:
        pair, _ = self.talk()
        pair.r.link.receive(bytes(Pair().i.sent))
        self.assertLost(pair, b"")

    @settings(max_examples=60, deadline=None)
    @given(st.binary(min_size=64, max_size=300))
    def test_rubbish(self, octets: bytes) -> None:
        pair, _ = self.talk()
        pair.r.link.receive(octets)
        self.assertLost(pair, b"")

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200), st.booleans())
    def test_rubbish_first(self, octets: bytes, magic: bool) -> None:
        pair = Pair()
        pair.r.link.receive((b"SK\x01\x01" if magic else b"") + octets)
        self.assertNotIn("opened", pair.r.said)


class WearTests(LinkCase):
    """A key seals so many records, an association carries so many octets, and no more."""

    def pair(self, octets: int | None = None, records: int = 1 << 32) -> Pair:
        wide = Hello(1 << 30, 4, 65536)
        return Pair(limits_i=wide, limits_r=wide, ours=association(octets=octets, records=records)).opened()

    def test_records(self) -> None:
        pair = self.pair(records=12_000)
        count = 0
        while pair.i.closure is None:
            pair.i.link.ping()
            count += 1
            if count % 500 == 0:
                pair.settle()
        pair.settle()
        self.assertLess(count, 12_000)
        self.assertEqual(pair.i.said[:2], ["opened", "worn"])
        self.assertIn("closed: worn out, unknown-association (300)", pair.i.said[-1])
        self.assertIs(pair.r.closure and pair.r.closure.cause, Cause.CLOSED_BY_PEER)

    def test_octets(self) -> None:
        bound = 4 << 20
        for one_way in (True, False):
            pair = self.pair(octets=bound)
            dialog, program, far, far_program = pair.dialog()
            while pair.i.link.is_open and pair.r.link.is_open:
                (dialog if one_way else far).write(b"x" * 65536)
                pair.settle()
            self.assertTrue(
                {pair.i.closure and pair.i.closure.cause, pair.r.closure and pair.r.closure.cause} >= {Cause.WORN_OUT}
            )
            self.assertIn("worn", pair.i.said)
            carried = len(program.got) + len(far_program.got)
            self.assertLess(carried, bound)
            self.assertGreater(carried, bound - (1 << 20))
            self.assertEqual(pair.i.link.carried >= carried, True)

    def test_a_bound_that_is_nearly_reached_already(self) -> None:
        pair = self.pair(octets=1000)
        why = "unknown-association (300): 'the association has carried its due'"
        self.assertEqual(pair.r.said, ["opened", "worn", f"closed: worn out, {why}"])
        self.assertEqual(pair.i.said, ["opened", f"closed: closed by peer, {why}"])

    def test_no_bound(self) -> None:
        pair = self.pair()
        dialog, *_ = pair.dialog()
        for _ in range(40):
            dialog.write(b"x" * 65536)
            pair.settle()
        self.assertEqual((pair.i.said, pair.r.said), (["opened"], ["opened"]))

    def test_programs_hear_of_it(self) -> None:
        pair = self.pair(octets=1 << 20)
        dialog, program, *_ = pair.dialog()
        while pair.i.link.is_open:
            dialog.write(b"x" * 65536)
            pair.settle()
        self.assertIn("over: lost", program.said[-1])
        self.assertIsInstance(program, Program)
