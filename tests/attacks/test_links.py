"""Every class of attack on every type of record, in both directions: a test each.

`MATRIX` is the table; each cell becomes a method of `MatrixTests` named for the
class and the record (``_i`` is said by the initiator of the link). A cell shows
that the link ends, or does not open, without a word where the peer has not
proved its keys; that nothing was delivered that was not sent, and no end of a
stream that did not end; and that the next link does all that the script wants.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.dialog.faces import Cause
from seckex.errors import ApiMisuse, SeckexError
from seckex.wire.dialog import record_size
from seckex.wire.numbers import RecordType, Role, Suite
from tests.attacks.wires import Passing, Wire, conversation
from tests.dialog.parts import Program, Side, association, kinds
from tests.link import flipped

OTHER_SALTS: Final = (b"i" * 16, b"r" * 16)
SILENT: Final = frozenset({Cause.FOREIGN, Cause.MALFORMED, Cause.FORGED, Cause.UNKNOWN_ASSOCIATION, Cause.LOST})

#: A link has to be opened for each bit, so each third octet has one of its bits turned over; all with this set.
STRIDE: Final = 1 if os.environ.get("SECKEX_EVERY_BIT") else 23

_MIC = {True: (44, 60), False: (32, 48)}


def sealed_parts(octets: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what of a record stands before the MIC, the MIC, the headers behind it, and the body."""
    full = bool(octets[5] & 1)
    start, end = _MIC[full]
    headers = end + int.from_bytes(octets[6:8], "big")
    return octets[:start], octets[start:end], octets[end:headers], octets[headers:]


def mixtures(one: bytes, other: bytes) -> Iterator[bytes]:
    """Yield records put together of two."""
    ours, theirs = sealed_parts(one), sealed_parts(other)
    for choice in range(1, 15):
        mixed = [theirs[at] if choice >> at & 1 else ours[at] for at in range(4)]
        # The length of the body that it has now, so that it is at least read.
        mixed[0] = mixed[0][:8] + len(mixed[3]).to_bytes(4, "big") + mixed[0][12:]
        octets = b"".join(mixed)
        if octets not in (one, other):
            yield octets


def programs(wire: Wire, side: Side) -> list[Program]:
    """Return the programs behind the dialogs of a side, those that it opened first."""
    ours = [program for opener, program in zip(wire.openers, wire.programs, strict=True) if opener is side]
    return [*ours, *(program for _, program in side.offers)]


@cache
def untouched() -> list[tuple[bytes, list[str]]]:
    """Return what all programs got and were told on a wire that nobody touches."""
    wire = Wire()
    wire.finish()
    return [(program.got, program.said) for side in (wire.pair.i, wire.pair.r) for program in programs(wire, side)]


