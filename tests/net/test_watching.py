"""What a watcher is told, and what becomes of it where the watcher does not read."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.net import watching
from seckex.net.watching import Watcher


class WatcherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.written: list[Any] = []
        self.watcher = Watcher(lambda line: self.written.append(json.loads(line)))

    def tell(self, *numbers: int) -> None:
        for number in numbers:
            self.watcher.tell({"n": number})

    def numbers(self) -> list[Any]:
        return [line.get("n", line) for line in self.written]

    def test_lines_leave_at_once_and_in_order(self) -> None:
        self.tell(1, 2, 3)
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_what_a_paused_watcher_is_told_waits(self) -> None:
        self.watcher.pause()
        self.tell(1, 2)
        self.assertEqual(self.numbers(), [])
        self.watcher.resume()
        self.tell(3)
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_what_does_not_fit_is_dropped_and_counted_in_its_place(self) -> None:
        self.patch(watching, "MOST_WAITING", 3 * len('{"n":1}'))
        self.watcher.pause()
        self.tell(1, 2, 3, 4, 5)
        self.watcher.resume()
        self.tell(6)
        self.assertEqual(self.numbers(), [1, 2, 3, {"schema": "seckex.dropped/1", "dropped": 2}, 6])

    def test_a_watcher_that_pauses_while_it_is_written_to(self) -> None:
        def write(line: bytes) -> None:
            self.written.append(json.loads(line))
            self.watcher.pause()

        self.watcher = Watcher(write)
        self.tell(1, 2, 3)
        self.assertEqual(self.numbers(), [1])
        self.watcher.resume()
        self.assertEqual(self.numbers(), [1, 2])
        for _ in range(5):
            self.watcher.resume()
        self.assertEqual(self.numbers(), [1, 2, 3])

    def test_the_count_comes_before_what_is_told_later_even_while_paused(self) -> None:
        self.patch(watching, "MOST_WAITING", 2 * len('{"n":1}'))
        self.watcher.pause()
        self.tell(1, 2, 3)
        self.patch(watching, "MOST_WAITING", 1000)
        self.tell(4)
        self.watcher.resume()
        self.assertEqual([line.get("n", line.get("dropped")) for line in self.written], [1, 2, 1, 4])
