"""One worker of each number in a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import StoreFailed
from seckex.storage.lock import WorkerLock


class WorkerLockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir(mode=0o700)

    def test_a_second_worker_with_the_same_number_is_refused(self) -> None:
        lock = WorkerLock(self.directory, 3)
        error = self.assertRaises(StoreFailed, WorkerLock, self.directory, 3)
        self.assertIn(f"worker 3 is already running on {self.directory} as process {os.getpid()}", str(error))
        lock.release()
        WorkerLock(self.directory, 3).release()

    def test_other_workers_and_directories_are_not(self) -> None:
        other = self.directory / "other"
        other.mkdir(mode=0o700)
        for lock in [WorkerLock(self.directory, 3), WorkerLock(self.directory, 4), WorkerLock(other, 3)]:
            self.addCleanup(lock.release)

    def test_the_lock_goes_with_its_process(self) -> None:
        program = (
            "import pathlib, signal, sys\n"
            "from seckex.storage.lock import WorkerLock\n"
            "lock = WorkerLock(pathlib.Path(sys.argv[1]), 0)\n"
            "print('held', flush=True)\n"
            "signal.pause()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(self.directory)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            try:
                self.assertEqual(process.stdout.readline(), b"held\n")
                error = self.assertRaises(StoreFailed, WorkerLock, self.directory, 0)
                self.assertIn(f"as process {process.pid}", str(error))
            finally:
                process.kill()
        WorkerLock(self.directory, 0).release()

    def test_the_file_is_private(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        lock = WorkerLock(self.directory, 0)
        self.addCleanup(lock.release)
        self.assertEqual((self.directory / "worker-0.lock").stat().st_mode & 0o777, 0o600)

    def test_a_directory_that_is_missing_is_told(self) -> None:
        error = self.assertRaises(StoreFailed, WorkerLock, self.directory / "missing", 0)
        self.assertIn("No such file or directory", str(error))
