"""The examples, run as their README tells: a server and a client in processes of their own, and what is printed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.cli.demo.processes import Process, free_port

EXAMPLES: Final = Path(__file__).parents[2] / "contrib" / "examples"
README: Final = (EXAMPLES / "README.md").read_text()
PATIENCE: Final = 60.0


def blocks(text: str) -> list[list[str]]:
    """Return the lines of each block of code."""
    return [found.strip().splitlines() for found in re.findall(r"```\n(.*?)```", text, re.DOTALL)]


SECTIONS: Final = {part.splitlines()[0]: blocks(part) for part in README.split("\n## ")[1:]}


def ours(line: str) -> list[str]:
    """Return a command of the README such that it is run by this Python."""
    program, *arguments = line.removeprefix("$ ").split()
    if program == "seckex":
        return [sys.executable, "-c", "from seckex.cli.main import main; main()", *arguments]
    return [sys.executable, *arguments]


class ExampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not any(each.prefix == "seckex" for each in getPlugins(IStreamServerEndpointStringParser)):
            raise SkipTest("the plugin is not installed: pip install .")
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-")) / "examples"
        self.addCleanup(shutil.rmtree, self.folder.parent, ignore_errors=True)
        shutil.copytree(EXAMPLES, self.folder, ignore=shutil.ignore_patterns("state", "key0.toml", "__pycache__"))
        port = str(free_port(socket.SOCK_DGRAM))
        for name in ("home.toml", "node.toml", "shop.toml", "buyer.toml"):
            file = self.folder / name
            file.write_text(file.read_text().replace("4434", port))
        (key,) = blocks(README.partition("\n## ")[0])
        self.run_to_the_end(key[0])

    def run_to_the_end(self, line: str) -> str:
        """Run a command, and return what it prints."""
        done = subprocess.run(
            ours(line), cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def check(self, title: str) -> None:
        """Run what a section says, and compare what it promises."""
        self.check_blocks(SECTIONS[title])

    def check_blocks(self, said: list[list[str]]) -> None:
        """Run a server and a client, and compare what the client prints."""
        (server,), (client, *promised) = said
        running = Process("server", ours(server), self.folder, self.folder / "server.out")
        running.start()
        self.addCleanup(running.stop)
        # A client that comes before its server tries again by itself.
        printed = self.run_to_the_end(client).splitlines()
        if promised[-1] == "...":
            promised.pop()
            del printed[len(promised) :]
        self.assertEqual(printed, promised)

    def test_a_line_protocol(self) -> None:
        self.check("A line protocol")

    def test_amp(self) -> None:
        self.check("AMP")

    def test_http(self) -> None:
        self.check("HTTP")

    def test_messages(self) -> None:
        certificates, *rest = SECTIONS["Messages"]
        for line in certificates:
            self.run_to_the_end(line)
        self.check_blocks(rest)

    def test_every_program_is_told_of(self) -> None:
        programs = {path.name for path in EXAMPLES.glob("*_server.py")} | {p.name for p in EXAMPLES.glob("*_client.py")}
        self.assertEqual(programs, set(re.findall(r"\w+_(?:server|client)\.py", README)))
