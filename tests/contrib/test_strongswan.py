"""Keys for strongSwan: two seckex and two strongSwan daemons in two network namespaces, and pings through tunnels.

ESP is in user space, so that no module of the kernel is needed but TUN. Skipped,
with the reason, where namespaces, strongSwan or its Python client are not there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.cli.control_client import Unreachable, ask
from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import Process, seckex, twistd
from tests.daemons.forked import ForkedProcess, run

PROGRAM: Final = Path(__file__).parents[2] / "contrib" / "strongswan" / "seckex_psk.py"
CHARON: Final = Path("/usr/lib/ipsec/charon")
PLUGINS: Final = Path("/usr/lib/ipsec/plugins")
HOME: Final = "home@example.org"
NODE: Final = "node@example.net"
PATIENCE: Final = 90.0

LOADED: Final = (
    "random nonce openssl aes sha1 sha2 hmac gcm kdf curve25519 gmp x509 pubkey pem pkcs1"
    " kernel-libipsec kernel-netlink socket-default vici updown"
)
STRONGSWAN: Final = """\
charon {{
  load = {plugins}
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  install_virtual_ip = no
  retransmit_tries = 2
  retransmit_timeout = 1.0
  filelog {{ stderr {{ default = 1 }} }}
  plugins {{
    vici {{ socket = unix://{folder}/charon.vici }}
    kernel-libipsec {{ load = yes }}
  }}
}}
"""

SECKEX: Final = """\
role = "{role}"
[identity]
nai = "{nai}"
[state]
directory = "state"
[[peers]]
nai = "{peer}"
key0 = "../key0.toml"
"""


@frozen
class Mode:
    """One way of IKE to use a pre-shared key."""

    name: str
    version: str
    aggressive: str
    ike: str
    esp: str


MODES: Final = (
    Mode("ikev2", "2", "no", "aes256-sha256-x25519", "aes256gcm16"),
    Mode("main", "1", "no", "aes256-sha256-modp2048", "aes256-sha256"),
    Mode("aggressive", "1", "yes", "aes256-sha256-modp2048", "aes256-sha256"),
)


def what_is_missing() -> str:
    """Return why these tests cannot run here, nothing if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if importlib.util.find_spec("vici") is None:
        return "the package vici is not installed: pip install '.[strongswan]'"
    if not CHARON.exists() or not (PLUGINS / "libstrongswan-kernel-libipsec.so").exists():
        return "strongSwan is not installed, or not its plugin for ESP in user space"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    if shutil.which("ip") is None or shutil.which("ping") is None:
        return "ip and ping are not installed"
    tried = subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "namespaces cannot be made here"


class Side:
    """One namespace with its daemons; the peer's is its twin."""

    def __init__(self, folder: Path, name: str, number: int, role: str, nai: str, peer: str) -> None:
        self.folder = folder / role
        self.space = f"sx{name}{os.getpid()}"
        self.address, self.inner = f"192.0.2.{number}", f"10.{number}.0.1"
        self.role, self.nai, self.peer = role, nai, peer
        self.processes: list[Process] = []
        self.exporter: Process

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace."""
        return subprocess.run(
            ["ip", "netns", "exec", self.space, *command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start(self, name: str, *command: str) -> Process:
        """Start a program in the namespace."""
        process = Process(name, ["ip", "netns", "exec", self.space, *command], self.folder)
        process.start()
        self.processes.append(process)
        return process

    def configure(self, extra: str) -> None:
        """Write the configurations."""
        (self.folder / "run").mkdir(parents=True)
        (self.folder / "strongswan.conf").write_text(STRONGSWAN.format(folder=self.folder, plugins=LOADED))
        text = SECKEX.format(role=self.role, nai=self.nai, peer=self.peer)
        (self.folder / "seckex.toml").write_text(text + extra)

    def start_daemons(self) -> None:
        """Start both daemons; strongSwan sees a /run of its own."""
        mount = f"mount --bind {self.folder}/run /run && exec {CHARON}"
        conf = f"STRONGSWAN_CONF={self.folder}/strongswan.conf"
        self.start("charon", "env", conf, "unshare", "-m", "sh", "-c", mount)
        command = [twistd(), "-n", "--pidfile=", f"seckex-{self.role}", "--config", "seckex.toml"]
        daemon = ForkedProcess("seckex", command, self.folder, namespace=self.space)
        daemon.start()
        self.processes.append(daemon)

    def start_exporter(self, twin: Side, *more: str) -> Process:
        """Start what the test is about."""
        options = ("--control", str(self.control), "--vici", str(self.folder / "charon.vici"))
        ids = ("--local-id", self.address, "--remote-id", twin.address)
        self.exporter = self.start("exporter", sys.executable, str(PROGRAM), self.peer, *options, *ids, *more)
        return self.exporter

    @property
    def control(self) -> Path:
        """The seckex daemon's control socket."""
        return self.folder / "state" / "control.sock"

    def associations(self) -> list[dict[str, Any]]:
        """Return the confirmed associations."""
        try:
            status = ask(self.control, {"command": "status"}, "seckex.status/1")
        except Unreachable:
            return []
        return [one for one in status["associations"] if one["confirmed"]]

    def loaded(self) -> list[str]:
        """Return what the exporter says that it has loaded, one association after the other."""
        lines = self.exporter.output.read_text().splitlines()
        return [line.split()[3] for line in lines if line.startswith("key loaded")]

    def charon(self) -> Any:
        """Return a conversation with strongSwan."""
        import vici

        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.folder / "charon.vici"))
        return vici.Session(connection)

    def load(self, mode: Mode, twin: Side) -> None:
        """Give strongSwan a connection, without any secret."""
        child = {
            "local_ts": [f"{self.inner}/32"],
            "remote_ts": [f"{twin.inner}/32"],
            "esp_proposals": [mode.esp],
            "start_action": "none",
        }
        connection = {
            "version": mode.version,
            "aggressive": mode.aggressive,
            "local_addrs": [self.address],
            "remote_addrs": [twin.address],
            "proposals": [mode.ike],
            "local": {"auth": "psk", "id": self.address},
            "remote": {"auth": "psk", "id": twin.address},
            "children": {"net": child},
        }
        self.charon().load_conn({mode.name: connection})

    def stop(self) -> None:
        """End everything."""
        for process in reversed(self.processes):
            process.stop()
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True, check=False)


