"""KEYS: who asks, for whom, and what is drawn.

Every request is judged by what is known now, also one that comes again. What is
drawn is answered when it is durable: one unit is under way at a time, and the
requests that come meanwhile go into the next one.

A node has so many keys a minute and no more (`rates`).

Limits: at most `MOST_AT_ONCE` requests in one unit and `MOST_WAITING` in all
wait for the store; a further one is refused with 130. A request that waits is
answered to at most `MOST_ASKING` who repeat it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from attrs import Factory, define, field

from seckex.config.kdc import MODES, Kdc
from seckex.errors import PeerFault, PeerIncompatible
from seckex.events.kdc import KeysNotStored, KeysRefused
from seckex.machine import Now, Report
from seckex.node.drops import Drops
from seckex.node.histogram import Histogram
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.kdc.audit import Ration, entry
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.issued import Issued, request_name
from seckex.roles.kdc.rates import Rates
from seckex.sa.store import Outcome, PutRecord
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.keying import DELETED, ENABLED, KEY_SIZE, KEYS_OF, REVOKED, KeyRequest
from seckex.wire.numbers import HEADER_SIZE, Code

MOST_AT_ONCE: Final = 512
MOST_WAITING: Final = 8192
MOST_ASKING: Final = 4


class _AtHomeElsewhere(PeerIncompatible):
    """Who asks is not the node's home agent."""


class _TooMany(PeerIncompatible):
    """The node has had as many keys as it may have for now."""


def _unknown() -> PeerIncompatible:
    return PeerIncompatible(Code.UNKNOWN_NODE, "this node is not known here")


@define
class _Drawn:
    material: bytes = field(repr=False)
    asking: list[tuple[str, int]] = Factory(list)
    since: float = 0.0


