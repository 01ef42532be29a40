"""Numbers of ours that are left out: kept until the peer has acknowledged a number behind them.

A skip is durable before it is said: otherwise a message could be sent after a
restart whose failure was told. It is said on each connection, in STATEs of at
most `AT_ONCE` skips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from seckex.delivery.flow.ranges import Ranges
from seckex.wire.bodies import Frame, Skip

AT_ONCE: Final = 256

#: After which number, and up to which, nothing comes.
Left: TypeAlias = tuple[int, int]


class Skips:
    """What is left out: ``ranges`` of it, and ``durable``, what is so in the store."""

    __slots__ = ("_said", "durable", "ranges")

    def __init__(self, stored: Sequence[Left]) -> None:
        self.ranges = Ranges((after + 1, to) for after, to in stored)
        self.durable = tuple(stored)
        self._said: set[Left] = set()

    def __contains__(self, number: int) -> bool:
        return number in self.ranges

    def listed(self) -> tuple[Left, ...]:
        """Return all, as they are stored."""
        return tuple((first - 1, last) for first, last in self.ranges)

    def say_again(self) -> None:
        """Have all said again."""
        self._said.clear()

    @property
    def has_frames(self) -> bool:
        """Whether there is something to say."""
        return len(self._said) < len(self.durable)

    def frames(self) -> list[Frame]:
        """Return what is to be said of what is durable."""
        frames: list[Frame] = []
        for each in self.durable:
            if each not in self._said and len(frames) < AT_ONCE:
                self._said.add(each)
                frames.append(Skip(*each))
        return frames

    def stored(self, durable: tuple[Left, ...]) -> None:
        """Note what is durable now."""
        self.durable = durable
        self._said.intersection_update(durable)
