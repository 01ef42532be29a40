"""All that a home agent has in mind, in one place: nodes, keys, replies, what has ended, rounds of negotiations."""

from __future__ import annotations

import heapq
import math
from typing import Final

from attrs import evolve

from seckex.machine import Now
from seckex.node.drops import Drops
from seckex.node.tables import ExpiringTable
from seckex.roles.home_agent.choices import Choosing
from seckex.roles.home_agent.leaving import Leaving
from seckex.roles.home_agent.nodes import KnownNode, NodeTable
from seckex.roles.home_agent.pseudonyms import Pseudonyms
from seckex.roles.home_agent.replies import Replies
from seckex.roles.home_agent.revocations import Revocations
from seckex.roles.home_agent.statics import Statics
from seckex.roles.home_agent.terms import HomeTerms
from seckex.sa.replay import ReplayClock, forgotten_before

ROUND_WITHIN: Final = 30.0
MOST_ROUNDS_REMEMBERED: Final = 4096

# So many ends of bindings that were replaced are not worth looking for.
_SPARE: Final = 64


class Home:
    """See the module; ``terms`` may be replaced."""

    def __init__(self, terms: HomeTerms, now: Now) -> None:
        self.nodes = NodeTable(terms.limits.nodes)
        self.terms = self._knowing(terms)
        self.choosing = Choosing(terms.policy, terms.sub_type)
        self.replies = Replies(terms.limits.replies)
        self.pseudonyms = Pseudonyms(terms.limits.nodes)
        self.statics = Statics((), terms.rotation, now.wall)
        #: What the next round of a node's negotiation must have as its Previous, by NAI.
        self.rounds: ExpiringTable[str, bytes] = ExpiringTable(MOST_ROUNDS_REMEMBERED, ROUND_WITHIN, yielding=True)
        #: What is met with silence, by its cause.
        self.drops = Drops()
        self.revocations = Revocations(self.drops)
        self.leaving = Leaving(self.revocations)
        self._restored: ReplayClock | None = None
        self._ends: list[tuple[float, str]] = []
        self._most_ends = _SPARE

    def _knowing(self, terms: HomeTerms) -> HomeTerms:
        """Return terms by which no SPI is drawn that names a KEY 2 here."""
        return evolve(terms, taken=lambda spi: terms.taken(spi) or self.nodes.has_key2(spi))

    def reconfigure(self, terms: HomeTerms) -> None:
        """Go on by other terms; what is over a lowered limit stays until it ends by itself."""
        if (terms.policy, terms.sub_type) != (self.terms.policy, self.terms.sub_type):
            self.choosing = Choosing(terms.policy, terms.sub_type)
        self.terms = self._knowing(terms)
        self.nodes.limit = self.pseudonyms.limit = terms.limits.nodes
        self.replies.limit = terms.limits.replies
        self.statics.rotation = terms.rotation

    def restored(self, at: float, now: Now) -> None:
        """Take nothing for new that was said before ``at``, when it went on from a backup; 0: it never did.

        Indices that were used since the backup are forgotten, and what was recorded then would be heard again.
        """
        if at:
            window = self.terms.clock_window
            self._restored = ReplayClock(forgotten_before(at, window), window, now)

    def clock(self, now: Now) -> int:
        """Return what Identifications are judged by: the wall clock, ahead of it for some time after a restoration."""
        return int(now.wall if self._restored is None else self._restored.read(now))

    def bound(self, nai: str, until: float) -> None:
        """Look after a binding when it expires (wall-clock seconds)."""
        heapq.heappush(self._ends, (until, nai))
        # What was replaced leaves its end behind; these must not become more than what lives.
        if len(self._ends) > self._most_ends:
            self._ends = [(each.until, node.nai) for node in self.nodes for each in node.bindings]
            heapq.heapify(self._ends)
            self._most_ends = 2 * len(self._ends) + _SPARE

    def next_end(self) -> float:
        """Return when a binding may expire, in wall-clock seconds; infinity where there is none."""
        return self._ends[0][0] if self._ends else math.inf

    def expired(self, now: float) -> list[tuple[KnownNode, KnownNode]]:
        """Take out bindings that have expired; return each node before and after that.

        In the store they need no end: they are told by their dates.
        """
        changed: list[tuple[KnownNode, KnownNode]] = []
        while self._ends and self._ends[0][0] <= now:
            nai = heapq.heappop(self._ends)[1]
            node = self.nodes.get(nai)
            after = None if node is None else node.lived(now)
            if node is not None and after is not None and after is not node:
                self.nodes.put(after)
                changed.append((node, after))
        return changed
