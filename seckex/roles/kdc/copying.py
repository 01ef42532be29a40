"""A replica: asks its center for all nodes, and for those that have changed, and keeps what came of their KEY 0.

It asks when it starts, when it is told of changes, and every `REFRESH` seconds;
the next part as soon as one is durable. When nothing comes it asks again after
growing pauses, and goes on issuing keys for the nodes that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seckex.events.kdc import CopyingFailed, NodesCopied
from seckex.machine import Now, Report
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import Copy
from seckex.roles.kdc.telling import identification
from seckex.sa.store import Outcome, PutRecord
from seckex.wire import hop
from seckex.wire.keying import MAX_ENTRIES, NodeQuery

REFRESH: Final = 3.0
PATIENCE: Final = 5.0
SHORTEST_PAUSE: Final = 1.0
# Who was revoked meanwhile is to be known as soon as the center is there again.
LONGEST_PAUSE: Final = 4.0


class Copying:
    """See the module. ``changed`` is told which home agents have nodes that changed, and whether any was revoked."""

    def __init__(
        self,
        center: str,
        directory: Directory,
        entropy: Callable[[int], bytes],
        commits: Commits,
        changed: Callable[[set[str], Now, bool], list[RoleAction]],
    ) -> None:
        self.center = center
        self._directory = directory
        self._entropy = entropy
        self._commits = commits
        self._changed = changed
        self._awaited: int | None = None
        self._pause = SHORTEST_PAUSE
        self._failing = ""
        self._again = False
        #: When to ask, or to give up waiting (monotonic); None while something is being stored.
        self.due: float | None = None
        #: Whether the center has told of all that it knows.
        self.settled = False

    def awaits(self, number: int) -> bool:
        """Tell whether an answer with this Identification is awaited."""
        return number == self._awaited

    def ask(self, now: Now) -> list[RoleAction]:
        """Ask for what has changed."""
        self._again = False
        self._awaited = identification(now, self._entropy)
        self.due = now.monotonic + PATIENCE
        query = NodeQuery(self._directory.latest(None), MAX_ENTRIES)
        return [Relay(self.center, hop.encode_hop(hop.Nodes(self._awaited, query, ())))]

    def told(self, now: Now) -> list[RoleAction]:
        """Take CHANGED."""
        if self._awaited is None and self.due is not None:
            return self.ask(now)
        self._again = True
        return []

    def tick(self, now: Now) -> list[RoleAction]:
        """Ask, or find that no answer came."""
        if self.due is None or now.monotonic < self.due:
            return []
        return self.ask(now) if self._awaited is None else self.failed("no answer came", now)

    def failed(self, why: str, now: Now) -> list[RoleAction]:
        """Take note that the center was not reached, or that what it says is of no use."""
        self._awaited = None
        self.due = now.monotonic + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if why == self._failing:
            return []
        self._failing = why
        return [Report(CopyingFailed(self.center, why))]

    def heard(self, message: hop.Entries, now: Now) -> list[RoleAction]:
        """Take the answer."""
        since, entries = self._directory.latest(None), message.entries
        self._awaited, self.due = None, None
        serials = [entry.serial for entry in entries.entries]
        if not all(entry.home_agent for entry in entries.entries):
            return self.failed("it tells of its own nodes only: is this center among its kdc.replicas?", now)
        if serials != sorted(serials) or (serials and serials[0] <= since) or (entries.more and not serials):
            return self.failed("its answer is out of order", now)
        fresh = sum(self._directory.find(entry.node) is None for entry in entries.entries)
        if len(self._directory) + fresh > self._directory.most:
            return self.failed(f"there are more than {self._directory.most} nodes, kdc.principals", now)
        copies = [Copy.of(entry) for entry in entries.entries]
        if not copies:
            return self._settled(entries.more, now)

        def stored(outcome: Outcome | str, later: Now) -> list[RoleAction]:
            if outcome is not Outcome.STORED:
                return self.failed(f"the store cannot be written: {outcome}", later)
            for copy in copies:
                self._directory.put(copy)
            told: list[RoleAction] = [Report(NodesCopied(self.center, len(copies), serials[-1]))]
            told += self._changed({copy.home_agent for copy in copies}, later, any(copy.revoked for copy in copies))
            return told + self._settled(entries.more, later)

        return [self._commits.ask(tuple(PutRecord(copy.record()) for copy in copies), stored)]

    def _settled(self, more: bool, now: Now) -> list[RoleAction]:
        self._pause, self._failing = SHORTEST_PAUSE, ""
        self.settled |= not more
        if more or self._again:
            return self.ask(now)
        self.due = now.monotonic + REFRESH
        return []
