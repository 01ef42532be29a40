"""The units for systemd, judged by systemd itself where it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.config.listen import Listen
from seckex.net.daemon import STOP_WITHIN

UNITS: Final = Path(__file__).parent.parent.parent / "contrib" / "systemd"
INSTALLED: Final = "/opt/seckex/bin/twistd"
# 0 is no exposure, 100 all there is; what it calls OK ends at 40.
MOST_EXPOSED: Final = 20


class UnitTests(SynchronousTestCase):
    def analyze(self, *arguments: str) -> str:
        """Ask systemd-analyze, and return what it says; fail if it is not content."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("there is no systemd-analyze here")
        said = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if "unrecognized option" in said.stderr:
            raise SkipTest(f"this systemd-analyze knows no {arguments[0]} {arguments[1]}")
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        return said.stdout + said.stderr

    def copies(self) -> list[Path]:
        """Return copies of the units that start a program which is there."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        twistd = Path(sys.executable).parent / "twistd"
        for unit in UNITS.iterdir():
            (folder / unit.name).write_text(unit.read_text().replace(INSTALLED, str(twistd)))
        return sorted(folder.iterdir())

    def read(self, name: str) -> ConfigParser:
        unit = ConfigParser(strict=False, interpolation=None, delimiters="=")
        unit.optionxform = str  # type: ignore[assignment,method-assign]  # as the documentation has it
        unit.read(UNITS / name)
        return unit

    def test_they_are_right(self) -> None:
        units = self.copies()
        self.assertEqual(len(units), 5)
        said = self.analyze("verify", "--man=no", *map(str, units))
        # It tells what it does not know about and is content all the same.
        self.assertNotIn("seckex", said)

    def test_little_is_exposed(self) -> None:
        for unit in self.copies():
            if unit.suffix == ".service":
                self.analyze("security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit))

    def test_they_fit_the_daemons(self) -> None:
        for role in ("responder", "initiator", "agent", "kdc"):
            unit = self.read(f"seckex-{role}.service")["Service"]
            self.assertEqual(unit["Type"], "notify")
            self.assertIn("-HUP", unit["ExecReload"])
            self.assertIn(f"seckex-{role} --config", unit["ExecStart"])
            self.assertNotIn("MemoryDenyWriteExecute", unit)
            self.assertGreater(int(unit["TimeoutStopSec"].removesuffix("s")), 2 * STOP_WITHIN)
            self.assertEqual((unit["StateDirectory"], unit["StateDirectoryMode"]), (f"seckex/{role}", "0700"))
        ports = self.read("seckex-responder.socket")["Socket"]
        for listen in (ports["ListenDatagram"], ports["ListenStream"]):
            self.assertEqual(listen, f"[::]:{Listen().port}")
