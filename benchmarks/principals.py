"""Writes the database of a key distribution center with very many nodes, as if they had been enrolled.

``python -m benchmarks.principals FOLDER COUNT``: the folder has the state directory ``state``. Records are what the
center would have written; the audit log is left out, which a center that starts does not read.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from seckex.crypto.secrets import Secret
from seckex.roles.kdc.principals import Principal
from seckex.sa.store import PutRecord
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

HOME: Final = "home@example.org"
_AT_ONCE: Final = 10_000


def write(folder: Path, count: int) -> None:
    """Write the nodes, and a master key where there is none."""
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    database = state / "seckex.db"
    store = SqliteStore(database, load_master_key(state / "master.key", database, os.urandom), os.urandom)
    now = time.time()
    first = int(now * 1000) - count
    for begin in range(0, count, _AT_ONCE):
        unit = []
        for number in range(begin, min(begin + _AT_ONCE, count)):
            node = Principal(
                nai=f"node{number}@example.org",
                home_agent=HOME,
                kvno=1,
                key0=Secret(os.urandom(32)),
                serial=first + number,
                created=int(now),
            )
            unit.append(PutRecord(node.record(), fresh=True))
        store.commit([tuple(unit)])
    store.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
