"""The relay: who has asked what, whom it asked in turn, and what it does where nobody answers.

Strategy: there is no conversation here beyond a question and its answer, so a
table of what is pending is the whole of the state. A registration is passed to
the first of those that lead to its home agent; to the next, if that one cannot
be reached, will not relay or says nothing for `ATTEMPT_WITHIN` seconds. The first
answer from anybody who was asked is the answer: a home agent gives the same
reply to the same request. Who has just failed is asked last for `TROUBLED_FOR` seconds.

The relay reads the route, and nothing of what is inside: it knows who relays, for which
home agent, and with that the realm of a node; that is all that it shows and logs.

Limits: ``most`` registrations at once, beyond which the oldest of the neighbour that has
most is refused (code 130), or the new one if that is its own;
each is kept for `KEPT_FOR` seconds at most. Repetitions of one that is pending are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from seckex.errors import Malformed, PeerFault, UnsupportedVersion
from seckex.events import shown
from seckex.events.aaa import NextHopFailed, RegistrationNotRelayed
from seckex.exchange.terms import Entropy
from seckex.machine import Now, Path, Report
from seckex.node.drops import Drops
from seckex.roles.aaa.envelope import Envelopes, Onward
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Relay, RoleAction
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.extensions import Detail
from seckex.wire.general import Header, encode_header
from seckex.wire.hop import NotRelayed, decode_hop
from seckex.wire.numbers import Code, Kind

ATTEMPT_WITHIN: Final = 3.0
KEPT_FOR: Final = 15.0
TROUBLED_FOR: Final = 30.0

#: Refusals upon which somebody else is asked.
ELSEWHERE: Final = frozenset(
    (Code.ROUTING_LOOP, Code.NO_SECURE_HOP, Code.NEXT_HOP_UNREACHABLE, Code.INSUFFICIENT_RESOURCES)
)

_IDENTIFICATION: Final = slice(4, 12)
_START: Final = encode_header(Header(Kind.RELAY, False, 0, 0))[:4]
_SPI: Final = bytes(4)
# Deadlines are not kept closer than that, so that looking at all that is pending costs little.
_SOONEST: Final = 0.1
_MOST_TEXT: Final = 160


def clipped(text: str) -> str:
    """Return a text that a detail may have: short, and without control characters."""
    return shown(text)[:_MOST_TEXT]


class _Pending:
    """One registration; ``asked`` has whom it was passed to, ``open`` the Identifications that may be answered yet."""

    __slots__ = ("asked", "due", "following", "identification", "inside", "neighbour", "onward", "open", "until")

    def __init__(
        self, neighbour: str, identification: bytes, onward: Onward, following: tuple[str, ...], inside: bytes
    ) -> None:
        self.neighbour = neighbour
        self.identification = identification
        self.onward = onward
        self.following = following
        self.inside = inside
        self.asked = 0
        self.open: dict[int, str] = {}
        self.due = 0.0
        self.until = 0.0


class AaaRelay:
    """See the module; a role of the principal ``local``."""

    kinds = frozenset((int(Kind.RELAY),))

    def __init__(self, local: str, ways: Ways, most: int, entropy: Entropy) -> None:
        self._local = local
        self._ways = ways
        self._most = most
        self._entropy = entropy
        self._envelopes = Envelopes(local, ways)
        self._pending: dict[tuple[str, bytes], _Pending] = {}
        self._of: dict[str, dict[bytes, _Pending]] = {}
        self._awaited: dict[int, _Pending] = {}
        self._troubled: dict[str, tuple[float, str]] = {}
        self._due: float | None = None
        self._drops = Drops()
        self._counts: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """See `Role.counters`."""
        names = ("relayed", "answered", "refused", "failovers", "repeated", "unexpected", "malformed", "unanswered")
        return {name: self._counts[name] for name in names} | {"pending": len(self._pending)}

    def status(self, now: Now) -> dict[str, Any]:
        """See `Role.status`: the ways, and who of those that are asked is in trouble."""
        troubled = {nai: why for nai, (until, why) in self._troubled.items() if until > now.monotonic}
        routes = [
            {"realm": realm, "next": [{"nai": nai, "trouble": troubled.get(nai, "")} for nai in following]}
            for realm, following in self._ways.by_realm.items()
        ]
        homes = [{"nai": nai, "trouble": troubled.get(nai, "")} for nai in sorted(self._ways.home_agents)]
        return {"pending": len(self._pending), "home_agents": homes, "routes": routes}

    def reconfigure(self, ways: Ways, most: int) -> None:
        """Go on by other ways; what is pending goes on as it began."""
        self._ways, self._most = ways, most
        self._envelopes.reconfigure(ways)

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the interface's
        """Do nothing: whoever asks asks again."""
        return []

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the interface's
        """Take nothing from strangers."""
        self._counts["unexpected"] += 1
        return []

    # -- what neighbours say

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """Take a registration, or what became of one."""
        return (self._asked if octets[3] == Kind.RELAY else self._answered)(neighbour, octets, now)

    def _asked(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        identification = octets[_IDENTIFICATION]
        if (neighbour, identification) in self._pending:
            self._counts["repeated"] += 1
            return []
        try:
            onward, end = self._envelopes.opened(neighbour, octets)
        except (Malformed, UnsupportedVersion, PeerFault) as error:
            self._counts["malformed"] += 1
            return self._told(neighbour, "", Code.POORLY_FORMED, str(error), now)
        if onward.detail is not None:
            return self._refuse(neighbour, identification, onward, onward.detail, now)
        actions: list[RoleAction] = []
        if len(self._pending) >= self._most:
            detail = Detail(Code.INSUFFICIENT_RESOURCES, 0, 0, f"{self._most} registrations await an answer already")
            gone = self._giving_way(neighbour)
            if gone is None:
                return self._refuse(neighbour, identification, onward, detail, now)
            self._forget(gone)
            actions = self._refuse(gone.neighbour, gone.identification, gone.onward, detail, now)
        following = self._ordered(onward.following, now) if self._troubled else onward.following
        pending = _Pending(neighbour, identification, onward, following, octets[end:])
        pending.until = now.monotonic + KEPT_FOR
        self._pending[neighbour, identification] = pending
        self._of.setdefault(neighbour, {})[identification] = pending
        self._counts["relayed"] += 1
        return actions + self._ask(pending, now)

    def _giving_way(self, neighbour: str) -> _Pending | None:
        """Return what gives way to a registration of a neighbour's: the oldest of who has more than that one would."""
        most = max(self._of.values(), key=len)
        return next(iter(most.values())) if len(most) > len(self._of.get(neighbour, ())) + 1 else None

    def _ordered(self, following: tuple[str, ...], now: Now) -> tuple[str, ...]:
        """Return those that are not known to be in trouble, then the others."""
        for nai in [nai for nai, (until, _) in self._troubled.items() if until <= now.monotonic]:
            del self._troubled[nai]
        return tuple(sorted(following, key=self._troubled.__contains__))

    def _ask(self, pending: _Pending, now: Now) -> list[RoleAction]:
        """Pass it to the next of those that may know the way."""
        neighbour = pending.following[pending.asked]
        pending.asked += 1
        drawn = int(now.wall) << 32 | int.from_bytes(self._entropy(4), "big")
        while drawn in self._awaited:
            drawn += 1
        self._awaited[drawn] = pending
        pending.open[drawn] = neighbour
        more = pending.asked < len(pending.following)
        pending.due = min(now.monotonic + ATTEMPT_WITHIN, pending.until) if more else pending.until
        if self._due is None or pending.due < self._due:
            self._due = pending.due
        octets = b"".join((_START, drawn.to_bytes(8, "big"), _SPI, pending.onward.route, pending.inside))
        return [Relay(neighbour, octets)]

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return identification in self._awaited

    def _answered(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        identification = int.from_bytes(octets[_IDENTIFICATION], "big")
        pending = self._awaited.get(identification)
        if pending is None or pending.open.get(identification) != neighbour:
            self._counts["unexpected"] += 1
            return []
        if octets[3] == Kind.NOT_RELAYED:
            try:
                message = decode_hop(octets)
            except (Malformed, UnsupportedVersion, PeerFault) as error:
                return self._failed(pending, identification, Code.POORLY_FORMED, str(error), now)
            if isinstance(message, NotRelayed) and message.detail.code in ELSEWHERE:
                said = f"it says: {message.detail.text}"
                return self._failed(pending, identification, message.detail.code, said, now)
        elif octets[3] != Kind.RELAYED:
            self._counts["unexpected"] += 1
            return []
        if self._troubled:
            self._troubled.pop(neighbour, None)
        self._counts["answered"] += 1
        self._forget(pending)
        return [Relay(pending.neighbour, octets[:4] + pending.identification + octets[12:])]

    def _forget(self, pending: _Pending) -> None:
        del self._pending[pending.neighbour, pending.identification]
        own = self._of[pending.neighbour]
        del own[pending.identification]
        if not own:
            del self._of[pending.neighbour]
        for identification in pending.open:
            del self._awaited[identification]

    # -- where nothing comes of it

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        """See `Role.unreachable`: ask somebody else."""
        pending = self._awaited.get(identification)
        if pending is None or pending.open.get(identification) != neighbour:
            return []
        return self._failed(pending, identification, code, why, now)

    def _failed(self, pending: _Pending, identification: int, code: int, why: str, now: Now) -> list[RoleAction]:
        neighbour = pending.open.pop(identification)
        del self._awaited[identification]
        actions = self._trouble(pending, neighbour, why, now)
        if pending.asked < len(pending.following):
            return [*actions, *self._ask(pending, now)]
        if not pending.open:
            self._forget(pending)
            detail = Detail(code, 0, 0, clipped(f"{neighbour}: {why}"))
            actions += self._refuse(pending.neighbour, pending.identification, pending.onward, detail, now)
        return actions

    def _trouble(self, pending: _Pending, neighbour: str, why: str, now: Now) -> list[RoleAction]:
        """Take note that a neighbour has led nowhere; it is told of once until it has led somewhere again."""
        known = self._troubled.get(neighbour)
        self._troubled[neighbour] = now.monotonic + TROUBLED_FOR, why
        if pending.asked < len(pending.following):
            self._counts["failovers"] += 1
        if known is not None and known[0] > now.monotonic:
            return []
        return [Report(NextHopFailed(neighbour, pending.onward.came.home_agent, why))]

    def _refuse(
        self, neighbour: str, identification: bytes, onward: Onward, detail: Detail, now: Now
    ) -> list[RoleAction]:
        self._counts["refused"] += 1
        told = self._told(neighbour, onward.came.home_agent, detail.code, detail.text, now)
        return [Relay(neighbour, self._envelopes.refusal(identification, onward.came, detail)), *told]

    def _told(self, neighbour: str, home_agent: str, code: int, why: str, now: Now) -> list[RoleAction]:
        if not self._drops.ration("refused", now):
            return []
        return [Report(RegistrationNotRelayed(neighbour, home_agent, code, why))]

    # -- time

    def tick(self, now: Now) -> list[RoleAction]:
        """Ask others where nobody answers, and give up in the end."""
        actions: list[RoleAction] = []
        for pending in [each for each in self._pending.values() if each.due <= now.monotonic]:
            if pending.until <= now.monotonic:
                self._counts["unanswered"] += 1
                self._forget(pending)
                detail = Detail(Code.NEXT_HOP_UNREACHABLE, 0, 0, f"no answer within {KEPT_FOR:.0f} s")
                onward = pending.onward
                actions += self._refuse(pending.neighbour, pending.identification, onward, detail, now)
            else:
                silent = pending.following[pending.asked - 1]
                actions += self._trouble(pending, silent, f"no answer within {ATTEMPT_WITHIN:.0f} s", now)
                actions += self._ask(pending, now)
        left = min((each.due for each in self._pending.values()), default=None)
        self._due = None if left is None else max(left, now.monotonic + _SOONEST)
        return actions

    def next_deadline(self, now: Now) -> float | None:  # noqa: ARG002  # the interface's
        """See `Role.next_deadline`."""
        return self._due

    # -- what does not concern it

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the interface's
        """Do nothing: it sends nothing to strangers."""
        return []

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        """Do nothing: it keeps nothing that lasts."""
        return []

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        """Do nothing: it has no work done."""
        return []