class Attacked(SynchronousTestCase):
    """What the cells do and check."""

    def before(self, label: str, **others: object) -> tuple[Wire, Passing, Side]:
        """Return a wire where the record is about to arrive, the record, and to whom."""
        closes = Role.RESPONDER if label == "CLOSE r" else Role.INITIATOR
        wire = Wire(closes=closes, **others)  # type: ignore[arg-type]  # what a wire takes
        passing = wire.until(label)
        return wire, passing, wire.other(passing)

    def hears(self, wire: Wire, side: Side, octets: bytes, *, last: bool = True, ends: bool = True) -> None:
        """Let ``octets`` arrive in place of what should: the link ends, and nobody is told anything else."""
        found = programs(wire, side)
        before = [(program.got, len(program.said)) for program in found]
        proved = side.link.is_open
        said = len(side.said)
        del side.sent[:]
        side.link.receive(octets)
        if last and side.closure is None:
            # What came is no whole record, or the beginning of a link: nobody can go on from there.
            side.link.receive(bytes(700))
        if last and side.closure is None:
            side.link.disconnected("cut")
        for program, (got, told) in zip(found, before, strict=True):
            self.assertEqual(program.got, got)
            self.assertTrue(all(text.startswith("over: lost") for text in program.said[told:]), program.said)
        self.assertEqual(programs(wire, side)[len(found) :], [], "a dialog was offered")
        if ends:
            closure = side.closure
            if closure is None:
                self.fail(f"the link goes on after {octets.hex()}")
            self.assertEqual([text for text in side.said[said:] if not text.startswith("closed")], [])
            self.assertEqual(closure.cause in SILENT, not proved or closure.cause is Cause.LOST, str(closure))
            allowed = {"CLOSE"} if proved or closure.cause is Cause.UNKNOWN_ASSOCIATION else {"HELLO"}
            self.assertLessEqual(set(kinds(bytes(side.sent))), allowed)

    def next_link(self) -> None:
        """Check that the next link under the same association does all that it should."""
        wire = Wire(salts=OTHER_SALTS)
        wire.finish()
        found = [(p.got, p.said) for side in (wire.pair.i, wire.pair.r) for p in programs(wire, side)]
        self.assertEqual(found, untouched())

    # -- the classes

    def replay_now(self, label: str) -> None:
        wire, passing, side = self.before(label)
        wire.deliver(passing)
        self.again(wire, side, passing.octets)
        self.next_link()

    def again(self, wire: Wire, side: Side, octets: bytes) -> None:
        """Let what has arrived arrive once more."""
        if side.closure is None:
            self.hears(wire, side, octets)
        else:
            # After CLOSE nothing is heard.
            said, sent = list(side.said), bytes(side.sent)
            side.link.receive(octets)
            self.assertEqual((side.said, bytes(side.sent)), (said, sent))

    def replay_after_restart(self, label: str) -> None:
        old, passing, _ = self.before(label)
        earlier = [one for one in old.passed if one.sender is passing.sender]
        # All that its sender said then, from the beginning.
        wire = Wire(salts=OTHER_SALTS)
        if passing.sender is Role.RESPONDER:
            wire.deliver(wire.until("HELLO i"))
        side = wire.other(passing)
        self.hears(wire, side, b"".join(one.octets for one in (*earlier, passing)))
        # The record alone, on a link that is as far as the old one was.
        if passing.kind is not RecordType.HELLO:
            wire, _, side = self.before(label, salts=OTHER_SALTS)
            self.hears(wire, side, passing.octets)
        self.next_link()

    def reflect(self, label: str) -> None:
        wire, passing, _ = self.before(label)
        sender = wire.side(passing.sender)
        if sender.closure is None:
            self.hears(wire, sender, passing.octets)
        self.next_link()

    def reorder(self, label: str) -> None:
        wire, passing, side = self.before(label)
        following = self.following(wire, passing)
        if following is None:
            # It is the last that this side says before it hears more: it can only come before what came before it.
            earlier = [one for one in wire.passed if one.sender is passing.sender]
            following = earlier[-1] if earlier else passing
        self.hears(wire, side, following.octets + passing.octets, ends=following is not passing)
        self.next_link()

    def following(self, wire: Wire, passing: Passing) -> Passing | None:
        """Go on without a record until its sender says another."""
        with contextlib.suppress(ApiMisuse, IndexError):  # the script cannot go on without it
            while (after := wire.next()) is not None:
                if after.sender is passing.sender:
                    return after
                wire.deliver(after)
        return None

    def truncate(self, label: str) -> None:
        octets = self.before(label)[1].octets
        for length in range(0, len(octets), STRIDE):
            wire, passing, side = self.before(label)
            found = programs(wire, side)
            before = [(program.got, len(program.said)) for program in found]
            side.link.receive(passing.octets[:length])
            self.assertIsNone(side.closure)
            side.link.disconnected("cut")
            for program, (got, told) in zip(found, before, strict=True):
                self.assertEqual(program.got, got)
                self.assertTrue(all(text.startswith("over: lost") for text in program.said[told:]))
        # Said to be shorter than it is.
        for length in range(len(sealed_parts(octets)[3])):
            wire, passing, side = self.before(label)
            cut = (
                octets[:8]
                + length.to_bytes(4, "big")
                + octets[12 : len(octets) - len(sealed_parts(octets)[3]) + length]
            )
            self.hears(wire, side, cut)
        self.next_link()

    def drop(self, label: str) -> None:
        wire, passing, side = self.before(label)
        following = self.following(wire, passing)
        if following is None:
            self.assertNotIn("ended", [text for program in programs(wire, side) for text in program.said[-1:]])
            side.link.disconnected("cut")
        else:
            self.hears(wire, side, following.octets)
        self.next_link()

    def duplicate(self, label: str) -> None:
        wire, passing, side = self.before(label)
        once, _, same = self.before(label)
        same.link.receive(passing.octets)
        side.link.receive(passing.octets * 2)
        told = [(program.got, [t for t in program.said if "lost" not in t]) for program in programs(wire, side)]
        self.assertEqual(
            told, [(program.got, [t for t in program.said if "lost" not in t]) for program in programs(once, same)]
        )
        self.assertIsNotNone(side.closure)
        self.next_link()

    def splice_two_sessions(self, label: str) -> None:
        _, other, _ = self.before(label, salts=OTHER_SALTS)
        wire, passing, side = self.before(label)
        if label == "HELLO i":
            # It is answered, as any is; what its sender says next is not under the keys of the answer.
            side.link.receive(other.octets)
            self.assertFalse(side.link.is_open)
            proof = self.before("PING i", salts=OTHER_SALTS)[1]
            self.hears(wire, side, proof.octets)
        else:
            self.hears(wire, side, other.octets)
        for octets in mixtures(passing.octets, other.octets):
            wire, _, side = self.before(label)
            self.hears(wire, side, octets)
        self.next_link()

    def swap_two_sealed_parts(self, label: str) -> None:
        wire, passing, _ = self.before(label)
        same_shape = [
            one for one in wire.passed if (one.kind is RecordType.HELLO) == (passing.kind is RecordType.HELLO)
        ]
        for other in same_shape[-1:] or [passing]:
            for octets in mixtures(passing.octets, other.octets):
                wire, _, side = self.before(label)
                self.hears(wire, side, octets)
        self.next_link()

    def flip_every_bit(self, label: str) -> None:
        octets = self.before(label)[1].octets
        for bit in range(0, 8 * len(octets), STRIDE):
            wire, _, side = self.before(label)
            # What makes it longer waits for more, which comes.
            self.hears(wire, side, flipped(octets, bit))
        self.next_link()

    def downgrade(self, label: str) -> None:
        octets = self.before(label)[1].octets
        before, mic, headers, body = sealed_parts(octets)
        weaker = [octets[:3] + bytes((suite,)) + octets[4:] for suite in (0, *Suite, 9) if suite != octets[3]]
        weaker += [octets[:2] + bytes((version,)) + octets[3:] for version in (0, 2, 255)]
        # Not sealed, with and without what names a key.
        flags = (int.from_bytes(octets[4:6], "big") | 0x0100).to_bytes(2, "big")
        weaker += [octets[:4] + flags + octets[6:], before[:4] + flags + before[6:] + bytes(16) + headers + body]
        bare = before[:4] + flags + before[6:20] + bytes(len(before) - 20) + bytes(16) + headers + body
        weaker += [bare, before + bytes(16) + headers + body, before + mic[::-1] + headers + body]
        for other in weaker:
            wire, _, side = self.before(label)
            if record_or_none(other) is not None:
                self.assertEqual(record_size(other), len(other))
            self.hears(wire, side, other)
        self.next_link()

    def wrong_peer(self, label: str) -> None:
        """Have it arrive at somebody who has another association under the same SPI."""
        _, passing, _ = self.before(label)
        wire, _, side = self.before(label, ours=association(secret=b"another"))
        self.hears(wire, side, passing.octets)
        self.next_link()

    def unknown_key_share(self, label: str) -> None:
        """Somebody gives it out as his, on a link of his own association with the receiver."""
        _, passing, _ = self.before(label)
        spi = 0x5678
        octets = passing.octets
        if passing.kind is RecordType.HELLO:
            octets = octets[:64] + spi.to_bytes(4, "big") + octets[68:]
        wire, _, side = self.before(label, ours=association(secret=b"mallory", spi=spi))
        self.hears(wire, side, octets)
        self.next_link()


