"""Those that were paired with: a file for each in ``pairs/`` of the state directory.

A file has the card of a principal (docs/operations.md, Pairing), whose own
certificate is trusted for the name in it and nothing else, beside whom ``identity.trust`` trusts. Files belong to the
daemon's user and are closed to others. They are found by their names, so there
is one for each principal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from seckex.config.files import Owner, read_private
from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.pairing import Acquaintance, read_card
from seckex.errors import SeckexError
from seckex.wire.pairing import MAX_CARD_FILE, unarmour

#: How many may be paired with; more files are refused.
MOST_PAIRS: Final = 4096
DIRECTORY: Final = "pairs"
SUFFIX: Final = ".pair"
_LONGEST_NAME: Final = 255


def pair_file(state: Path, nai: str) -> Path:
    """Return the file of who was paired with, in the state directory ``state``; raises `ConfigInvalid`."""
    name = quote(nai, safe="@+!$&'(),;=") + SUFFIX
    if len(name) > _LONGEST_NAME:
        raise ConfigInvalid(state / DIRECTORY, [Problem("", "has no file for a NAI as long as that")])
    return state / DIRECTORY / name


def read_pairs(state: Path, owner: Owner | None = None) -> tuple[list[tuple[Path, Acquaintance]], list[Problem]]:
    """Return those that were paired with, by their files, and what is wrong with files."""
    folder = state / DIRECTORY
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix == SUFFIX)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Problem("state.directory", f"{folder} cannot be read: {error.strerror}")]
    if len(files) > MOST_PAIRS:
        return [], [Problem("state.directory", f"{folder} has {len(files)} files, {MOST_PAIRS} are allowed")]
    found: list[tuple[Path, Acquaintance]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            paired = read_card(unarmour(read_private(file, MAX_CARD_FILE, owner)))
            if pair_file(state, paired.nai) != file:
                problems.append(Problem("state.directory", f"{file} is of {paired.nai}, whose file has another name"))
                continue
            found.append((file, paired))
        except ConfigInvalid as error:
            problems.append(Problem("state.directory", f"{error.file}: {'; '.join(map(str, error.problems))}"))
        except SeckexError as error:
            problems.append(Problem("state.directory", f"{file}: {error}"))
    return found, problems
