"""A process that is killed loses nothing that it was told is stored, and leaves no unit half done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from seckex.storage.sqlite import SqliteStore
from tests.storage.case import SqliteCase
from tests.storage.samples import NOW, entropy, master

# Commits batches of 1 to 40 units, and after each tells how many units are stored.
PROGRAM = """
import os, pathlib, random, sys
from seckex.storage.sqlite import SqliteStore
from tests.storage.samples import accepted, master

path, stored, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store, size = SqliteStore(path, master, os.urandom), random.Random(seed)
while True:
    count = size.randrange(1, 41)
    store.commit([accepted(number) for number in range(stored, stored + count)])
    stored += count
    os.write(1, b"%d\\n" % stored)
"""


class KilledTests(SqliteCase):
    def test_nothing_that_was_told_is_stored_is_lost(self) -> None:
        stored = 0
        # Each one goes on with the file that the one before left behind.
        for seed, batches in enumerate((1, 30, 90)):
            told = self.run_and_kill(stored, seed, batches)
            store = SqliteStore(self.path, master, entropy)
            snapshot = store.load(0, NOW)
            store.close()
            numbers = {record.identification for record in snapshot.replays}
            self.assertGreaterEqual(numbers, set(range(told)))
            self.assertEqual(numbers, set(range(len(numbers))))
            self.assertEqual({a.spi_in >> 6 for a in snapshot.associations}, numbers)
            self.assertEqual(snapshot.damaged, ())
            stored = len(numbers)
        self.assertGreater(stored, 120)

    def run_and_kill(self, stored: int, seed: int, batches: int) -> int:
        """Run the program until it has told of ``batches``; return how many units it told of in all."""
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.path), str(stored), str(seed)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(batches)]
            process.kill()
            told += process.stdout.readlines()
        whole = [line for line in told if line.endswith(b"\n")]
        self.assertGreaterEqual(len(whole), batches)
        return int(whole[-1])
