"""The file of the master key: made once, read ever after, refused when anything about it is odd."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.atrest import MasterKey, Wrapping
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.storage.masterkey import load_master_key

KEY = bytes(range(32))
TEXT = b"seckex master key 1\n" + KEY.hex().encode() + b"\n"


class MasterKeyFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir(mode=0o700)
        self.path = self.directory / "master.key"
        self.database = self.directory / "seckex.db"
        self.drawn: list[int] = []

    def entropy(self, count: int) -> bytes:
        self.drawn.append(count)
        return KEY[-count:]

    def load(self) -> MasterKey:
        return load_master_key(self.path, self.database, self.entropy)

    def write(self, content: bytes, mode: int = 0o600) -> None:
        self.path.write_bytes(content)
        self.path.chmod(mode)

    def refused(self, *words: str) -> None:
        error = self.assertRaises(StoreFailed, self.load)
        for word in (str(self.path), *words):
            self.assertIn(word, str(error))
        self.assertNotIn(KEY.hex()[:32], "".join(traceback.format_exception(error)))

    def assertIsKey(self, master: MasterKey) -> None:
        wrapped = Wrapping(MasterKey(Secret(KEY)), b"test", bytes(16)).wrap(b"secret", b"")
        self.assertEqual(Wrapping(master, b"test", bytes(16)).unwrap(wrapped, b""), b"secret")

    def test_the_first_start_makes_it(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.assertIsKey(self.load())
        self.assertEqual(self.path.read_bytes(), TEXT)
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(os.listdir(self.directory), ["master.key"])

    def test_later_starts_read_it(self) -> None:
        self.write(TEXT)
        self.assertIsKey(self.load())
        self.database.touch()
        self.assertIsKey(self.load())
        self.assertEqual(self.drawn, [])

    def test_it_may_be_read_only(self) -> None:
        self.write(TEXT, 0o400)
        self.assertIsKey(self.load())

    def test_none_is_made_for_a_database_that_has_one(self) -> None:
        self.database.touch()
        self.refused("is missing", str(self.database), "restore the key")
        self.assertFalse(self.path.exists())

    def test_of_two_workers_that_start_at_once_one_makes_it(self) -> None:
        def overtaken(count: int) -> bytes:
            self.write(TEXT)
            return bytes(count)

        self.assertIsKey(load_master_key(self.path, self.database, overtaken))
        self.assertEqual(self.path.read_bytes(), TEXT)
        self.assertEqual(os.listdir(self.directory), ["master.key"])

    def test_a_start_that_fails_leaves_nothing(self) -> None:
        def no_entropy(count: int) -> bytes:
            if count == 32:
                raise OSError(5, "Input/output error")
            return bytes(count)

        error = self.assertRaises(StoreFailed, load_master_key, self.path, self.database, no_entropy)
        self.assertIn("Input/output error", str(error))
        self.assertEqual(os.listdir(self.directory), [])

    def test_one_that_others_can_read_is_refused(self) -> None:
        for mode in (0o640, 0o604, 0o660):
            self.write(TEXT, mode)
            self.refused(f"(mode {mode:04o})", f"chmod 600 {self.path}")

    @skipIf(os.geteuid() != 0, "only root can give files away")
    def test_one_of_somebody_else_is_refused(self) -> None:
        self.write(TEXT)
        os.chown(self.path, 4434, -1)
        self.refused("belongs to user 4434")

    def test_other_contents_are_refused(self) -> None:
        for content in (
            b"",
            TEXT[:-1],
            TEXT + b"\n",
            TEXT.replace(b"1\n", b"2\n", 1),
            TEXT.replace(b"0f", b"0g"),
            TEXT.replace(b"0f", b"0F"),
            KEY,
            TEXT * 2,
        ):
            self.write(content)
            self.refused("is not a master key of version 1", "restore it")

    def test_what_is_not_a_file_is_refused(self) -> None:
        os.mkfifo(self.path, 0o600)
        self.refused("not a regular file")
        self.path.unlink()
        self.path.mkdir(mode=0o700)
        self.refused("not a regular file")

    def test_a_missing_directory_is_told(self) -> None:
        self.path = self.directory / "missing" / "master.key"
        self.refused("No such file or directory")
