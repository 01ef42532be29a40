"""A roaming network on hosts: a node, two agents that it can see, and its home agent with a center behind them.

    node ---- radio ---- north ---- backbone ---- home
                   `---- south ----'

Only agents are on both nets and none forwards packets, so that what reaches the
home agent from the node was carried by an agent. Daemons are real ones, in
namespaces of `tests.hosts.spaces`; programs and commands talk to them by unix sockets.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.demo.processes import DemoFailed, Process, twistd
from seckex.cli.main import main
from seckex.config.files import create_private
from seckex.crypto.issuing import Authority
from tests.daemons.forked import ForkedProcess
from tests.hosts.download import Download, Server
from tests.hosts.spaces import Nets, Space, what_is_missing

PATIENCE: Final = 90.0
POLL: Final = 0.02
MEBIOCTET: Final = 1 << 20

NODE, NORTH, SOUTH, HOME = "node", "north", "south", "home"
NAIS: Final = {
    NODE: "node@example.org",
    NORTH: "north@example.net",
    SOUTH: "south@example.net",
    HOME: "home@example.org",
}
PLUGINS: Final = {NODE: "initiator", NORTH: "agent", SOUTH: "agent", HOME: "responder"}
RADIO: Final = {NODE: "198.51.100.100", NORTH: "198.51.100.1", SOUTH: "198.51.100.2"}
BACKBONE: Final = {NORTH: "192.0.2.1", SOUTH: "192.0.2.2", HOME: "192.0.2.10"}
HOPS: Final = 4435

_START: Final = """\
role = "{role}"
[identity]
nai = "{nai}"
{certificate}
[state]
directory = "{name}"
[log]
format = "json"
file = "{name}.log"
level = "debug"
[dead-peer]
idle = "{watch}"
timeout = "{watch}"
"""
_NODE: Final = """
[[peers]]
nai = "home@example.org"
authentication = "registration"
address = "192.0.2.10"
[registration]
agents = ["north@example.net", "south@example.net"]
solicit = ["198.51.100.1", "198.51.100.2"]
groups = []
[[forwards]]
listen = "unix:{folder}/forward.sock:mode=600"
peer = "home@example.org"
service = "download"
"""
_AGENT: Final = """
[listen]
addresses = ["{radio}", "{backbone}"]
[foreign-agent]
care-of = ["{radio}"]
address = "{backbone}"
advertise-every = "1s"
groups = []
[[hops]]
nai = "home@example.org"
address = "192.0.2.10"
port = 4435
"""
_HOME: Final = """
[listen]
addresses = ["192.0.2.10"]
[home-agent]
kdcs = ["home@example.org"]
[kdc]
[hops-listen]
addresses = ["192.0.2.10"]
port = 4435
accept = ["north@example.net", "south@example.net"]
[[peers]]
nai = "*@example.org"
authentication = "registration"
services = ["download"]
[services.download]
connect = "unix:{folder}/server.sock"
"""


class HostsCase(SynchronousTestCase):
    """Tests on that network; ``self.hosts`` has the namespaces by name.

    ``watch`` is for how long links may be silent, twice.
    """

    watch = "2s"

    def setUp(self) -> None:
        missing = what_is_missing()
        if missing:
            raise SkipTest(missing)
        try:
            twistd()
        except DemoFailed as error:
            raise SkipTest(str(error)) from None
        # Sockets have short paths: trial's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.running: dict[str, Process] = {}
        self.hosts: dict[str, Space] = {}
        self.nets = Nets()
        self.addCleanup(self._close)
        for net in ("radio", "backbone"):
            self.nets.add(net)
        for name in NAIS:
            self.host(name)
        #: How often the node had moved when a test began.
        self.moves = 0
        self.server = Server(self.folder / "server.sock")
        self.addCleanup(self.server.close)

    def host(self, name: str) -> Space:
        """Add a host, wired where it has addresses."""
        space = self.hosts[name] = Space(name)
        for net, addresses in (("radio", RADIO), ("backbone", BACKBONE)):
            if name in addresses:
                self.nets.wire(net, space, f"{addresses[name]}/24")
        return space

    def _close(self) -> None:
        # All at once: each would wait for others that do not answer.
        with ThreadPoolExecutor(len(NAIS)) as stopping:
            list(stopping.map(Process.stop, self.running.values()))
        for space in (*self.hosts.values(), self.nets.space):
            space.close()
        for file in self.folder.glob("*.log"):
            self.assertNotIn("Traceback", traceback_of(file), str(file))

    # -- daemons

    def begin(self, agent: str = NORTH) -> None:
        """Write all files, start everybody, the node once it is provisioned, and register by way of ``agent``."""
        self._certify()
        more = {
            NODE: _NODE.format(folder=self.folder),
            HOME: _HOME.format(folder=self.folder),
        }
        for name in (NORTH, SOUTH):
            more[name] = _AGENT.format(radio=RADIO[name], backbone=BACKBONE[name])
        for name, nai in NAIS.items():
            certificate = f'certificate = "{name}.pem"\nprivate-key = "{name}.key"\ntrust = ["ca.pem"]'
            start = _START.format(
                role=PLUGINS[name],
                nai=nai,
                name=name,
                watch=self.watch,
                certificate="" if name == NODE else certificate,
            )
            (self.folder / f"{name}.toml").write_text(start + more[name])
        self.seckex("kdc", "init", "--config", "home.toml")
        self.seckex("kdc", "add", NAIS[NODE], "--home-agent", NAIS[HOME], "--config", "home.toml")
        for name in (HOME, NORTH, SOUTH):
            self.start(name)
        self.seckex("provision", "--new-key", "device.key")
        self.until("the home agent's keys", lambda: self.logged(HOME, "HomeKeysTaken"))
        self.seckex("kdc", "export", NAIS[NODE], "--to", "device.key.pub", "-o", "node.sealed", "--config", "home.toml")
        self.seckex("provision", "node.sealed", "--key", "device.key", "--config", "node.toml")
        self.start(NODE)
        self.until("the registration", self.agent)
        if self.agent() != agent:
            self.move(agent)
        self.moves = self.logged(NODE, "Moved")

    def _certify(self) -> None:
        now = time.time()
        root = Authority.issue_itself("tests", now, 2)
        authority = Authority.from_pem(root.certificate, root.key.octets)
        create_private(self.folder / "ca.pem", root.certificate)
        for name in (NORTH, SOUTH, HOME):
            issued = authority.issue(NAIS[name], now, 1)
            create_private(self.folder / f"{name}.pem", issued.certificate)
            create_private(self.folder / f"{name}.key", issued.key.octets)

    def start(self, name: str) -> None:
        """Start a host's daemon."""
        twist = [twistd(), "-n", "--pidfile=", f"seckex-{PLUGINS[name]}", "--config", f"{name}.toml"]
        log, namespace = self.folder / f"{name}.log", self.hosts[name].name
        process = self.running[name] = ForkedProcess(name, twist, self.folder, log, namespace=namespace)
        process.start()

    def kill(self, name: str) -> None:
        """End a host's daemon as the kernel would."""
        process = self.running.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        process.stop()

    def seckex(self, *words: str) -> str:
        """Run the command, in this process, on files of the folder; return what it prints."""
        files = [str(self.folder / word) if "." in word and "@" not in word else word for word in words]
        done = CliRunner().invoke(main, files)
        self.assertEqual(done.exit_code, 0, done.output)
        return done.output

    # -- what is going on

    def until(self, what: str, done: Callable[[], object], within: float = PATIENCE) -> None:
        """Wait until ``done``; fail after that, or when a daemon has ended by itself."""
        give_up = time.monotonic() + within
        while not done():
            for process in self.running.values():
                process.check()
            if time.monotonic() > give_up:
                logs = "\n".join(
                    f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.folder.glob("*.log")
                )
                self.fail(f"waited in vain for {what}:\n{logs}")
            time.sleep(POLL)

    def status(self, name: str) -> dict[str, Any]:
        """Ask a daemon; an empty object where it does not answer."""
        try:
            return ask(self.folder / name / "control.sock", {"command": "status"}, "seckex.status/1", PATIENCE)
        except (Unreachable, Refused):
            return {}

    def agent(self) -> str:
        """Return which agent the node is registered by way of, nothing where it is not."""
        role = self.status(NODE).get("roles", {}).get("mobile-node", {})
        registration = role.get("registration") or {}
        return str(registration.get("agent", "")).partition("@")[0]

    def move(self, agent: str) -> None:
        """Have the node register by way of another agent."""
        self.seckex("move", NAIS[agent], "--config", "node.toml")
        self.assertEqual(self.agent(), agent)

    def logged(self, name: str, event: str) -> int:
        """Return how often a daemon has logged an event."""
        log = self.folder / f"{name}.log"
        return log.read_text().count(f'"event": "{event}"') if log.exists() else 0

    # -- a download

    def download(self) -> Download:
        """Begin a download that goes on until `finish`, and wait for its first MiB."""
        self.until("the forward", (self.folder / "forward.sock").exists)
        download = Download(self.folder / "forward.sock")
        self.goes_on(download)
        return download

    def goes_on(self, download: Download, octets: int = MEBIOCTET) -> None:
        """Wait until so many more octets have come."""
        wanted = download.received + octets
        self.until(f"{octets} more octets", lambda: download.received >= wanted or download.over)
        self.assertFalse(download.over, f"it ended after {download.received} octets: {download.broken}")

    def finish(self, download: Download) -> None:
        """Let a download end, and insist that all of it has come."""
        self.server.finishing.set()
        digest = download.finished()
        self.assertEqual(download.broken, "")
        self.assertEqual([digest], self.server.said)


def traceback_of(file: Path) -> str:
    """Return the first traceback in a log, as far as it is of interest."""
    _, found, rest = file.read_text(errors="replace").partition("Traceback")
    return (found + rest)[:3000]
