"""The memory of what was answered: docs/protocol.md, section 9."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.machine import Now
from seckex.sa.replay import WAITING, ReplayClock, ReplayMemory, Verdict
from seckex.sa.store import ReplayRecord

SPI, IDENTIFICATION = 0x1000, 0x1122334455667788
REQUEST, OTHER = b"q" * 32, b"o" * 32


def record(
    spi: int = SPI, identification: int = IDENTIFICATION, request: bytes = REQUEST, expires: float = 600.0
) -> ReplayRecord:
    """Return a record whose answer tells which one it is."""
    return ReplayRecord(spi, identification, request, b"answer to %d" % identification, expires)


class ReplayTests(SynchronousTestCase):
    memory: ReplayMemory

    def setUp(self) -> None:
        self.memory = ReplayMemory(3)

    def test_a_request_is_new_once(self) -> None:
        # -> OFFER
        self.assertIs(self.memory.look_up(SPI, IDENTIFICATION, REQUEST), Verdict.NEW)
        self.memory.remember(record())
        # -> the same octets again: the same answer
        for _ in range(2):
            self.assertEqual(self.memory.look_up(SPI, IDENTIFICATION, REQUEST), record().answer)

    def test_the_same_identification_with_other_octets_is_a_replay(self) -> None:
        self.memory.remember(record())
        self.assertIs(self.memory.look_up(SPI, IDENTIFICATION, OTHER), Verdict.REPLAY)
        # It did not push out what was there.
        self.assertEqual(self.memory.look_up(SPI, IDENTIFICATION, REQUEST), record().answer)

    def test_identifications_belong_to_their_key_0(self) -> None:
        self.memory.remember(record())
        self.assertIs(self.memory.look_up(SPI + 1, IDENTIFICATION, REQUEST), Verdict.NEW)
        self.assertIs(self.memory.look_up(SPI, IDENTIFICATION + 1, REQUEST), Verdict.NEW)

    def test_a_record_is_kept_until_it_expires_and_no_longer(self) -> None:
        self.memory.remember(record(expires=600.0))
        for now in (0.0, 599.9, 600.0):
            self.memory.expire(now)
            self.assertIs(self.memory.look_up(SPI, IDENTIFICATION, OTHER), Verdict.REPLAY)
        self.memory.expire(600.1)
        self.assertEqual(len(self.memory), 0)
        self.assertIs(self.memory.look_up(SPI, IDENTIFICATION, REQUEST), Verdict.NEW)

    def test_at_the_limit_it_is_full_and_forgets_nothing(self) -> None:
        for number in range(3):
            self.assertFalse(self.memory.full)
            self.memory.remember(record(identification=number, expires=600.0 + number))
        self.assertTrue(self.memory.full)
        for number in range(3):
            self.assertEqual(self.memory.look_up(SPI, number, REQUEST), record(identification=number).answer)
        # Room comes only from records that expire.
        self.memory.expire(600.0)
        self.assertTrue(self.memory.full)
        self.memory.expire(601.0)
        self.assertFalse(self.memory.full)
        self.assertEqual(len(self.memory), 2)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 20), max_size=8), st.lists(st.integers(0, 20), max_size=4).map(sorted))
    def test_nothing_is_forgotten_early_in_whatever_order_it_came(self, expiries: list[int], times: list[int]) -> None:
        memory = ReplayMemory(100)
        for number, expires in enumerate(expiries):
            memory.remember(record(identification=number, expires=float(expires)))
        for now in times:
            memory.expire(float(now))
            for number, expires in enumerate(expiries):
                if expires >= now:
                    self.assertIs(memory.look_up(SPI, number, OTHER), Verdict.REPLAY)
        # In their order of expiry, as they come but for clocks that differ, all are forgotten in time.
        memory.expire(21.0)
        self.assertEqual(len(memory), 0)

    def test_a_record_does_not_show_its_answer(self) -> None:
        self.assertNotIn("answer", repr(record()))


WALL = 1_790_000_000.0
WINDOW = 300


class ReplayClockTests(SynchronousTestCase):
    """The clock that Identifications are judged by."""

    @staticmethod
    def started(forgotten: float = 0.0, wall: float = WALL) -> ReplayClock:
        return ReplayClock(forgotten, WINDOW, Now(0.0, wall))

    def test_it_is_the_wall_clock_while_that_goes_forward(self) -> None:
        clock = self.started()
        for at in (0.0, 1.0, 61.5, 7200.0):
            self.assertEqual(clock.read(Now(at, WALL + at)), WALL + at)
        self.assertEqual(clock.read(Now(7201.0, WALL + 1e9)), WALL + 1e9)

    def test_it_waits_for_a_wall_clock_that_was_set_back_and_never_stands_still(self) -> None:
        clock = self.started()
        clock.read(Now(0.0, WALL + 7200))
        self.assertEqual(clock.read(Now(0.0, WALL)), WALL + 7200)
        self.assertEqual(clock.read(Now(600.0, WALL + 600)), WALL + 7200 + 600 * WAITING)
        self.assertEqual(clock.read(Now(20000.0, WALL + 20000)), WALL + 20000)

    def test_nothing_that_was_forgotten_is_in_its_window_at_the_start(self) -> None:
        for back in (0.0, 100.0, 7200.0, 1e9):
            clock = self.started(forgotten=WALL - WINDOW - 1, wall=WALL - back)
            self.assertEqual(clock.read(Now(0.0, WALL - back)), WALL)
            self.assertEqual(clock.forgotten(Now(0.0, WALL - back)), WALL - WINDOW - 1)

    def test_a_wider_window_does_not_reach_back_to_what_was_forgotten(self) -> None:
        clock = self.started()
        now = Now(10.0, WALL + 10)
        forgotten = clock.forgotten(now)
        clock.widen(3600, now)
        self.assertGreaterEqual(clock.read(now) - 3600, forgotten)
        clock.widen(WINDOW, now)
        self.assertGreaterEqual(clock.forgotten(now), forgotten)
        self.assertGreaterEqual(clock.read(now), WALL + 10)

    @given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e9, 1e9)), max_size=20))
    @settings(max_examples=100, deadline=None)
    def test_it_never_goes_back(self, steps: list[tuple[float, float]]) -> None:
        clock, at, last = self.started(), 0.0, -1e18
        for wait, wall in steps:
            at += wait
            time = clock.read(Now(at, WALL + wall))
            self.assertGreaterEqual(time, max(last, WALL + wall))
            last = time
