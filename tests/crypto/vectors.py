"""Public test vectors in the format of C2SP Wycheproof.

They are looked for beside the repository, in ``../shared/vectors``, or where
the environment variable ``SECKEX_VECTORS`` says. Where the folder does not
exist, tests that need it skip with `MISSING` as their reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import frozen

FOLDER: Final = Path(
    os.environ.get("SECKEX_VECTORS") or Path(__file__).resolve().parents[3] / "shared" / "vectors",
)

#: Why tests with vectors are skipped; None where they run.
MISSING: Final = None if FOLDER.is_dir() else f"no test vectors in {FOLDER}: set SECKEX_VECTORS to their folder"


@frozen
class Vector:
    """One case; ``group`` has what it shares with others, sizes in bits."""

    group: dict[str, Any]
    case: dict[str, Any]

    @property
    def valid(self) -> bool:
        """Whether the case must come out as it says; "acceptable" ones must too, here."""
        return bool(self.case["result"] != "invalid")

    def octets(self, name: str) -> bytes:
        """Return a field that is written in hexadecimal."""
        return bytes.fromhex(self.case[name])

    def __str__(self) -> str:
        return f"case {self.case['tcId']} ({self.case['comment']})"


def vectors(name: str) -> Iterator[Vector]:
    """Yield the cases of the file ``<name>_test.json``."""
    document = json.loads((FOLDER / f"{name}_test.json").read_text())
    for group in document["testGroups"]:
        for case in group["tests"]:
            yield Vector({key: value for key, value in group.items() if key != "tests"}, case)
