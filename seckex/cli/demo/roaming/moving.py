"""The chapter in which the node moves: to another agent, home and back, while a program fetches a file.

The keys of each place are read before the node leaves it, and looked for afterwards in all
that all processes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from threading import Thread
from typing import Any, Final

from attrs import define, field

from seckex.cli.demo.download import download, hurry
from seckex.cli.demo.processes import DemoFailed
from seckex.cli.demo.roaming.holders import held_anywhere
from seckex.cli.demo.roaming.keys import Held, keys_at
from seckex.cli.demo.roaming.settings import let_roam
from seckex.cli.demo.roaming.world import AGENT, HOME, NODE, OTHER, World
from seckex.cli.demo.story import Story

#: So long the file lasts, in seconds, if nobody hurries.
_LASTS: Final = 40
_FETCHED_WITHIN: Final = 60.0


@define
class Fetching:
    """A download in a thread of its own, slowly until it is to `end`; the server is at the port ``web``."""

    port: int
    web: int
    size: int
    digest: str
    _failed: list[DemoFailed] = field(factory=list, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin."""
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            download(Story(plain=True, brief=True), self.port, self.size, self.digest, pace=self.size // _LASTS)
        except DemoFailed as failure:
            self._failed.append(failure)

    @property
    def is_going_on(self) -> bool:
        """Whether it is under way."""
        return self._thread is not None and self._thread.is_alive()

    def end(self) -> None:
        """Have the rest come; raise `DemoFailed` unless all has arrived as it was sent."""
        hurry(self.web)
        if self._thread is not None:
            self._thread.join(_FETCHED_WITHIN)
        if self.is_going_on:
            raise DemoFailed("the download does not come to its end")
        for failure in self._failed:
            raise failure


@define
class MovingChapter:
    """What the chapter needs of the play: its commands, and what daemons have logged last."""

    story: Story
    world: World
    pids: Mapping[str, int]
    run: Callable[..., str]
    last: Callable[[str, str], dict[str, Any]]
    until: Callable[[str, Callable[[], bool]], None]
    heard: Callable[[str], bool]

    def play(self, fetching: Fetching) -> None:
        """Move three times, and see that the keys of the places before are nowhere."""
        world = self.world
        let_roam(world)
        self.run("reload", "--config", f"{NODE}.toml")
        for role in (AGENT, OTHER, HOME):
            self.until(f"{world.nai(role)} to be heard", partial(self.heard, world.nai(role)))
        left: list[tuple[str, dict[str, Held]]] = []
        fetching.start()
        here = AGENT
        pauses = []
        for there in (OTHER, HOME, AGENT):
            left.append((here, keys_at(world, here)))
            self.run("move", world.nai(there), "--config", f"{NODE}.toml", lines=4)
            moved = self.last(NODE, "Moved")
            if not moved["dialogs"] or not fetching.is_going_on:
                raise DemoFailed("nothing was carried while the node moved")
            pauses.append(moved["pause"])
            here = there
        fetching.end()
        self._gone(left)
        worst = max(pauses)
        self.story.good(f"three moves, one download, octet for octet; it stood still for {1000 * worst:.1f} ms at most")

    def _gone(self, left: list[tuple[str, dict[str, Held]]]) -> None:
        wanted = {
            f"{key} of {self.world.nai(place)}": (held.secret.octets, held.secret.octets.hex().encode())
            for place, keys in left
            for key, held in keys.items()
        }
        found: set[tuple[str, str]] = set()

        def gone() -> bool:
            found.clear()
            found.update(held_anywhere(self.world, self.pids, wanted))
            return not found

        try:
            self.until("the keys of the places before to go", gone)
        except DemoFailed:
            held = "; ".join(f"{role} has {what}" for role, what in sorted(found))
            raise DemoFailed(f"keys of a place that was left are still there: {held}") from None
        self.story.good(f"{len(wanted)} keys of the places that were left are in no memory, file or log any more")
