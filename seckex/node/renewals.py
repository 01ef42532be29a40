"""Which of two renewals of one association stays when both ends begin one at once.

Both come to an end, so that neither end waits for the other; then the one
whose exchange holds the lowest of the four nonces goes (docs/protocol.md,
section 9). Both ends see the same nonces, so they come to the same answer.
"""

from __future__ import annotations

from typing import Final

from seckex.machine import Now
from seckex.node.tables import ExpiringTable
from seckex.sa.association import Association

REMEMBERED_FOR: Final = 120.0
MOST_REMEMBERED: Final = 4096


class Renewals:
    """Remembers renewals for a while; the oldest gives way, and then both stay until one expires."""

    def __init__(self) -> None:
        self._by_old: ExpiringTable[int, Association] = ExpiringTable(MOST_REMEMBERED, REMEMBERED_FOR, yielding=True)

    def judge(self, association: Association, now: Now) -> tuple[Association, Association] | None:
        """Take note of a renewal that both ends have proved; of two return what goes and what stays."""
        for _ in self._by_old.expired(now.monotonic):
            pass
        old = association.replaces
        if not old or not association.tie:
            return None
        other = self._by_old.get(old)
        if other is None or other.role is association.role:
            self._by_old.put(old, association, now.monotonic)
            return None
        loses, stays = (other, association) if other.tie < association.tie else (association, other)
        self._by_old.put(old, stays, now.monotonic)
        return loses, stays
