"""The disk aside from the reactor, and uploads to the spool."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.atrest import MASTER_KEY_SIZE, MasterKey
from seckex.crypto.secrets import Secret
from seckex.delivery.faces import FRAGMENT, LARGEST_MESSAGE, SPOOLED_ABOVE, Spooled
from seckex.delivery.memory import MemoryMessages
from seckex.delivery.store import PutDead, PutSegment, Segment
from seckex.errors import ApiMisuse, StoreFailed
from seckex.net.delivery.api import MessageFailed
from seckex.net.delivery.disk import Disk
from seckex.net.delivery.upload import AHEAD, PayloadUpload
from seckex.storage.spool import Spool
from tests.delivery.samples import dead
from tests.net.delivery.fakes import DIALOG


class Lazy:
    """Does what it is asked to when the test says so."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.stopped = False

    def run(self, work: Callable[[], Any], finished: Callable[[Any], None]) -> None:
        self.tasks.append((work, finished))

    def do(self) -> None:
        while self.tasks:
            work, finished = self.tasks.pop(0)
            try:
                result = work()
            except Exception as error:
                result = error
            finished(result)

    def stop(self) -> None:
        self.stopped = True


class DiskCase(SynchronousTestCase):
    most = 4 * SPOOLED_ABOVE

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(mode=0o700)
        self.store = MemoryMessages()
        self.spool = Spool(folder / "spool" / "0", MasterKey(Secret(bytes(MASTER_KEY_SIZE))), os.urandom)
        self.aside = Lazy()
        self.disk = Disk(self.store, self.spool, self.aside, self.most)
        self.told: list[Any] = []


class DiskTests(DiskCase):
    def test_what_is_stored_is_read_in_time(self) -> None:
        self.store.commit([(PutSegment(Segment(DIALOG, True, 1, 2, 4, b"octets")),)])
        self.disk.fetch(DIALOG, True, 2, self.told.append)
        self.disk.fetch(DIALOG, False, 2, self.told.append)
        self.assertEqual(self.told, [])
        self.aside.do()
        self.assertEqual(self.told[0], b"octets")
        self.assertIsInstance(self.told[1], StoreFailed)

    def test_pieces_are_written_in_order_and_counted(self) -> None:
        self.disk.write("file", 0, bytes(FRAGMENT), self.told.append)
        self.disk.write("file", 1, b"rest", self.told.append)
        self.disk.sync("file", self.told.append)
        self.disk.read("file", 1, self.told.append)
        self.aside.do()
        self.assertEqual(self.told, [None, None, None, b"rest"])
        self.assertEqual(self.disk.used, FRAGMENT + 4)
        self.assertEqual(Disk(self.store, self.spool, self.aside, self.most).used, FRAGMENT + 4)
        self.disk.drop("file")
        self.aside.do()
        self.assertEqual((self.disk.used, self.spool.sizes()), (0, {}))

    def test_a_full_spool_takes_nothing(self) -> None:
        self.disk.most = 10
        self.disk.write("file", 0, bytes(11), self.told.append)
        self.disk.write("file", 0, bytes(10), self.told.append)
        self.aside.do()
        self.assertEqual(str(self.told[0]), "the spool is full")
        self.assertIsNone(self.told[1])

    def test_a_fault_is_logged_and_told_as_a_failure(self) -> None:
        self.disk.read("NO NAME", 0, self.told.append)
        self.aside.do()
        self.assertEqual(str(self.told[0]), "the disk failed unexpectedly (ApiMisuse)")
        self.assertEqual(len(self.flushLoggedErrors(ApiMisuse)), 1)

    def test_dead_messages_are_read(self) -> None:
        one = dead(1, 2)
        self.store.commit([(PutDead(one),)])
        found = self.disk.dead(None, 10), self.disk.dead_message(one.dialog_id, one.ours, 2)
        self.aside.do()
        self.assertEqual([each.number for each in self.successResultOf(found[0])], [2])
        self.assertEqual(self.successResultOf(found[1]), one)

    def test_the_end_comes_when_all_is_done(self) -> None:
        self.disk.write("file", 0, b"", self.told.append)
        stopped = self.disk.stop()
        self.disk.write("file", 1, b"", self.told.append)
        self.assertNoResult(stopped)
        self.aside.do()
        self.successResultOf(stopped)
        self.assertTrue(self.aside.stopped)
        self.assertIsNone(self.told[0])
        self.assertIsInstance(self.told[1], StoreFailed)


class UploadTests(DiskCase):
    def setUp(self) -> None:
        super().setUp()
        self.upload = PayloadUpload(self.disk, os.urandom)

    def test_what_is_short_stays_in_memory(self) -> None:
        for part in (b"a", b"", bytes(SPOOLED_ABOVE - 1)):
            self.successResultOf(self.upload.write(part))
        self.assertEqual(self.successResultOf(self.upload.finish()), b"a" + bytes(SPOOLED_ABOVE - 1))
        self.assertEqual(self.aside.tasks, [])

    def test_what_is_long_goes_to_a_file(self) -> None:
        payload = bytes(range(251)) * 5000
        self.upload.write(payload[:700_000])
        room = self.upload.write(payload[700_000:])
        self.assertNoResult(room)
        self.assertEqual(len(self.aside.tasks), len(payload) // FRAGMENT)
        self.assertGreater(len(self.aside.tasks), AHEAD)
        self.aside.do()
        self.successResultOf(room)
        finished = self.upload.finish()
        self.aside.do()
        found = self.successResultOf(finished)
        assert isinstance(found, Spooled)
        self.assertEqual(found.size, len(payload))
        pieces = [self.spool.read(found.name, at) for at in range(-(-len(payload) // FRAGMENT))]
        self.assertEqual(b"".join(pieces), payload)

    def test_a_full_spool_fails_it_and_leaves_nothing(self) -> None:
        self.disk.most = SPOOLED_ABOVE
        room = self.upload.write(bytes(2 * SPOOLED_ABOVE))
        self.aside.do()
        self.assertEqual(self.failureResultOf(room, MessageFailed).value.code, 130)
        self.failureResultOf(self.upload.write(b"more"), MessageFailed)
        self.failureResultOf(self.upload.finish(), MessageFailed)
        self.aside.do()
        self.assertEqual((self.disk.used, self.spool.sizes()), (0, {}))

    def test_longer_than_any_message(self) -> None:
        self.upload._size = LARGEST_MESSAGE
        self.assertEqual(self.failureResultOf(self.upload.write(b"x"), MessageFailed).value.code, 130)

    def test_giving_up(self) -> None:
        self.upload.write(bytes(SPOOLED_ABOVE + 1))
        self.upload.abort()
        self.assertRaises(ApiMisuse, self.upload.write, b"")
        self.assertRaises(ApiMisuse, self.upload.finish)
        self.aside.do()
        self.assertEqual(self.spool.sizes(), {})
