"""Real daemons in processes of their own, for tests: configurations, logs, a web server, and their end.

Nothing here is simulated: ``twistd`` runs the installed package on loopback
ports that were free a moment ago, with its state in the test's own folder.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.cli.control_client import TIMEOUT, Unreachable, ask
from seckex.cli.demo.files import write_key, write_payload
from seckex.cli.demo.processes import DemoFailed, Process, free_port, twistd
from tests.daemons.forked import ForkedProcess, run

HOME: Final = "home@example.org"
NODE: Final = "node@example.net"
#: What takes a second or two takes longer on a machine that is busy.
PATIENCE: Final = 90.0
_POLL: Final = 0.02

RESPONDER: Final = """\
role = "responder"
[identity]
nai = "home@example.org"
[listen]
addresses = [{addresses}]
port = {port}
[state]
directory = "responder"
[log]
format = "json"
file = "responder.log"
level = "debug"
[[peers]]
nai = "node@example.net"
key0 = "node.key0"
services = ["web", "closed"]
[services.web]
connect = "{connect}"
[services.closed]
connect = "tcp:host=127.0.0.1:port={closed}"
[services.private]
connect = "{connect}"
"""

INITIATOR: Final = """\
role = "initiator"
[identity]
nai = "node@example.net"
[state]
directory = "initiator"
[log]
format = "json"
file = "initiator.log"
level = "debug"
[[peers]]
nai = "home@example.org"
key0 = "node.key0"
address = "{address}"
port = {port}
"""

FORWARD: Final = """\
[[forwards]]
listen = "{listen}"
peer = "home@example.org"
service = "{service}"
"""


class StageTestCase(SynchronousTestCase):
    """A test with daemons; they are ended, and looked at for tracebacks, when it is over."""

    address = "127.0.0.1"

    def setUp(self) -> None:
        """Choose ports and write the files of both daemons."""
        try:
            twistd()
        except DemoFailed as error:
            raise SkipTest(str(error)) from None
        # Sockets have short paths: trial's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.port = free_port(socket.SOCK_DGRAM)
        self.web_port, self.forward_port, self.closed_port = free_port(), free_port(), free_port()
        self.www = self.folder / "www"
        self.www.mkdir()
        write_key(self.folder / "node.key0", NODE)
        self.running: list[Process] = []
        self.addCleanup(self.stop_all)
        self.write_responder()
        self.write_initiator(self.forward(f"tcp:{self.forward_port}:interface=127.0.0.1", "web"))

    def write_responder(self, connect: str = "", more: str = "") -> None:
        """Write the responder's configuration."""
        text = RESPONDER.format(
            addresses=f'"{self.address}"',
            port=self.port,
            connect=connect or f"tcp:host=127.0.0.1:port={self.web_port}",
            closed=self.closed_port,
        )
        (self.folder / "responder.toml").write_text(text + more)

    def write_initiator(self, *forwards: str) -> None:
        """Write the initiator's configuration."""
        text = INITIATOR.format(address=self.address, port=self.port) + "".join(forwards)
        (self.folder / "initiator.toml").write_text(text)

    @staticmethod
    def forward(listen: str, service: str) -> str:
        """Return the section of one forward."""
        return FORWARD.format(listen=listen, service=service)

    # -- processes

    def daemon(self, role: str, *options: str, wrapper: Sequence[str] = (), config: str = "") -> Process:
        """Start a daemon; ``options`` are twistd's, ``wrapper`` is a command that becomes the one after it.

        With a wrapper it has a beginning of its own.
        """
        name = config or role
        command = [*wrapper, twistd(), "-n", "--pidfile=", *options, f"seckex-{role}", "--config", f"{name}.toml"]
        begun = Process if wrapper else ForkedProcess
        process = begun(name, command, self.folder, self.folder / f"{name}.log")
        process.start()
        self.running.append(process)
        return process

    def both(self) -> tuple[Process, Process]:
        """Start both daemons and wait for their association."""
        responder = self.daemon("responder")
        self.wait_for_control("responder")
        initiator = self.daemon("initiator")
        self.wait_for_control("initiator")
        self.until("the association", lambda: bool(self.confirmed("initiator")) and bool(self.confirmed("responder")))
        return responder, initiator

    def kill(self, process: Process) -> None:
        """End a daemon as the kernel would."""
        os.kill(process.pid, signal.SIGKILL)
        self.running.remove(process)
        process.stop()

    def stop(self, process: Process) -> int:
        """Ask a daemon to end, and return its exit status."""
        self.running.remove(process)
        self.assertTrue(process.stop(), f"{process.name} had to be killed")
        return process.status

    def stop_all(self) -> None:
        """End whatever runs, and insist that no daemon has logged a traceback."""
        for process in reversed(self.running):
            process.stop()
        for role in ("responder", "initiator"):
            for file in (self.folder / f"{role}.log", self.folder / f"{role}.out"):
                if file.exists():
                    text = file.read_text(errors="replace")
                    if "Traceback" in text:
                        self.fail(f"{file} has:\n{text[text.index('Traceback') :][:3000]}")

    def refused_start(self, role: str, *options: str) -> str:
        """Start a daemon that is to fail, and return what it prints."""
        command = [twistd(), "-n", "--pidfile=", *options, f"seckex-{role}", "--config", f"{role}.toml"]
        ended = run(command, self.folder, PATIENCE)
        self.assertEqual(ended.returncode, 1, ended.stdout + ended.stderr)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)
        return ended.stdout + ended.stderr

    # -- what is going on

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until ``done``; fail after `PATIENCE`, or when a daemon has ended by itself."""
        give_up = time.monotonic() + PATIENCE
        while not done():
            for process in self.running:
                process.check()
            if time.monotonic() > give_up:
                logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))
                self.fail(f"waited in vain for {what}:\n{logs}")
            time.sleep(_POLL)

    def wait_for_control(self, role: str) -> None:
        """Wait until a daemon can be asked."""
        self.until(f"{role}'s control socket", lambda: self.asked(role) is not None)

    def asked(self, role: str) -> dict[str, Any] | None:
        """Return a daemon's status, None while nobody answers."""
        try:
            return self.status(role, TIMEOUT)
        except Unreachable:
            return None

    def status(self, role: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Ask a daemon how it is."""
        return self.told_by(role, {"command": "status"}, "seckex.status/1", timeout)

    def told_by(self, role: str, request: dict[str, Any], schema: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Ask a daemon for something."""
        return ask(self.folder / role / "control.sock", request, schema, timeout)

    def confirmed(self, role: str) -> list[dict[str, Any]]:
        """Return the associations that a daemon knows to be confirmed."""
        return [association for association in self.status(role)["associations"] if association["confirmed"]]

    def logged(self, role: str, event: str) -> bool:
        """Tell whether a daemon has logged an event."""
        log = self.folder / f"{role}.log"
        return log.exists() and f'"event": "{event}"' in log.read_text()

    # -- programs

    def serve_files(self, size: int) -> str:
        """Start a web server with a file of ``size`` octets; return the file's SHA-256."""
        digest = write_payload(self.www / "file.bin", size)
        self.web()
        return digest

    def web(self) -> None:
        """Start the web server."""
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(self.www)]
        process = Process("web", [*command, str(self.web_port)], self.folder)
        process.start()
        self.running.append(process)
        self.until("the web server", lambda: _answers(self.web_port))

    def fetch(self, port: int, host: str = "127.0.0.1") -> str:
        """Fetch the file through a forward; return its SHA-256."""
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        try:
            connection.request("GET", "/file.bin")
            return digest_of(connection.getresponse())
        finally:
            connection.close()


def digest_of(response: http.client.HTTPResponse) -> str:
    """Return the SHA-256 of a response's body."""
    digest = hashlib.sha256()
    while octets := response.read(1 << 16):
        digest.update(octets)
    return digest.hexdigest()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
