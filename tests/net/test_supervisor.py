"""What a supervisor hears over its socket."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.supervisor import Supervisor


class SupervisorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.setblocking(False)
        self.path = Path(tempfile.mkdtemp(prefix="seckex-test-")) / "notify"
        self.addCleanup(self.path.parent.rmdir)
        self.addCleanup(self.path.unlink, missing_ok=True)

    def heard(self) -> list[str]:
        """Return all that was told since the last call."""
        heard = []
        while True:
            try:
                heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return heard

    def test_ready_reloading_and_stopping(self) -> None:
        self.socket.bind(str(self.path))
        supervisor = Supervisor({"NOTIFY_SOCKET": str(self.path)})
        supervisor.ready("two\nlines")
        supervisor.reloading()
        supervisor.stopping()
        ready, reloading, stopping = self.heard()
        self.assertEqual((ready, stopping), ("READY=1\nSTATUS=two lines", "STOPPING=1"))
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")

    def test_an_abstract_name(self) -> None:
        name = f"seckex-test-{os.getpid()}"
        self.socket.bind(f"\0{name}")
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        self.assertEqual(self.heard(), ["STOPPING=1"])

    def test_signs_of_life_come_twice_in_each_interval_until_the_stop(self) -> None:
        self.socket.bind(str(self.path))
        clock = Clock()
        for pid, expected in ((str(os.getpid()), 4), ("", 4), (str(os.getppid()), 0), ("x", 0)):
            supervisor = Supervisor({"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": pid})
            supervisor.watch(clock)
            clock.pump([5] * 3)
            self.assertEqual(self.heard(), ["WATCHDOG=1"] * expected)
            supervisor.stopping()
            clock.pump([5] * 3)
            self.assertEqual(self.heard(), ["STOPPING=1"])

    def test_nobody_to_tell(self) -> None:
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "x"}):
            supervisor = Supervisor(environ)
            supervisor.watch(Clock())
            supervisor.ready("")
            supervisor.stopping()
