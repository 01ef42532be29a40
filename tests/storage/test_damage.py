"""What was changed in the file behind the store's back is found out, left out and told."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from attrs import evolve

from seckex.crypto.atrest import Wrapping
from seckex.errors import StoreFailed
from seckex.sa.algorithms import BY_NAME
from seckex.sa.association import Association
from seckex.sa.store import Purge, PutAssociation, PutRecord, PutReplay
from seckex.storage import sqlite
from seckex.storage.rows import Row, association_row
from seckex.storage.sqlite import SqliteStore
from tests.storage.case import SqliteCase
from tests.storage.samples import NOW, accepted, association, entropy, master, record


class DamageTests(SqliteCase):
    """A row that is not what was stored is left out and told; a file that is damaged is not used."""

    CHANGES: ClassVar[Sequence[str]] = (
        "keys = substr(keys, 1, length(keys) - 1) || x'00'",
        "keys = x''",
        "keys = NULL",
        "keys = 'text'",
        "spi_out = spi_out + 1",
        "spi_out = -1",
        "role = 1",
        "role = 3",
        "local = 'eve@example.org'",
        "peer = 'eve@example.org'",
        "peer = x'ff'",
        "algorithms = 'aes-128-gcm hmac-sha-256 prf-hmac-sha-256 x25519'",
        "lifetime = lifetime + 1",
        "lifetime = 'long'",
        "mebioctets = 0",
        "created = created + 1",
        "created = NULL",
        "expires = expires + 1",
        "transcript = zeroblob(48)",
    )

    def damaged(self, change: str) -> tuple[str, ...]:
        """Store two units, change the first row of a table, and return what is told of it."""
        self.new_path()
        store = self.open()
        first, second = accepted(1), accepted(2)
        store.commit([first, second])
        # Tables with NOT NULL hold off our NULL; damage is not so polite.
        self.sql("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        self.sql(f"UPDATE {change} WHERE rowid = 1")
        store.close()
        snapshot = self.open().load(0, NOW)
        left = [PutAssociation(a) for a in snapshot.associations] + [PutReplay(r) for r in snapshot.replays]
        everything = [first[1], second[1], first[0], second[0]]
        lost = 0 if change.startswith("association") else 2
        self.assertCountEqual(left, everything[:lost] + everything[lost + 1 :])
        return snapshot.damaged

    def test_an_association_with_any_column_changed_is_left_out(self) -> None:
        for change in self.CHANGES:
            told = self.damaged("association SET " + change)
            self.assertEqual(len(told), 1, change)
            self.assertIn("the association with SPI 0x00000040 is left out: ", told[0])

    def test_keys_moved_to_another_row_are_left_out(self) -> None:
        told = self.damaged("association SET keys = (SELECT keys FROM association WHERE rowid = 2)")
        self.assertEqual(told, ("the association with SPI 0x00000040 is left out: its seal does not verify",))
        told = self.damaged("association SET spi_in = 192")
        self.assertEqual(told, ("the association with SPI 0x000000c0 is left out: its seal does not verify",))

    def test_an_algorithm_that_is_not_known_is_named(self) -> None:
        store = self.open()
        self.patch(sqlite, "association_row", with_unknown_algorithm)
        store.commit([(PutAssociation(association(64)),)])
        self.assertEqual(
            store.load(0, NOW).damaged,
            ("the association with SPI 0x00000040 is left out: the algorithm 'rot-13' is not known here",),
        )

    def test_a_replay_record_that_is_damaged_is_left_out(self) -> None:
        for change in (
            "request = x'00'",
            "answer = NULL",
            "answer = zeroblob(8193)",
            "identification = 'x'",
            "spi = -1",
        ):
            told = self.damaged("replay SET " + change)
            self.assertEqual(len(told), 1, change)
            self.assertIn("a replay record", told[0])

    def test_a_record_that_is_damaged_is_left_out(self) -> None:
        for change in (
            "octets = substr(octets, 1, length(octets) - 1) || x'00'",
            "octets = x''",
            "octets = 'text'",
            "octets = NULL",
            "octets = (SELECT octets FROM record WHERE rowid = 2)",
            "name = x'00'",
            "name = 'text'",
            "kind = 'kdc.other'",
            "kind = x'ff'",
            "kind = NULL",
            "expires = expires + 1",
            "expires = 'later'",
        ):
            self.new_path()
            store = self.open()
            first, second = record("kdc.x", b"1", NOW + 9), record("kdc.x", b"2", NOW + 9)
            store.commit([(PutRecord(first), PutRecord(second))])
            self.sql("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
            self.sql(f"UPDATE record SET {change} WHERE rowid = 1")  # noqa: S608  # ours
            store.close()
            snapshot = self.open().load(0, NOW)
            self.assertEqual(snapshot.records, (second,), change)
            self.assertEqual(len(snapshot.damaged), 1, change)
            self.assertIn("is left out: ", snapshot.damaged[0])

    def test_a_file_that_is_not_a_database_is_not_used(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.path.write_bytes(b"not a database" * 1000)
        self.path.chmod(0o600)
        self.refused("is not a database, or is damaged", "move it away")
        self.assertEqual(self.path.read_bytes(), b"not a database" * 1000)

    def test_damaged_pages_are_told(self) -> None:
        store = self.open()
        store.commit([accepted(n) for n in range(100)])
        store.close()
        roots = self.sql("SELECT rootpage FROM sqlite_master WHERE name IN ('replay', 'association')")
        pages = bytearray(self.path.read_bytes())
        for (root,) in roots:
            pages[(root - 1) * 4096 : (root - 1) * 4096 + 100] = b"\xee" * 100
        self.path.write_bytes(pages)
        store = self.open()
        for use in (lambda: store.load(0, NOW), lambda: store.commit([accepted(200)])):
            error = self.assertRaises(StoreFailed, use)
            self.assertIn("is damaged: restore it from a backup, or move it away", str(error))

    def test_a_damaged_time_of_what_was_purged_is_told(self) -> None:
        for damage in ("value = 'text'", "value = x'ff'", "value = 1e999"):
            self.new_path()
            store = self.open()
            store.commit([(Purge(NOW, NOW, NOW),)])
            store.close()
            self.sql(f"UPDATE meta SET {damage} WHERE name = 'forgotten'")  # noqa: S608  # ours
            snapshot = self.open().load(0, NOW)
            self.assertEqual(snapshot.forgotten, 0.0)
            self.assertIn("up to which replay records were purged is damaged", snapshot.damaged[0])


class FlippedTests(SqliteCase):
    """Whatever octet of the file is another: the store says that it is damaged, or returns what was stored."""

    def test_no_octet_of_the_file_brings_other_keys(self) -> None:
        store = self.open()
        store.commit([accepted(n) for n in range(20)])
        stored = {each.spi_in: each for each in store.load(0, NOW).associations}
        store.close()
        whole = self.path.read_bytes()
        outcomes = Counter[str]()
        for at in range(0, len(whole), 61):
            self.path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :])
            for beside in ("-wal", "-shm"):
                self.path.with_name(self.path.name + beside).unlink(missing_ok=True)
            try:
                found = SqliteStore(self.path, master, entropy)
            except StoreFailed:
                outcomes["refused"] += 1
                continue
            try:
                for each in found.load(0, NOW).associations:
                    # The mark of confirmation is not under the seal.
                    self.assertEqual(evolve(each, confirmed=False), evolve(stored[each.spi_in], confirmed=False), at)
                    self.assertEqual(each.keys.octets(), stored[each.spi_in].keys.octets(), at)
                outcomes["read"] += 1
            except StoreFailed:
                outcomes["refused"] += 1
            finally:
                with contextlib.suppress(StoreFailed):
                    found.close()
        self.assertGreater(outcomes["read"], 10)
        self.assertGreater(outcomes["refused"], 3)

    def test_a_file_that_goes_away_or_is_replaced_is_noticed(self) -> None:
        store = self.open()
        store.commit([accepted(1)])
        aside = self.path.with_name("aside")
        self.path.rename(aside)
        error = self.assertRaises(StoreFailed, store.commit, [accepted(2)])
        self.assertIn("was removed or replaced while it was in use", str(error))
        self.path.touch(0o600)
        self.assertRaises(StoreFailed, store.commit, [accepted(2)])
        self.assertEqual(self.path.read_bytes(), b"")
        aside.replace(self.path)
        self.assertEqual(len(store.commit([accepted(3)])), 1)
        shutil.rmtree(self.path.parent)
        self.assertRaises(StoreFailed, store.load, 0, NOW)
        self.assertFalse(self.path.parent.exists())


def with_unknown_algorithm(association_: Association, wrapping: Wrapping) -> Row:
    """Return the row that a version with more algorithms would write."""
    agreement = evolve(association_.agreement, algorithms=(evolve(BY_NAME["aes-256-gcm"], name="rot-13"),))
    return association_row(evolve(association_, agreement=agreement), wrapping)
