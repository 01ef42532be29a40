"""Real downloads that outlive their connections: cut, swallowed, frozen, rekeyed; and those that cannot."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterable
from typing import Any

from seckex.cli.demo.processes import Process
from tests.daemons.relay import ADDRESS, Relay, Then
from tests.daemons.stage import HOME, INITIATOR, PATIENCE, StageTestCase

MEBIOCTET = 1 << 20
WATCHFUL = '[dead-peer]\nidle = "1s"\ntimeout = "1s"\n'


class ResumeCase(StageTestCase):
    def relayed(self, budgets: Iterable[int], then: Then = Then.CUT, more: str = "") -> Relay:
        """Put a relay between the daemons, and start them."""
        relay = Relay((self.address, self.port), budgets, then)
        self.addCleanup(relay.close)
        text = INITIATOR.format(address=ADDRESS, port=self.port) + more
        text += self.forward(f"tcp:{self.forward_port}:interface=127.0.0.1", "web")
        (self.folder / "initiator.toml").write_text(text)
        self.both()
        return relay

    def closed_because(self, role: str) -> list[str]:
        """Return how links or dialogs ended, as a daemon has logged it."""
        log = (self.folder / f"{role}.log").read_text().splitlines()
        return [line for line in log if '"event": "LinkClosed"' in line or '"event": "DialogClosed"' in line]

    def begun(self) -> socket.socket:
        """Begin a download, and read a little of it."""
        local = socket.create_connection(("127.0.0.1", self.forward_port), timeout=2 * PATIENCE)
        self.addCleanup(local.close)
        local.sendall(b"GET /file.bin HTTP/1.0\r\n\r\n")
        self.head = local.recv(1000)
        return local

    def rest(self, local: socket.socket, size: int) -> str:
        """Read the rest, and return the SHA-256 of the last ``size`` octets."""
        got = self.head + b"".join(iter(lambda: local.recv(1 << 18), b""))
        return hashlib.sha256(got[-size:]).hexdigest()


class GoingOnTests(ResumeCase):
    def test_a_download_that_is_cut_again_and_again(self) -> None:
        digest = self.serve_files(8 * MEBIOCTET)
        relay = self.relayed((700_001, 1_300_003, 5_000, 2_000_017, 65_600, 900_000))
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.assertEqual(relay.ended, 6)
        self.until("the dialog's end", lambda: any("finished" in line for line in self.closed_because("initiator")))
        self.assertTrue(any("lost" in line for line in self.closed_because("initiator")))

    def test_cut_under_associations_that_have_one_link_each(self) -> None:
        """A bound on octets cannot be counted over several links: another association carries on."""
        digest = self.serve_files(8 * MEBIOCTET)
        self.write_responder(more='[[policy.proposals]]\noctets = "16 MiB"\n')
        relay = self.relayed((700_001, 1_300_003, 2_000_017))
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.assertEqual(relay.ended, 3)

    def test_more_than_one_association_may_carry(self) -> None:
        """Each is worn out in turn, and the next takes over before."""
        digest = self.serve_files(40 * MEBIOCTET)
        self.write_responder(more='[[policy.proposals]]\noctets = "16 MiB"\n')
        self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)

    def test_both_ways_at_once(self) -> None:
        sent = os.urandom(4 * MEBIOCTET)
        with socket.create_server(("127.0.0.1", self.web_port)) as server:
            relay = self.relayed((600_000, 1_500_000, 2_500_000))
            echoing = threading.Thread(target=self.echo, args=(server,), daemon=True)
            echoing.start()
            with socket.create_connection(("127.0.0.1", self.forward_port), timeout=PATIENCE) as local:
                threading.Thread(target=self.send, args=(local, sent), daemon=True).start()
                got = b"".join(iter(lambda: local.recv(65536), b""))
        self.assertEqual((hashlib.sha256(got).digest(), relay.ended), (hashlib.sha256(sent).digest(), 3))

    @staticmethod
    def send(local: socket.socket, octets: bytes) -> None:
        local.sendall(octets)
        local.shutdown(socket.SHUT_WR)

    @staticmethod
    def echo(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while octets := connection.recv(65536):
                connection.sendall(octets)

    def test_a_connection_that_is_forgotten_on_the_way(self) -> None:
        digest = self.serve_files(4 * MEBIOCTET)
        relay = self.relayed((1_000_000,), Then.SWALLOW, WATCHFUL)
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.assertEqual(relay.ended, 1)
        self.assertTrue(any("dead: nothing has come for 2 s" in line for line in self.closed_because("initiator")))

    def test_a_frozen_peer_is_noticed_and_goes_on_when_it_thaws(self) -> None:
        """The kernel answers for a process that is stopped, and takes what is sent to it."""
        digest = self.serve_files(32 * MEBIOCTET)
        text = (self.folder / "initiator.toml").read_text()
        (self.folder / "initiator.toml").write_text(text + WATCHFUL)
        responder, _ = self.both()
        local = self.begun()
        os.kill(responder.pid, signal.SIGSTOP)
        try:
            self.until("the link's end", lambda: any("dead" in line for line in self.closed_because("initiator")))
        finally:
            os.kill(responder.pid, signal.SIGCONT)
        self.assertEqual(self.rest(local, 32 * MEBIOCTET), digest)

    def test_rekeyed_in_the_middle(self) -> None:
        digest = self.serve_files(32 * MEBIOCTET)
        self.both()
        local = self.begun()
        for _ in range(3):
            before = {each["spi_in"] for each in self.status("initiator")["associations"]}
            self.command({"command": "rekey", "peer": HOME})
            self.until("the old one's end", lambda: not before & self.spis())  # noqa: B023  # awaited before it changes
        self.assertEqual(self.rest(local, 32 * MEBIOCTET), digest)

    def spis(self) -> set[int]:
        return {each["spi_in"] for each in self.status("initiator")["associations"]}

    def command(self, request: dict[str, Any]) -> None:
        self.told_by("initiator", request, "seckex.rekey/1")


class NotGoingOnTests(ResumeCase):
    def cut_short(self, local: socket.socket) -> int:
        """Read until the connection breaks; return how much came."""
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while octets := local.recv(1 << 18):
                got += len(octets)
        return got

    def ending(self) -> str:
        self.until("the dialog's end", lambda: self.logged("initiator", "DialogClosed"))
        (line,) = (line for line in self.closed_because("initiator") if "DialogClosed" in line)
        return str(json.loads(line))

    def begin_and_kill(self) -> tuple[socket.socket, Process]:
        self.serve_files(64 * MEBIOCTET)
        responder, initiator = self.both()
        local = self.begun()
        self.kill(responder)
        return local, initiator

    def test_a_responder_that_is_killed(self) -> None:
        local, _ = self.begin_and_kill()
        self.assertLess(self.cut_short(local), 64 * MEBIOCTET)
        self.assertIn("nobody has listened at the peer's port for 10 s", self.ending())

    def test_a_responder_that_is_killed_and_comes_back(self) -> None:
        local, _ = self.begin_and_kill()
        self.daemon("responder")
        self.assertLess(self.cut_short(local), 64 * MEBIOCTET)
        self.assertIn("unknown-dialog (307)", self.ending())

    def test_a_responder_that_is_stopped(self) -> None:
        self.serve_files(64 * MEBIOCTET)
        responder, _ = self.both()
        local = self.begun()
        self.stop(responder)
        self.assertLess(self.cut_short(local), 64 * MEBIOCTET)
        self.assertIn("shutting-down (306)", self.ending())
