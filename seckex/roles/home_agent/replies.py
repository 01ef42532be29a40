"""What was replied, by the SHA-256 of the agent's message: a repetition gets the same octets, and costs a hash.

At the limit the oldest gives way, from the store as well. A request of a node's
that was answered to other octets of an agent's is known by its own SHA-256.
"""

from __future__ import annotations

import math

from seckex.roles.home_agent.records import REPLY, KeptReply
from seckex.sa.store import DeleteRecord, Unit


class Replies:
    """At most ``limit`` replies, each for as long as its record lasts."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[bytes, tuple[float, KeptReply]] = {}
        self._reqs: dict[bytes, bytes] = {}
        self._evicted: list[bytes] = []

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: bytes) -> KeptReply | None:
        """Return what was replied to the agent's message of this SHA-256."""
        kept = self._kept.get(digest)
        return None if kept is None else kept[1]

    def answered(self, req: bytes) -> bool:
        """Tell whether the node's request of this SHA-256 was answered, whatever stood behind it."""
        return req in self._reqs

    def keep(self, digest: bytes, reply: KeptReply, until: float) -> None:
        """Keep a reply that is durable ``until`` then (wall-clock seconds)."""
        self._kept[digest] = until, reply
        self._reqs[reply.req] = digest
        while len(self._kept) > self.limit:
            self._evicted.append(self._forget())

    def _forget(self) -> bytes:
        digest = next(iter(self._kept))
        _, reply = self._kept.pop(digest)
        self._reqs.pop(reply.req, None)
        return digest

    def expire(self, now: float) -> None:
        """Forget what the store forgets as well."""
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._forget()

    def evicted(self, least: int = 1) -> Unit:
        """Return what forgets what has given way, once that is as many as ``least``."""
        if len(self._evicted) < least:
            return ()
        evicted, self._evicted = self._evicted, []
        return tuple(DeleteRecord(REPLY, digest) for digest in evicted)

    def oldest(self) -> float:
        """Return when the oldest expires (wall-clock seconds); infinity where there is none."""
        for until, _ in self._kept.values():
            return until
        return math.inf
