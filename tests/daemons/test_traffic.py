"""Real programs' octets through two daemons: downloads, uploads, half-close, refusals, restarts."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from functools import partial
from pathlib import Path

from seckex.cli.demo.processes import free_port
from tests.daemons.stage import PATIENCE, StageTestCase

MEBIOCTET = 1 << 20


class TrafficTests(StageTestCase):
    def test_a_download(self) -> None:
        digest = self.serve_files(8 * MEBIOCTET)
        self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)
        (association,) = self.confirmed("responder")
        self.assertGreater(association["octets_out"], 8 * MEBIOCTET)
        self.until("the dialog's end", lambda: self.logged("initiator", "DialogClosed"))

    def test_many_downloads_at_once(self) -> None:
        digest = self.serve_files(MEBIOCTET)
        self.both()
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.append(self.fetch(self.forward_port)), daemon=True) for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(found, [digest] * 12)

    def test_both_ways_and_half_close(self) -> None:
        """What a program sends before it closes its direction is answered after that."""
        with socket.create_server(("127.0.0.1", self.web_port)) as server:
            self.both()
            sent = os.urandom(3 * MEBIOCTET)
            echoed = threading.Thread(target=self.answer_at_end, args=(server,), daemon=True)
            echoed.start()
            with socket.create_connection(("127.0.0.1", self.forward_port), timeout=PATIENCE) as local:
                local.sendall(sent)
                local.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: local.recv(65536), b""))
            echoed.join(PATIENCE)
        self.assertEqual(got[:32], hashlib.sha256(sent).digest())
        self.assertEqual(len(got), 32 + len(sent))

    @staticmethod
    def answer_at_end(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard = b"".join(iter(lambda: connection.recv(65536), b""))
            connection.sendall(hashlib.sha256(heard).digest() + heard)

    def test_a_slow_reader_stalls_no_other(self) -> None:
        digest = self.serve_files(16 * MEBIOCTET)
        self.both()
        with socket.create_connection(("127.0.0.1", self.forward_port), timeout=PATIENCE) as slow:
            slow.sendall(b"GET /file.bin HTTP/1.0\r\n\r\n")
            self.assertTrue(slow.recv(1))
            self.assertEqual(self.fetch(self.forward_port), digest)
            # The slow one was stopped by its credit, and gets the rest now.
            rest = b"".join(iter(lambda: slow.recv(65536), b""))
        self.assertEqual(hashlib.sha256(rest[-16 * MEBIOCTET :]).hexdigest(), digest)

    def test_unix_sockets_at_both_ends(self) -> None:
        listen, connect = self.folder / "listen.sock", self.folder / "service.sock"
        self.write_responder(f"unix:{connect}")
        self.write_initiator(self.forward(f"unix:{listen}:mode=600", "web"))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.fspath(connect))
            server.listen()
            self.both()
            self.assertEqual(Path(listen).stat().st_mode & 0o777, 0o600)
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(PATIENCE)
                local.connect(os.fspath(listen))
                local.sendall(b"question")
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    self.assertEqual(connection.recv(100), b"question")
                    connection.sendall(b"answer")
                    self.assertEqual(local.recv(100), b"answer")


class RefusalTests(StageTestCase):
    def refused(self, service: str) -> str:
        """Connect to a forward of ``service``, see it closed, and return what the initiator logs."""
        port = free_port()
        self.write_initiator(self.forward(f"tcp:{port}:interface=127.0.0.1", service))
        self.both()
        # The reset may come before the connection is seen to stand.
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as local,
        ):
            self.assertEqual(local.recv(1), b"")
        for role in ("initiator", "responder"):
            self.until("the reason in the log", partial(self.logged, role, "DialogRefused"))
        return (self.folder / "initiator.log").read_text()

    def test_a_target_that_refuses(self) -> None:
        said = self.refused("closed")
        self.assertIn("302", said)
        self.assertIn("connect-failed", said)

    def test_an_unknown_service(self) -> None:
        self.assertIn("unknown-service", self.refused("nowhere"))

    def test_a_service_for_others(self) -> None:
        self.assertIn("prohibited", self.refused("private"))

    def test_a_connection_that_waits_for_a_link(self) -> None:
        """The initiator runs alone: a connection waits for a link, and is closed when the daemon stops."""
        initiator = self.daemon("initiator")
        self.wait_for_control("initiator")
        with socket.create_connection(("127.0.0.1", self.forward_port), timeout=PATIENCE) as local:
            self.until("the connection", lambda: self.status("initiator")["forwards"][0]["connections"] == 1)
            self.stop(initiator)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(local.recv(1), b"")


class RestartTests(StageTestCase):
    def test_the_responder_is_killed_and_comes_back(self) -> None:
        digest = self.serve_files(MEBIOCTET)
        responder, _ = self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)
        (before,) = self.confirmed("initiator")
        self.kill(responder)
        self.until("the link's end", lambda: self.logged("initiator", "LinkClosed"))
        self.daemon("responder")
        self.assertEqual(self.fetch(self.forward_port), digest)
        (after,) = self.confirmed("initiator")
        self.assertEqual(after["spi_in"], before["spi_in"])

    def test_the_responder_loses_its_state(self) -> None:
        """A responder that does not know the association says so, and is negotiated with anew."""
        digest = self.serve_files(MEBIOCTET)
        responder, _ = self.both()
        (before,) = self.confirmed("initiator")
        # The association comes before its first link.
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.kill(responder)
        self.until("the link's end", lambda: self.logged("initiator", "LinkClosed"))
        for file in (self.folder / "responder").iterdir():
            file.unlink()
        self.daemon("responder")
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.assertNotEqual(self.confirmed("responder")[0]["spi_out"], before["spi_in"])

    def test_the_initiator_is_killed_and_comes_back(self) -> None:
        digest = self.serve_files(MEBIOCTET)
        _, initiator = self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.kill(initiator)
        (self.folder / "initiator" / "control.sock").unlink()
        self.daemon("initiator")
        self.wait_for_control("initiator")
        self.assertEqual(self.fetch(self.forward_port), digest)


class Ipv6Tests(StageTestCase):
    address = "::1"

    def test_a_download_over_ipv6(self) -> None:
        if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
            self.skipTest("this machine has no IPv6")
        digest = self.serve_files(MEBIOCTET)
        self.write_initiator(self.forward(f"tcp6:{self.forward_port}:interface=\\\\:\\\\:1", "web"))
        self.both()
        self.assertEqual(self.fetch(self.forward_port, "::1"), digest)
        (shown,) = self.status("responder")["daemon"]["listening"]
        self.assertIn("[::1]", shown)