def record_or_none(octets: bytes) -> int | None:
    """Return the size that a record says it has, None where it says nothing that can be."""
    try:
        return record_size(octets)
    except SeckexError:
        return None


A = Attacked

CLASSES: Final[Mapping[str, Callable[[Attacked, str], None]]] = {
    "replay_now": A.replay_now,
    "replay_after_restart": A.replay_after_restart,
    "reflect": A.reflect,
    "reorder": A.reorder,
    "truncate": A.truncate,
    "drop": A.drop,
    "duplicate": A.duplicate,
    "splice_two_sessions": A.splice_two_sessions,
    "swap_two_sealed_parts": A.swap_two_sealed_parts,
    "flip_every_bit": A.flip_every_bit,
    "downgrade": A.downgrade,
    "wrong_peer": A.wrong_peer,
    "unknown_key_share": A.unknown_key_share,
}

ALL: Final = tuple(CLASSES)

#: For each record, by who says it, the classes that are tried on it.
MATRIX: Final[Mapping[str, tuple[str, ...]]] = {
    "HELLO i": ALL,
    "HELLO r": ALL,
    "OPEN i": ALL,
    "OPEN r": ALL,
    "ACCEPT i": ALL,
    "ACCEPT r": ALL,
    "REJECT i": ALL,
    "REJECT r": ALL,
    "DATA i": ALL,
    "DATA r": ALL,
    "END i": ALL,
    "END r": ALL,
    "RESET i": ALL,
    "RESET r": ALL,
    "CREDIT i": ALL,
    "CREDIT r": ALL,
    "PING i": ALL,
    "PING r": ALL,
    "PONG i": ALL,
    "PONG r": ALL,
    "CLOSE i": ALL,
    "CLOSE r": ALL,
    "RESUME i": ALL,
    "RESUMED r": ALL,
    "DONE i": ALL,
    "DONE r": ALL,
}


class MatrixTests(Attacked):
    """A test for each cell, made below."""


def _cell(attack: Callable[[Attacked, str], None], label: str) -> Callable[[MatrixTests], None]:
    def test(self: MatrixTests) -> None:
        attack(self, label)

    return test


for _label, _classes in MATRIX.items():
    for _class in _classes:
        setattr(MatrixTests, f"test_{_class}_{_label.replace(' ', '_')}", _cell(CLASSES[_class], _label))


class CompletenessTests(SynchronousTestCase):
    def test_every_record_of_the_script_has_its_row_and_every_type_is_in_the_script(self) -> None:
        said = {str(passing) for role in Role for passing in conversation(role)}
        self.assertEqual(said, set(MATRIX))
        self.assertEqual({label.split()[0] for label in said}, {kind.name for kind in RecordType})

    def test_every_cell_has_a_test(self) -> None:
        for label, classes in MATRIX.items():
            self.assertEqual(set(classes), set(CLASSES), label)
            for name in classes:
                self.assertTrue(hasattr(MatrixTests, f"test_{name}_{label.replace(' ', '_')}"))
