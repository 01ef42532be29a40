"""The machine of one registration by its table: every state with every event of every state, and what must not be."""

from __future__ import annotations

from typing import Any

from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.machine import PersistConflict, Persisted, PersistFailed, State, Tick, advance
from seckex.roles.mobile_node.attempt import CookieAsked, Hint, Refused, Reply
from seckex.roles.mobile_node.registering import TRANSITIONS, ExpectIndex, ExpectReply, ExpectStored, Finished
from seckex.wire.extensions import Detail
from seckex.wire.mobileip import AgentRefusal, NodeReply, ReplyHeader, decode_node_reply
from tests.roles.mobile_node.scripted import says, silence, spoilt
from tests.roles.mobile_node.world import World


class TransitionTests(World):
    def states(self) -> dict[type, State]:
        """Return a state of each kind, as conversations come to them."""
        found: dict[type, State] = {Finished: Finished()}
        self.anew()
        self.host.commit_delay = 0.5
        self.start()

        def look() -> None:
            state = self.node.keeping.course.state
            if state is not None:
                found.setdefault(type(state), state)

        self.network.after_step = look
        self.registered()
        return found

    def events(self) -> list[Any]:
        reply = next(each.octets for each in self.network.sent if each.label == "REPLY")
        said = decode_node_reply(reply)
        assert isinstance(said, NodeReply)
        refusal = AgentRefusal(ReplyHeader(65, 0, 1), Detail(65, 0, 0, "no"))
        return [
            Reply(said),
            Refused(refusal),
            CookieAsked(b"crumbs"),
            Hint("a clue"),
            Tick(),
            Persisted(),
            PersistConflict(),
            PersistFailed("full"),
        ]

    def test_every_state_takes_the_events_of_its_row_and_no_others(self) -> None:
        states = self.states()
        self.assertEqual(set(states), set(TRANSITIONS))
        for kind, state in states.items():
            for event in self.events():
                with self.subTest(state=kind.__name__, event=type(event).__name__):
                    allowed = TRANSITIONS[kind].get(type(event))
                    if allowed is None:
                        self.assertRaises(ApiMisuse, advance, TRANSITIONS, state, event, self.host.now())
                    else:
                        step = advance(TRANSITIONS, state, event, self.host.now())
                        self.assertIn(type(step.state), allowed)

    def test_what_does_not_verify_changes_nothing(self) -> None:
        self.agent.moves = [spoilt]
        self.start()
        self.network.run_until(lambda: any(each.label == "REPLY" for each in self.network.sent))
        state = self.node.keeping.course.state
        said = decode_node_reply(next(each.octets for each in self.network.sent if each.label == "REPLY"))
        assert isinstance(said, NodeReply)
        assert isinstance(state, ExpectReply)
        self.assertRaises(AuthenticationFailed, advance, TRANSITIONS, state, Reply(said), self.host.now())

    def test_every_row_comes_about(self) -> None:
        came: set[tuple[type, type]] = set()
        for moves in ([], [silence] * 6, [says(code=133, clock=1)], [says(code=129)]):
            self.anew()
            self.agent.moves = list(moves)
            self.start()
            before: list[type] = [type(None)]

            def look(before: list[type] = before) -> None:
                now = type(self.node.keeping.course.state)
                if now is not before[0]:
                    came.add((before[0], now))
                    before[0] = now

            self.network.after_step = look
            self.registered()
        none = type(None)
        expected = {
            (none, ExpectIndex),
            (ExpectIndex, ExpectReply),
            (ExpectReply, ExpectStored),
            (ExpectReply, ExpectIndex),
            (ExpectReply, none),
            (ExpectStored, none),
        }
        self.assertEqual(came, expected)
