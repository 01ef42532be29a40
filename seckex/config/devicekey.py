"""The files of a device's key: provisioning files may be sealed to it (`seckex.crypto.provisioning`).

The device makes the key and keeps its private half, which nobody else ever has;
the public half goes to whoever provisions it.

    seckex device key 1                 the private half: two lines, mode 0600
    64 hexadecimal digits

    seckex device public key 1 64 hexadecimal digits            the public half: one line, no secret
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.secrets import Secret

KEY_SIZE: Final = 32
MAX_FILE: Final = 256

_PRIVATE: Final = b"seckex device key 1"
_PUBLIC: Final = b"seckex device public key 1"
_PRIVATE_TEXT: Final = re.compile(re.escape(_PRIVATE) + rb"\n([0-9a-f]{64})\n?")
_PUBLIC_TEXT: Final = re.compile(re.escape(_PUBLIC) + rb" ([0-9a-fA-F]{64})\s*")


def render_private(key: Secret) -> bytes:
    """Return the file of the private half, 32 octets."""
    return _PRIVATE + b"\n" + key.octets.hex().encode() + b"\n"


def render_public(public: bytes) -> bytes:
    """Return the file of the public half, 32 octets."""
    return _PUBLIC + b" " + public.hex().encode() + b"\n"


def parse_private(octets: bytes, file: Path) -> Secret:
    """Return the private half; raise `ConfigInvalid`, whose text has nothing of what the file holds."""
    found = _PRIVATE_TEXT.fullmatch(octets)
    if found is None:
        raise ConfigInvalid(file, [Problem("", "is not the private key of a device; seckex provision makes one")])
    return Secret(bytes.fromhex(found[1].decode()))


def parse_public(octets: bytes, file: Path) -> bytes:
    """Return the public half; raise `ConfigInvalid`."""
    found = _PUBLIC_TEXT.fullmatch(octets)
    if found is not None:
        return bytes.fromhex(found[1].decode())
    what = "is not the public key of a device; seckex provision makes one"
    if octets.startswith(_PRIVATE):
        what = "is the private key of a device, which must not leave it: give the public one"
    raise ConfigInvalid(file, [Problem("", what)])
