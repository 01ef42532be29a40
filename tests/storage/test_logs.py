"""A log whose entries somebody has altered, cut short or put more into: noticed, and told where."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

from seckex.crypto.logchain import FIRST, link
from seckex.errors import StoreFailed
from seckex.sa.logs import MOST_LOGS, LogCheck, LogEntry, follow
from seckex.sa.store import Append, PutReplay
from seckex.storage.sqlite import SqliteStore
from tests.storage.case import SqliteCase
from tests.storage.contract import STORED
from tests.storage.samples import NOW, replay

AUDIT = "kdc.audit"


class AlteredTests(SqliteCase):
    """Whoever has the database and not the master key."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.open()
        self.write(*range(1, 6))

    def write(self, *numbers: int) -> None:
        outcomes = self.store.commit([(Append(AUDIT, b"%d" % n, NOW + n),) for n in numbers])
        self.assertEqual(outcomes, [STORED] * len(numbers))

    def alter(self, statement: str, *values: object) -> None:
        """Alter what is kept, the triggers notwithstanding."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for trigger in ("log_unaltered", "log_undeleted"):
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            connection.execute(statement, values)

    def forge(self, first: int) -> None:
        """Make all hashes from entry ``first`` on anew, as anybody can."""
        before = FIRST
        for seq, at, octets, digest in self.sql("SELECT seq, at, octets, hash FROM log ORDER BY seq"):
            before = digest if seq < first else link(AUDIT, before, seq, at, octets)
            self.alter("UPDATE log SET hash = ? WHERE seq = ?", before, seq)

    def faulty(self, at: int, *words: str) -> LogCheck:
        check = self.store.verify(AUDIT)
        self.assertEqual((check.at_fault, check.is_sound), (at, False), check.why)
        for word in words:
            self.assertIn(word, check.why)
        return check

    def test_what_is_there_is_neither_altered_nor_deleted_by_accident(self) -> None:
        for statement in ("UPDATE log SET at = 0", "DELETE FROM log"):
            self.assertIn("entries are kept", str(self.assertRaises(sqlite3.IntegrityError, self.sql, statement)))
        self.assertTrue(self.store.verify(AUDIT).is_sound)

    def test_an_entry_with_other_octets_time_or_hash(self) -> None:
        [before] = self.sql("SELECT octets, at, hash FROM log WHERE seq = 3")
        for place in range(3):
            for values, fault in ((list(before), True), (before, False)):
                if fault:
                    values[place] = 1.0 if place == 1 else b"other"
                self.alter("UPDATE log SET octets = ?, at = ?, hash = ? WHERE seq = 3", *values)
                if fault:
                    check = self.faulty(3, "entry 3 or its hash was altered")
                    self.assertEqual(check.sound.seq, 2)
            self.assertTrue(self.store.verify(AUDIT).is_sound)

    def test_an_entry_that_was_taken_out(self) -> None:
        self.alter("DELETE FROM log WHERE seq = 2")
        self.faulty(2, "entry 2 is missing, 3 comes next")

    def test_entries_that_were_exchanged(self) -> None:
        for of, to in ((2, 9), (3, 2), (9, 3)):
            self.alter("UPDATE log SET seq = ? WHERE seq = ?", to, of)
        self.faulty(2, "altered")

    def test_a_log_that_was_cut_short(self) -> None:
        self.alter("DELETE FROM log WHERE seq > 3")
        self.faulty(4, "ends with entry 3, 5 were written")
        # What is written after that does not hide it.
        self.write(6)
        self.faulty(4, "entry 4 is missing, 6 comes next")

    def test_a_log_that_was_removed(self) -> None:
        self.alter("DELETE FROM log")
        self.faulty(1, "ends with entry 0, 5 were written")

    def test_hashes_that_were_made_anew_after_an_alteration(self) -> None:
        self.alter("UPDATE log SET octets = x'00' WHERE seq = 2")
        self.forge(2)
        self.faulty(1, "not the one that was sealed")
        # What is written after that does not hide it.
        self.write(6)
        self.faulty(6, "entry 6 or its hash was altered")

    def test_entries_that_were_put_in_at_the_end(self) -> None:
        self.alter("INSERT INTO log VALUES (?, 6, 1.0, x'00', x'00')", AUDIT)
        self.forge(6)
        self.faulty(6, "5 entries were written, and there are 6")
        self.write(7)
        self.assertEqual([entry.octets for entry in self.store.entries(AUDIT, 6, 9)], [b"7"])
        self.faulty(7, "altered")

    def test_a_row_that_holds_something_else(self) -> None:
        for statement in (
            "UPDATE log SET octets = 'text' WHERE seq = 4",
            "UPDATE log SET at = 'text' WHERE seq = 4",
            "UPDATE log SET hash = 7 WHERE seq = 4",
        ):
            self.alter(statement)
            self.faulty(4, "entry 4 is damaged")
            error = self.assertRaises(StoreFailed, self.store.entries, AUDIT, 0, 9)
            self.assertIn("entry 4 is damaged", str(error))
            self.assertEqual([entry.seq for entry in self.store.entries(AUDIT, 4, 9)], [5])

    def test_a_seal_that_is_gone_or_altered(self) -> None:
        units = [(Append(AUDIT, b"6", NOW), PutReplay(replay(1)))]
        for change in ("UPDATE meta SET value = x'00' WHERE", "DELETE FROM meta WHERE"):
            self.alter(f"{change} name = 'heads'")
            self.faulty(1, "somebody has changed the database")
            self.assertRaises(StoreFailed, self.store.commit, units)
        self.assertEqual(self.store.load(0, NOW).replays, ())
        # Units that write no log go on.
        self.assertEqual(self.store.commit([(PutReplay(replay(1)),)]), [STORED])

    def test_a_seal_of_before(self) -> None:
        [(old,)] = self.sql("SELECT value FROM meta WHERE name = 'heads'")
        self.write(6)
        self.alter("UPDATE meta SET value = ? WHERE name = 'heads'", old)
        self.faulty(6, "5 entries were written, and there are 6")

    def test_a_seal_of_another_use_is_none(self) -> None:
        self.alter("UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'check') WHERE name = 'heads'")
        self.faulty(1)


class LimitTests(SqliteCase):
    def test_logs_are_so_many_at_most(self) -> None:
        store = self.open()
        store.commit([tuple(Append(f"log-{n}", b"", NOW) for n in range(MOST_LOGS))])
        error = self.assertRaises(StoreFailed, store.commit, [(Append("one-more", b"", NOW),)])
        self.assertIn("more than 64 logs", str(error))
        self.assertEqual(store.commit([(Append("log-0", b"", NOW),)]), [STORED])

    def test_workers_that_share_a_store_write_one_log(self) -> None:
        stores: list[SqliteStore] = [self.open(), self.open()]
        for turn in range(4):
            stores[turn % 2].commit([(Append(AUDIT, b"%d" % turn, NOW),)])
        for store in stores:
            self.assertTrue(store.verify(AUDIT).is_sound)
            self.assertEqual([entry.octets for entry in store.entries(AUDIT, 0, 9)], [b"0", b"1", b"2", b"3"])

    def test_it_is_not_read_after_the_store_was_closed(self) -> None:
        store = self.open()
        store.close()
        self.assertIn("has been closed", str(self.assertRaises(StoreFailed, store.verify, AUDIT)))


class FollowTests(SqliteCase):
    """An exported log, without the database."""

    def test_what_can_be_told_without_a_head(self) -> None:
        entries: list[LogEntry] = []
        before = FIRST
        for seq in range(1, 5):
            entries.append(LogEntry(seq, NOW, b"%d" % seq, link(AUDIT, before, seq, NOW, b"%d" % seq)))
            before = entries[-1].hash
        self.assertTrue(follow(AUDIT, entries).is_sound)
        # A log that ends early is one that was exported early, unless somebody knows better.
        self.assertTrue(follow(AUDIT, entries[:2]).is_sound)
        self.assertEqual(follow(AUDIT, entries[1:]).at_fault, 1)
        self.assertEqual(follow("another", entries).at_fault, 1)
        self.assertTrue(math.isfinite(entries[0].at))
