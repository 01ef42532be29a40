"""Writes the corpus anew: ``python -m tests.fuzz.corpus_of_conversations``.

For each target there is a file for each octet string of real conversations that
it may begin with. What was a finding once is in a file whose name begins with
``found``, written by hand, and stays.
"""

from __future__ import annotations

import sys

from tests.fuzz.target import CORPUS, targets


def main() -> int:
    """Write every file."""
    count = 0
    for name, target in sorted(targets().items()):
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("found"):
                old.unlink()
        with target.session():
            for file, octets in target.made():
                (folder / file).write_bytes(octets)
                count += 1
    print(f"{count} files in {CORPUS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
