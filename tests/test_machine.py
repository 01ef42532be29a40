"""Steps are held to the table of their conversation, and nothing moves that may not."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.machine import (
    Arm,
    Deliver,
    Now,
    Path,
    Persist,
    Persisted,
    PersistFailed,
    Report,
    Send,
    Step,
    Tick,
    Transitions,
    advance,
)

NOW = Now(monotonic=5.0, wall=1_000_000.0)
HERE = Path("192.0.2.1", 434)


@frozen
class Knock:
    """Somebody is at the door."""

    forged: bool = False


@frozen
class ExpectKnock:
    """Awaits a knock."""

    def receive(self, event: Any, now: Now) -> Step:
        if isinstance(event, Knock):
            if event.forged:
                raise AuthenticationFailed("nobody is there")
            return Step(ExpectStored(now.monotonic), (Persist(()),))
        return Step(self, (Arm(now.monotonic + 1),))


@frozen
class ExpectStored:
    """Awaits that the knock is durable."""

    since: float

    def receive(self, event: Any, _now: Now) -> Step:
        if isinstance(event, Persisted):
            return Step(Opened(), (Send(b"come in", HERE), Deliver("guest")))
        # Not in the table: a door that forgets what it has stored.
        return Step(ExpectKnock(), (Report("full"),))


@frozen
class Opened:
    """The end."""

    def receive(self, _event: Any, _now: Now) -> Step:
        return Step(self)


TRANSITIONS: Transitions = {
    ExpectKnock: {Knock: frozenset({ExpectStored}), Tick: frozenset({ExpectKnock})},
    ExpectStored: {Persisted: frozenset({Opened}), PersistFailed: frozenset({Opened})},
    Opened: {},
}


class AdvanceTests(SynchronousTestCase):
    def test_a_conversation(self) -> None:
        # -> a knock: it is made durable first
        step = advance(TRANSITIONS, ExpectKnock(), Knock(), NOW)
        self.assertEqual(step, Step(ExpectStored(5.0), (Persist(()),)))
        # durable: <- the answer that depends on it
        step = advance(TRANSITIONS, step.state, Persisted(), NOW)
        self.assertEqual(step, Step(Opened(), (Send(b"come in", HERE), Deliver("guest"))))

    def test_a_state_may_stay(self) -> None:
        step = advance(TRANSITIONS, ExpectKnock(), Tick(), NOW)
        self.assertEqual(step, Step(ExpectKnock(), (Arm(6.0),)))

    def test_what_a_state_raises_is_raised_and_nothing_moves(self) -> None:
        state = ExpectKnock()
        self.assertRaises(AuthenticationFailed, advance, TRANSITIONS, state, Knock(forged=True), NOW)
        self.assertEqual(state, ExpectKnock())

    def test_an_event_that_the_state_does_not_await(self) -> None:
        for state, event, text in (
            (ExpectKnock(), Persisted(), "ExpectKnock does not await Persisted"),
            (ExpectStored(0.0), Tick(), "ExpectStored does not await Tick"),
            (Opened(), Knock(), "Opened does not await Knock"),
            (Opened(), "rubbish", "Opened does not await str"),
        ):
            error = self.assertRaises(ApiMisuse, advance, TRANSITIONS, state, event, NOW)
            self.assertEqual(str(error), text)

    def test_a_next_state_that_the_table_does_not_allow(self) -> None:
        error = self.assertRaises(ApiMisuse, advance, TRANSITIONS, ExpectStored(0.0), PersistFailed("full"), NOW)
        self.assertEqual(str(error), "ExpectStored on PersistFailed must not become ExpectKnock")

    def test_a_state_that_the_table_does_not_have(self) -> None:
        error = self.assertRaises(ApiMisuse, advance, {}, ExpectKnock(), Knock(), NOW)
        self.assertEqual(str(error), "ExpectKnock does not await Knock")

    def test_a_kind_of_an_event_is_another_event(self) -> None:
        class LoudKnock(Knock):
            pass

        self.assertRaises(ApiMisuse, advance, TRANSITIONS, ExpectKnock(), LoudKnock(), NOW)


class PathTests(SynchronousTestCase):
    def test_a_path_as_people_write_it(self) -> None:
        self.assertEqual(str(HERE), "192.0.2.1:434")
        self.assertEqual(str(Path("2001:db8::1", 434, 2)), "[2001:db8::1]:434")
        self.assertEqual(str(Path("host.example", 1)), "host.example:1")

    def test_where_nothing_is_said_any_socket_will_do(self) -> None:
        self.assertIsNone(HERE.via)
        self.assertNotEqual(HERE, Path("192.0.2.1", 434, 1))
