"""Messages between real daemons: from a shell, through kills, rotation and full disks.

Bad input and backups are in `tests.daemons.test_messages_refused`; `tests.soak.messages` kills at length.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess

from twisted.trial.unittest import SkipTest

from seckex.cli.messages.client import Declined
from seckex.cli.output import Fault
from tests.daemons.killing import KillingTestCase
from tests.daemons.messaging import MessagingTestCase
from tests.daemons.stage import HOME, NODE
from tests.daemons.test_disk import fill

KILLS = 50
TO_HOME = ("send", "--to", HOME, "--service", "orders")
RECEIVE = ("receive", "--service", "orders")


class ShellTests(MessagingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write_responder(more='largest = "8 MiB"\nattempts = 3')
        (self.folder / "order").write_bytes(b"1 pump")

    def test_from_one_shell_to_another(self) -> None:
        self.up()
        name = self.said("initiator", *TO_HOME, "order", "--type", "order", "--wait", "delivered").strip()
        waits = self.seckex("initiator", *TO_HOME, "order", "--key", "2", "--wait", "processed", "--timeout", "0")
        self.assertEqual(waits.returncode, 5, waits)
        self.assertIn("goes on by itself", waits.stderr)
        self.why_it_waits(name)
        self.verdicts(name)
        # The same key is the same message.
        again = self.said("initiator", *TO_HOME, "order", "--key", "2", "--wait", "delivered")
        self.assertEqual(again, waits.stdout)
        self.large()

    def why_it_waits(self, name: str) -> None:
        told = self.said("initiator", "why", name)
        self.assertIn(f"{name}, to {HOME}, is delivered", told)
        self.assertIn("waits for a program", told)
        told = self.said("responder", "why", name)
        self.assertIn("seckex receive", told)
        self.assertIn("opened with all headers", told)

    def verdicts(self, name: str) -> None:
        """Give verdicts by the exit status of a command: 75 is later, 0 done, all else puts aside."""
        for _ in range(2):
            self.said("responder", *RECEIVE, "--one", "--exec", "sh -c 'exit 75'")
        self.assertEqual(self.why("responder", name)["stage"], "delivered")
        script = "sh -c 'cat; echo .$SECKEX_NAME.$SECKEX_ATTEMPT.$SECKEX_TYPE'"
        self.assertEqual(self.said("responder", *RECEIVE, "--one", "--exec", script), f"1 pump.{name}.3.order\n")
        self.until("the verdict", lambda: self.why("initiator", name)["stage"] == "processed")
        self.said("responder", *RECEIVE, "--one", "--exec", "sh -c 'exit 1'")
        self.until("the dead letter", lambda: bool(self.client("responder").ask("GET", "/v1/dead").told["messages"]))
        (dead,) = self.client("responder").ask("GET", "/v1/dead").told["messages"]
        self.assertIn("ended with status 1", dead["why"])
        self.until("news of it", lambda: "ended with status 1" in str(self.why("initiator", dead["name"])["steps"]))

    def large(self) -> None:
        octets = os.urandom(5 << 20)
        (self.folder / "film").write_bytes(octets)
        (self.folder / "got").mkdir()
        name = self.said("initiator", *TO_HOME, "film", "--wait", "delivered").strip()
        self.said("responder", *RECEIVE, "--dir", "got")
        (file,) = (self.folder / "got").iterdir()
        self.assertEqual(file.name, name)
        self.assertEqual(hashlib.sha256(file.read_bytes()).digest(), hashlib.sha256(octets).digest())
        self.until("the verdict", lambda: self.why("initiator", name)["stage"] == "processed")
        for role in ("initiator", "responder"):
            self.until(
                "an empty spool",
                lambda: not [each for each in (self.folder / role / "spool").rglob("*") if each.is_file()],  # noqa: B023  # awaited before it changes
            )


class KilledTests(KillingTestCase):
    def test_nothing_is_lost_and_nothing_comes_twice(self) -> None:
        killed = self.kill_at_random(KILLS, seed=1)
        self.assertGreaterEqual(killed.kills, KILLS)
        # It was close: what was under way was written, and read, again.
        self.assertGreater(killed.repeated, 0)
        self.assertGreater(killed.again, 0)


class RotationTests(KillingTestCase):
    """All keys are exchanged under traffic: of certificates, prekeys and dialogs."""

    def test_nobody_notices(self) -> None:
        flow = self.flow()
        self.up()
        flow.start()
        self.progress(flow, 5)
        for _ in range(2):
            before = self.kek()
            self.renew("responder", HOME)
            self.progress(flow, 5)
            self.renew("initiator", NODE)
            # Keys end with the certificate that they were made for.
            self.until("other keys of the dialog", lambda: self.sound(flow) and self.kek() not in ("", before))  # noqa: B023  # awaited
            self.progress(flow, 5)
            # Who calls is told of another certificate, and of other prekeys.
            self.stop(self.process("initiator"))
            self.up("initiator")
            self.progress(flow, 5)
        self.settle(flow)
        (dialog,) = self.dialogs("initiator")
        self.assertEqual(dialog["keys"]["source"], "three-phase")

    def renew(self, role: str, nai: str) -> None:
        """Give a daemon another certificate of its name, and have it read again."""
        known = len(self.events(role, "ConfigurationReloaded"))
        for suffix in ("pem", "key"):
            (self.folder / f"{role}.{suffix}").unlink()
        self.cert("new", nai, "-d", str(self.ca), "-o", str(self.folder / f"{role}.pem"))
        os.kill(self.process(role).pid, signal.SIGHUP)
        self.until("the reload", lambda: len(self.events(role, "ConfigurationReloaded")) > known)

    def kek(self) -> str:
        (dialog,) = self.dialogs("initiator")
        keys = dialog["keys"] or {}
        return str(keys.get("kek", "")) if keys.get("source") == "three-phase" else ""


class FullDiskTests(KillingTestCase):
    """The state is on a disk that can be full."""

    def small_disk(self, role: str) -> None:
        """Put a daemon's state on a disk with room for what the other end does not take for a while, and no more."""
        if os.geteuid() != 0 or shutil.which("mount") is None:
            raise SkipTest("only root can mount the small disk that this needs")
        directory = self.folder / role
        directory.mkdir(mode=0o700)
        command = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(directory)]
        mounted = subprocess.run(command, capture_output=True, check=False)
        if mounted.returncode:
            raise SkipTest(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", directory], capture_output=True, check=False))

    def test_either_end_is_full_for_a_while(self) -> None:
        for role in ("responder", "initiator"):
            self.small_disk(role)
        flow = self.flow()
        self.up()
        flow.start()
        self.progress(flow, 3)
        for role in ("responder", "initiator"):
            seen = len(self.events(role, "MessagesNotStored"))
            filler = fill(self.folder / role)
            self.until(f"the {role}'s trouble", lambda: len(self.events(role, "MessagesNotStored")) > seen)  # noqa: B023  # awaited
            self.assertIn("disk", self.events(role, "MessagesNotStored")[-1]["why"])
            if role == "initiator":
                self.refused()
            filler.unlink()
            self.progress(flow, 3)
        self.settle(flow)

    def refused(self) -> None:
        """Who sends is told why nothing is taken; how soon depends on when the store was last tried."""

        def refused() -> bool:
            try:
                self.posted("initiator", b"1", service="orders", label="full", timeout=0)
            except Declined as error:
                self.assertEqual((error.status, error.told["number"]), (503, 130), error.told)
                self.assertIn("disk", error.message)
                return True
            except Fault:
                pass
            return False

        self.until("a refusal", refused)
