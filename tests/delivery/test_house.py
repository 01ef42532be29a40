"""Two houses that speak with each other, over wires that can be cut, with programs that say what they like."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import DialogName, Direction, Incoming, Outgoing, Stage, Verdict
from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import DeadMessage
from seckex.delivery.terms import PeerTerms, ServiceTerms
from seckex.errors import PeerIncompatible
from seckex.events.messages import GapAfterRestore
from seckex.wire.numbers import Code
from seckex.wire.units import Hello, encode_unit
from tests.delivery.table import HOME, NODE, EdgeOnTable, Host, Table
from tests.roaming.certificates import identity


class HouseCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table(self.id())
        self.node, self.home = self.table.pair()

    def stage(self, host: Host, dialog_id: bytes, stage: Stage) -> int:
        return host.stages.get((dialog_id.hex(), stage), 0)

    def check_got(self, host: Host, *payloads: bytes) -> None:
        self.assertEqual(host.payloads(), list(payloads))


class DeliveryTests(HouseCase):
    """node: a program that sends; home: a program that takes orders."""

    def test_messages_arrive_in_order_and_all_stages_are_told(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one", b"two", type="order")
        self.table.run()
        # node -> HELLO; home -> HELLO, PREKEYS; node -> whole envelope; home -> HELD, PROCESSED
        self.check_got(self.home, b"one", b"two")
        self.assertEqual([message.peer for message in self.home.got], [NODE, NODE])
        self.assertEqual([message.type for message in self.home.got], ["order", "order"])
        for stage in Stage:
            self.assertEqual(self.stage(self.node, dialog, stage), 2, stage)

    def test_headers_are_left_out_once_they_are_held(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.node.said.clear()
        self.node.send(HOME, "orders", b"x" * 1024)
        self.table.run()
        envelope = max(self.node.said, key=len)
        self.assertLessEqual(len(envelope), 1024 + 128)
        self.assertEqual(len(self.home.got), 2)

    def test_why_tells_which_headers_a_message_went_with(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"x" * 1024)
        self.table.run()
        self.node.send(HOME, "orders", b"x" * 1024)
        self.table.run()
        went = [self.went(dialog, number) for number in (1, 2)]
        self.assertEqual([each["headers"] for each in went], ["whole", "short"])
        self.assertEqual(went[1]["overhead"], 48 + 40)
        self.assertEqual(went[0]["overhead"], max(map(len, self.node.said)) - 13 - 1024)

    def went(self, dialog_id: bytes, number: int) -> Any:
        told = self.node.house.why(f"{dialog_id.hex()}.o{number}", self.node.now())
        assert told is not None
        [step] = [each for each in told["steps"] if each["what"] == "went"]
        return step

    def test_a_program_answers_in_the_same_dialog(self) -> None:
        self.node.receive("answers")

        def answer(message: Incoming) -> Verdict:
            self.home.house.send(message.dialog_id, [Outgoing(b"yes, please")], self.home.now())
            return Verdict.DONE

        self.home.answers = answer
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"please", own="answers")
        self.table.run()
        self.check_got(self.node, b"yes, please")
        self.assertEqual(self.node.got[0].direction, Direction.BACK)
        self.assertEqual(self.node.got[0].peer, HOME)

    def test_verdicts_last_from_the_first_that_has_none_backwards(self) -> None:
        self.home.answers = lambda _: None
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one", b"two")
        self.table.run()
        house, now = self.home.house, self.home.now()
        house.verdict(dialog, 2, Verdict.DONE, "", now)
        self.table.run()
        self.assertFalse(house.has_judged(dialog, 2))
        self.assertEqual(self.home.judged.get(dialog.hex(), 0), 0)
        house.verdict(dialog, 1, Verdict.DONE, "", now)
        self.assertTrue(house.has_judged(dialog, 2))
        self.assertEqual(self.home.judged.get(dialog.hex(), 0), 0)
        self.table.run()
        self.assertEqual(self.home.judged[dialog.hex()], 2)

    def test_a_key_is_of_one_dialog(self) -> None:
        sent = [Outgoing(b"one")]
        dialogs = [self.node.house.dialog(DialogName(HOME, "orders", label=label), self.node.now()) for label in "ab"]
        for _ in range(2):
            numbers = [self.node.house.send(each, sent, self.node.now(), "key") for each in dialogs]
            self.assertEqual(numbers, [1, 1])
            self.table.run()

    def test_what_waits_goes_on_over_the_next_connection(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.table.cut_all()
        self.node.send(HOME, "orders", b"two")
        self.table.advance(2)
        self.check_got(self.home, b"one", b"two")

    def test_a_receiver_that_crashes_takes_each_message_once(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.home.crash()
        self.node.send(HOME, "orders", b"two", b"three")
        self.table.advance(2)
        self.home.start()
        self.table.advance(20)
        self.check_got(self.home, b"one", b"two", b"three")
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 3)

    def test_a_sender_that_crashes_goes_on_with_what_is_durable(self) -> None:
        self.table.unreachable.add(HOME)
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one", b"two")
        self.table.run()
        self.node.crash()
        self.table.unreachable.clear()
        self.node.start()
        self.table.advance(5)
        self.check_got(self.home, b"one", b"two")

    def test_a_program_that_always_fails_has_its_message_put_aside(self) -> None:
        self.home.answers = lambda message: Verdict.RETRY if message.payload == b"bad" else Verdict.DONE
        self.home.receive("orders", at_once=1)
        self.node.send(HOME, "orders", b"bad", b"good")
        self.table.advance(30)
        self.assertEqual(self.home.payloads().count(b"bad"), 3)
        self.assertEqual(self.home.payloads()[-1], b"good")
        self.assertEqual([code for _, code, _ in self.node.failures], [Code.RESET_BY_PROGRAM])


class CertificateTests(HouseCase):
    def test_a_target_that_restarts_with_another_certificate_is_believed(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.home.vault.renew(identity(HOME, held="another key"))
        self.home.crash()
        self.home.start()
        self.node.send(HOME, "orders", b"two")
        self.table.advance(10)
        self.check_got(self.home, b"one", b"two")

    def test_an_initiator_with_another_certificate_goes_on_in_its_dialog(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.node.vault.renew(identity(NODE, held="another key"))
        self.node.send(HOME, "orders", b"two")
        self.table.advance(10)
        self.check_got(self.home, b"one", b"two")
        self.assertEqual(len({message.dialog_id for message in self.home.got}), 1)


class IdleTests(HouseCase):
    def test_a_connection_over_which_nothing_is_expected_is_closed_and_made_anew(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.advance(301)
        self.assertEqual(self.node.wires, {})
        self.node.send(HOME, "orders", b"two")
        self.table.run()
        self.check_got(self.home, b"one", b"two")

    def test_one_that_answers_may_come_over_is_kept(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one", own="answers")
        self.table.advance(301)
        self.assertEqual(len(self.node.wires), 1)

    def test_a_program_that_comes_late_is_told_what_has_happened(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.node.stages.clear()
        self.node.house.dialog(DialogName(HOME, "orders"), self.node.now())
        for stage in Stage:
            self.assertEqual(self.stage(self.node, dialog, stage), 1, stage)


class CollectingTests(SynchronousTestCase):
    """A node that cannot be called, and has nothing to say itself."""

    def setUp(self) -> None:
        self.table = Table(self.id())
        self.home = self.table.host(HOME, peers={NODE: PeerTerms(calls=False)})
        services = {"answers": ServiceTerms(allowed=(HOME,))}
        self.node = self.table.host(NODE, services=services, peers={HOME: PeerTerms(collects=True)})
        self.node.receive("answers")

    def test_it_is_sent_to_over_the_connection_that_it_keeps(self) -> None:
        self.home.send(NODE, "answers", b"hello")
        # node -> HELLO, PROVE, PREKEYS; home -> HELLO, PREKEYS, and then envelopes
        self.table.advance(3)
        self.assertEqual(self.node.payloads(), [b"hello"])
        self.table.cut_all()
        self.home.send(NODE, "answers", b"again")
        self.table.advance(10)
        self.assertEqual(self.node.payloads(), [b"hello", b"again"])

    def test_who_is_nobodys_peer_is_turned_away(self) -> None:
        self.home.peers.clear()
        self.table.advance(3)
        self.assertEqual([str(event) for event in self.home.events if "no relay" in str(event)][:1] != [], True)

    def test_new_prekeys_are_told_on_a_connection_that_stays(self) -> None:
        self.table.advance(3)
        before = self.node.vault.known[HOME].id
        self.home.vault.new_prekeys()
        self.table.advance(15)
        self.assertNotEqual(self.node.vault.known[HOME].id, before)
        self.node.vault.new_prekeys()
        before = self.home.vault.known[NODE].id
        self.table.advance(15)
        self.assertNotEqual(self.home.vault.known[NODE].id, before)


class RefusalTests(HouseCase):
    def test_a_dead_message_that_was_never_kept_cannot_be_revived(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        dead = DeadMessage(dialog, False, 1, NODE, "orders", Code.INSUFFICIENT_RESOURCES, "too long", 0.0, 0, 9, b"")
        with self.assertRaises(PeerIncompatible) as caught:
            self.home.house.revive(dead, self.home.now())
        self.assertEqual(caught.exception.code, Code.UNKNOWN_DIALOG)

    def test_who_proves_nothing_may_say_so_much_that_does_not_verify(self) -> None:
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        envelope = next(each for each in self.node.said if each.startswith(b"SK"))
        house, dropped = self.home.house, list[int]()
        house.connected(99, None, self.home.now())
        house.unit(99, encode_unit(Hello(bytes(16), HOME, NODE)), self.home.now())
        self.patch(EdgeOnTable, "drop", lambda _, connection: dropped.append(connection))
        for _ in range(15):
            # Copies of another connection's, which cost as much as others to be refused.
            house.unit(99, envelope, self.home.now())
        self.assertEqual(dropped, [])
        house.unit(99, envelope, self.home.now())
        self.assertEqual(dropped, [99])

    def test_an_unknown_service_ends_the_dialog_with_its_reason(self) -> None:
        self.node.send(HOME, "nothing", b"one")
        self.table.run()
        self.assertEqual([code for _, code, _ in self.node.failures], [Code.UNKNOWN_SERVICE])
        self.assertEqual(self.home.got, [])
        # It says so as well when home cannot be reached any more.
        self.table.unreachable.add(HOME)
        self.table.cut_all()
        self.node.send(HOME, "orders", b"one")
        self.table.advance(5)
        [shown] = [each for each in self.node.house.shown_dialogs(self.node.now()) if each["service"] == "nothing"]
        self.assertEqual((shown["state"], shown["why"]), ("failed", f"refused by {HOME}, 301 unknown-service"))

    def test_a_stranger_is_refused(self) -> None:
        with self.assertRaises(PeerIncompatible) as caught:
            self.node.send("stranger@example.org", "orders", b"one")
        self.assertEqual(caught.exception.code, Code.PROHIBITED)


class ThreePhaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table(self.id())
        self.node, self.home = self.table.pair("auto")
        self.home.receive("orders")

    def shown(self, dialog_id: bytes) -> dict[str, Any]:
        shown = next(each for each in self.node.house.shown_dialogs(self.node.now()) if each["id"] == dialog_id.hex())
        keys: dict[str, Any] = shown["keys"]
        return keys

    def source(self, dialog_id: bytes) -> str:
        return str(self.shown(dialog_id)["source"])

    def test_a_dialog_begins_at_once_and_moves_to_keys_of_an_exchange(self) -> None:
        dialog = self.node.send(HOME, "orders", b"one")
        # node -> whole envelope under a prekey; home -> HELD; node -> PHASE1; home -> PHASE2; node -> PHASE3, envelope
        self.table.run()
        self.assertEqual(self.source(dialog), "three-phase")
        self.node.send(HOME, "orders", b"two")
        self.table.run()
        self.assertEqual(self.home.payloads(), [b"one", b"two"])

    def test_nothing_that_is_sent_while_keys_are_wanting_waits_for_patience(self) -> None:
        """A target that has restarted asks for keys, and the exchange that gives them takes a while."""
        self.node.send(HOME, "orders", b"0")
        self.table.run()
        sent = 0
        for steps in range(40):
            self.home.crash()
            self.home.start()
            self.table.tick()
            for _ in range(3):
                for _ in range(steps):
                    self.table.step()
                sent += 1
                self.node.send(HOME, "orders", str(sent).encode())
            self.table.advance(5)
            self.assertEqual(self.home.payloads(), [str(number).encode() for number in range(sent + 1)], steps)

    def test_after_a_restart_of_the_target_another_exchange_is_made(self) -> None:
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.home.crash()
        self.home.start()
        self.node.send(HOME, "orders", b"two")
        self.table.advance(10)
        self.assertEqual(self.home.payloads(), [b"one", b"two"])
        self.assertEqual(self.source(dialog), "three-phase")

    def test_an_exchange_that_could_not_be_made_is_made_later(self) -> None:
        self.node.vault.prekeys.clear()
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.assertEqual(self.source(dialog), "prekey")
        self.node.vault.new_prekeys()
        self.table.advance(2)
        self.assertEqual(self.source(dialog), "three-phase")

    def test_with_another_certificate_another_exchange_is_made(self) -> None:
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        before = self.shown(dialog)["kek"]
        self.node.vault.renew(identity(NODE, held="another"))
        self.node.house.reconfigure(self.node.house._tables.terms, self.node.now())
        self.table.advance(5)
        self.node.send(HOME, "orders", b"two")
        self.table.run()
        self.assertEqual(self.home.payloads(), [b"one", b"two"])
        self.assertEqual(self.source(dialog), "three-phase")
        self.assertNotEqual(self.shown(dialog)["kek"], before)

    def test_a_target_that_calls_and_has_lost_its_keys_is_given_others(self) -> None:
        home, node, table = self.home, self.node, self.table
        node.send(HOME, "orders", b"one")
        table.advance(3)
        home.crash()
        table.unreachable.add(HOME)
        home.peers[NODE] = PeerTerms(source="prekey")
        home.start()
        node.send(HOME, "orders", b"two")
        # home -> node, and an envelope of another dialog that proves who it is
        home.send(NODE, "answers", b"hello")
        table.advance(10)
        self.assertEqual(home.payloads(), [b"one", b"two"])

    def test_a_dialog_that_has_moved_gets_keys_under_other_terms_too(self) -> None:
        home, node, table = self.home, self.node, self.table
        node.send(HOME, "orders", b"one")
        table.advance(3)
        home.crash()
        node.peers[HOME] = PeerTerms(source="prekey")
        node.house.reconfigure(evolve(node.house._tables.terms, peers=node.peers), node.now())
        home.start()
        node.send(HOME, "orders", b"two")
        table.advance(10)
        self.assertEqual(home.payloads(), [b"one", b"two"])


class RestoreTests(HouseCase):
    """A store that is taken back from a backup, at either end, in the middle of a dialog."""

    def restore(self, host: Host, backup: MemoryMessages) -> None:
        host.crash()
        host.store = backup
        self.table.advance(5)
        host.start()
        self.table.advance(5)

    def begin(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one", b"two", own="answers")
        self.table.run()

    def test_a_sender_goes_on_with_numbers_that_were_never_used(self) -> None:
        self.begin()
        backup = self.node.store.copy()
        self.node.send(HOME, "orders", b"three", b"four", own="answers")
        self.table.run()
        self.restore(self.node, backup)
        dialog = self.node.send(HOME, "orders", b"five", own="answers")
        self.table.advance(5)
        self.check_got(self.home, b"one", b"two", b"three", b"four", b"five")
        self.assertGreater(self.stage(self.node, dialog, Stage.PROCESSED), 1 << 48)

    def test_what_a_restored_sender_sends_again_is_not_given_again(self) -> None:
        self.home.answers = lambda _: None
        self.begin()
        self.table.unreachable.add(HOME)
        self.table.cut_all()
        self.node.send(HOME, "orders", b"three", own="answers")
        self.table.run()
        backup = self.node.store.copy()
        self.table.unreachable.clear()
        self.table.advance(10)
        self.assertEqual(len(self.home.got), 3)
        self.restore(self.node, backup)
        self.node.send(HOME, "orders", b"four", own="answers")
        self.table.advance(10)
        self.assertEqual([message.payload for message in self.home.got], [b"one", b"two", b"three", b"four"])

    def test_a_restored_receiver_is_not_given_what_it_had_and_says_so(self) -> None:
        self.begin()
        backup = self.home.store.copy()
        self.node.send(HOME, "orders", b"three", b"four", own="answers")
        self.table.run()
        self.restore(self.home, backup)
        self.node.send(HOME, "orders", b"five", own="answers")
        self.table.advance(10)
        self.check_got(self.home, b"one", b"two", b"three", b"four", b"five")
        gaps = [event for event in self.node.events if isinstance(event, GapAfterRestore)]
        self.assertEqual([(gap.first, gap.last) for gap in gaps], [(3, 4)])

    def test_envelopes_of_before_the_restore_are_refused(self) -> None:
        self.begin()
        backup = self.home.store.copy()
        self.node.said.clear()
        self.table.cut_all()
        self.node.send(HOME, "orders", b"three", own="answers")
        self.table.advance(2)
        self.restore(self.home, backup)
        number = len(self.home.got)
        wire = next(iter(self.node.wires.values()))
        for octets in [each for each in self.node.said if each.startswith(b"SK")][:2]:
            # Somebody has kept them, and says them again.
            self.table.carry(wire, self.node, octets)
        self.table.run()
        self.assertEqual(len(self.home.got), number)
