"""A daemon's messages in memory on a socket, for the command to talk to."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from seckex.cli.main import main
from seckex.net.delivery.http.serving import MessagesServed
from seckex.testing import MemoryMessages

reactor: Any = installed
PEER = "peer@example.net"


class ServedCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        # Sockets need short paths; trial's own directories have long ones.
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.messages = MemoryMessages(services=("orders", "bills"), clock=reactor)
        self.addCleanup(self.messages.crash)
        self.served = MessagesServed(self.messages, reactor)
        self.state = self.home / "seckex" / "responder"
        self.state.mkdir(parents=True)
        self.port = self.served.listen_unix(self.state / "messages.sock")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.served.close)

    def run_command(self, *arguments: str, given: bytes | None = None) -> Deferred[Result]:
        """Run the command in a thread."""
        return deferToThread(
            CliRunner().invoke, main, list(arguments), input=given, env={"XDG_STATE_HOME": str(self.home)}
        )
