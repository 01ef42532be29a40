"""The master key is exchanged while a daemon serves: between commits, through restarts and full disks, and off line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from seckex.cli.main import main
from seckex.config.kdc import KdcSettings
from seckex.config.load import load
from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.events.store import MasterKeyExchanged, MasterKeyExchanging, MasterKeyTrouble
from seckex.net import principal
from seckex.net.commit import GroupCommit
from seckex.net.kdc import KdcDaemon
from seckex.net.log import EventLog
from seckex.net.rotation import AGAIN, MasterKeyExchange
from seckex.sa.store import Append, Outcome, PutRecord
from seckex.storage import rotation
from seckex.storage.masterkey import BOTH, HEADER, load_master_key
from seckex.storage.rotation import Rotation
from seckex.storage.sqlite import SqliteStore
from seckex.wire import hop
from tests.net.test_commit import ByHand
from tests.net.test_kdc import HOME, KDC, NODE, REQUEST, DaemonCase
from tests.storage.samples import NOW, entropy, record
from tests.storage.test_rotation import RotationCase

reactor: Any = installed
AUDIT = "kdc.audit"
PRIVATE = Secret(bytes(range(32)))


class ExchangeTests(RotationCase):
    """A thread and a clock that are moved by hand."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(self.start())
        self.fill(self.store)

    def begin(self, store: SqliteStore) -> None:
        self.store = store
        self.thread, self.clock = ByHand(), Clock()
        self.log = EventLog("error", lambda: NOW)
        self.commits = GroupCommit(store, self.thread, self.clock)
        clocks = principal.Clock(self.clock.seconds, lambda: NOW)
        self.exchange = MasterKeyExchange(self.clock, self.commits, store, self.key, 0, self.log, clocks, self.entries)

    @staticmethod
    def entries(master: MasterKey, begins: bool, user: int | None) -> tuple[Append, ...]:
        assert master.former is not None
        assert user is None
        return (Append(AUDIT, b"begun" if begins else b"ended", NOW),)

    def turn(self) -> None:
        """Let what is due begin, and what runs in the thread end."""
        self.clock.advance(0.001)
        if self.thread.pending:
            self.thread.turn()

    def events(self) -> list[object]:
        return [type(event) for _, event in self.log.recent]

    def test_a_unit_waits_for_one_portion_at_most(self) -> None:
        begun = self.exchange.start()
        self.turn()
        self.successResultOf(begun)
        told: list[Outcome | StoreFailed] = []
        turns = 0
        while self.exchange.status()["exchanging"]:
            outcomes = len(told)
            self.commits.submit((PutRecord(record("kdc.issued", b"%d" % turns)),), told.append)
            self.turn()
            self.turn()
            self.turn()
            self.assertEqual(len(told), outcomes + 1)
            turns += 1
        self.assertEqual(set(told), {Outcome.STORED})
        self.assertGreater(turns, 4)
        self.assertEqual(self.events(), [MasterKeyExchanging, MasterKeyExchanged])
        self.assertEqual(self.audited(self.store)[-2:], [b"begun", b"ended"])
        self.assertEqual(self.key_lines()[0], HEADER)
        status = self.exchange.status()
        self.assertEqual((status["former"], status["ended"], status["part"]), (None, NOW, 1.0))

    def test_asked_twice_it_is_done_once(self) -> None:
        for _ in range(3):
            self.exchange.start()
        self.turn()
        self.exchange.start()
        while self.exchange.status()["exchanging"]:
            self.turn()
        self.assertEqual(self.audited(self.store)[-3:], [b"6", b"begun", b"ended"])

    def test_what_cannot_be_is_refused_and_nothing_has_happened(self) -> None:
        self.key.unlink()
        refused = self.exchange.start()
        self.turn()
        self.assertIn("cannot be replaced", str(self.failureResultOf(refused, StoreFailed).value))
        self.assertEqual((self.exchange.status()["exchanging"], self.events()), (False, []))

    def test_a_full_disk_is_told_once_and_it_goes_on_when_there_is_room(self) -> None:
        self.exchange.start()
        self.turn()
        connection = self.store._open()
        connection.execute("PRAGMA query_only = ON")
        for _ in range(4):
            self.turn()
            self.clock.advance(AGAIN)
        self.assertEqual(self.events(), [MasterKeyExchanging, MasterKeyTrouble])
        self.assertIn("cannot be written", self.exchange.status()["trouble"])
        self.assertEqual(self.key_lines()[0], BOTH)
        connection.execute("PRAGMA query_only = OFF")
        self.clock.advance(AGAIN)
        while self.exchange.status()["exchanging"]:
            self.turn()
        self.assertEqual(self.exchange.status()["trouble"], "")
        self.assertEqual(self.events()[-1], MasterKeyExchanged)

    def test_where_the_beginning_failed_it_begins_again(self) -> None:
        self.store._open().execute("PRAGMA query_only = ON")
        refused = self.exchange.start()
        self.turn()
        # The key file holds both keys already: it goes on by itself.
        self.failureResultOf(refused, StoreFailed)
        self.assertTrue(self.exchange.status()["exchanging"])
        self.store._open().execute("PRAGMA query_only = OFF")
        self.clock.advance(AGAIN)
        while self.exchange.status()["exchanging"]:
            self.turn()
        self.assertEqual(self.audited(self.store)[-2:], [b"begun", b"ended"])

    def test_a_daemon_that_starts_goes_on(self) -> None:
        self.exchange.start()
        self.turn()
        self.turn()
        self.exchange.stop()
        self.store.close()
        before = self.key_lines()
        self.begin(self.start())
        self.exchange.resume()
        while self.exchange.status()["exchanging"]:
            self.turn()
        self.assertEqual(self.key_lines(), [HEADER, before[1]])
        self.assertEqual(self.audited(self.store)[-2:], [b"begun", b"ended"])
        # There is nothing to go on with any more.
        self.exchange.resume()
        self.assertFalse(self.exchange.status()["exchanging"])

    def test_it_stops_with_the_daemon(self) -> None:
        self.exchange.start()
        self.turn()
        self.clock.advance(0.001)
        self.exchange.stop()
        stopped = self.commits.stop()
        while self.thread.pending:
            self.thread.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.events(), [MasterKeyExchanging])
        self.failureResultOf(self.commits.between(lambda: None), StoreFailed)


