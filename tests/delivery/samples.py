"""Dialogs, segments and dead messages to store."""

from __future__ import annotations

import random
from typing import Any

from attrs import evolve

from seckex.delivery.store import DeadMessage, Segment, StoredDialog

NOW = 1_700_000_000.0

_random = random.Random(4434)  # noqa: S311  # samples, no secrets
entropy = _random.randbytes


def dialog_id(number: int, worker: int = 0) -> bytes:
    """Return the ``number``-th id of a worker's dialogs."""
    return bytes(8) + number.to_bytes(7, "big") + bytes([worker])


def dialog(number: int, worker: int = 0, **changes: Any) -> StoredDialog:
    """Return a dialog."""
    made = StoredDialog(
        dialog_id=dialog_id(number, worker),
        initiator=True,
        peer="näd@example.org",
        service="orders",
        own="shop",
        created=NOW + number,
    )
    return evolve(made, **changes)


def segment(number: int, first: int, count: int = 1, *, ours: bool = True, spool: str = "", worker: int = 0) -> Segment:
    """Return a segment of the ``number``-th dialog."""
    octets = entropy(count * 50)
    return Segment(dialog_id(number, worker), ours, first, count, count * 40, octets, spool, NOW + first)


def dead(number: int, message: int, *, ours: bool = False, spool: str = "", worker: int = 0) -> DeadMessage:
    """Return a dead message of the ``number``-th dialog."""
    return DeadMessage(
        dialog_id(number, worker),
        ours,
        message,
        "näd@example.org",
        "orders",
        134,
        "it cannot be read",
        NOW,
        5,
        40,
        entropy(50),
        spool,
    )
