"""Reading the configuration again: SIGHUP and the control socket, with connections that go on meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import Process, free_port
from tests.daemons.stage import HOME, NODE, PATIENCE, StageTestCase


class ReloadTests(StageTestCase):
    def reload(self, role: str) -> dict[str, Any]:
        """Have a daemon read its configuration again, and return what it says of that."""
        return self.told_by(role, {"command": "reload"}, "seckex.reload/1")

    def reloaded(self, role: str, *changed: str) -> None:
        """Have a daemon read its configuration again, and check what has changed."""
        answer = self.reload(role)
        self.assertEqual(answer["problems"], [])
        self.assertTrue(answer["done"])
        self.assertEqual((set(answer["changed"]), answer["kept"]), (set(changed), []))

    def change(self, role: str, *changes: tuple[str, str]) -> None:
        """Replace texts in a configuration."""
        file = self.folder / f"{role}.toml"
        text = file.read_text()
        for before, after in changes:
            self.assertIn(before, text)
            text = text.replace(before, after)
        file.write_text(text)

    def events(self, role: str, name: str) -> list[dict[str, Any]]:
        """Return the events of one kind that a daemon has logged."""
        lines = (self.folder / f"{role}.log").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def connected(self, port: int) -> socket.socket:
        """Return a connection through a forward to the web server that has been answered once."""
        talk = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(talk.close)
        self.ask_again(talk)
        return talk

    def ask_again(self, talk: socket.socket) -> None:
        """Ask the echo server behind the connection, and check that it answers."""
        talk.sendall(b"ping")
        self.assertEqual(talk.recv(4), b"ping")

    def check_closed(self, port: int) -> None:
        """Check that a forward closes a connection before anything is said."""
        # The reset may come before the connection is seen to stand.
        with (
            self.assertRaises((ConnectionError, AssertionError)),
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as refused,
        ):
            self.assertTrue(refused.recv(1))

    def echo(self) -> None:
        """Serve as the program behind the service: send back whatever comes."""
        program = (
            "import socketserver, sys\n"
            "class Echo(socketserver.BaseRequestHandler):\n"
            "    def handle(self):\n"
            "        while octets := self.request.recv(65536):\n"
            "            self.request.sendall(octets)\n"
            "socketserver.ThreadingTCPServer.daemon_threads = True\n"
            "socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Echo).serve_forever()\n"
        )
        process = Process("echo", [sys.executable, "-c", program, str(self.web_port)], self.folder)
        process.start()
        self.running.append(process)
        self.until("the echo server", lambda: _answers(self.web_port))

    def test_sighup_reads_it_again_and_a_dialog_goes_on(self) -> None:
        self.echo()
        responder, initiator = self.both()
        talk = self.connected(self.forward_port)
        self.change(
            "responder", ('level = "debug"', 'level = "info"'), ('services = ["web", "closed"]', "services = []")
        )
        for process, role in ((responder, "responder"), (initiator, "initiator")):
            os.kill(process.pid, signal.SIGHUP)
            self.until("the reload", lambda role=role: self.logged(role, "ConfigurationReloaded"))  # type: ignore[misc]  # bound
        [told] = self.events("responder", "ConfigurationReloaded")
        self.assertEqual(set(told["changed"]), {"log.level", f'peers."{NODE}".services'})
        [told] = self.events("initiator", "ConfigurationReloaded")
        self.assertEqual((told["changed"], told["restart"]), ([], []))
        self.ask_again(talk)
        # What is new is judged by what is new.
        self.check_closed(self.forward_port)
        self.until("the refusal", lambda: self.logged("responder", "DialogRefused"))

    def test_a_configuration_that_is_wrong_changes_nothing_and_all_that_is_wrong_is_told(self) -> None:
        self.both()
        (self.folder / "node.key0").chmod(0o644)
        self.change(
            "responder",
            ('level = "debug"', 'level = "loud"'),
            ("[services.web]", "[limits]\nlinks = 0\n[services.web]"),
        )
        answer = self.reload("responder")
        self.assertFalse(answer["done"])
        paths = {each.partition(":")[0] for each in answer["problems"]}
        self.assertEqual(paths, {"log.level", "limits.links", "peers[0].key0"})
        [told] = self.events("responder", "ConfigurationKept")
        self.assertEqual(len(told["problems"]), 3)
        self.assertEqual(self.events("responder", "AssociationEnded"), [])
        self.assertEqual(len(self.confirmed("responder")), 1)
        (self.folder / "node.key0").chmod(0o600)
        self.write_responder()
        self.reloaded("responder")

    def test_what_cannot_be_opened_changes_nothing(self) -> None:
        self.both()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.change("responder", (f"port = {self.port}", f"port = {port}"), ('level = "debug"', 'level = "info"'))
            [problem] = self.reload("responder")["problems"]
            self.assertIn(f"listen: 127.0.0.1 port {port} cannot be listened on", problem)
            self.write_initiator(self.forward(f"tcp:{port}:interface=127.0.0.1", "web"))
            [problem] = self.reload("initiator")["problems"]
            self.assertIn("forwards: ", problem)
        self.change("initiator", (str(port), str(self.forward_port)), ('"initiator.log"', '"missing/initiator.log"'))
        [problem] = self.reload("initiator")["problems"]
        self.assertIn("log.file: ", problem)
        self.write_responder()
        self.reloaded("responder")

    def test_another_key_ends_the_association_and_serves_when_both_have_it(self) -> None:
        self.both()
        [before] = self.confirmed("initiator")
        (self.folder / "node.key0").unlink()
        write_key(self.folder / "node.key0", NODE)
        key = f'peers."{NODE}".key0'
        self.reloaded("responder", key)
        self.assertEqual(self.status("responder")["associations"], [])
        [ended] = self.events("responder", "AssociationEnded")
        self.assertEqual((ended["peer"], ended["why"]), (NODE, "what vouched for it has changed"))
        self.reloaded("initiator", f'peers."{HOME}".key0')
        self.until("an association", lambda: bool(self.confirmed("initiator")) and bool(self.confirmed("responder")))
        [after] = self.confirmed("initiator")
        self.assertNotEqual(before["spi_in"], after["spi_in"])
        self.assertIn(key, json.dumps(self.events("responder", "ConfigurationReloaded")).replace("\\", ""))

    def test_peers_come_and_go(self) -> None:
        self.echo()
        self.both()
        talk = self.connected(self.forward_port)
        write_key(self.folder / "other.key0", "other@example.net")
        more = '[[peers]]\nnai = "other@example.net"\nkey0 = "other.key0"\nservices = ["web"]\n'
        file = self.folder / "responder.toml"
        text = file.read_text()
        file.write_text(text.replace("[services.web]", f"{more}[services.web]"))
        self.reloaded("responder", 'peers."other@example.net"')
        other = self.folder / "initiator.toml"
        port = free_port()
        forward = self.forward(f"tcp:{port}:interface=127.0.0.1", "web")
        (self.folder / "second.toml").write_text(
            (other.read_text().partition("[[forwards]]")[0] + forward)
            .replace(NODE, "other@example.net")
            .replace("node.key0", "other.key0")
            .replace('"initiator"\n[log]', '"second"\n[log]')
            .replace("initiator.log", "second.log")
        )
        second = self.daemon("initiator", config="second")
        self.wait_for_control("second")
        self.until("its association", lambda: bool(self.confirmed("second")))
        cut = self.connected(port)
        file.write_text(text)
        self.reloaded("responder", 'peers."other@example.net"')
        self.until("the end", lambda: not self.status("second")["associations"] or self.logged("second", "LinkClosed"))
        self.assertEqual([each["peer"] for each in self.status("responder")["associations"]], [NODE])
        with self.assertRaises(ConnectionResetError):
            cut.recv(1)
        [told] = self.events("second", "DialogClosed")
        self.assertIn("prohibited (129)", told["how"])
        self.ask_again(talk)
        self.stop(second)

    def test_a_file_that_is_not_there_or_cannot_be_read_is_named(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        file = self.folder / "responder.toml"
        file.write_text("[")
        [problem] = self.reload("responder")["problems"]
        self.assertIn("responder.toml: is not TOML", problem)
        file.unlink()
        [problem] = self.reload("responder")["problems"]
        self.assertIn("responder.toml: cannot be read", problem)
        self.write_responder()

    def test_addresses_and_forwards_change(self) -> None:
        self.echo()
        self.both()
        talk = self.connected(self.forward_port)
        old, new = self.port, free_port(socket.SOCK_DGRAM)
        self.change("responder", (f"port = {old}", f"port = {new}"))
        self.reloaded("responder", "listen.port")
        self.assertEqual(self.status("responder")["daemon"]["listening"], [f"127.0.0.1:{new} UDP and TCP"])
        with socket.socket(type=socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", old))
        # What stands goes on over the port that is gone for what is new.
        self.ask_again(talk)
        port = free_port()
        self.port, unix = new, self.folder / "forward.sock"
        self.write_initiator(
            self.forward(f"tcp:{port}:interface=127.0.0.1", "web"), self.forward(f"unix:{unix}:mode=600", "web")
        )
        self.reloaded("initiator", f'peers."{HOME}".port', "forwards")
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", self.forward_port))
        self.connected(port)
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(PATIENCE)
            local.connect(str(unix))
            self.ask_again(local)
        self.ask_again(talk)
        # The same place for another service.
        self.write_initiator(self.forward(f"tcp:{port}:interface=127.0.0.1", "closed"))
        self.reloaded("initiator", "forwards")
        self.assertFalse(unix.exists())
        self.check_closed(port)

    def test_what_only_a_restart_changes_is_told_and_the_rest_is_changed(self) -> None:
        self.both()
        self.change(
            "responder",
            ('directory = "responder"', 'directory = "elsewhere"'),
            ('level = "debug"', 'level = "warn"'),
            ('["127.0.0.1"]', '["0.0.0.0"]'),
        )
        answer = self.reload("responder")
        self.assertEqual(answer["problems"], [])
        self.assertEqual(answer["changed"], ["log.level"])
        kept = {each.partition(":")[0] for each in answer["kept"]}
        self.assertEqual(kept, {"state.directory", "state.master-key", "state.control", "listen"})
        self.assertEqual(len(self.confirmed("responder")), 1)
        self.assertFalse((self.folder / "elsewhere").exists())
        self.change("responder", ("home@example.org", "elsewhere@example.org"))
        answer = self.reload("responder")
        self.assertEqual(answer["done"], False)

    def test_the_log_is_opened_again(self) -> None:
        responder, _ = self.both()
        log = self.folder / "responder.log"
        log.rename(self.folder / "responder.log.1")
        os.kill(responder.pid, signal.SIGHUP)
        self.until("the log", lambda: self.logged("responder", "ConfigurationReloaded"))

    def test_the_supervisor_hears_of_it(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self.folder / "notify"))
            notify.setblocking(False)
            os.environ["NOTIFY_SOCKET"] = str(self.folder / "notify")
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
            responder = self.daemon("responder")
            told: list[str] = []

            def heard(count: int) -> bool:
                with contextlib.suppress(BlockingIOError):
                    told.append(notify.recv(4096).decode().splitlines()[0])
                return len(told) >= count

            self.until("READY=1", lambda: heard(1))
            os.kill(responder.pid, signal.SIGHUP)
            self.until("READY=1 again", lambda: heard(3))
            self.assertEqual(told, ["READY=1", "RELOADING=1", "READY=1"])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
