"""Sockets that a supervisor passes, and those opened for want of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from seckex.net import sockets
from seckex.net.sockets import Sockets, shown

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


class SocketsTests(SynchronousTestCase):
    def passing(self, *passed: socket.socket, **changes: str) -> Sockets:
        """Return what a process with these sockets finds, as descriptors in a row."""
        first = 700
        for at, each in enumerate(passed):
            os.dup2(each.fileno(), first + at)
        self.patch(sockets, "FIRST_PASSED", first)
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(passed))} | changes
        return Sockets(variables)

    def bound(self, kind: int, host: str = "127.0.0.1", *, listening: bool = True) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        self.addCleanup(made.close)
        made.bind((host, 0))
        if kind == TCP and listening:
            made.listen()
        return made

    def taken(self, found: Sockets, name: tuple[int, str, int]) -> socket.socket:
        taken = found.take(name)
        self.addCleanup(taken.close)
        return taken

    @staticmethod
    def name_of(one: socket.socket) -> tuple[int, str, int]:
        host, port = one.getsockname()[:2]
        return one.type, host, port

    def inodes(self, some: Iterable[Any]) -> list[int]:
        return [os.fstat(each.fileno()).st_ino for each in some]

    def test_each_is_told_by_its_kind_and_address(self) -> None:
        passed = [self.bound(UDP), self.bound(TCP), self.bound(UDP, "::1")]
        found = self.passing(*passed)
        taken = [self.taken(found, self.name_of(each)) for each in reversed(passed)]
        self.assertEqual(self.inodes(taken), self.inodes(reversed(passed)))
        self.assertEqual((found.strange, found.left()), ([], []))
        self.assertFalse(any(each.get_inheritable() or each.getblocking() for each in taken))

    def test_what_was_not_passed_is_opened(self) -> None:
        found = self.passing()
        for kind in (UDP, TCP):
            for host in ("127.0.0.1", "::1"):
                port = self.name_of(self.taken(found, (kind, host, 0)))[2]
                # Somebody else finds it taken.
                error = self.assertRaises(CannotListenError, Sockets({}).take, (kind, host, port))
                self.assertEqual((error.interface, error.port), (host, port))

    def test_what_is_passed_and_not_taken_is_closed_and_told(self) -> None:
        passed = self.bound(TCP, "::1")
        found = self.passing(passed)
        self.assertEqual(found.left(), [f"TCP [::1]:{self.name_of(passed)[2]}"])
        self.assertEqual(found.left(), [])
        self.assertRaises(OSError, os.fstat, 700)

    def test_what_is_of_no_use_is_told(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        with open(read, "rb") as pipe, socket.socket(socket.AF_UNIX) as unix:
            found = self.passing(pipe, unix, self.bound(TCP, listening=False))  # type: ignore[arg-type]  # no socket
        self.assertEqual(len(found.strange), 3)
        self.assertIn("descriptor 700 is no socket", found.strange[0])
        self.assertIn("descriptor 701 is no UDP socket", found.strange[1])
        self.assertEqual(found.left(), [])

    def test_what_is_meant_for_another_process_is_let_be(self) -> None:
        passed = self.bound(UDP)
        for changes in ({"LISTEN_PID": str(os.getppid())}, {"LISTEN_PID": "x"}, {"LISTEN_FDS": "many"}):
            found = self.passing(passed, **changes)
            self.assertEqual((found.left(), found.strange), ([], []))

    def test_names(self) -> None:
        self.assertEqual(shown((UDP, "::", 4434)), "UDP [::]:4434")
        self.assertEqual(shown((TCP, "127.0.0.1", 1)), "TCP 127.0.0.1:1")
