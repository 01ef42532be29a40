"""Where octets are received that are to be sent on at once.

What is read is sent from where it was read to, so one large buffer does for all
passages of a process as long as their receivers keep up. One that does not
keeps the buffer until the rest has gone.

Bounds: `MOST` large buffers are out at once; beyond that there are only small
ones, so that many slow receivers cost little each and others go on.
"""

from __future__ import annotations

from typing import Final

LARGE: Final = 1 << 18
SMALL: Final = 1 << 14
MOST: Final = 128

_KEPT: Final = 4


class Buffers:
    """See the module."""

    def __init__(self) -> None:
        self._spare: list[memoryview] = []
        self.out = 0

    def take(self) -> memoryview:
        """Return a buffer to receive into; `give` it back when it has been sent."""
        if self.out >= MOST:
            return memoryview(bytearray(SMALL))
        self.out += 1
        return self._spare.pop() if self._spare else memoryview(bytearray(LARGE))

    def give(self, buffer: memoryview) -> None:
        """Take a buffer back."""
        if len(buffer) == LARGE:
            self.out -= 1
            if len(self._spare) < _KEPT:
                self._spare.append(buffer)
