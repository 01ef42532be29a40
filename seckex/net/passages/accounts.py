"""Telling what a hop under KEY 2 amounts to: as it begins, every `EVERY` seconds while it carries, as it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seckex.machine import Now
from seckex.passage.faces import Figures, Party
from seckex.passage.hop import HopEnd

EVERY: Final = 30.0


class Account:
    """That of one hop, which has just opened."""

    def __init__(self, hop: HopEnd, who: Party, told: Callable[[Figures], None], now: Now) -> None:
        self._hop = hop
        self._who = who
        self._told = told
        self.began = now.wall
        self._next = now.monotonic + EVERY
        self._last = hop.figures(who, now.wall, now.wall)
        told(self._last)

    def tick(self, now: Now) -> None:
        """Tell, if it is time and anything has changed."""
        if now.monotonic >= self._next:
            self._next = now.monotonic + EVERY
            figures = self._hop.figures(self._who, self.began, now.wall)
            if figures != self._last:
                self._last = figures
                self._told(figures)

    def end(self, now: Now) -> None:
        """Tell how it has ended, once."""
        self._told(self._hop.figures(self._who, self.began, now.wall))
