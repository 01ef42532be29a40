"""Every state of an exchange by certificates, and everything that can happen to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from attrs import frozen

from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed
from seckex.exchange import certified_initiator, certified_responder
from seckex.exchange.attempt import Answer, CookieAsked, OtherVersions, TcpAsked, Unknown, Unreachable
from seckex.exchange.messages import Received
from seckex.machine import Now, Path, Persist, PersistConflict, Persisted, PersistFailed, Send, State, Tick, advance
from seckex.node.conversation import Driver
from seckex.wire.general import decode_message
from seckex.wire.numbers import Kind
from tests.conversation import AES, CHACHA, NODE, policy, sealing
from tests.crypto.certified import Maker
from tests.exchange.certified import CertifiedCase
from tests.pump import WALL

NOW: Final = Now(100.0, WALL)
PATH: Final = Path("192.0.2.7", 4434, None, True)
TABLES: Final = {"initiator": certified_initiator.TRANSITIONS, "responder": certified_responder.TRANSITIONS}
TWO_ROUNDS: Final = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1)


@frozen
class Stranger:
    """An event of no machine."""


HINTS: Final = (OtherVersions((7,), str(PATH)), CookieAsked(bytes(21)), TcpAsked(bytes(32)), Unknown(str(PATH)))
OTHERS: Final = (Unreachable("no route"), Tick(), Persisted(), PersistConflict(), PersistFailed("full"), Stranger())


class TransitionCase(CertifiedCase):
    def states(self) -> dict[str, dict[type, State]]:
        """Return a state of each class, out of conversations, and note what was said in them."""
        found: dict[str, dict[type, State]] = {"initiator": {}, "responder": {}}
        genuine = Driver.take

        def take(driver: Driver, conversation: Any, state: Any, *rest: Any) -> None:
            for role, table in TABLES.items():
                if conversation.transitions is table:
                    for each in (conversation.state, state):
                        found[role].setdefault(type(each), each)
            genuine(driver, conversation, state, *rest)

        self.patch(Driver, "take", take)
        self.anew()
        node, home = self.certified(TWO_ROUNDS, CHACHA)
        self.wanted(node, home, 40)
        self.anew()
        # A certificate that is refused, so that both come to an end with nothing.
        node, home = self.certified(node=Maker.root("another").identity(NODE))
        home.commit_faults[1] = "full"
        self.wanted(node, home)
        self.patch(Driver, "take", genuine)
        done = certified_responder.Finished()
        return {"initiator": found["initiator"], "responder": found["responder"] | {type(done): done}}

    def messages(self) -> list[Received]:
        """Return messages of each kind, of other conversations."""
        said: list[Received] = []
        for ours, theirs, who in ((TWO_ROUNDS, CHACHA, None), (AES, AES, Maker.root("another").identity(NODE))):
            self.anew()
            self.network.seed = 7
            node, home = self.certified(ours, theirs, node=who)
            self.wanted(node, home)
            said += [Received(decode_message(each.octets), each.octets) for each in self.network.sent]
        self.assertEqual(
            {each.header.kind for each in said},
            {Kind.OFFER, Kind.CHOICE, Kind.COUNTER, Kind.REFUSAL, Kind.CONFIRM, Kind.CONFIRMED},
        )
        return said

    @staticmethod
    def carried(received: Received) -> Iterator[object]:
        yield Answer(received)
        yield certified_responder.Offered(received, PATH)
        yield certified_responder.Offered(received, PATH, "the table of everything is")
        yield certified_responder.Confirmed(received, PATH)
        yield certified_responder.Confirmed(received, PATH, "the table of everything is")


class TableTests(TransitionCase):
    def test_each_state_of_the_tables_occurs(self) -> None:
        states = self.states()
        for role, table in TABLES.items():
            self.assertEqual(set(states[role]), set(table))

    def test_an_event_that_the_table_does_not_have_is_a_misuse(self) -> None:
        states, messages = self.states(), self.messages()
        events = [*HINTS, *OTHERS, *(event for each in messages for event in self.carried(each))]
        tried = 0
        for role, table in TABLES.items():
            for kind, state in states[role].items():
                for event in events:
                    if type(event) not in table[kind]:
                        self.assertRaises(ApiMisuse, advance, table, state, event, NOW)
                        tried += 1
        self.assertGreater(tried, 100)

    def test_messages_of_other_conversations_leave_each_state_as_it_is(self) -> None:
        states, messages = self.states(), self.messages()
        for role, table in TABLES.items():
            for kind, state in states[role].items():
                for received in messages:
                    for event in self.carried(received):
                        # An offer is good for whoever awaits one; a copy of what it was is up to who finds it.
                        if type(event) in table[kind] and not isinstance(event, certified_responder.Offered):
                            self.stays(role, state, event)

    def stays(self, role: str, state: State, event: object) -> None:
        try:
            step = advance(TABLES[role], state, event, NOW)
        except (AuthenticationFailed, Malformed):
            return
        self.assertIs(step.state, state, f"{type(state).__name__} on {event}")
        self.assertEqual(step.actions, ())

    def test_hints_move_nothing_and_are_told_sparingly(self) -> None:
        states = self.states()
        for state in states["initiator"].values():
            for hint in HINTS[1:]:
                step = advance(TABLES["initiator"], state, hint, NOW)
                self.assertEqual((step.state, step.actions), (state, ()))
        waiting = states["initiator"][certified_initiator.ExpectAnswer]
        told = 0
        for number in range(20):
            step = advance(TABLES["initiator"], waiting, Unreachable(f"reason {number}"), NOW)
            told, waiting = told + len(step.actions), step.state
        self.assertEqual(told, 4)

    def test_only_stores_and_proofs_lead_to_anything_that_lasts(self) -> None:
        states = self.states()
        for role, kinds in states.items():
            for kind, state in kinds.items():
                for event in (*HINTS, *OTHERS[:2]):
                    if type(event) in TABLES[role][kind]:
                        actions = advance(TABLES[role], state, event, NOW).actions
                        self.assertFalse(any(isinstance(action, Persist) for action in actions))

    def test_what_cannot_be_stored_is_not_confirmed(self) -> None:
        state = self.states()["responder"][certified_responder.ExpectStored]
        for event in (PersistFailed("full"), PersistConflict()):
            for action in advance(TABLES["responder"], state, event, NOW).actions:
                if isinstance(action, Send):
                    self.assertIs(decode_message(action.octets).header.kind, Kind.REFUSAL)
