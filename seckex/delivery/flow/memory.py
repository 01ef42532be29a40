"""Memory that payloads of all dialogs share."""

from __future__ import annotations


class Room:
    """Counts octets that are kept in memory, at most ``most``; what finds no room is read in its turn.

    ``full``: of peers nothing more is to be taken, wherever it would be kept.
    """

    __slots__ = ("full", "most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self.full = False

    def take(self, octets: int) -> bool:
        """Reserve room; return whether there was enough."""
        if self.used + octets > self.most:
            return False
        self.used += octets
        return True

    def give_back(self, octets: int) -> None:
        """Free what was reserved."""
        self.used -= octets
