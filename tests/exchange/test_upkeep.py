"""PROBE and DELETE: every transition of who asks."""

from __future__ import annotations

from typing import Any

from seckex.errors import AuthenticationFailed
from seckex.exchange import upkeep
from seckex.exchange.attempt import Answer, OtherVersions, Unknown
from seckex.exchange.messages import Received
from seckex.machine import Arm, Deliver, Now, Path, PersistConflict, Persisted, PersistFailed, Send, Step, Tick, advance
from seckex.sa.association import Association
from seckex.wire.general import decode_message
from seckex.wire.numbers import Code, Kind
from tests.conversation import AES, HOME, NODE, ConversationCase

NOW = Now(0.0, 1_800_000_000.0)
LATE = Now(upkeep.GIVE_UP, NOW.wall)
PATH = Path("192.0.2.2", 4434)


class UpkeepTests(ConversationCase):
    def both(self) -> tuple[Any, Association, Association]:
        """Return the initiator's terms and the two sides of one association."""
        node, home = self.pair(AES, AES)
        ours = self.established(node, home)
        theirs = home.node.associations.get(ours.spi_out)
        if theirs is None:
            self.fail("the responder does not have it")
        return node.node.peers[HOME].terms, ours, theirs

    def sent(self, step: Step) -> Received:
        """Return the message that a step sends."""
        octets = next(action.octets for action in step.actions if isinstance(action, Send))
        return Received(decode_message(octets), octets)

    def test_every_transition_happens(self) -> None:
        terms, ours, theirs = self.both()
        for step in (upkeep.probe(terms, PATH, ours, NOW), upkeep.delete(terms, PATH, ours, Code.DELETED, "bye", NOW)):
            asked = self.sent(step)
            octets = upkeep.answer(asked, theirs)
            self.assertLessEqual(len(octets), len(asked.octets))
            answer = Answer(Received(decode_message(octets), octets))
            kind = asked.header.kind
            seen: set[Any] = set()
            for event, now, result in (
                (answer, NOW, upkeep.Answered(ours, kind)),
                (Unknown("x"), NOW, upkeep.Unanswered(ours, kind, True)),
                (Tick(), LATE, upkeep.Unanswered(ours, kind, False)),
            ):
                after = advance(upkeep.TRANSITIONS, step.state, event, now)
                self.assertEqual(after.actions, (Deliver(result),))
                seen.add((upkeep.ExpectAnswer, type(event), type(after.state)))
                for late in (answer, Unknown("x"), OtherVersions((2,), "x"), Tick()):
                    self.assertEqual(advance(upkeep.TRANSITIONS, after.state, late, now), Step(upkeep.Finished()))
                    seen.add((upkeep.Finished, type(late), upkeep.Finished))
            for other in (OtherVersions((2,), "x"), Tick()):
                after = advance(upkeep.TRANSITIONS, step.state, other, NOW)
                seen.add((upkeep.ExpectAnswer, type(other), type(after.state)))
            self.assertEqual([type(action) for action in after.actions], [Send, Arm])
            expected = {
                (state, event, following)
                for state, events in upkeep.TRANSITIONS.items()
                if state is not upkeep.ExpectForgotten
                for event, nexts in events.items()
                for following in nexts
            }
            self.assertEqual(seen, expected)

    def test_what_is_durable_is_said(self) -> None:
        said = Send(b"DELETED", PATH)
        for event, actions in ((Persisted(), (said,)), (PersistConflict(), ()), (PersistFailed("why"), ())):
            after = advance(upkeep.TRANSITIONS, upkeep.ExpectForgotten(said), event, NOW)
            self.assertEqual(after, Step(upkeep.Finished(), actions))

    def test_an_answer_answers_its_own_question_only(self) -> None:
        terms, ours, theirs = self.both()
        probe = upkeep.probe(terms, PATH, ours, NOW)
        delete = upkeep.delete(terms, PATH, ours, Code.DELETED, "", NOW)
        octets = upkeep.answer(self.sent(delete), theirs)
        self.assertRaises(
            AuthenticationFailed, probe.state.receive, Answer(Received(decode_message(octets), octets)), NOW
        )

    def test_the_other_end_speaks_with_its_own_key(self) -> None:
        terms, ours, theirs = self.both()
        asked = self.sent(upkeep.probe(terms, PATH, ours, NOW))
        upkeep.verify(asked, theirs)
        self.assertRaises(AuthenticationFailed, upkeep.verify, asked, ours)

    def test_other_kinds_are_not_taken(self) -> None:
        _, ours, _ = self.both()
        confirm = self.network.last("CONFIRM").octets
        received = Received(decode_message(confirm), confirm)
        self.assertIs(received.header.kind, Kind.CONFIRM)
        self.assertRaises(AuthenticationFailed, upkeep.verify, received, ours)
        self.assertEqual(ours.names, (NODE, HOME))
