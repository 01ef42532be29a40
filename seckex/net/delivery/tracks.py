"""How far the messages have come that programs here have sent, and who waits to be told.

What has failed stays so: of each dialog the last `MOST_FAILED` are remembered, with the stages that they had reached.
Tracks of dialogs that nobody waits for go when there are more than ``most``, the one heard of longest ago first; who
asks again then waits for the next that is heard of its dialog.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from seckex.delivery.faces import Stage
from seckex.net.delivery.api import MOST_FAILED, MessageFailed

STAGES: Final = tuple(Stage)


@define
class Track:
    """Of one dialog; ``reached`` has the highest number for each stage."""

    reached: list[int] = field(factory=lambda: [0] * len(STAGES))
    _waiting: list[list[tuple[int, int, Deferred[None]]]] = field(factory=lambda: [[] for _ in STAGES])
    _failed: dict[int, tuple[MessageFailed, tuple[bool, ...]]] = field(factory=dict)
    _asked: int = 0

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return not any(self._waiting)

    def when(self, number: int, stage: Stage) -> Deferred[None]:
        """Return what fires when message ``number`` has reached a stage."""
        at = STAGES.index(stage)
        failed = self._failed.get(number)
        if failed is not None and not failed[1][at]:
            return fail(failed[0])
        if failed is not None or self.reached[at] >= number:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._asked += 1
        heappush(self._waiting[at], (number, self._asked, waiting))
        return waiting

    def progress(self, stage: Stage, upto: int) -> Iterator[Deferred[None]]:
        """Take note that all up to ``upto`` have reached a stage; yield what is to be fired."""
        for at in range(STAGES.index(stage) + 1):
            if self.reached[at] < upto:
                self.reached[at] = upto
                waiting = self._waiting[at]
                while waiting and waiting[0][0] <= upto:
                    yield heappop(waiting)[2]

    def fail(self, number: int, failure: MessageFailed) -> Iterator[Deferred[None]]:
        """Take note that a message has failed; yield what is to fail with that."""
        reached = tuple(upto >= number for upto in self.reached[:-1])
        self._failed[number] = failure, (*reached, False)
        if len(self._failed) > MOST_FAILED:
            del self._failed[next(iter(self._failed))]
        for at, waiting in enumerate(self._waiting):
            mine = [each for each in waiting if each[0] == number]
            if mine:
                self._waiting[at] = [each for each in waiting if each[0] != number]
                heapify(self._waiting[at])
                yield from (each[2] for each in mine)


class Tracks:
    """Of all dialogs, by their ids."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._tracks: dict[bytes, Track] = {}

    def __len__(self) -> int:
        return len(self._tracks)

    def of(self, dialog_id: bytes) -> Track:
        """Return that of a dialog."""
        track = self._tracks.get(dialog_id)
        if track is None:
            track = self._tracks[dialog_id] = Track()
            if len(self._tracks) > self.most:
                self._make_room(dialog_id)
        return track

    def _make_room(self, kept: bytes) -> None:
        gone = next((each for each, track in self._tracks.items() if track.idle and each != kept), None)
        if gone is not None:
            del self._tracks[gone]

    def forget(self, dialog_id: bytes) -> None:
        """Forget one that is over."""
        self._tracks.pop(dialog_id, None)
