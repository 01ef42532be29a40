"""Wall clocks that step by hours and years under real daemons: forward, back, while data flows and between restarts.

The daemons run in processes of their own whose ``time.time`` has an offset that
is read from a file, so that a step is a write to that file. After each step an
honest initiator must have an association again; a download that is under way
when a clock steps by hours must not notice.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from seckex.cli.control_client import ask
from seckex.cli.demo.processes import Process
from tests.daemons.stage import HOME, StageTestCase
from tests.soak.figures import Figure

HOURS: Final = 2 * 3600
YEARS: Final = round(10 * 365.25 * 86400)
SIZE: Final = 96 << 20
# How long an initiator may take to have an association after a step; its pauses between tries go up to a minute.
SERVED_WITHIN: Final = 90.0

_DAEMON: Final = """\
import sys, time
offset, real = sys.argv.pop(1), time.time
time.time = lambda: real() + float(open(offset).read() or 0)
from twisted.scripts.twistd import run
run()
"""


class ClocksTests(StageTestCase):
    """Not found by trial under ``tests`` by its name: it takes minutes."""

    def runTest(self) -> None:
        """Step, and look."""
        self.longest = 0.0
        self.served = 0
        for role in ("responder", "initiator"):
            self.wind(role, 0)
            self.clocked(role)
            self.wait_for_control(role)
        self.serve()
        self.step_under_a_download()
        for seconds in (HOURS, -HOURS, YEARS, -YEARS):
            for role in ("responder", "initiator"):
                self.wind(role, self.offsets[role] + seconds)
                self.serve()
        for seconds in (HOURS, -HOURS, YEARS, -YEARS):
            for role in ("responder", "initiator"):
                process = next(each for each in self.running if each.name == role)
                self.kill(process)
                self.wind(role, self.offsets[role] + seconds)
                self.clocked(role)
                self.wait_for_control(role)
                self.serve()

    def wind(self, role: str, seconds: int) -> None:
        """Set a daemon's wall clock, in seconds from the right time."""
        self.offsets: dict[str, int] = getattr(self, "offsets", {}) | {role: seconds}
        fresh = self.folder / f"{role}.offset.new"
        fresh.write_text(str(seconds))
        fresh.replace(self.folder / f"{role}.offset")

    def clocked(self, role: str) -> None:
        """Start a daemon that goes by that clock."""
        command = [sys.executable, "-c", _DAEMON, str(self.folder / f"{role}.offset")]
        command += ["-n", "--pidfile=", f"seckex-{role}", "--config", f"{role}.toml"]
        process = Process(role, command, self.folder, self.folder / f"{role}.log")
        process.start()
        self.running.append(process)

    def serve(self) -> None:
        """Have an association that both ends know, a fresh one where there is one already."""
        began = time.monotonic()
        control = self.folder / "initiator" / "control.sock"
        ask(control, {"command": "up", "peer": HOME, "seconds": 60}, "seckex.up/1", 70.0)
        if self.common():
            before = self.common()
            ask(control, {"command": "rekey", "peer": HOME, "seconds": 60}, "seckex.rekey/1", 70.0)
            self.until("another association", lambda: bool(self.common() - before))
        self.until("an association", lambda: bool(self.common()))
        self.longest = max(self.longest, time.monotonic() - began)
        self.served += 1

    def common(self) -> set[tuple[int, int]]:
        """Return the associations that both ends know to be confirmed."""
        ours = {(each["spi_in"], each["spi_out"]) for each in self.confirmed("initiator")}
        return ours & {(each["spi_out"], each["spi_in"]) for each in self.confirmed("responder")}

    def step_under_a_download(self) -> None:
        """Set both clocks by hours, one after the other, while a file is fetched."""
        digest = self.serve_files(SIZE)
        fetched: list[str] = []
        fetching = threading.Thread(target=lambda: fetched.append(self.fetch(self.forward_port)))
        fetching.start()
        for role in ("responder", "initiator"):
            for seconds in (HOURS, 0, -HOURS, 0):
                self.wind(role, seconds)
                self.status(role)
        fetching.join()
        self.assertEqual(fetched, [digest])


def run() -> list[Figure]:
    """Run it; what it finds wrong is raised."""
    test = ClocksTests("runTest")
    try:
        test.setUp()
        test.runTest()
    finally:
        test.doCleanups()
    return [
        Figure("steps of a clock after which a peer was served", test.served, "steps", least=17),
        Figure("longest wait for an association after a step", test.longest, "s", most=SERVED_WITHIN),
    ]
