"""How the database of messages is opened: whose it is, of which version, and set up to be durable."""

from __future__ import annotations

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.delivery.store import PutDialog
from seckex.errors import StoreFailed
from seckex.storage.messages import schema, statements
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.sqlite import SqliteStore
from tests.delivery.samples import NOW, dialog
from tests.storage.messages.case import MessagesCase
from tests.storage.samples import entropy, master


class SchemaTests(MessagesCase):
    def refused(self, *words: str) -> None:
        error = self.assertRaises(StoreFailed, self.open)
        for word in (str(self.path), *words):
            self.assertIn(word, str(error))

    def test_other_databases_are_left_alone(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.sql("CREATE TABLE songs (name TEXT)")
        self.path.chmod(0o600)
        before = self.path.read_bytes()
        self.refused("is the database of another program")
        self.assertEqual(self.path.read_bytes(), before)
        self.new_path()
        SqliteStore(self.path, master, entropy).close()
        self.refused("is the database of another program")
        self.new_path()
        self.open().close()
        error = self.assertRaises(StoreFailed, SqliteStore, self.path, master, entropy)
        self.assertIn("is the database of another program", str(error))

    def test_a_newer_schema_is_refused(self) -> None:
        self.open().close()
        self.sql("PRAGMA user_version = 9")
        self.refused("was written by a newer version of seckex (schema 9, this one knows 2)")

    def test_an_older_schema_is_brought_up_to_date(self) -> None:
        store = self.open()
        store.commit([(PutDialog(dialog(1)),)])
        store.close()
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE dialog ADD COLUMN note TEXT",)))
        self.assertEqual(self.open().load(0, NOW).dialogs, (dialog(1),))
        self.assertEqual(self.sql("PRAGMA user_version", "SELECT note FROM dialog"), [(3,), (None,)])

    def test_another_master_key_is_refused(self) -> None:
        self.open().close()
        error = self.assertRaises(StoreFailed, SqliteMessages, self.path, MasterKey(Secret(bytes(32))), entropy)
        self.assertIn("was written under another master key: restore that key", str(error))

    def test_marks_that_are_damaged(self) -> None:
        for change in (
            "UPDATE meta SET value = x'00' WHERE name = 'tags'",
            "UPDATE meta SET value = 'text' WHERE name = 'tags'",
            "DELETE FROM meta WHERE name = 'tags'",
            "DELETE FROM meta WHERE name = 'check'",
        ):
            self.new_path()
            self.open().close()
            self.sql(change)
            self.refused("is damaged: restore it from a backup", "the messages in it are then lost")

    def test_durable_means_synchronised_and_deleted_overwritten(self) -> None:
        connection = self.open()._open()
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1)):
            self.assertEqual(connection.execute(f"PRAGMA {pragma}").fetchone(), (value,))

    def test_lookups_go_by_index(self) -> None:
        connection = self.open()._open()
        for query, count in (
            (statements.PUT_DIALOG, 3),
            (statements.PUT_SEGMENT, 9),
            (statements.DROP_DIALOG, 1),
            (statements.DROP_ALL, 1),
            (statements.DROP_SENT, 1),
            (statements.DROP_SEGMENTS, 3),
            (statements.DROP_DEAD, 3),
            (statements.TO_FORGET, 2),
            (statements.PURGE_SENT, 2),
            (statements.SEGMENT, 3),
            (statements.DEAD_PAGE, 4),
            (statements.DEAD_ONE, 3),
            (statements.EPOCH, 1),
        ):
            plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + query, (b"",) * count)]
            steps = [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]
            self.assertEqual(steps, [], query)
        # Epochs are few; each is looked for in the table by its range.
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statements.DESTROY)]
        self.assertIn("SEARCH segment USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", plan)
