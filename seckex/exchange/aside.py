"""How much a responder has done aside at once, for all its peers together.

A key agreement in a heavy group takes tens of milliseconds of a processor. Peers
that ask for more of them than can be done must not make a queue that grows: at
the limit the next one is told to try later, while light groups go on as ever.
"""

from __future__ import annotations

from typing import Final

MOST_AT_ONCE: Final = 8


class Aside:
    """Counts what is under way."""

    def __init__(self) -> None:
        self._busy = 0

    def take(self) -> bool:
        """Take one of the places, if there is one; `give_back` it when the work is done."""
        if self._busy == MOST_AT_ONCE:
            return False
        self._busy += 1
        return True

    def give_back(self) -> None:
        """Free a place."""
        self._busy -= 1
