"""The file of a key log: who may read it, and what happens where it cannot be written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.files import Owner
from seckex.errors import StoreFailed
from seckex.net import keylog
from seckex.net.keylog import KeyLog


class KeyLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.complaints: list[str] = []

    def log(self, path: Path | None = None) -> KeyLog:
        opened = KeyLog(path or self.path, Owner(), self.complaints.append)
        self.addCleanup(opened.close)
        return opened

    def test_it_is_made_for_its_owner_alone_and_appended_to(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.log().write("one")
        self.log().write("two")
        self.assertEqual(self.path.read_text(), "one\ntwo\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_what_others_can_read_or_what_is_no_file_is_refused(self) -> None:
        self.path.touch(mode=0o600)
        self.path.chmod(0o640)
        error = self.assertRaises(StoreFailed, self.log)
        self.assertIn("is open to other users (mode 0640)", str(error))
        self.assertEqual(self.path.read_bytes(), b"")
        error = self.assertRaises(StoreFailed, self.log, Path("/dev/null"))
        self.assertIn("/dev/null is not a regular file", str(error))

    def test_what_cannot_be_opened_is_refused_by_the_name_of_the_setting(self) -> None:
        error = self.assertRaises(StoreFailed, self.log, self.path / "none" / "key.log")
        self.assertIn("key.log (debug.key-log) cannot be opened: No such file or directory", str(error))

    def test_what_cannot_be_written_is_told_of_once(self) -> None:
        def full(_descriptor: int, _octets: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        log = self.log()
        self.patch(keylog.os, "write", full)  # type: ignore[attr-defined]  # the module that it imports
        log.write("one")
        log.write("two")
        self.assertEqual(self.complaints, [f"the key log {self.path} cannot be written: No space left on device"])
