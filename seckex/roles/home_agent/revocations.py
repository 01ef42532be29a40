"""What agents are still to be told of registrations that have ended, and saying it until they answer.

Each is durable before it is said, and is said again after 0.5, 1 and then every 2 seconds, the same octets, until the
agent answers or the lifetime of the registration is over; after a restart it begins anew. One that is told nothing
is remembered for when its node is revoked.

Limits: `MOST_KEPT` in all: for one more the oldest of which nothing is told gives way, and where there is none the
oldest that is told, which is reported. `MOST_OF_NODE` of one node, of which the oldest is given up and reported, so
that a node and agents that never answer take no others' places. `MOST_BEHIND` of a node of which nothing is told: the
oldest is told then. At most `MOST_A_SECOND` are said in a second, so that each is said less often where more than
twice as many wait.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from attrs import define

from seckex.errors import AuthenticationFailed, Malformed, PeerFault, UnsupportedVersion
from seckex.events.home_agent import RevocationGivenUp, RevocationTold
from seckex.machine import Now, Path, Report, Send
from seckex.node.drops import Drops
from seckex.roles.home_agent.ended import MOVES_WITHIN, Ended
from seckex.roles.home_agent.records import REVOCATION
from seckex.sa.store import DeleteRecord, Unit
from seckex.wire.revocation import Revoked, decode_signed, spi_of

MOST_KEPT: Final = 131072
MOST_BEHIND: Final = 8
MOST_OF_NODE: Final = 64
MOST_A_SECOND: Final = 4096
MOST_SHOWN: Final = 64
PAUSES: Final = (0.5, 1.0, 2.0)

# So many that were answered are forgotten in one unit, or those of so many seconds.
_AT_ONCE: Final = 256
_SOON: Final = 0.1
_BURST: Final = 512


K = TypeVar("K", int, str)


@define(eq=False)
class _Entry:
    """One of them: how often it was said, and when it is said next (monotonic)."""

    ended: Ended
    tries: int = 0
    at: float = math.inf


class Revocations:
    """See the module."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._kept: OrderedDict[bytes, _Entry] = OrderedDict()
        self._quiet: OrderedDict[bytes, None] = OrderedDict()
        self._by_spi: dict[int, dict[bytes, None]] = {}
        self._by_node: dict[str, dict[bytes, None]] = {}
        self._queue: list[tuple[float, int, _Entry]] = []
        self._sequence = 0
        self._ends: list[tuple[float, bytes]] = []
        self._done: list[bytes] = []
        self._flush_at = math.inf
        self._allowance = float(_BURST)
        self._since = -math.inf
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Ended]:
        return (entry.ended for entry in self._kept.values())

    @property
    def pending(self) -> int:
        """How many agents are told, or are about to be, and have not answered."""
        return len(self._kept) - len(self._quiet)

    def of(self, node: str) -> tuple[Ended, ...]:
        """Return what is kept of a node, the oldest first."""
        return tuple(self._kept[name].ended for name in self._by_node.get(node, ()))

    def behind(self, node: str) -> tuple[Ended, ...]:
        """Return that of a node of which its agents are told nothing, the oldest first."""
        return tuple(each for each in self.of(node) if each.reason is None)

    # -- what is kept

    def keep(self, ended: Ended, now: Now, actions: list[Any]) -> None:
        """Take one that is durable, in place of what was known of it."""
        self._forget(ended.name)
        of_node = self._by_node.get(ended.node, {})
        if len(of_node) >= MOST_OF_NODE:
            self._yield(next(iter(of_node)), "its node has left too many others", now, actions)
        while len(self._kept) >= MOST_KEPT:
            self._yield(next(iter(self._quiet or self._kept)), "there are too many others", now, actions)
        entry = _Entry(ended)
        self._kept[ended.name] = entry
        self._by_spi.setdefault(ended.spi_in, {})[ended.name] = None
        self._by_node.setdefault(ended.node, {})[ended.name] = None
        heapq.heappush(self._ends, (ended.until, ended.name))
        if len(self._ends) > 2 * len(self._kept) + 64:
            self._ends = [(each.ended.until, name) for name, each in self._kept.items()]
            heapq.heapify(self._ends)
        if ended.reason is None:
            self._quiet[ended.name] = None
        else:
            # A wall clock may have been set meanwhile.
            self._at(entry, now.monotonic + min(max(ended.due - now.wall, 0.0), MOVES_WITHIN))

    def _yield(self, name: bytes, why: str, now: Now, actions: list[Any]) -> None:
        if name not in self._quiet:
            self._given_up(self._kept[name].ended, why, actions)
        self._finish(name, now)

    def hasten(self, ended: Ended, now: Now) -> None:
        """Tell the agent at once, where that is to be done later."""
        entry = self._kept.get(ended.name)
        if entry is not None and entry.ended.reason is not None and not entry.tries:
            self._at(entry, now.monotonic)

    def _at(self, entry: _Entry, at: float) -> None:
        entry.at = at
        self._sequence += 1
        heapq.heappush(self._queue, (at, self._sequence, entry))

    def _forget(self, name: bytes) -> Ended | None:
        entry = self._kept.pop(name, None)
        if entry is None:
            return None
        entry.at = math.inf
        self._quiet.pop(name, None)
        ended = entry.ended
        _leave_out(self._by_spi, ended.spi_in, name)
        _leave_out(self._by_node, ended.node, name)
        return ended

    def _finish(self, name: bytes, now: Now) -> None:
        """Forget one, durably, soon."""
        if self._forget(name) is not None:
            self._done.append(name)
            self._flush_at = min(self._flush_at, now.monotonic + _SOON)

    def finished(self, now: Now) -> Unit:
        """Return what forgets those that are over, if there are many or it is time."""
        if not self._done or (len(self._done) < _AT_ONCE and now.monotonic < self._flush_at):
            return ()
        done, self._done, self._flush_at = self._done[:_AT_ONCE], self._done[_AT_ONCE:], math.inf
        if self._done:
            self._flush_at = now.monotonic
        return tuple(DeleteRecord(REVOCATION, name) for name in done)

    # -- saying it

    def tick(self, now: Now, actions: list[Any]) -> None:
        """Say what is due, and give up what nobody can have any more."""
        while self._ends and self._ends[0][0] <= now.wall:
            until, name = heapq.heappop(self._ends)
            entry = self._kept.get(name)
            if entry is not None and entry.ended.until == until:
                if entry.ended.reason is not None:
                    self._given_up(entry.ended, "its lifetime is over", actions)
                self._finish(name, now)
        self._allowance = min(_BURST, self._allowance + max(now.monotonic - self._since, 0.0) * MOST_A_SECOND)
        self._since = now.monotonic
        while self._queue and self._queue[0][0] <= now.monotonic and self._allowance >= 1:
            at, _, entry = heapq.heappop(self._queue)
            if entry.at == at:
                self._allowance -= 1
                actions.append(Send(entry.ended.revocation, entry.ended.path))
                self._at(entry, now.monotonic + PAUSES[min(entry.tries, len(PAUSES) - 1)])
                entry.tries += 1

    def _given_up(self, ended: Ended, why: str, actions: list[Any]) -> None:
        self.counters["revocations-given-up"] += 1
        label = "" if ended.reason is None else ended.reason.label
        actions.append(Report(RevocationGivenUp(ended.node, ended.agent, label, why)))

    def deadline(self, now: Now) -> float:
        """Return when `tick` or `finished` has something to do (monotonic)."""
        while self._queue and self._queue[0][2].at != self._queue[0][0]:
            heapq.heappop(self._queue)
        said = self._queue[0][0] if self._queue else math.inf
        if self._allowance < 1:
            said = max(said, self._since + _BURST / MOST_A_SECOND / 2)
        over = now.monotonic + max(self._ends[0][0] - now.wall, 0.0) if self._ends else math.inf
        return min(said, over, self._flush_at)

    # -- the answers

    def received(self, octets: bytes, path: Path, now: Now, actions: list[Any]) -> None:
        """Take a REVOKED, which anybody can send."""
        names = self._by_spi.get(spi_of(octets))
        if names is None:
            # Of one that was answered already, most often.
            self._drops.counters["dropped.revoked-unasked"] += 1
            return
        try:
            signed = decode_signed(octets)
        except (Malformed, PeerFault, UnsupportedVersion) as fault:
            self._drops.note("malformed", str(fault), path, now, actions)
            return
        said = signed.said
        for ended in [self._kept[name].ended for name in names]:
            if not isinstance(said, Revoked) or not ended.revocation or said.digest != ended.digest:
                continue
            try:
                ended.key.verify(signed)
            except AuthenticationFailed as fault:
                self._drops.note("revoked-authentication", str(fault), path, now, actions)
                return
            self._told(ended, now, actions)
            return
        self._drops.counters["dropped.revoked-unasked"] += 1

    def _told(self, ended: Ended, now: Now, actions: list[Any]) -> None:
        self.counters["revocations-told"] += 1
        label = "" if ended.reason is None else ended.reason.label
        seconds = max(0.0, now.wall - max(ended.since, ended.due))
        actions.append(Report(RevocationTold(ended.node, ended.agent, label, round(seconds, 3))))
        self._finish(ended.name, now)

    # -- what is shown

    def shown(self, now: Now) -> list[dict[str, Any]]:
        """Return those that wait for an answer, the oldest first, `MOST_SHOWN` of them."""
        found = (entry for name, entry in self._kept.items() if name not in self._quiet)
        return [_shown(entry, now) for entry, _ in zip(found, range(MOST_SHOWN), strict=False)]


def _shown(entry: _Entry, now: Now) -> dict[str, Any]:
    ended = entry.ended
    return {
        "node": ended.node,
        "agent": ended.agent,
        "reason": None if ended.reason is None else ended.reason.label,
        "since": int(ended.since),
        "tries": entry.tries,
        "left": max(0, int(ended.until - now.wall)),
    }


def _leave_out(index: dict[K, dict[bytes, None]], key: K, name: bytes) -> None:
    names = index[key]
    del names[name]
    if not names:
        del index[key]
