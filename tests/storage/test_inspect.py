"""Looking at databases: sound ones, damaged ones, those of others; and nothing is changed by it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.storage.inspect import inspect_database
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore


class InspectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(mode=0o700)
        self.path = self.directory / "seckex.db"

    def store(self) -> SqliteStore:
        master = load_master_key(self.directory / "master.key", self.path, os.urandom)
        return SqliteStore(self.path, master, os.urandom)

    def test_a_sound_one_is_left_as_it_is(self) -> None:
        self.store().close()
        before = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        self.assertEqual(inspect_database(self.path), [])
        self.assertEqual({path.name: path.read_bytes() for path in self.directory.iterdir()}, before)

    def test_one_that_is_in_use(self) -> None:
        store = self.store()
        self.assertEqual(inspect_database(self.path), [])
        store.commit([])
        store.close()

    def test_a_damaged_one(self) -> None:
        self.store().close()
        octets = bytearray(self.path.read_bytes())
        for at in range(4096, len(octets)):
            octets[at] ^= 0x55
        self.path.write_bytes(octets)
        self.assertTrue(inspect_database(self.path))

    def test_what_is_none(self) -> None:
        self.path.write_bytes(b"precious" * 1000)
        (fault,) = inspect_database(self.path)
        self.assertIn("is not a database", fault)

    def test_the_database_of_another_program(self) -> None:
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE t (x)")
        connection.close()
        self.assertEqual(inspect_database(self.path), [f"{self.path} is the database of another program"])

    def test_one_of_a_newer_version(self) -> None:
        self.store().close()
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        (fault,) = inspect_database(self.path)
        self.assertIn("was written by a newer version", fault)

    def test_none_at_all(self) -> None:
        self.assertRaises(FileNotFoundError, inspect_database, self.path)
        self.assertEqual(list(self.directory.iterdir()), [])
