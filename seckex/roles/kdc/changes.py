"""Names in the order of the serials of their last changes, for a million of them.

They stand in runs of at most `RUN`: changes come with growing serials and go to the end of
the last run. What is read at a start may come in any order; what is out of
order stands in runs of its own, and readers merge. A change that a later one has
overtaken stays until `note` looks at its run again, one run at a time, so that no
change costs more than a run.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from heapq import merge
from operator import lt
from typing import Final

RUN: Final = 4096
_FEW: Final = 64


class _Run:
    __slots__ = ("names", "serials")

    def __init__(self) -> None:
        self.serials = array("Q")
        self.names: list[bytes] = []

    def put(self, serial: int, name: bytes) -> None:
        at = bisect_right(self.serials, serial)
        self.serials.insert(at, serial)
        self.names.insert(at, name)

    def after(self, serial: int) -> Iterator[tuple[int, bytes]]:
        for at in range(bisect_right(self.serials, serial), len(self.serials)):
            yield self.serials[at], self.names[at]

    def keep(self, is_current: Callable[[int, bytes], bool]) -> int:
        """Let go of what was overtaken; return how many that were."""
        kept = [(s, n) for s, n in zip(self.serials, self.names, strict=True) if is_current(s, n)]
        gone = len(self.names) - len(kept)
        self.serials, self.names = array("Q", [s for s, _ in kept]), [n for _, n in kept]
        return gone


class Changes:
    """See the module; ``live`` is how many names there are, which the owner keeps."""

    __slots__ = ("_apart", "_noted", "_runs", "_turn", "latest", "live")

    def __init__(self) -> None:
        self._runs = [_Run()]
        self._apart: list[_Run] = []
        self._noted = 0
        self._turn = 0
        self.live = 0
        #: The serial of the last change, 0 where there was none.
        self.latest = 0

    def __len__(self) -> int:
        """How many changes are kept, those that were overtaken too."""
        return self._noted

    def note(self, serial: int, name: bytes, is_current: Callable[[int, bytes], bool]) -> None:
        """Take note of a change; ``is_current`` tells whether a change is a name's last."""
        self._noted += 1
        if serial > self.latest:
            self.latest = serial
            run = self._runs[-1]
            names = run.names
            if len(names) >= RUN:
                run = _Run()
                names = run.names
                self._runs.append(run)
            run.serials.append(serial)
            names.append(name)
        else:
            if not self._apart or len(self._apart[-1].names) >= RUN:
                self._apart.append(_Run())
            self._apart[-1].put(serial, name)
        if self._noted > 2 * self.live + _FEW:
            self._look_at_one(is_current)

    def note_all(self, serials: list[int], names: list[bytes], is_current: Callable[[int, bytes], bool]) -> None:
        """Take note of many changes, of names that there are already: quickly where they come in order."""
        if not serials or serials[0] <= self.latest or not all(map(lt, serials, serials[1:])):
            for serial, name in zip(serials, names, strict=True):
                self.note(serial, name, is_current)
            return
        self.latest = serials[-1]
        self._noted += len(serials)
        begin = 0
        while begin < len(serials):
            run = self._runs[-1]
            room = RUN - len(run.names)
            run.serials.extend(serials[begin : begin + room])
            run.names += names[begin : begin + room]
            begin += room
            if begin < len(serials):
                self._runs.append(_Run())

    def _look_at_one(self, is_current: Callable[[int, bytes], bool]) -> None:
        """Let go of what was overtaken in one run, another each time; runs that become small are joined."""
        every = (*self._runs, *self._apart)
        self._turn = (self._turn + 1) % len(every)
        run = every[self._turn]
        self._noted -= run.keep(is_current)
        if self._turn < len(self._runs):
            at = self._turn
            if at and len(self._runs[at - 1].names) + len(run.names) <= RUN:
                self._runs[at - 1].serials += run.serials
                self._runs[at - 1].names += run.names
                del self._runs[at]
        elif not run.names:
            self._apart.remove(run)

    def after(self, serial: int) -> Iterator[tuple[int, bytes]]:
        """Yield serials and names of the changes after ``serial``, in their order."""
        first = max(bisect_right(self._runs, serial, key=_first) - 1, 0)
        in_order = (pair for run in self._runs[first:] for pair in run.after(serial))
        return merge(in_order, *(run.after(serial) for run in self._apart)) if self._apart else in_order


def _first(run: _Run) -> int:
    return run.serials[0] if run.serials else 0