class Issuing:
    """See the module."""

    def __init__(
        self, settings: Kdc, directory: Directory, entropy: Callable[[int], bytes], commits: Commits, drops: Drops
    ) -> None:
        self._directory = directory
        self._entropy = entropy
        self._commits = commits
        self._drops = drops
        self.issued = Issued(settings.issued)
        self.rates = Rates(settings.issue_rate, settings.issue_burst)
        self._ration = Ration()
        self.reconfigure(settings)
        self._gathering: dict[bytes, _Drawn] = {}
        self._storing: dict[bytes, _Drawn] = {}
        self.counters: Counter[str] = Counter()
        self.took = Histogram()

    def reconfigure(self, settings: Kdc) -> None:
        """Go on by other settings."""
        self._modes = frozenset(MODES[name] for name in settings.keying)
        self._longest = settings.longest_lifetime
        self.issued.most = settings.issued
        self.rates.reconfigure(settings.issue_rate, settings.issue_burst)

    @property
    def waiting(self) -> int:
        """How many requests wait for the store."""
        return len(self._gathering) + len(self._storing)

    def asked(self, neighbour: str, octets: bytes, message: hop.Keys, now: Now) -> list[RoleAction]:
        """Take a request, whose ``octets`` are those of ``message``."""
        try:
            self._judge(neighbour, message.request, now)
            return self._answer(neighbour, octets, message, now)
        except PeerFault as fault:
            return self.refuse(neighbour, message.identification, message.request.node, fault, now)

    def refuse(self, neighbour: str, identification: int, node: str, fault: PeerFault, now: Now) -> list[RoleAction]:
        """Return the answer that there are no keys, and why."""
        self.counters["refused"] += 1
        # That there is such a node, and whose it is, is no business of who asks.
        said = _unknown() if isinstance(fault, _AtHomeElsewhere) else fault
        answer = hop.NotIssued(identification, Detail(said.code, 0, 0, said.why))
        actions: list[RoleAction] = [Relay(neighbour, hop.encode_hop(answer))]
        if self._drops.ration("keys", now):
            actions.append(Report(KeysRefused(neighbour, node, int(fault.code), fault.why)))
        return actions + self._entered(neighbour, node, fault, now)

    def _entered(self, neighbour: str, node: str, fault: PeerFault, now: Now) -> list[RoleAction]:
        what = "refused" if isinstance(fault, _AtHomeElsewhere) else "limited" if isinstance(fault, _TooMany) else ""
        if not what or not self._ration.takes(now):
            return []
        about: dict[str, object] = {
            "neighbour": neighbour,
            "code": int(fault.code),
            "why": fault.why,
            "left_out": self._ration.said(),
        }
        return [self._commits.ask((entry(now, None, what, node, **about),), lambda _outcome, _now: [])]

    def _judge(self, neighbour: str, request: KeyRequest, now: Now) -> None:
        known = self._directory.standing(request.node)
        if known is None or known.flags == DELETED:
            raise _unknown()
        if known.home_agent != neighbour.encode():
            where = known.home_agent.decode(errors="replace")
            raise _AtHomeElsewhere(Code.PROHIBITED, f"this node is at home with {where}")
        if known.flags != ENABLED:
            why = "revoked" if known.flags == REVOKED else "disabled"
            raise PeerIncompatible(Code.DISABLED_NODE, f"this node is {why}")
        if not known.takes(request.kvno, now.wall):
            raise PeerIncompatible(Code.WRONG_KEY_VERSION, f"the key version is {known.kvno}, not {request.kvno}")
        if request.mode not in self._modes:
            raise PeerIncompatible(Code.PROHIBITED, "this keying mode is not allowed here")
        if request.lifetime > self._longest:
            raise PeerIncompatible(Code.BAD_LIFETIME, f"keys are issued for at most {self._longest} s")

    def _answer(self, neighbour: str, octets: bytes, message: hop.Keys, now: Now) -> list[RoleAction]:
        name = request_name(neighbour, octets[HEADER_SIZE:])
        material = self.issued.find(name)
        if material is not None:
            self.counters["repeated"] += 1
            return [_issue(neighbour, message.identification, material)]
        waiting = self._storing.get(name) or self._gathering.get(name)
        if waiting is None:
            if self.waiting >= MOST_WAITING:
                raise PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "too many requests wait for the store")
            if not self.rates.takes(message.request.node, now):
                self.counters["limited"] += 1
                raise _TooMany(Code.INSUFFICIENT_RESOURCES, "this node has had as many keys as it may have for now")
            count = KEYS_OF[message.request.mode]
            keys = self._entropy(count * KEY_SIZE)
            waiting = self._gathering[name] = _Drawn(bytes((message.request.mode, count)) + keys, since=now.monotonic)
        if len(waiting.asking) < MOST_ASKING:
            waiting.asking.append((neighbour, message.identification))
        return [] if self._storing else self._store(now)

    def _store(self, now: Now) -> list[RoleAction]:
        if len(self._gathering) <= MOST_AT_ONCE:
            self._storing, self._gathering = self._gathering, {}
        else:
            names = list(self._gathering)[:MOST_AT_ONCE]
            self._storing = {name: self._gathering.pop(name) for name in names}
        record = self.issued.record({name: drawn.material for name, drawn in self._storing.items()}, now)
        return [self._commits.ask((PutRecord(record),), self._stored)]

    def _stored(self, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        stored, self._storing = self._storing, {}
        # The next unit is asked for before the answers are sent, so that disk and network work side by side.
        actions = self._store(now) if self._gathering else []
        if outcome is Outcome.STORED:
            self.counters["issued"] += len(stored)
            self.issued.keep({name: drawn.material for name, drawn in stored.items()}, now)
            for drawn in stored.values():
                self.took.observe(now.monotonic - drawn.since)
                actions += [_issue(neighbour, number, drawn.material) for neighbour, number in drawn.asking]
            return actions
        why = outcome if isinstance(outcome, str) else "a record of this name is there already"
        actions.append(Report(KeysNotStored(len(stored), why)))
        fault = PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "the keys cannot be made durable")
        for drawn in stored.values():
            for neighbour, number in drawn.asking:
                self.counters["refused"] += 1
                answer = hop.NotIssued(number, Detail(fault.code, 0, 0, fault.why))
                actions.append(Relay(neighbour, hop.encode_hop(answer)))
        return actions


def _issue(neighbour: str, identification: int, material: bytes) -> Relay:
    return Relay(neighbour, hop.encode_issued(identification, material))
