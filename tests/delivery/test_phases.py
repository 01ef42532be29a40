"""The three-phase exchange as two ends have it: what is awaited, how long, and how many at once."""

from __future__ import annotations

from typing import Final

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.phases import Exchanged, Randomness
from seckex.delivery import phases
from seckex.delivery.phases import (
    ANSWER_WITHIN,
    MOST_HALF_OPEN,
    TRANSITIONS,
    Agreed,
    Came1,
    Came2,
    Came3,
    Ended,
    ExpectPhase1,
    ExpectPhase2,
    ExpectPhase3,
    HalfOpen,
    Stopped,
)
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed
from seckex.machine import Arm, Deliver, Now, Step, Tick, advance
from seckex.wire.numbers import Suite, UnitKind
from seckex.wire.units import Phase, decode_unit
from tests.crypto.certified import NOW as WALL
from tests.crypto.messaging import DIALOG, TRUST, a, t

NOW: Final = Now(100.0, WALL)
LATER: Final = Now(100.0 + ANSWER_WITHIN, WALL + ANSWER_WITHIN)
PATH: Final = b"P" * 16


def drawn(letter: bytes) -> Randomness:
    return Randomness(letter * 32, letter * 32, letter * 32)


def begin(letter: bytes = b"a", path: bytes = PATH) -> Step:
    return phases.begin(
        path, a().identity, a().private, t().prekey, TRUST, Suite.AES_256_GCM, DIALOG, None, drawn(letter), NOW
    )


def target(letter: bytes = b"t", path: bytes = PATH) -> ExpectPhase1:
    private = t().private
    return ExpectPhase1(
        path,
        t().identity,
        TRUST,
        lambda prekey_id: private if prekey_id == private.id else None,
        frozenset(Suite),
        drawn(letter),
    )


def said(step: Step) -> Phase:
    """Return the one unit that a step says."""
    (unit,) = (action.result for action in step.actions if isinstance(action, Deliver))
    if not isinstance(unit, Phase):
        raise AssertionError(f"{unit} is no phase")
    return unit


def came(step: Step) -> Came1:
    unit = said(step)
    return Came1(unit.path, unit.octets)


def go(state: object, event: object, now: Now = NOW) -> Step:
    return advance(TRANSITIONS, state, event, now)  # type: ignore[arg-type]  # states of several classes


def agreed(step: Step) -> Exchanged:
    if not isinstance(step.state, Agreed):
        raise AssertionError(f"{step.state} has agreed on nothing")
    return step.state.exchanged


def other_end(octets: bytes) -> bytes:
    """Return octets of which the last is another."""
    return octets[:-1] + bytes([octets[-1] ^ 1])


class ConversationTests(SynchronousTestCase):
    def test_three_messages(self) -> None:
        # PHASE1 -->
        begun = begin()
        self.assertIsInstance(begun.state, ExpectPhase2)
        self.assertEqual((said(begun).kind, said(begun).path), (UnitKind.PHASE1, PATH))
        # <-- PHASE2
        answered = go(target(), came(begun))
        self.assertIsInstance(answered.state, ExpectPhase3)
        self.assertEqual(said(answered).kind, UnitKind.PHASE2)
        # PHASE3 -->
        finished = go(begun.state, Came2(said(answered).octets))
        self.assertEqual(said(finished).kind, UnitKind.PHASE3)
        done = go(answered.state, Came3(said(finished).octets))
        self.assertEqual(agreed(done).kek, agreed(finished).kek)
        self.assertEqual((agreed(finished).voucher.nai, agreed(done).voucher.nai), (t().nai, a().nai))
        for step in (begun, answered):
            self.assertIn(Arm(NOW.monotonic + ANSWER_WITHIN), step.actions)

    def test_neither_waits_for_ever(self) -> None:
        begun = begin()
        answered = go(target(), came(begun))
        self.assertEqual(go(begun.state, Tick(), LATER).state, Ended("no answer"))
        self.assertEqual(go(answered.state, Tick(), LATER).state, Ended("no third message"))

    def test_either_can_be_stopped(self) -> None:
        begun = begin()
        answered = go(target(), came(begun))
        for state in (target(), begun.state, answered.state):
            self.assertEqual(go(state, Stopped("the connection is lost")).state, Ended("the connection is lost"))

    def test_a_target_answers_who_has_heard_it(self) -> None:
        """A PHASE1 that was made for another connection, with or without the path of that."""
        begun = begin(path=b"other path ------"[:16])
        self.assertRaises(AuthenticationFailed, go, target(), came(begun))
        answered = go(target(), Came1(PATH, said(begun).octets))
        self.assertIsInstance(answered.state, ExpectPhase3)

    def test_what_does_not_verify_ends_nothing(self) -> None:
        begun = begin()
        answered = go(target(), came(begun))
        m2 = said(answered).octets
        for forged in (other_end(m2), m2[:-1], b""):
            self.assertRaises((AuthenticationFailed, Malformed), go, begun.state, Came2(forged))
        finished = go(begun.state, Came2(m2))
        m3 = said(finished).octets
        for forged in (other_end(m3), m3[:-1], b""):
            self.assertRaises((AuthenticationFailed, Malformed), go, answered.state, Came3(forged))
        self.assertEqual(agreed(go(answered.state, Came3(m3))), agreed(go(answered.state, Came3(m3))))

    def test_nothing_is_skipped(self) -> None:
        begun = begin()
        answered = go(target(), came(begun))
        m2 = said(answered).octets
        for state, event in (
            (target(), Came2(m2)),
            (target(), Came3(m2)),
            (begun.state, Came1(PATH, m2)),
            (begun.state, Came3(m2)),
            (answered.state, Came1(PATH, m2)),
            (answered.state, Came2(m2)),
        ):
            self.assertRaises(ApiMisuse, go, state, event)

    def test_ends_await_nothing(self) -> None:
        begun = begin()
        finished = go(begun.state, Came2(said(go(target(), came(begun))).octets))
        for state in (finished.state, Ended("over")):
            self.assertRaises(ApiMisuse, go, state, Tick())
            self.assertRaises(ApiMisuse, state.receive, Tick(), NOW)

    def test_what_is_left_has_no_secret_of_the_exchange_but_its_outcome(self) -> None:
        begun = begin()
        answered = go(target(), came(begun))
        finished = go(begun.state, Came2(said(answered).octets))
        done = go(answered.state, Came3(said(finished).octets))
        for state in (finished.state, done.state):
            self.assertIsInstance(state, Agreed)
        self.assertEqual([field.name for field in fields(Agreed)], ["exchanged"])


class HalfOpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = HalfOpen()
        self.begun = begin()

    def first(self, connection: int, begun: Step | None = None, letter: bytes = b"t") -> bytes:
        unit = decode_unit(self.table.first(connection, target(letter), came(begun or self.begun), NOW))
        if not isinstance(unit, Phase) or unit.kind is not UnitKind.PHASE2:
            raise AssertionError(f"{unit} is no answer")
        return unit.octets

    def third(self, m2: bytes, begun: Step | None = None) -> Came3:
        return Came3(said(go((begun or self.begun).state, Came2(m2))).octets)

    def test_an_exchange_is_completed_once(self) -> None:
        event = self.third(self.first(1))
        exchanged = self.table.third(1, event, NOW)
        self.assertIsNotNone(exchanged)
        self.assertIsNone(self.table.third(1, event, NOW))
        self.assertEqual(len(self.table), 0)

    def test_a_connection_that_awaits_nothing(self) -> None:
        event = self.third(self.first(1))
        self.assertIsNone(self.table.third(2, event, NOW))
        self.assertIsNotNone(self.table.third(1, event, NOW))

    def test_a_forged_third_message_leaves_it_open(self) -> None:
        event = self.third(self.first(1))
        forged = evolve(event, octets=other_end(event.octets))
        self.assertRaises(AuthenticationFailed, self.table.third, 1, forged, NOW)
        self.assertIsNotNone(self.table.third(1, event, NOW))

    def test_a_first_message_that_does_not_verify_leaves_the_other_open(self) -> None:
        event = self.third(self.first(1))
        other = Came1(PATH, other_end(said(self.begun).octets))
        self.assertRaises(AuthenticationFailed, self.table.first, 1, target(b"u"), other, NOW)
        self.assertIsNotNone(self.table.third(1, event, NOW))

    def test_another_first_message_takes_its_place(self) -> None:
        early = self.third(self.first(1))
        other = begin(b"b")
        late = self.third(self.first(1, other, b"u"), other)
        self.assertEqual(len(self.table), 1)
        self.assertRaises(AuthenticationFailed, self.table.third, 1, early, NOW)
        self.assertIsNotNone(self.table.third(1, late, NOW))

    def test_it_ends_with_its_time_and_with_its_connection(self) -> None:
        event = self.third(self.first(1))
        almost = Now(LATER.monotonic - 0.001, LATER.wall)
        self.table.expire(almost)
        self.assertEqual(len(self.table), 1)
        self.assertIsNone(self.table.third(1, event, LATER))
        self.assertEqual(len(self.table), 0)
        lost, kept = self.third(self.first(1)), self.third(self.first(2))
        self.table.lost(1)
        self.table.lost(3)
        self.assertIsNone(self.table.third(1, lost, NOW))
        self.assertIsNotNone(self.table.third(2, kept, NOW))

    def test_the_oldest_gives_way(self) -> None:
        self.patch(phases, "MOST_HALF_OPEN", 3)
        self.assertGreater(MOST_HALF_OPEN, 3)
        # One that begins anew takes nobody's place but its own, and is the youngest then.
        events = {connection: self.third(self.first(connection)) for connection in (0, 1, 0, 2)}
        self.assertEqual(len(self.table), 3)
        events[3] = self.third(self.first(3))
        self.assertEqual(len(self.table), 3)
        self.assertIsNone(self.table.third(1, events[1], NOW))
        for connection in (0, 2, 3):
            self.assertIsNotNone(self.table.third(connection, events[connection], NOW))
