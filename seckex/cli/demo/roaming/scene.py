"""What chapters in files of their own need of the play, and a download that goes on beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from threading import Thread
from typing import Any, Final

from attrs import define, field

from seckex.cli.demo.download import download, hurry
from seckex.cli.demo.processes import PATIENCE, DemoFailed
from seckex.cli.demo.roaming.holders import held_anywhere
from seckex.cli.demo.roaming.keys import Held
from seckex.cli.demo.roaming.memory import Sought
from seckex.cli.demo.roaming.world import World
from seckex.cli.demo.story import Story

#: So long the file lasts, in seconds, if nobody hurries: longer than what happens meanwhile takes anywhere.
_LASTS: Final = 300
#: What has ended is taken back about a second later.
_LET_GO_WITHIN: Final = 1.3


@define
class Scene:
    """Commands to ``run``, the ``last`` that a daemon has logged of something, waiting ``until`` something is so.

    ``said`` tells whether a daemon has logged something at all, ``hears`` whether the node hears an agent that would
    do. ``pids`` are the processes of all roles; ``start`` and ``kill`` begin and end that of one.
    """

    story: Story
    world: World
    pids: Mapping[str, int]
    run: Callable[..., str]
    last: Callable[[str, str], dict[str, Any]]
    until: Callable[[str, Callable[[], bool]], None]
    hears: Callable[[str], bool]
    said: Callable[[str, str], bool]
    start: Callable[[str], None]
    kill: Callable[[str], None]

    def said_since(self, role: str, event: str, at: float) -> bool:
        """Tell whether a daemon has logged an event since a moment (wall clock)."""
        return self.said(role, event) and bool(self.last(role, event)["time"] >= at)

    def gone(self, wanted: Sought, roles: Iterable[str]) -> None:
        """Wait until none of ``wanted`` is in memory, files or log of those in ``roles``; raise `DemoFailed`."""
        pids = {role: self.pids[role] for role in roles}
        # Looking takes longer than this.
        time.sleep(_LET_GO_WITHIN)
        found: set[tuple[str, str]] = set()

        def nowhere() -> bool:
            found.clear()
            found.update(held_anywhere(self.world, pids, wanted))
            return not found

        try:
            self.until("keys to go", nowhere)
        except DemoFailed:
            held = "; ".join(f"{role} has {what}" for role, what in sorted(found))
            raise DemoFailed(f"keys that should be nowhere are still there: {held}") from None


def forms(keys: Mapping[str, Held]) -> dict[str, tuple[bytes, ...]]:
    """Return what each of ``keys`` looks like as octets."""
    return {name: (held.secret.octets,) for name, held in keys.items()}


@define
class Fetching:
    """A download in a thread of its own, slowly until it is to `end`; the server is at the port ``web``.

    ``has_begun`` tells that octets have come, ``over_at`` when it was over (wall clock).
    """

    port: int
    web: int
    size: int
    digest: str
    _failed: list[DemoFailed] = field(factory=list, init=False)
    _thread: Thread | None = field(default=None, init=False)

    has_begun: bool = field(default=False, init=False)
    over_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Begin."""
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            quiet = Story(plain=True, brief=True)
            download(quiet, self.port, self.size, self.digest, pace=max(self.size // _LASTS, 1), begun=self._begun)
        except DemoFailed as failure:
            self._failed.append(failure)
        self.over_at = time.time()

    def _begun(self) -> None:
        self.has_begun = True

    @property
    def is_going_on(self) -> bool:
        """Whether it is under way."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def failure(self) -> str:
        """Why it broke off, nothing if it has not."""
        return str(self._failed[0]) if self._failed else ""

    def end(self) -> None:
        """Have the rest come; raise `DemoFailed` unless all has arrived as it was sent."""
        hurry(self.web)
        if self._thread is not None:
            self._thread.join(PATIENCE)
        if self.is_going_on:
            raise DemoFailed("the download does not come to its end")
        for failure in self._failed:
            raise failure
