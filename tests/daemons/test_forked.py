"""Processes that are forked behave as such that have a beginning of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.demo.processes import seckex, twistd
from tests.daemons.forked import fork, run

PATIENCE = 60.0


class ForkedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(self.folder.rmdir)

    def test_the_same_output_and_status(self) -> None:
        for command in ([seckex(), "algs"], [seckex(), "status"], [seckex(), "no-such-thing"], [twistd(), "--version"]):
            with self.subTest(command=command[1]):
                truly = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
                forked = run(command, self.folder, PATIENCE)
                self.assertEqual(
                    (forked.returncode, forked.stdout, forked.stderr), (truly.returncode, truly.stdout, truly.stderr)
                )

    def test_one_that_does_not_end(self) -> None:
        command = [twistd(), "-n", "--pidfile=", "portforward", "--port", "tcp:0:interface=127.0.0.1"]
        with open(os.devnull, "wb") as null:
            process = fork(command, self.folder, null.fileno(), null.fileno())
        self.assertIsNone(process.poll())
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.0)
        process.kill()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)
        self.assertRaises(ProcessLookupError, os.kill, process.pid, 0)
        process.kill()
