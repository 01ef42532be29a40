"""The machine of one request by its table: every state with every event, and what each step may lead to."""

from __future__ import annotations

from typing import Any

from seckex.errors import ApiMisuse
from seckex.machine import (
    Arm,
    Deliver,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Report,
    State,
    Tick,
    advance,
)
from seckex.roles.foreign_agent import relaying
from seckex.roles.foreign_agent.asked import compose
from seckex.roles.foreign_agent.relaying import (
    GIVE_UP_AFTER,
    TRANSITIONS,
    Ask,
    Declined,
    ExpectReply,
    ExpectStored,
    Finished,
    Pass,
    Replied,
    Tell,
    TurnAway,
    Unsent,
)
from seckex.wire.mobileip import decode_node_request
from seckex.wire.numbers import Code
from tests.roles.foreign_agent.parts import OTHER_SERVER, SERVER, AgentCase


def _tells(action: object) -> bool:
    return isinstance(action, Deliver) and isinstance(action.result, Tell)


class TableTests(AgentCase):
    servers = (SERVER, OTHER_SERVER)

    def setUp(self) -> None:
        super().setUp()
        request = decode_node_request(self.request().octets)
        self.asked = compose(request, self.began, lambda _spi: False)
        self.expecting = ExpectReply(self.asked, self.began, self.servers, self.monotonic + GIVE_UP_AFTER)
        self.good = self.home.reply(self.asked.message).octets

    def step(self, state: State, event: object) -> tuple[State, list[Any]]:
        """Return where an event leads, and what is asked for, beside what the operator is told."""
        step = advance(TRANSITIONS, state, event, self.now)
        return step.state, [a for a in step.actions if not isinstance(a, Report) and not _tells(a)]

    def events(self) -> list[object]:
        """Return one of each kind."""
        declined = Declined(SERVER, SERVER, Code.AGENT_NOT_ALLOWED, "")
        unsent = Unsent(SERVER, Code.NO_SECURE_HOP, "")
        return [
            Replied(SERVER, self.good), declined, unsent, Tick(), Persisted(), PersistConflict(), PersistFailed("full"),
        ]  # fmt: skip

    def test_what_a_state_does_not_await_is_a_fault_of_the_program(self) -> None:
        stored, _ = self.step(self.expecting, Replied(SERVER, self.good))
        for state in (self.expecting, stored, Finished()):
            for event in self.events():
                if type(event) in TRANSITIONS[type(state)]:
                    self.assertIn(type(self.step(state, event)[0]), TRANSITIONS[type(state)][type(event)])
                else:
                    self.assertRaises(ApiMisuse, advance, TRANSITIONS, state, event, self.now)

    def test_every_row_of_the_table_happens(self) -> None:
        seen: set[tuple[type, type, type]] = set()

        def take(state: State, event: object) -> State:
            after, _ = self.step(state, event)
            seen.add((type(state), type(event), type(after)))
            return after

        stored = take(self.expecting, Replied(SERVER, self.good))
        second = take(self.expecting, Replied(SERVER, b""))
        take(second, Replied(OTHER_SERVER, b""))
        take(self.expecting, Declined(SERVER, SERVER, Code.AGENT_NOT_ALLOWED, ""))
        take(self.expecting, Declined(SERVER, SERVER, Code.ROUTING_LOOP, ""))
        take(self.expecting, Unsent(SERVER, Code.NO_SECURE_HOP, ""))
        take(second, Unsent(OTHER_SERVER, Code.NO_SECURE_HOP, ""))
        take(self.expecting, Tick())
        self.monotonic += GIVE_UP_AFTER
        take(second, Tick())
        for outcome in (Persisted(), PersistConflict(), PersistFailed("full")):
            take(stored, outcome)
        rows = {(s, e, n) for s, events in TRANSITIONS.items() for e, following in events.items() for n in following}
        self.assertEqual(seen, rows)

    def test_the_first_hop_is_asked_and_waited_for(self) -> None:
        arm, ask = self.expecting.begin(self.now)
        self.assertEqual(ask, Deliver(Ask(SERVER)))
        self.assertEqual(arm, Arm(self.monotonic + relaying.NEXT_AFTER))

    def test_what_is_passed_on_is_durable_before(self) -> None:
        stored, actions = self.step(self.expecting, Replied(SERVER, self.good))
        self.assertIsInstance(stored, ExpectStored)
        self.assertEqual([type(action) for action in actions], [Persist])
        _, (deliver,) = self.step(stored, Persisted())
        self.assertIsInstance(deliver.result, Pass)
        for outcome in (PersistConflict(), PersistFailed("full")):
            _, (deliver,) = self.step(stored, outcome)
            self.assertIsInstance(deliver.result, TurnAway)

    def test_nothing_changes_for_who_was_not_asked(self) -> None:
        strangers: tuple[object, ...] = (
            Replied("stranger@example.net", self.good),
            Declined("stranger@example.net", SERVER, Code.AGENT_NOT_ALLOWED, ""),
            Unsent("stranger@example.net", Code.NO_SECURE_HOP, ""),
            Replied(OTHER_SERVER, self.good),
        )
        for event in strangers:
            state, actions = self.step(self.expecting, event)
            self.assertIs(state, self.expecting)
            self.assertEqual(actions, [])
