"""Daemons as services: privileges dropped, sockets passed, a supervisor that is told."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

from twisted.trial.unittest import SkipTest

from seckex.cli.demo.processes import Process, free_port, twistd
from tests.daemons.stage import HOME, StageTestCase

LOW_PORTS = range(600, 1024)


class PrivilegesTests(StageTestCase):
    """Started by root with ``--uid``, as root's scripts do: ports and keys are root's, the rest the user's."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root has privileges to drop")
        try:
            self.user = pwd.getpwnam("nobody")
        except KeyError:
            raise SkipTest("there is no user nobody here") from None
        super().setUp()
        self.wrapper = self.readable()
        self.folder.chmod(0o755)
        self.port = free_port(socket.SOCK_DGRAM, among=LOW_PORTS)
        self.write_responder()
        self.write_initiator()

    def readable(self) -> list[str]:
        """Return what a daemon is to be started by, such that an interpreter in root's home can be read without it."""
        prefix = Path(sys.base_prefix)
        hidden = [each for each in reversed(prefix.parents) if not each.stat().st_mode & stat.S_IXOTH]
        if not hidden:
            return []
        if shutil.which("unshare") is None:
            raise SkipTest(f"the user nobody cannot read the interpreter: {hidden[0]} is closed")
        aside = self.folder / "aside"
        aside.mkdir()
        script = (
            f"mount --bind {prefix} {aside} && mount -t tmpfs -o mode=0755 tmpfs {hidden[0]} && "
            f'mkdir -p {prefix} && mount --bind {aside} {prefix} && exec "$@"'
        )
        wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"]
        tried = subprocess.run([*wrapper, sys.executable, "-c", ""], capture_output=True, check=False)
        if tried.returncode:
            raise SkipTest(f"no mounts of our own here: {tried.stderr.decode().strip()}")
        return wrapper

    def as_nobody(self, role: str) -> Process:
        return self.daemon(role, "--uid", "nobody", "--gid", str(self.user.pw_gid), wrapper=self.wrapper)

    def test_a_port_below_1024_and_root_s_keys_serve_a_daemon_without_privileges(self) -> None:
        for start in ("first", "second"):
            responder = self.as_nobody("responder")
            self.wait_for_control("responder")
            initiator = self.as_nobody("initiator")
            self.until(
                f"the association at the {start} start",
                lambda: bool(self.asked("initiator")) and bool(self.confirmed("initiator")),
            )
            for process in (responder, initiator):
                ids = Path(f"/proc/{process.pid}/status").read_text()
                self.assertIn(f"Uid:\t{self.user.pw_uid}\t{self.user.pw_uid}", ids)
                self.assertIn(f"Gid:\t{self.user.pw_gid}\t{self.user.pw_gid}", ids)
            for role in ("responder", "initiator"):
                for file in (self.folder / role, *(self.folder / role).iterdir(), self.folder / f"{role}.log"):
                    self.assertEqual(file.stat().st_uid, self.user.pw_uid, str(file))
            self.assertEqual((self.folder / "node.key0").stat().st_uid, 0)
            self.stop(initiator)
            self.stop(responder)
            # Nothing that the user could not remove is left behind.
            self.assertFalse((self.folder / "responder" / "control.sock").exists())

    def test_the_state_of_another_user_is_refused(self) -> None:
        (self.folder / "responder").mkdir(mode=0o700)
        told = self.refused_start("responder", "--uid", "nobody")
        self.assertIn(f"belongs to user 0, not to user {self.user.pw_uid} who runs this", told)

    def test_a_key_that_others_may_read_is_refused(self) -> None:
        os.chown(self.folder / "node.key0", self.user.pw_uid + 1, -1)
        told = self.refused_start("responder", "--uid", "nobody")
        self.assertIn(f"neither to user {self.user.pw_uid} who runs this nor to root", told)

    def test_a_master_key_that_only_root_may_read(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        key = keys / "master.key"
        key.write_text("seckex master key 1\n" + "0" * 64 + "\n")
        key.chmod(0o600)
        self.state_of_responder(f'master-key = "{key}"')
        for _ in range(2):
            responder = self.as_nobody("responder")
            self.wait_for_control("responder")
            self.stop(responder)
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)

    def state_of_responder(self, more: str) -> None:
        file = self.folder / "responder.toml"
        file.write_text(file.read_text().replace('directory = "responder"', f'directory = "responder"\n{more}'))


