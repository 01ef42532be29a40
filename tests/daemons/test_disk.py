"""A full disk: nothing is agreed, both ends say why, and all goes on once there is room."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.daemons.stage import StageTestCase


def fill(directory: Path) -> Path:
    """Use up all room; return the file that does."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return filler


class FullDiskTests(StageTestCase):
    def small_disk(self, role: str) -> Path:
        """Put a daemon's state on a disk of 1 MiB; skip where that cannot be done."""
        if os.geteuid() != 0 or shutil.which("mount") is None:
            raise SkipTest("only root can mount the small disk that this needs")
        directory = self.folder / role
        directory.mkdir(mode=0o700)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", directory], capture_output=True, check=False
        )
        if mounted.returncode:
            raise SkipTest(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", directory], capture_output=True, check=False))
        return directory

    def test_the_responder_has_no_room(self) -> None:
        directory = self.small_disk("responder")
        self.daemon("responder")
        self.wait_for_control("responder")
        filler = fill(directory)
        self.daemon("initiator")
        self.until("the refusal", lambda: self.logged("initiator", "NegotiationRefused"))
        self.assertIn("insufficient-resources", (self.folder / "initiator.log").read_text())
        self.assertTrue(self.logged("responder", "StoreTrouble"))
        self.assertEqual(self.status("responder")["associations"], [])
        filler.unlink()
        self.until("an association", lambda: bool(self.confirmed("initiator")) and bool(self.confirmed("responder")))

    def test_the_initiator_has_no_room(self) -> None:
        directory = self.small_disk("initiator")
        initiator = self.daemon("initiator")
        self.wait_for_control("initiator")
        filler = fill(directory)
        self.daemon("responder")
        self.until("the trouble", lambda: self.logged("initiator", "StoreTrouble"))
        self.assertEqual(self.status("initiator")["associations"], [])
        filler.unlink()
        self.until("an association", lambda: bool(self.confirmed("initiator")) and bool(self.confirmed("responder")))
        self.assertGreater(initiator.pid, 0)
