"""How long dialogs stand still when a node moves: real links in memory, and a clock that is wound by hand."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.dialog.faces import LinkAssociation
from seckex.events.mobile_node import Deregistered, Moved, MoveRegistered, RegistrationSent
from seckex.net.log import EventLog
from seckex.net.moves import FIRST_WITHIN, Moves
from tests.dialog import parts
from tests.dialog.parts import CREATED, Pair, Peers, association

HOME = association().peer
OLD, NEW, THIRD = 0x1000, 0x2000, 0x3000


def under(spi: int) -> LinkAssociation:
    return evolve(association(secret=spi.to_bytes(4, "big"), spi=spi), here=spi)


class MovesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.patch(parts, "clock", lambda: CREATED + int(self.now * 1e9))
        self.clock = Clock()
        self.log = EventLog("error", self.wall)
        self.told: list[Moved] = []
        self.log.subscribe(lambda _at, event: self.told.append(event) if isinstance(event, Moved) else None)
        self.peers = Peers()
        self.through: set[int] = set()
        self.kept: list[tuple[Moved, float]] = []
        self.moves = Moves(
            self.clock,
            HOME,
            self.peers.dialogs_i,
            self.log,
            self.wall,
            self.through.__contains__,
            lambda moved, at: self.kept.append((moved, at)),
            self.ping,
        )
        self.first = self.link(OLD)

    def wall(self) -> float:
        return CREATED / 1e9 + self.now

    def ping(self) -> None:
        for pair in self.peers.pairs:
            pair.i.link.ping()

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def link(self, spi: int, settle: bool = True) -> Pair:
        pair = self.peers.link(settle=False, ours=under(spi))
        if settle:
            self.settle(pair)
        return pair

    def settle(self, pair: Pair) -> None:
        """Open a link, and have what it asks answered, without what is on others."""
        pair.move(pair.i)
        pair.move(pair.r)
        pair.move(pair.i)
        self.moves.opened(pair.i.link)
        pair.settle()

    def registered(self, spi: int, left: str = "north@a.example", agent: str = "south@b.example") -> None:
        self.log.report(MoveRegistered(HOME, left, agent, "asked for", 0.04, spi))

    def test_make_before_break(self) -> None:
        _, program, far, _ = self.first.dialog()
        far.write(b"a" * 100)
        self.first.settle()
        self.passes(1)
        self.log.report(RegistrationSent(HOME, "south@b.example", "192.0.2.2:4434", 1, 1800, False, "#1"))
        self.passes(0.04)
        self.registered(NEW)
        far.write(b"b" * 100)
        new = self.link(NEW, settle=False)
        self.passes(0.01)
        # The old one carries on until the new one asks for the dialog.
        self.first.settle()
        far.write(b"c" * 100)
        self.passes(0.002)
        self.settle(new)
        self.assertEqual(program.got, b"a" * 100 + b"b" * 100 + b"c" * 100)
        (told,) = self.told
        self.assertAlmostEqual(told.pause, 0.002, 5)
        self.assertEqual((told.left, told.agent, told.why), ("north@a.example", "south@b.example", "asked for"))
        self.assertEqual((told.dialogs, told.octets, told.round_trips, told.registering), (1, 200, 1, 0.04))
        self.assertEqual([moved for moved, _ in self.kept], [told])

    def test_break_before_make_counts_all_that_had_to_be_waited_for(self) -> None:
        for through, trips in ((False, 4), (True, 5)):
            self.setUp()
            if through:
                self.through.add(NEW)
            _, program, far, _ = self.first.dialog()
            far.write(b"a" * 100)
            self.first.settle()
            self.passes(0.5)
            self.first.cut()
            self.log.report(RegistrationSent(HOME, "south@b.example", "192.0.2.2:4434", 1, 1800, False, "#1"))
            far.write(b"b" * 100)
            self.passes(0.1)
            self.registered(NEW)
            self.link(NEW)
            self.assertEqual(program.got, b"a" * 100 + b"b" * 100)
            (told,) = self.told
            self.assertAlmostEqual(told.pause, 0.6, 5)
            self.assertEqual(told.round_trips, trips)

    def test_a_dialog_that_is_idle_is_not_waited_for_long(self) -> None:
        self.first.dialog()
        # Nothing has come for long, but the link answers when it is asked.
        self.passes(15)
        self.registered(NEW)
        self.first.settle()
        self.passes(0.02)
        self.link(NEW)
        self.assertEqual(self.told, [])
        self.clock.advance(FIRST_WITHIN)
        (told,) = self.told
        self.assertAlmostEqual(told.pause, 0.02, 5)

    def test_without_dialogs_there_is_nothing_to_wait_for(self) -> None:
        self.registered(NEW)
        self.link(NEW)
        (told,) = self.told
        self.assertEqual((told.dialogs, told.pause, told.round_trips), (0, 0.0, 0))

    def test_several_pauses_of_one_move_add_up(self) -> None:
        """Our address changes: a link is built anew, and then another one under the new registration."""
        _, _, far, _ = self.first.dialog()
        far.write(b"a")
        self.first.settle()
        self.passes(0.3)
        self.moves.begins()
        far.write(b"b")
        again = self.link(OLD)
        self.passes(1)
        far.write(b"c")
        again.settle()
        self.registered(NEW, agent="north@a.example")
        self.passes(0.1)
        far.write(b"d")
        self.link(NEW)
        (told,) = self.told
        self.assertAlmostEqual(told.pause, 0.4, 5)
        self.assertEqual((told.left, told.agent), ("north@a.example", "north@a.example"))

    def test_a_move_before_the_last_was_over_begins_where_that_began(self) -> None:
        _, _, far, _ = self.first.dialog()
        far.write(b"a")
        self.first.settle()
        self.registered(NEW)
        self.registered(THIRD, left="south@b.example", agent="west@c.example")
        far.write(b"b")
        self.link(THIRD)
        (told,) = self.told
        self.assertEqual((told.left, told.agent), ("north@a.example", "west@c.example"))

    def test_links_without_a_move_tell_nothing(self) -> None:
        _, _, far, _ = self.first.dialog()
        far.write(b"a")
        self.link(OLD)
        self.registered(NEW)
        self.log.report(Deregistered(HOME, True))
        self.link(NEW)
        self.clock.advance(10)
        self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))

    def test_stopped_it_leaves_nothing(self) -> None:
        self.first.dialog()
        self.registered(NEW)
        self.link(NEW)
        self.moves.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
