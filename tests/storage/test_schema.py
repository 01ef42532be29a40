"""How a database is opened: whose it is, of which version, and set up to be durable."""

from __future__ import annotations

import sqlite3
from typing import Any

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.sa.store import Append
from seckex.storage import logs, schema, sqlite
from seckex.storage.sqlite import SqliteStore
from tests.storage.case import SqliteCase
from tests.storage.samples import NOW, accepted, entropy


class SchemaTests(SqliteCase):
    def test_the_database_of_another_program_is_left_alone(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.sql("CREATE TABLE songs (name TEXT)")
        self.path.chmod(0o600)
        before = self.path.read_bytes()
        self.refused("is the database of another program")
        self.assertEqual(self.path.read_bytes(), before)

    def test_a_newer_schema_is_refused(self) -> None:
        self.open().close()
        self.sql("PRAGMA user_version = 7")
        self.refused("was written by a newer version of seckex (schema 7, this one knows 4)")

    def test_an_older_schema_is_brought_up_to_date(self) -> None:
        store = self.open()
        store.commit([accepted(1)])
        store.close()
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE replay ADD COLUMN note TEXT",)))
        store = self.open()
        self.assertEqual(len(store.load(0, NOW).replays), 1)
        self.assertEqual(self.sql("PRAGMA user_version", "SELECT note FROM replay"), [(5,), (None,)])
        self.open()

    def test_a_database_without_logs_gets_them(self) -> None:
        patches = [self.patch(schema, "MIGRATIONS", schema.MIGRATIONS[:3]), self.patch(schema, "_LOGS", 0)]
        self.open().close()
        self.assertEqual(self.sql("SELECT count(*) FROM meta WHERE name = 'heads'"), [(0,)])
        for patch in patches:
            patch.restore()
        store = self.open()
        self.assertTrue(store.verify("kdc.audit").is_sound)
        store.commit([(Append("kdc.audit", b"x", NOW),)])
        self.assertTrue(store.verify("kdc.audit").is_sound)

    def test_a_migration_happens_whole_or_not_at_all(self) -> None:
        self.open().close()
        migration = ("ALTER TABLE replay ADD COLUMN note TEXT", "ALTER TABLE nonsense ADD COLUMN note TEXT")
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, migration))
        self.refused("no such table: nonsense")
        self.assertEqual(self.sql("PRAGMA user_version"), [(4,)])
        self.assertNotIn("note", [row[1] for row in self.sql("PRAGMA table_info(replay)")])

    def test_another_master_key_is_refused(self) -> None:
        self.open().close()
        other = MasterKey(Secret(bytes(32)))
        error = self.assertRaises(StoreFailed, SqliteStore, self.path, other, entropy)
        self.assertIn("was written under another master key: restore that key", str(error))

    def test_a_missing_parent_is_told(self) -> None:
        self.path = self.path.parent / "deeper" / "still" / "seckex.db"
        error = self.assertRaises(StoreFailed, self.open)
        self.assertIn("No such file or directory", str(error))

    def test_durable_means_synchronised(self) -> None:
        store = self.open()
        connection = store._open()
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1)):
            self.assertEqual(connection.execute(f"PRAGMA {pragma}").fetchone(), (value,))

    def test_lookups_go_by_index(self) -> None:
        connection = self.open()._open()
        for query, count in (
            (sqlite._STORED_REPLAYS, 1),
            (sqlite._STORED_ASSOCIATIONS, 1),
            (sqlite._PURGE_REPLAYS, 2),
            (sqlite._PURGE_ASSOCIATIONS, 2),
            (sqlite._CONFIRM, 1),
            (sqlite._DELETE, 1),
            (sqlite._LOAD_REPLAYS, 2),
            (logs._LAST, 1),
            (logs._SOME, 3),
        ):
            plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + query, ("[]",) * count)]
            self.assertEqual([step for step in plan if step.startswith("SCAN") and "VIRTUAL" not in step], [], query)

    def test_a_file_system_without_a_write_ahead_log_is_refused(self) -> None:
        class Elsewhere(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return super().execute(sql.replace("= WAL", "= DELETE"), *args)

        error = self.assertRaises(StoreFailed, self.open, Elsewhere)
        self.assertIn("cannot have a write-ahead log: put it on a local file system", str(error))