class DaemonTests(DaemonCase):
    def seckex(self, *arguments: str) -> Deferred[Result]:
        return deferToThread(CliRunner().invoke, main, [*arguments, "--config", str(self.file)])

    def setUp(self) -> None:
        super().setUp()
        self.patch(rotation, "PORTION", 2)
        self.file = self.write("kdc", self.kdc_toml())
        self.state = self.directory / "kdc"

    def keys(self) -> list[bytes]:
        return (self.state / "master.key").read_bytes().splitlines()

    async def test_on_a_daemon_that_serves_and_off_line(self) -> None:
        daemon = KdcDaemon(reactor, load(self.file, KdcSettings))
        self.start(daemon)
        for number in range(9):
            await self.add(f"n{number}@example.org")
        await self.add()
        before = self.keys()
        hops = self.home_agent((KDC, self.port))
        result = await self.seckex("kdc", "master", "rotate", "--wait")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("secrets were sealed anew", result.stdout)
        after = self.keys()
        self.assertEqual((after[0], len(after)), (HEADER, 2))
        self.assertNotEqual(after, before)
        self.assertIsInstance(await self.asked(hops, KDC, hop.Keys(1, REQUEST)), hop.Issued)
        shown = json.loads((await self.seckex("master", "show", "--json")).stdout)
        self.assertEqual((shown["former"], shown["exchanging"]), (None, False))
        status = await self.command({"command": "status"}, "seckex.status/1")
        self.assertEqual(status["master_key"]["key"], shown["key"])
        self.assertNotIn("master.key", str(status))
        audited = (await self.seckex("kdc", "audit", "show")).stdout
        self.assertIn("master-key-exchanging", audited)
        self.assertIn("master-key-exchanged", audited)
        await daemon.stopService()

        off_line = json.loads((await self.seckex("master", "show", "--json")).stdout)
        self.assertEqual((off_line["key"], off_line["former"], off_line["exchanging"]), (shown["key"], None, False))
        result = await self.seckex("master", "rotate", "--json")
        self.assertEqual(result.exit_code, 0, result.output)
        told = json.loads(result.stdout)
        self.assertEqual((told["former"], told["exchanging"], told["unreadable"]), (None, False, 0))
        self.assertNotEqual(self.keys(), after)
        self.start(KdcDaemon(reactor, load(self.file, KdcSettings)))
        for name in (NODE, "n8@example.org"):
            self.assertIn(HOME, (await self.seckex("kdc", "show", name)).stdout)

    async def test_a_daemon_finishes_what_a_killed_one_began(self) -> None:
        daemon = KdcDaemon(reactor, load(self.file, KdcSettings))
        self.start(daemon)
        await self.add()
        await daemon.stopService()
        database = self.state / "seckex.db"
        key_file: Path = self.state / "master.key"
        store = SqliteStore(database, load_master_key(key_file, database, entropy), entropy)
        Rotation(store, key_file, 0, entropy).begin()
        store.close()
        self.assertEqual(self.keys()[0], BOTH)
        self.start(KdcDaemon(reactor, load(self.file, KdcSettings)))
        await self.until(lambda: self.keys()[0] == HEADER)
        self.assertIn(HOME, (await self.seckex("kdc", "show", NODE)).stdout)

    async def test_refused_with_the_reason(self) -> None:
        self.start(KdcDaemon(reactor, load(self.file, KdcSettings)))
        (self.state / "master.key").unlink()
        result = await self.seckex("master", "rotate")
        self.assertEqual(result.exit_code, 1, result.output)
        self.assertIn("cannot be replaced: No such file", result.stderr)

    async def test_without_a_store(self) -> None:
        result = await self.seckex("master", "rotate")
        self.assertIn("is not there: no daemon has run", result.stderr)
        result = await deferToThread(
            CliRunner().invoke, main, ["master", "rotate", "--socket", str(self.state / "no.sock")]
        )
        self.assertEqual(result.exit_code, 3, result.output)