class StrongSwanTests(SynchronousTestCase):
    def setUp(self) -> None:
        missing = what_is_missing()
        if missing:
            raise SkipTest(missing)
        # Sockets have short paths: trial's own folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        write_key(self.folder / "key0.toml", NODE)
        self.node = Side(self.folder, "a", 1, "initiator", NODE, HOME)
        self.home = Side(self.folder, "b", 2, "responder", HOME, NODE)
        self.node.configure('address = "192.0.2.2"\n')
        self.home.configure('[listen]\naddresses = ["192.0.2.2"]\n')
        for side in (self.node, self.home):
            self.addCleanup(side.stop)
            self.ip("netns", "add", side.space)
        ends = ("veth", "peer", "name", "wire", "netns", self.home.space)
        self.ip("link", "add", "wire", "netns", self.node.space, "type", *ends)
        for side in (self.node, self.home):
            for words in (
                ("link", "set", "lo", "up"),
                ("addr", "add", f"{side.address}/24", "dev", "wire"),
                ("addr", "add", f"{side.inner}/32", "dev", "lo"),
                ("link", "set", "wire", "up"),
            ):
                self.ip("-n", side.space, *words)
            for name in ("all", "default"):
                side.run("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0")
        for side in (self.home, self.node):
            side.start_daemons()
        for side, twin in self.both():
            self.until(f"strongSwan at {side.nai}", (side.folder / "charon.vici").exists)
            self.until(f"an association at {side.nai}", lambda: bool(side.associations()))  # noqa: B023  # called at once
            side.start_exporter(twin)
        self.until_loaded(1)

    def both(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        return (self.node, self.home), (self.home, self.node)

    def ip(self, *words: str) -> None:
        """Run ``ip``."""
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SkipTest(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > give_up:
                said = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*/*.out"))
                self.fail(f"waited in vain for {what}:\n{said}")
            time.sleep(0.02)

    def until_loaded(self, count: int) -> None:
        """Wait until so many keys have been loaded at both ends."""
        self.until(f"{count} keys", lambda: all(len(side.loaded()) >= count for side in (self.node, self.home)))

    def connect(self, mode: Mode) -> str:
        """Set up IKE and a tunnel; return what went wrong, nothing if nothing did."""
        import vici.exception

        for side, twin in self.both():
            side.load(mode, twin)
        try:
            for _ in self.node.charon().initiate(
                {"child": "net", "ike": mode.name, "timeout": "15000", "loglevel": "-1"}
            ):
                pass
        except vici.exception.CommandException as error:
            return str(error) or "failed"
        return ""

    def standing(self, side: Side, mode: Mode) -> dict[str, Any]:
        """Return the IKE security association of a mode."""
        (found,) = [one[mode.name] for one in list(side.charon().list_sas()) if mode.name in one]
        standing: dict[str, Any] = found
        return standing

    def check_tunnel(self, mode: Mode) -> None:
        """Set up a tunnel, ping through it, and take it down."""
        self.assertEqual(self.connect(mode), "", mode.name)
        established = self.standing(self.node, mode)
        self.assertEqual((established["version"], established["state"]), (mode.version.encode(), b"ESTABLISHED"))
        pinged = self.node.run("ping", "-c", "2", "-i", "0.2", "-W", "3", "-I", self.node.inner, self.home.inner)
        self.assertEqual(pinged.returncode, 0, pinged.stdout + pinged.stderr)
        (child,) = self.standing(self.home, mode)["child-sas"].values()
        self.assertEqual((child["packets-in"], child["packets-out"]), (b"2", b"2"))
        for _ in self.node.charon().terminate({"ike": mode.name, "timeout": "5000", "loglevel": "-1"}):
            pass

    def seckex(self, *words: str) -> None:
        """Have the initiator's daemon do something."""
        done = run([seckex(), *words, "--socket", str(self.node.control)], self.folder, PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_ping_through_a_tunnel_of_each_mode_before_and_after_a_renewal(self) -> None:
        for mode in MODES:
            self.check_tunnel(mode)
        self.seckex("rekey", HOME)
        self.until_loaded(2)
        for side in (self.node, self.home):
            self.assertEqual(len(set(side.loaded())), 2)
        for mode in MODES:
            self.check_tunnel(mode)

    def test_a_key_that_was_not_renewed_is_refused(self) -> None:
        self.home.exporter.stop()
        self.seckex("rekey", HOME)
        self.until("a second key", lambda: len(self.node.loaded()) == 2)
        for mode in MODES[:2]:
            self.assertTrue(self.connect(mode), mode.name)
        self.home.start_exporter(self.node, "--once")
        self.until("the key", lambda: bool(self.home.loaded()))
        self.check_tunnel(MODES[0])

    def test_a_key_that_strongswan_has_forgotten_is_loaded_again(self) -> None:
        charon = self.home.charon()
        charon.unload_shared({"id": f"seckex {NODE}"})
        self.assertEqual(charon.get_shared().get("keys", []), [])
        self.until("the key", lambda: bool(charon.get_shared().get("keys")))
        self.check_tunnel(MODES[0])

    def test_the_key_goes_with_the_association(self) -> None:
        self.seckex("down", HOME)
        for side in (self.node, self.home):
            self.until("no key", lambda: not side.charon().get_shared().get("keys"))  # noqa: B023  # called at once
