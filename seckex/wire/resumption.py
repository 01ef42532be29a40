"""The bodies of RESUME and RESUMED: how far each side of a dialog is when another link takes it over.

See docs/protocol.md, section 10.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.dialog import DIALOG_ID_SIZE

_STANDING: Final = struct.Struct(">QQ")


@frozen
class Standing:
    """How far one side of a dialog is: octets it has ``received``, and the offset up to which its peer may send."""

    received: int
    limit: int


def encode_resume(dialog_id: bytes, standing: Standing) -> bytes:
    """Return the body of a RESUME."""
    if len(dialog_id) != DIALOG_ID_SIZE:
        raise ApiMisuse(f"a dialog id has {DIALOG_ID_SIZE} octets")
    return dialog_id + encode_resumed(standing)


def decode_resume(body: bytes) -> tuple[bytes, Standing]:
    """Read the body of a RESUME: the dialog's id and how far the sender is; raises `Malformed`."""
    reader = Reader(body)
    dialog_id = reader.take(DIALOG_ID_SIZE, "Dialog id")
    received, limit = reader.unpack(_STANDING, "RESUME")
    reader.end("RESUME")
    return dialog_id, Standing(received, limit)


def encode_resumed(standing: Standing) -> bytes:
    """Return the body of a RESUMED."""
    return Writer().pack(_STANDING, standing.received, standing.limit).octets()


def decode_resumed(body: bytes) -> Standing:
    """Read the body of a RESUMED; raises `Malformed`."""
    reader = Reader(body)
    received, limit = reader.unpack(_STANDING, "RESUMED")
    reader.end("RESUMED")
    return Standing(received, limit)
