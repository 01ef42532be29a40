"""Files and directories that others can reach are refused, with what to do about it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import StoreFailed
from seckex.storage.private import private_directory, private_file


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


class PrivateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = Path(self.mktemp())
        self.top.mkdir()
        self.addCleanup(os.umask, os.umask(0))

    def test_what_is_made_is_private_whatever_the_umask(self) -> None:
        private_directory(self.top / "state")
        private_file(self.top / "state" / "file")
        self.assertEqual((mode(self.top / "state"), mode(self.top / "state" / "file")), (0o700, 0o600))

    def test_what_is_there_and_private_is_taken(self) -> None:
        for _ in range(2):
            private_directory(self.top / "state")
            private_file(self.top / "state" / "file")

    def test_what_is_open_to_others_is_refused_and_left_as_it_is(self) -> None:
        (self.top / "state").mkdir(mode=0o750)
        (self.top / "file").touch(mode=0o604)
        error = self.assertRaises(StoreFailed, private_directory, self.top / "state")
        self.assertIn(f"(mode 0750); run: chmod 700 {self.top / 'state'}", str(error))
        error = self.assertRaises(StoreFailed, private_file, self.top / "file")
        self.assertIn(f"(mode 0604); run: chmod 600 {self.top / 'file'}", str(error))
        self.assertEqual((mode(self.top / "state"), mode(self.top / "file")), (0o750, 0o604))

    @skipIf(os.geteuid() != 0, "only root can give files away")
    def test_what_belongs_to_somebody_else_is_refused(self) -> None:
        private_directory(self.top / "state")
        private_file(self.top / "file")
        for path in (self.top / "state", self.top / "file"):
            os.chown(path, 4434, -1)
        for error in (
            self.assertRaises(StoreFailed, private_directory, self.top / "state"),
            self.assertRaises(StoreFailed, private_file, self.top / "file"),
        ):
            self.assertIn("belongs to user 4434, this process runs as 0", str(error))

    def test_what_is_something_else_is_refused(self) -> None:
        (self.top / "file").touch(mode=0o600)
        os.mkfifo(self.top / "fifo", 0o600)
        (self.top / "state").mkdir(mode=0o700)
        self.assertIn("not a directory", str(self.assertRaises(StoreFailed, private_directory, self.top / "file")))
        self.assertIn("not a regular", str(self.assertRaises(StoreFailed, private_file, self.top / "fifo")))
        self.assertIn("Is a directory", str(self.assertRaises(StoreFailed, private_file, self.top / "state")))

    def test_nothing_is_made_below_what_is_missing(self) -> None:
        error = self.assertRaises(StoreFailed, private_directory, self.top / "missing" / "state")
        self.assertIn("No such file or directory", str(error))
        self.assertEqual(list(self.top.iterdir()), [])
