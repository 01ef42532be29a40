"""NODES and CHANGED: home agents are told of their nodes, replicas of all, and tell which static keys they have.

CHANGED is repeated, after growing pauses, until who is told has asked for what there is: it may be lost with a hop that
broke. Of a revocation everybody is told at once, and again after `LONGEST_URGENT` seconds at most. At a start all who
asked before are told, and all replicas, since what changed last may not have been said.

Limits: of `MOST_NEIGHBOURS` who have asked it is known that they have; who was
heard of least recently is not told of changes any more and has to ask. Static
keys are kept of the home agents of nodes, and of `MOST_STRANGERS` others, which
may become such; of more, those that came first go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

from attrs import define

from seckex.config.kdc import Kdc
from seckex.errors import Malformed
from seckex.events.kdc import HomeKeysTaken, NodesTold
from seckex.machine import Now, Report
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import Known
from seckex.sa.store import DeleteRecord, Operation, Outcome, PutRecord, Record
from seckex.wire import hop
from seckex.wire.buffer import Reader
from seckex.wire.keying import HomeKey, NodeEntries, NodeEntry, NodeQuery, home_keys_data, read_home_keys
from seckex.wire.numbers import HEADER_SIZE, MAX_HOP_MESSAGE

HOME_KEYS: Final = "kdc.home-keys"
MOST_NEIGHBOURS: Final = 4096
MOST_STRANGERS: Final = 256
# A neighbour is told at most once in so many seconds, unless somebody was revoked.
PACE: Final = 1.0
# How long after it was told it is told again, where it does not ask: at first, and at most.
AGAIN: Final = 2.0
LONGEST: Final = 32.0
LONGEST_URGENT: Final = 4.0

_ROOM: Final = MAX_HOP_MESSAGE - HEADER_SIZE - 64
# Of an entry: what stands before, between and behind the names.
_ENTRY: Final = 21 + 2 + 64


@define
class _Neighbour:
    """One who has asked: when it may be told again, and when it is to be (monotonic)."""

    not_before: float
    due: float | None = None
    pause: float = AGAIN
    urgent: bool = False

    def want(self, now: Now, *, urgent: bool) -> None:
        """Take note that there is something to be told."""
        soon = now.monotonic if urgent else max(now.monotonic, self.not_before)
        self.due = soon if self.due is None else min(self.due, soon)
        self.pause = AGAIN
        self.urgent |= urgent

    def told(self, now: Now) -> None:
        """Take note that it was told; it is told again unless it asks."""
        self.not_before = now.monotonic + PACE
        self.due = now.monotonic + self.pause
        self.pause = min(2 * self.pause, LONGEST_URGENT if self.urgent else LONGEST)

    def settled(self) -> None:
        """Take note that it knows all."""
        self.due, self.pause, self.urgent = None, AGAIN, False


class Telling:
    """See the module."""

    def __init__(self, settings: Kdc, directory: Directory, entropy: Callable[[int], bytes], commits: Commits) -> None:
        self.reconfigure(settings)
        self._directory = directory
        self._entropy = entropy
        self._commits = commits
        #: Those that have asked; who asked least lately comes first.
        self._neighbours: dict[str, _Neighbour] = {}
        self._due: set[str] = set()
        #: What was asked while not all nodes had been looked at.
        self._held: dict[str, hop.Nodes] = {}
        self._home_keys: dict[str, tuple[HomeKey, ...]] = {}
        self._storing: set[str] = set()
        self.counters: Counter[str] = Counter()

    def reconfigure(self, settings: Kdc) -> None:
        """Go on by other settings."""
        self._replicas = frozenset(settings.replicas)

    @property
    def neighbours(self) -> int:
        """How many have asked."""
        return len(self._neighbours)

    @property
    def next_due(self) -> float | None:
        """When somebody is to be told of changes (monotonic)."""
        if self._directory.loading:
            return None
        return min((self._when(nai) for nai in self._due), default=None)

    def _when(self, nai: str) -> float:
        due = self._neighbours[nai].due
        return math.inf if due is None else due

    def home_keys(self, home_agent: str, wall: float) -> tuple[HomeKey, ...]:
        """Return the static keys of a home agent that have not ended, as far as it has told."""
        return tuple(key for key in self._home_keys.get(home_agent, ()) if wall < key.until)

    def home_agents(self) -> int:
        """Return of how many the static keys are known."""
        return len(self._home_keys)

    def restore(self, record: Record) -> None:
        """Take over the static keys of a home agent; raises `Malformed` and `PeerIncompatible`."""
        try:
            nai = record.name.decode()
        except UnicodeDecodeError:
            raise Malformed("name", 0, "not UTF-8") from None
        self._home_keys[nai] = read_home_keys(Reader(record.octets))
        # It has asked once, and what changes before it asks again is not to wait for that.
        self._expect(nai)

    def _expect(self, nai: str) -> None:
        if len(self._neighbours) < MOST_NEIGHBOURS and nai not in self._neighbours:
            self._neighbours[nai] = _Neighbour(-math.inf)

    def begin(self, now: Now) -> list[RoleAction]:
        """Begin, with all nodes known: answer who has asked meanwhile, and tell the others to ask."""
        for nai in self._replicas:
            self._expect(nai)
        for neighbour in self._neighbours.values():
            neighbour.want(now, urgent=self._directory.revoked > 0)
        self._due.update(self._neighbours)
        held, self._held = self._held, {}
        answered = [action for nai, message in held.items() for action in self.asked(nai, message, now)]
        return answered + self.tick(now)

    # -- being asked

    def asked(self, neighbour: str, message: hop.Nodes, now: Now) -> list[RoleAction]:
        """Take a question for nodes."""
        self.counters["nodes"] += 1
        if self._directory.loading and not message.query.node:
            self._remember(neighbour, now)
            self._held[neighbour] = message
            return []
        entries = self._entries(neighbour, message.query)
        if not message.query.node:
            self._remember(neighbour, now, knows_all=not entries.more)
        answer = hop.encode_hop(hop.Entries(message.identification, entries))
        told = NodesTold(neighbour, message.query.since, len(entries.entries), entries.more)
        return [Relay(neighbour, answer), Report(told), *self._take_keys(neighbour, message.home_keys)]

    def _remember(self, nai: str, now: Now, *, knows_all: bool = False) -> None:
        neighbour = self._neighbours.pop(nai, None) or _Neighbour(now.monotonic)
        self._neighbours[nai] = neighbour
        if knows_all:
            neighbour.settled()
            self._due.discard(nai)
        elif neighbour.due is not None:
            # It is asking, and goes on to.
            neighbour.due = now.monotonic + neighbour.pause
        if len(self._neighbours) > MOST_NEIGHBOURS:
            oldest = next(iter(self._neighbours))
            del self._neighbours[oldest]
            self._due.discard(oldest)
            self._held.pop(oldest, None)

    def _entries(self, neighbour: str, query: NodeQuery) -> NodeEntries:
        # Who replicates is told everything, and so needs the names of home agents.
        whole = neighbour in self._replicas
        if query.node:
            known = self._directory.find(query.node)
            own = known is not None and (whole or known.home_agent == neighbour)
            return NodeEntries(0, False, (_entry(known, whole),) if known is not None and own else ())
        entries: list[NodeEntry] = []
        room = _ROOM
        home_agent = None if whole else neighbour
        for known in self._directory.after(query.since, home_agent):
            room -= _ENTRY + len(known.nai.encode()) + (len(known.home_agent.encode()) if whole else 0)
            if room < 0 or len(entries) == query.most:
                return NodeEntries(entries[-1].serial, True, tuple(entries))
            entries.append(_entry(known, whole))
        return NodeEntries(max(query.since, self._directory.latest(home_agent)), False, tuple(entries))

    # -- static keys

    def _take_keys(self, neighbour: str, keys: tuple[HomeKey, ...]) -> list[RoleAction]:
        if not keys or keys == self._home_keys.get(neighbour) or neighbour in self._storing:
            return []
        put: Operation = PutRecord(Record(HOME_KEYS, neighbour.encode(), home_keys_data(keys)))
        gone = self._stranger_to_go(neighbour)
        unit = (put,) if gone is None else (put, DeleteRecord(HOME_KEYS, gone.encode()))
        self._storing.add(neighbour)

        def stored(outcome: Outcome | str, _now: Now) -> list[RoleAction]:
            self._storing.discard(neighbour)
            if outcome is not Outcome.STORED:
                # It says them again whenever it asks.
                return []
            self._home_keys[neighbour] = keys
            if gone is not None:
                self._home_keys.pop(gone, None)
            return [Report(HomeKeysTaken(neighbour, len(keys)))]

        return [self._commits.ask(unit, stored)]

    def _stranger_to_go(self, neighbour: str) -> str | None:
        """Return whose keys give way to those of ``neighbour``, None where there is room."""
        if neighbour in self._home_keys or self._directory.has_home_agent(neighbour):
            return None
        strangers = [nai for nai in self._home_keys if not self._directory.has_home_agent(nai)]
        return strangers[0] if len(strangers) >= MOST_STRANGERS else None

    # -- changes

    def changed(self, home_agents: set[str], now: Now, urgent: bool = False) -> list[RoleAction]:
        """Tell those whom it concerns, now or when they may be told again; at once where it is ``urgent``."""
        for nai in (home_agents | self._replicas) & self._neighbours.keys():
            self._neighbours[nai].want(now, urgent=urgent)
            self._due.add(nai)
        return self.tick(now)

    def tick(self, now: Now) -> list[RoleAction]:
        """Tell those of changes who are to be told."""
        if self._directory.loading:
            return []
        due = sorted(nai for nai in self._due if self._when(nai) <= now.monotonic)
        for nai in due:
            self._neighbours[nai].told(now)
        return [Relay(nai, hop.encode_hop(hop.Changed(identification(now, self._entropy)))) for nai in due]


def _entry(known: Known, whole: bool) -> NodeEntry:
    return known.entry(known.home_agent if whole else "")


def identification(now: Now, entropy: Callable[[int], bytes]) -> int:
    """Return an Identification that nothing else has: ``seconds 32 | random 32``."""
    return (int(now.wall) & 0xFFFFFFFF) << 32 | int.from_bytes(entropy(4), "big")
