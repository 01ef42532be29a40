"""Houses at their limits, and beside a peer that does what none should."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.hpke import seed_size
from seckex.crypto.prekeys import make_prekey, prekey_id
from seckex.delivery.faces import DialogName, Outgoing, Stage, Verdict
from seckex.delivery.speaking import MOST_BACKLOG
from seckex.errors import PeerMisbehaved, StoreFailed
from seckex.wire.bodies import Where, encode_frames
from seckex.wire.numbers import Kem, MessageKind
from seckex.wire.units import Ping, encode_unit
from tests.delivery.table import HOME, EdgeOnTable, Table
from tests.delivery.test_house import HouseCase


class ManyAtOnceTests(HouseCase):
    def test_all_messages_of_an_envelope_expire(self) -> None:
        dialog = self.node.send(HOME, "orders", b"first")
        self.table.run()
        soon = self.node.wall() + 5
        self.node.house.send(dialog, [Outgoing(b"", "", soon)] * 4096, self.node.now())
        self.table.run()
        self.table.advance(6)
        self.home.receive("orders")
        self.table.advance(2)
        self.assertEqual(sorted(number for number, _, _ in self.node.failures), list(range(2, 4098)))
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 4097)

    def test_an_inbox_that_is_full_takes_no_more_until_programs_have_done_something(self) -> None:
        table = Table(self.id())
        node, home = table.pair(inbox=100_000)
        for label in map(str, range(20)):
            dialog = node.house.dialog(DialogName(HOME, "orders", label=label), node.now())
            node.house.send(dialog, [Outgoing(bytes(50_000))] * 4, node.now())
        table.run()
        self.assertLess(home.house.inbox_octets, 200_000)
        home.receive("orders")
        table.advance(60)
        self.assertEqual(len(home.got), 80)


class UnusablePrekeyTests(HouseCase):
    """Its owner can sign it, and nobody can seal anything to it."""

    def check_others_go_on(self) -> None:
        self.home.receive("orders")
        self.node.send(HOME, "orders", b"one")
        self.table.advance(3)
        self.check_got(self.home)
        self.home.vault.prekeys.clear()
        self.home.vault.new_prekeys()
        self.table.cut_all()
        self.table.advance(10)
        self.check_got(self.home, b"one")

    def test_a_point_that_leads_to_zeros(self) -> None:
        for prekey in self.home.vault.prekeys.values():
            prekey.public = bytes(32)
            prekey.id = prekey_id(prekey.public)
        self.check_others_go_on()

    def test_no_key_of_ml_kem(self) -> None:
        vault, kem = self.home.vault, Kem.X25519_ML_KEM_768
        prekey = make_prekey(kem, vault.entropy(seed_size(kem)), vault.wall() - 300, vault.wall() + 86_400)
        prekey.public = b"\xff" * 1184 + prekey.public[-32:]
        prekey.id = prekey_id(prekey.public)
        vault.prekeys.clear()
        vault.prekeys[prekey.id] = prekey
        self.check_others_go_on()


class PeerTests(HouseCase):
    def test_who_reads_nothing_is_answered_nothing(self) -> None:
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        (number,) = self.home.wires
        ping = encode_unit(Ping(b"at once!"))
        self.home.said.clear()
        self.home.house.unit(number, ping, self.home.now())
        self.assertEqual(len(self.home.said), 1)
        self.patch(EdgeOnTable, "backlog", lambda *_: MOST_BACKLOG)
        self.home.house.unit(number, ping, self.home.now())
        self.assertEqual(len(self.home.said), 1)

    def test_a_state_that_asks_the_same_many_times_ends_the_connection(self) -> None:
        self.home.receive("orders")
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.run()
        conversation = self.node.house._tables.dialogs[dialog]
        keys, connection = conversation.keys, conversation.connection
        assert keys is not None
        assert connection is not None
        body = encode_frames([Where(9), Where(10)])
        said = keys.seal(MessageKind.STATE, 0, 0, 0, 0, 0, body, self.node.now())
        EdgeOnTable(self.node, self.node.life).say(connection.number, said)
        self.table.run()
        self.assertIn(PeerMisbehaved, [type(event) for event in self.home.events])

    def test_who_has_two_connections_is_reached_over_the_other(self) -> None:
        self.home.receive("orders")
        for _ in range(2):
            self.table.connect(self.node, HOME)
        self.table.run()
        self.table.cut(next(iter(self.node.wires.values())))
        self.table.unreachable.add(HOME)
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.check_got(self.home, b"one")


class ProgramTests(HouseCase):
    def test_what_a_program_was_given_and_did_not_judge_is_given_to_the_next(self) -> None:
        self.home.answers = lambda _: None
        self.home.receive("orders", 4)
        self.node.send(HOME, "orders", b"one")
        self.table.run()
        self.home.house.detach("orders", self.home.now())
        self.home.answers = lambda _: Verdict.DONE
        self.home.receive("orders", 4)
        self.table.run()
        self.check_got(self.home, b"one", b"one")
        self.assertEqual([message.attempt for message in self.home.got], [1, 1])

    def test_a_key_stands_for_a_message_in_each_dialog(self) -> None:
        house, now = self.node.house, self.node.now()
        one, other = (house.dialog(DialogName(HOME, "orders", label=label), now) for label in "ab")
        for dialog in (one, other, one):
            self.assertEqual(house.send(dialog, [Outgoing(b"paid")], now, "key"), 1)


class DiskTests(SynchronousTestCase):
    def test_a_file_that_the_disk_has_forgotten_comes_again(self) -> None:
        table = Table(self.id())
        node, home = table.pair()
        synced = EdgeOnTable.sync_spool
        failures = iter([StoreFailed("the disk has failed")])

        def sync(edge: EdgeOnTable, spool: str, done: object) -> None:
            failure = next(failures, None)
            if failure is None:
                synced(edge, spool, done)  # type: ignore[arg-type]  # as it was given
                return
            home.spool.pop(spool)
            edge._later(lambda: done(failure), "spool")  # type: ignore[operator]  # the same

        self.patch(EdgeOnTable, "sync_spool", sync)
        home.receive("orders")
        node.send(HOME, "orders", node.spooled(bytes(3 << 20)))
        table.advance(20)
        self.assertEqual([payload.size for payload in home.payloads()], [3 << 20])
