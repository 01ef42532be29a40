"""A roaming network of real daemons: a node, its agent, its home agent and their center, and a program's traffic."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from typing import Any

from seckex.cli.control_client import Unreachable
from seckex.cli.demo.processes import Process, seckex, twistd
from seckex.cli.demo.roaming.settings import write_certificates, write_settings
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE, PLUGINS, World
from tests.daemons.forked import ForkedProcess, run
from tests.daemons.stage import PATIENCE, StageTestCase

#: A second's worth of a slow reader.
_PIECE = 1 << 16


class RoamingTestCase(StageTestCase):
    """See the module; daemons are known by their roles, whose files bear their names."""

    def setUp(self) -> None:
        """Write every configuration, and provision the node."""
        super().setUp()
        self.world = World("direct", "stateless", self.folder)
        write_certificates(self.world)
        write_settings(self.world)
        self.web_port, self.forward_port = self.world.ports.web, self.world.ports.forward
        self.alter(NODE, "[log]", '[log]\nlevel = "debug"')
        self.daemons: dict[str, Process] = {}

    def alter(self, role: str, old: str, new: str) -> None:
        """Change a configuration."""
        file = self.world.config(role)
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new, 1))

    def start(self, role: str) -> None:
        """Start a daemon, and wait until it can be asked."""
        command = [twistd(), "-n", "--pidfile=", PLUGINS[role], "--config", f"{role}.toml"]
        process = ForkedProcess(role, command, self.folder, self.folder / f"{role}.log")
        process.start()
        self.running.append(process)
        self.daemons[role] = process
        self.wait_for_control(role)

    def start_all(self) -> None:
        """Start everybody, the node registered and with a link."""
        identity, center = self.world.identity, f"{CENTER}.toml"
        self.run_("kdc", "init", "--config", center)
        self.run_("kdc", "add", identity.nai, "--home-agent", self.world.nai(HOME), "--config", center)
        for role in (CENTER, HOME, AGENT):
            self.start(role)
        self.run_("provision", "--new-key", "device.key")
        self.run_("kdc", "export", identity.nai, "--to", "device.key.pub", "-o", "it.provision", "--config", center)
        self.run_("provision", "it.provision", "--key", "device.key", "--config", f"{NODE}.toml")
        self.start(NODE)
        self.until("a passage", lambda: bool(self.passages(NODE)))

    def run_(self, *arguments: str) -> str:
        """Run a command, which must succeed, and return what it says."""
        ended = run([seckex(), *arguments], self.folder, PATIENCE)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        return ended.stdout

    def stop_all(self) -> None:
        """End whatever runs, and insist that nobody has logged a traceback."""
        super().stop_all()
        for role in PLUGINS:
            for file in (self.folder / f"{role}.log", self.folder / f"{role}.out"):
                if file.exists():
                    self.assertNotIn(
                        "Traceback", file.read_text(errors="replace"), file.read_text(errors="replace")[-6000:]
                    )

    # -- what is going on

    def passages(self, role: str) -> list[dict[str, Any]]:
        """Return the passages that a daemon tells of; none while nobody answers."""
        try:
            open_ones: list[dict[str, Any]] = self.status(role)["passages"]["open"]
        except Unreachable:
            return []
        return open_ones

    def home_ask(self, command: str, schema: str, **request: Any) -> dict[str, Any]:
        """Ask the home agent for something."""
        return self.told_by(HOME, {"command": command, **request}, schema)

    def download(self, at_half: Callable[[], None] = lambda: None) -> str:
        """Fetch the file through the node's forward; do something when half of it is there. Returns its SHA-256."""
        connection = http.client.HTTPConnection("127.0.0.1", self.forward_port, timeout=PATIENCE)
        digest, done = hashlib.sha256(), False
        try:
            connection.request("GET", "/file.bin")
            response = connection.getresponse()
            size, have = int(response.headers["Content-Length"]), 0
            while piece := response.read(_PIECE):
                digest.update(piece)
                have += len(piece)
                if not done and 2 * have >= size:
                    done = True
                    at_half()
        finally:
            connection.close()
        return digest.hexdigest()