class SupervisedTests(StageTestCase):
    """Under a supervisor that opens the sockets and wants to be told."""

    #: Becomes the daemon, with sockets as descriptors from 3 on, as systemd does.
    LAUNCHER = textwrap.dedent(
        """
        import os, sys
        passed, command = [int(number) for number in sys.argv[1].split()], sys.argv[2:]
        # Out of the way first: a descriptor may stand where another is to be.
        spare = [os.dup2(number, 200 + place) for place, number in enumerate(passed)]
        for place, number in enumerate(spare, start=3):
            os.dup2(number, place)
        count = len(passed)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=":".join(["x"] * count))
        os.closerange(3 + count, 256)
        os.execv(command[0], command)
        """
    )

    def setUp(self) -> None:
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(str(self.folder / "notify"))
        self.notify.setblocking(False)
        self.told: list[str] = []

    def supervised(self, role: str, *passed: socket.socket) -> Process:
        """Start a daemon as a supervisor would."""
        command = [twistd(), "-n", "--pidfile=", f"seckex-{role}", "--config", f"{role}.toml"]
        process = Process(role, [*self.launcher(passed), *command], self.folder, self.folder / f"{role}.log")
        os.environ["NOTIFY_SOCKET"] = str(self.folder / "notify")
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET", None)
        for each in passed:
            each.set_inheritable(True)
        self.running.append(process)
        process.start(tuple(each.fileno() for each in passed))
        return process

    def launcher(self, passed: tuple[socket.socket, ...]) -> list[str]:
        """Return what puts the sockets in their places and then becomes what follows."""
        return [sys.executable, "-c", self.LAUNCHER, " ".join(str(each.fileno()) for each in passed)]

    def heard(self, what: str) -> bool:
        """Tell whether the supervisor has been told ``what`` by now."""
        while True:
            try:
                self.told += self.notify.recv(4096).decode().splitlines()
            except BlockingIOError:
                return what in self.told

    def test_the_supervisor_is_told(self) -> None:
        responder = self.supervised("responder")
        self.until("READY=1", lambda: self.heard("READY=1"))
        # What is told is true: the control socket answers at once.
        self.assertIsNotNone(self.asked("responder"))
        self.assertTrue(self.heard(f"STATUS=responder {HOME}: {self.address}:{self.port} UDP and TCP"))
        self.assertFalse(self.heard("STOPPING=1"))
        self.stop(responder)
        self.assertTrue(self.heard("STOPPING=1"))

    def test_sockets_are_passed_and_outlive_the_daemon(self) -> None:
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        with udp, tcp:
            for each in (udp, tcp):
                each.bind((self.address, self.port))
            tcp.listen()
            for _ in range(2):
                responder = self.supervised("responder", udp, tcp)
                self.until("READY=1", lambda: self.heard("READY=1"))
                initiator = self.daemon("initiator")
                self.until(
                    "an association",
                    lambda: bool(self.asked("initiator")) and bool(self.confirmed("initiator")),
                )
                self.assertNotIn("passed by the supervisor", (self.folder / "responder.log").read_text())
                self.stop(initiator)
                shutil.rmtree(self.folder / "initiator")
                self.stop(responder)
                self.told.clear()

    def test_sockets_that_the_configuration_does_not_have_are_told(self) -> None:
        with socket.socket() as other:
            other.bind((self.address, 0))
            other.listen()
            self.supervised("responder", other)
            self.until("READY=1", lambda: self.heard("READY=1"))
            port = other.getsockname()[1]
        self.assertIn(
            f"passed by the supervisor and not in the configuration: TCP {self.address}:{port}",
            (self.folder / "responder.log").read_text(),
        )
