"""The demo as it is run: all roles of a roaming network as processes, from KEY 0 to a refusal, and what each holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.demo.processes import seckex
from seckex.cli.demo.roaming.holders import MAY_HOLD, MUST_HOLD, WHAT

#: Ten times what it takes on a machine that does nothing else.
_TIMEOUT: Final = 600
_SHOWN: Final = 3000


def logged_at_last(folder: Path) -> str:
    """Return the last words of every log and every output that a demo has left in ``folder``."""
    left = sorted(path for path in folder.rglob("*") if path.suffix in (".log", ".out") and path.stat().st_size)
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-_SHOWN:]}" for path in left)


class DemoTests(SynchronousTestCase):
    def told(self, *arguments: str) -> str:
        """Run the demo to its good end, and return what it told."""
        # Sockets have short paths: trial's own folders are too deep.
        folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with subprocess.Popen(
            [seckex(), "demo", "--plain", "--size", "1MiB", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(folder)},
        ) as ended:
            try:
                stdout, stderr = ended.communicate(timeout=_TIMEOUT)
            except subprocess.TimeoutExpired:
                # It ends its daemons, which nobody else knows.
                ended.terminate()
                stdout, stderr = ended.communicate()
        if ended.returncode or stderr:
            # It says at its end what went wrong.
            end = (stdout + stderr)[-_SHOWN:]
            self.fail(f"the demo has ended with {ended.returncode}, and at last said:\n{end}\n{logged_at_last(folder)}")
        self.assertIn("all processes have ended, the temporary folder is gone", stdout)
        self.assertEqual(list(folder.iterdir()), [])
        return stdout

    def table(self, text: str) -> dict[str, dict[str, str]]:
        """Return who holds what, by what and role."""
        lines = [line for line in text.splitlines() if line.strip()]
        start = next(at for at, line in enumerate(lines) if line.split()[:2] == ["node", "agent"])
        roles = lines[start].split()
        rows = lines[start + 1 : start + 1 + len(WHAT)]
        cells = [re.split(r" {2,}", line.strip()) for line in rows]
        return {what: dict(zip(roles, where, strict=True)) for what, *where in cells}

    def check_table(self, text: str) -> None:
        table = self.table(text)
        self.assertEqual(tuple(table), WHAT)
        for what, holders in table.items():
            for role, where in holders.items():
                if role not in MAY_HOLD[what]:
                    self.assertEqual(where, "-", f"{role}, {what}")
                if role in MUST_HOLD[what]:
                    self.assertIn("m", where, f"{role}, {what}")

    def test_directly_and_stateless(self) -> None:
        text = self.told()
        self.check_table(text)
        for words in (
            "registered after 2 rounds",
            "stateless, with aes-256-gcm",
            "KEY 1, KEY 2 and KEY 3",
            "three moves, one download, octet for octet",
            "the 9 keys of the places that were left are in no memory, no file and no log any more",
            "what the shop holds already is left out: 88 octets in place of ",
            "certificates and keys are others now",
            "the shop is killed (SIGKILL)",
            "60 orders wait at the node; the shop is started again",
            "all headers go again",
            "taken, in order: none lost, none taken twice",
            "disabled",
            "nobody has a key of it, nor has the center",
        ):
            self.assertIn(words, text)

    def test_by_way_of_servers_and_semi_stateful(self) -> None:
        text = self.told("--topology", "aaa", "--keying", "semi-stateful")
        self.check_table(text)
        self.assertLessEqual({"aaa-f", "aaa-h"}, set(self.table(text)[WHAT[0]]))
        self.assertIn("semi-stateful, with aes-256-gcm", text)
