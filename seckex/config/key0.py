"""The file of a KEY 0: 256 random bits that two principals share (docs/protocol.md, section 1).

Both sides have the same file. Nothing that stands in it is ever repeated in an
error: what is said is which entry is wrong and what would be right.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Final

from attrs import frozen
from cattrs.errors import ClassValidationError

from seckex.config.problems import ConfigInvalid, Problem, Unfit
from seckex.config.structure import problems_in, settings_converter
from seckex.config.values import Nai, Whole
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.wire.numbers import LOWEST_SPI

FORMAT: Final = 1
MAX_FILE: Final = 4096
_U32: Final = 2**32 - 1
_PLACE: Final = re.compile(r"line \d+, column \d+")


@frozen
class HexKey:
    """Reads the key itself."""

    expected: str = f"{2 * KEY0_SIZE} hexadecimal digits"

    def read(self, raw: object) -> Secret:
        """Return the key."""
        if not isinstance(raw, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * KEY0_SIZE}}}", raw):
            raise Unfit(self.expected, None)
        return Secret(bytes.fromhex(raw))


@frozen(kw_only=True)
class Key0:
    """A KEY 0 and what it is bound to."""

    spi: Annotated[int, Whole(LOWEST_SPI, _U32)]
    """Names it on the wire."""

    kvno: Annotated[int, Whole(0, _U32)]
    """Its version number."""

    initiator: Nai
    """One of the two that share it; either may initiate."""

    responder: Nai
    """The other."""

    key: Annotated[Secret, HexKey()]
    """The 32 octets."""

    @property
    def principals(self) -> frozenset[str]:
        """The two NAIs."""
        return frozenset((self.initiator, self.responder))


_CONVERTER: Final = settings_converter(Path)


def parse_key0(octets: bytes, file: Path) -> Key0:
    """Return what a key file holds; raise `ConfigInvalid`, which names ``file``."""
    # The errors of the parser quote the file, so that they must not even be the context of ours.
    try:
        raw = tomllib.loads(octets.decode())
    except UnicodeDecodeError:
        fault = Problem("", "is not UTF-8 text")
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        fault = Problem("", f"is not TOML{f' ({place[0]})' if place else ''}")
    else:
        return _structure(raw, file)
    raise ConfigInvalid(file, [fault])


def _structure(raw: dict[str, object], file: Path) -> Key0:
    version = raw.pop("version", None)
    if type(version) is int and version == FORMAT:
        try:
            key0: Key0 = _CONVERTER.structure(raw, Key0)
        except ClassValidationError as error:
            problems = list(problems_in(error, "", reveal=False))
        else:
            if len(key0.principals) == 2:
                return key0
            problems = [Problem("responder", "must be another than the initiator")]
    else:
        problems = [Problem("version", f"must be {FORMAT}, the only format of key files so far")]
    raise ConfigInvalid(file, problems)


def render_key0(key0: Key0) -> str:
    """Return the text of the file; it holds the key."""
    return (
        "# KEY 0 of two principals, the same file at both. Whoever reads it can pose as either of them.\n"
        f"version = {FORMAT}\n"
        f"spi = {key0.spi}\n"
        f"kvno = {key0.kvno}\n"
        f"initiator = {json.dumps(key0.initiator, ensure_ascii=False)}\n"
        f"responder = {json.dumps(key0.responder, ensure_ascii=False)}\n"
        f'key = "{key0.key.octets.hex()}"\n'
    )
