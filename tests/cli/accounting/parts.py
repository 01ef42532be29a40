"""Daemons that keep accounts, without sockets: what a command asks is answered from a ledger's store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.accounting import desk
from seckex.cli.control_client import Refused
from seckex.cli.main import main
from seckex.net.accounting import SIDES, AccountingCommands
from seckex.net.control import Answer, ControlFactory, Declined
from tests.roles.accounts.parts import Books

HOME, AGENT = "home@example.org", "agent@visited.example"


class Answering:
    """The accounts of one role of one daemon; ``books`` fills them."""

    def __init__(self, local: str, side: str) -> None:
        self.books = Books(SIDES[side])
        self.asked: list[dict[str, Any]] = []
        commands = AccountingCommands(local, [side], self.books.store, lambda call: succeed(call())).commands()
        self._factory = ControlFactory(commands, None)

    def answer(self, request: dict[str, Any]) -> Answer:
        """Return what the daemon says."""
        self.asked.append(request)
        answer = self._factory.answer(json.loads(json.dumps(request)))
        found: list[bytes] = [answer] if isinstance(answer, bytes) else []
        if isinstance(answer, Deferred):
            answer.addCallback(found.append)
        told: Answer = json.loads(found[0])
        if told["schema"] == "seckex.error/1":
            raise Refused(told["error"], told["error"], told.get("word", ""))
        return told


class AccountingCase(SynchronousTestCase):
    """A home agent and an agent that the command finds by the names of their sockets."""

    def setUp(self) -> None:
        self.home, self.agent = Answering(HOME, "home-agent"), Answering(AGENT, "foreign-agent")
        daemons = {"home.sock": self.home, "agent.sock": self.agent}

        def ask(path: Path, request: dict[str, Any], _schema: str) -> Answer:
            if path.name not in daemons:
                raise Declined("no such command", "unknown-command")
            return daemons[path.name].answer(request)

        self.patch(desk, "ask", ask)
        self.patch(desk, "sockets_of", lambda *_: [Path("home.sock")])

    def seckex(self, *arguments: str, code: int = 0) -> str:
        """Run a command, expect an exit code and return what it has printed."""
        result: Result = CliRunner().invoke(main, ["accounting", *arguments])
        self.assertEqual(result.exit_code, code, result.output)
        return result.stdout

    def at_agent(self, *arguments: str, code: int = 0) -> str:
        """Run a command at the agent."""
        self.patch(desk, "sockets_of", lambda *_: [Path("agent.sock")])
        try:
            return self.seckex(*arguments, code=code)
        finally:
            self.patch(desk, "sockets_of", lambda *_: [Path("home.sock")])

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command with --json and return its objects."""
        return [json.loads(line) for line in self.seckex(*arguments, "--json").splitlines()]
