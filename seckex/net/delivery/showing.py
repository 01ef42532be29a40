"""What is told of messages that were put aside."""

from __future__ import annotations

from typing import Any

from seckex.delivery.faces import Direction, Payload, message_name
from seckex.delivery.flow.segments import read_segment
from seckex.delivery.store import DeadMessage
from seckex.errors import Malformed
from seckex.events import label_of


def shown_dead(dead: DeadMessage, direction: Direction) -> dict[str, Any]:
    """Return what is told of a message that was put aside, and went in ``direction``; nothing of what it says."""
    return {
        "name": message_name(dead.dialog_id, direction, dead.number),
        "dialog": dead.dialog_id.hex(),
        "ours": dead.ours,
        "number": dead.number,
        "peer": dead.peer,
        "service": dead.service,
        "code": dead.code,
        "label": label_of(dead.code),
        "why": dead.why,
        "at": dead.at,
        "attempts": dead.attempts,
        "size": dead.size,
        "state": "dead",
    }


def read_dead(dead: DeadMessage) -> tuple[str, float, Payload]:
    """Return type, expiry (seconds, 0 for never) and payload of a message that was put aside.

    One that could not be read is told as it came.
    """
    try:
        [(name, expires, payload)] = read_segment(dead.octets, 1, dead.size, dead.spool)
    except (Malformed, ValueError):
        return "", 0.0, dead.octets
    return name, expires / 1_000_000, payload
