"""Two real daemons that exchange messages, and nothing else: one that is called, one that calls."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any, Final

from click.testing import CliRunner

from seckex.cli.demo.processes import Process, seckex
from seckex.cli.main import main
from seckex.cli.messages.client import Client, part
from seckex.cli.output import Fault
from tests.daemons.forked import run
from tests.daemons.stage import HOME, NODE, PATIENCE, StageTestCase

#: Whom commands and settings call what: the role, the service there, and what its program's peer is called.
SIDES: Final = {"responder": (HOME, "orders"), "initiator": (NODE, "receipts")}

CONFIGURATION: Final = """\
role = "{role}"
[identity]
nai = "{nai}"
certificate = "{role}.pem"
private-key = "{role}.key"
trust = ["ca/ca.pem"]
revocation = ["ca/ca.crl"]
{listen}
[state]
directory = "{role}"
[log]
format = "json"
file = "{role}.log"
level = "debug"
[messages]
{messages}
[[messages.peers]]
nai = "{peer}"
{where}
[messages.services.{service}]
from = ["*@{realm}"]
retry-after = "0s"
{more}
"""


class MessagingTestCase(StageTestCase):
    """See the module: the responder has a service ``orders``, the initiator ``receipts``."""

    def setUp(self) -> None:
        """Make an authority, a certificate for each, and their configurations."""
        super().setUp()
        self.ca = self.folder / "ca"
        self.cert("ca", "-d", str(self.ca))
        for role, (nai, _) in SIDES.items():
            self.cert("new", nai, "-d", str(self.ca), "-o", str(self.folder / f"{role}.pem"))

    def write_responder(self, connect: str = "", more: str = "", messages: str = "", where: str = "") -> None:
        """Write the responder's configuration: ``more`` is of its service, ``messages`` of the section."""
        del connect
        listen = f'[listen]\naddresses = ["127.0.0.1"]\nport = {self.port}'
        self._write("responder", NODE, listen, messages, where, more)

    def write_initiator(self, *forwards: str, more: str = "", messages: str = "", where: str = "") -> None:
        """Write the initiator's configuration."""
        del forwards
        where += f'\naddress = "127.0.0.1"\nport = {self.port}'
        self._write("initiator", HOME, "", messages, where, more)

    def _write(self, role: str, peer: str, listen: str, messages: str, where: str, more: str) -> None:
        nai, service = SIDES[role]
        text = CONFIGURATION.format(
            role=role,
            nai=nai,
            listen=listen,
            messages=messages,
            peer=peer,
            where=where,
            service=service,
            realm=peer.partition("@")[2],
            more=more,
        )
        (self.folder / f"{role}.toml").write_text(text)

    def cert(self, *arguments: str) -> None:
        """Have ``seckex cert`` do something."""
        result = CliRunner().invoke(main, ["cert", *arguments])
        self.assertEqual(result.exit_code, 0, result.output)

    # -- processes

    def up(self, *roles: str) -> list[Process]:
        """Start daemons, and wait until they serve programs."""
        started = [self.daemon(role) for role in roles or tuple(SIDES)]
        for role in roles or tuple(SIDES):
            self.until(f"{role}'s programs' socket", lambda: self.serves(role))  # noqa: B023  # awaited before it changes
        return started

    def serves(self, role: str) -> bool:
        """Tell whether programs are served."""
        try:
            self.client(role).ask("GET", "/v1/dialogs")
        except Fault:
            return False
        return True

    def client(self, role: str) -> Client:
        """Return what asks a daemon about messages."""
        return Client(self.folder / role / "messages.sock")

    def process(self, role: str) -> Process:
        """Return a daemon that runs."""
        return next(each for each in self.running if each.name == role)

    # -- programs

    def seckex(self, role: str, *arguments: str) -> CompletedProcess[str]:
        """Run the command beside a daemon, in a process of its own."""
        command = [seckex(), *arguments, "--config", str(self.folder / f"{role}.toml")]
        return run(command, self.folder, PATIENCE)

    def said(self, role: str, *arguments: str) -> str:
        """Run the command, which must succeed, and return what it prints."""
        ended = self.seckex(role, *arguments)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended)
        return ended.stdout

    def asked_for(self, role: str, *arguments: str) -> dict[str, Any]:
        """Run the command with ``--json``."""
        told = json.loads(self.said(role, *arguments, "--json"))
        self.assertIsInstance(told, dict)
        return dict(told)

    def send(self, role: str, octets: bytes, **said: Any) -> str:
        """Send a message by HTTP from beside a daemon to its peer's service; return its name."""
        told: dict[str, Any] = self.posted(role, octets, **said)
        return str(told["name"])

    def posted(self, role: str, octets: bytes, **said: Any) -> dict[str, Any]:
        """Send a message by HTTP; return the answer."""
        to, service = SIDES["initiator" if role == "responder" else "responder"]
        said = {"to": to, "service": service, "wait": "accepted", "timeout": PATIENCE, **said}
        return self.client(role).ask("POST", "/v1/messages", said, octets, timeout=PATIENCE).told

    def one(self, role: str, verdict: str = "done", **said: Any) -> tuple[bytes, dict[str, str]]:
        """Take one message from a daemon and give a verdict; return the payload, and what was told beside it."""
        service = SIDES[role][1]
        said = {"mode": "one", "timeout": PATIENCE, **said}
        where = f"/v1/services/{service}/messages"
        reply = self.client(role).ask("GET", where, said, timeout=2 * PATIENCE)
        self.assertEqual(reply.status, 200, reply)
        told = {name.removeprefix("Seckex-").lower(): value for name, value in reply.headers.items()}
        self.judge(role, told["id"], verdict)
        return reply.body, told

    def judge(self, role: str, message: str, verdict: str = "done") -> None:
        """Give a verdict."""
        body = json.dumps({"verdict": verdict}).encode()
        self.client(role).ask("POST", f"/v1/messages/{part(message)}/verdict", None, body, timeout=PATIENCE)

    def dialogs(self, role: str) -> list[dict[str, Any]]:
        """Return a daemon's dialogs."""
        return list(self.client(role).ask("GET", "/v1/dialogs").told["dialogs"])

    def why(self, role: str, name: str) -> dict[str, Any]:
        """Return what a daemon says of a message."""
        return self.client(role).ask("GET", f"/v1/messages/{part(name)}/why").told

    def log(self, role: str) -> str:
        """Return a daemon's log."""
        return (self.folder / f"{role}.log").read_text()

    def events(self, role: str, event: str) -> list[dict[str, Any]]:
        """Return the events of a kind that a daemon has logged."""
        lines = (json.loads(line) for line in self.log(role).splitlines())
        return [line for line in lines if line.get("event") == event]
