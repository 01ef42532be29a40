"""Runs the tests under trial: ``python -m tests [--coverage] [MODULE ...]``; the counts stand on the last line.

With ``--coverage`` the rooms that keep secrets must have 95 % of their branches covered.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

COVERED: Final = ("wire", "crypto", "sa", "exchange")
# Certificates are issued and shown for the command alone, so its tests are theirs.
CORE: Final = [
    f"tests.{room}" for room in (*COVERED, "dialog", "node", "cli.test_cert", "cli.test_doctor_certificates")
]
LEAST: Final = 95
MOST_JOBS: Final = 4
_COUNT: Final = re.compile(r"(\w+)=(\d+)")


def run(arguments: list[str], *, coverage: bool) -> int:
    """Run trial in a child process, pass its output through, and return its exit status."""
    runner = ["-m", "coverage", "run"] if coverage else []
    # Twice as many at once as there are processors, since many wait for daemons; what is measured runs in this one.
    jobs = 1 if coverage else min(2 * (os.cpu_count() or 1), MOST_JOBS)
    command = [
        sys.executable,
        *runner,
        "-m",
        "twisted.trial",
        "--reporter=text",
        *([f"--jobs={jobs}"] if jobs > 1 else []),
    ]
    # The arguments are ours and our user's.
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as child:
        last = ""
        for line in child.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line.strip() or last
    print(closing(last))
    return child.returncode


def closing(last: str) -> str:
    """Return trial's last line as counts."""
    counts = {name: int(number) for name, number in _COUNT.findall(last)}
    passed = counts.get("successes", 0) + counts.get("expectedFailures", 0)
    failed = counts.get("failures", 0) + counts.get("errors", 0) + counts.get("unexpectedSuccesses", 0)
    return f"{passed} passed, {failed} failed, {counts.get('skips', 0)} skipped"


def report_coverage() -> int:
    """Print what is not covered of each room; return whether any is below the least."""
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet"], check=True)
    status = 0
    for room in COVERED:
        command = [sys.executable, "-m", "coverage", "report", "--skip-covered", "--show-missing"]
        found = subprocess.run([*command, f"--fail-under={LEAST}", f"--include=seckex/{room}/*"], check=False)
        status = status or found.returncode
    return status


def main() -> int:
    """Run as the command line says."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--coverage"]
    coverage = len(arguments) < len(sys.argv) - 1
    for old in Path().glob(".coverage*") if coverage else ():
        old.unlink()
    status = run(arguments or (CORE if coverage else ["tests"]), coverage=coverage)
    return status or (report_coverage() if coverage else 0)


if __name__ == "__main__":
    sys.exit(main())
