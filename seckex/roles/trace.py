"""The way to a home agent, hop by hop: asked for, passed on, answered (docs/registration.md, section 11).

Every principal with hops has this role. A TRACE goes the way that registrations
go; whom it is for answers, and each on the way back adds itself, what the hop that it
asked over is secured by, and how long the answer took. Where it does not
go on, NOT_RELAYED tells who could not pass it on, and why.

A mobile node has no hops: it asks its agent, over TCP and with nothing to prove
its name, so that its own hop is secured by nothing. An agent answers that to
whoever it can hear. So that this costs others little, it asks for each
destination once in `REMEMBERED_FOR` seconds and tells all who ask meanwhile the same.

Limits: `MOST_PENDING` at once, `MOST_PUBLIC` of them for strangers; each waits
`ANSWER_WITHIN` seconds for every neighbour that is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from attrs import define, frozen

from seckex.errors import Malformed, PeerFault, PeerIncompatible, UnsupportedVersion
from seckex.exchange.terms import Entropy
from seckex.machine import Now, Path, Send
from seckex.roles.aaa.relay import ELSEWHERE, clipped
from seckex.roles.faces import ClosePort, Relay, RoleAction
from seckex.sa.store import Outcome, Snapshot
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.hop import MAX_ROUTE, NotRelayed, Route, Traced, TracedHop, decode_hop, encode_hop
from seckex.wire.numbers import MOST_HOPS, Code, Kind, Security

ANSWER_WITHIN: Final = 5.0
REMEMBERED_FOR: Final = 10.0
MOST_PENDING: Final = 256
MOST_PUBLIC: Final = 8
MOST_REMEMBERED: Final = 64
#: Ports of our own have numbers from here downwards; other roles count down from -1.
_FIRST_PORT: Final = -(1 << 30)
_LONGEST: Final = 0xFFFFFFFF


@frozen
class NoWay:
    """The answer of somebody, ``by``, from whom no way leads on."""

    by: str
    code: int
    why: str


Way: TypeAlias = tuple[TracedHop, ...]
#: What is done with a way, or with why there is none.
Answer: TypeAlias = Callable[[Way | NoWay], list[RoleAction]]


@define(eq=False)
class _Pending:
    """A question that was passed on, to those ``following`` one after the other."""

    destination: str
    following: tuple[str, ...]
    route: Route
    answers: list[Answer]
    began: float = 0.0
    asked: int = 0
    via: int = 0
    public: bool = False


class Tracer:
    """See the module; a role of the principal ``local``.

    ``ways`` returns whom registrations for a home agent go to, one after the other, or
    raises `PeerIncompatible`; ``security`` tells what the hop to a neighbour is secured by. Where there are no hops,
    ``near`` returns the agent that serves us and where it is. ``public`` has everybody answered who asks.
    """

    kinds = frozenset((int(Kind.TRACE), int(Kind.TRACED), int(Kind.NOT_RELAYED)))

    def __init__(
        self,
        local: str,
        ways: Callable[[str], tuple[str, ...]],
        security: Callable[[str], Security],
        entropy: Entropy,
        near: Callable[[Now], tuple[str, Path] | None] = lambda _now: None,
        *,
        public: bool = False,
    ) -> None:
        self._local = local
        self._ways = ways
        self._security = security
        self._entropy = entropy
        self._near = near
        self._public = public
        self._pending: dict[int, _Pending] = {}
        self._remembered: dict[str, tuple[float, Way | NoWay]] = {}
        self._last_port = _FIRST_PORT
        self._counts: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """See `Role.counters`."""
        return {name: self._counts[name] for name in ("answered", "passed-on", "unexpected")}

    def status(self, now: Now) -> dict[str, Any]:  # noqa: ARG002  # the interface's
        """See `Role.status`."""
        return {"pending": len(self._pending)}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the interface's
        """Do nothing."""
        return []

    # -- what an operator asks

    def trace(self, destination: str, done: Callable[[Way | NoWay], None], now: Now) -> list[RoleAction]:
        """Find the way to ``destination``, and call ``done`` with it, or with why there is none."""

        def answer(found: Way | NoWay) -> list[RoleAction]:
            done(found)
            return []

        agent = self._near(now)
        if agent is None:
            return self._begin(destination, Route(MOST_HOPS, destination, (self._local,)), answer, now)
        nai, path = agent
        self._last_port -= 1
        # Who we are is nobody's business here.
        pending = _Pending(destination, (nai,), Route(MOST_HOPS, destination, ()), [answer], via=self._last_port)
        drawn = self._drawn(now)
        pending.began, pending.asked = now.monotonic, 1
        self._pending[drawn] = pending
        octets = encode_hop(hop.Trace(drawn, pending.route, ()))
        return [Send(octets, path._replace(via=pending.via, tcp=True))]

    # -- what neighbours say

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """Take a question of a neighbour's, or an answer."""
        try:
            message = decode_hop(octets)
        except (Malformed, UnsupportedVersion, PeerFault):
            self._counts["unexpected"] += 1
            return []
        if isinstance(message, hop.Trace):
            number, route = message.identification, message.route

            def answer(found: Way | NoWay) -> list[RoleAction]:
                return [Relay(neighbour, self._said(number, route, found))]

            if route.relayed[-1:] != (neighbour,):
                return answer(NoWay(self._local, Code.POORLY_FORMED, f"the route does not end with {neighbour}"))
            return self._asked(route, answer, now)
        pending = self._pending.get(message.identification)
        if pending is None or pending.via or pending.following[pending.asked - 1] != neighbour:
            self._counts["unexpected"] += 1
            return []
        return self._answered(message.identification, pending, message, now)

    def _asked(self, route: Route, answer: Answer, now: Now) -> list[RoleAction]:
        if route.home_agent == self._local:
            self._counts["answered"] += 1
            return answer(())
        if self._local in route.relayed or not route.hops or len(route.relayed) >= MAX_ROUTE - 1:
            return answer(NoWay(self._local, Code.ROUTING_LOOP, f"{len(route.relayed)} have passed it on"))
        self._counts["passed-on"] += 1
        onward = Route(route.hops - 1, route.home_agent, (*route.relayed, self._local))
        return self._begin(route.home_agent, onward, answer, now)

    def _begin(
        self, destination: str, route: Route, answer: Answer, now: Now, *, public: bool = False
    ) -> list[RoleAction]:
        if destination == self._local:
            return answer(())
        try:
            following = tuple(each for each in self._ways(destination) if each not in route.relayed)
        except PeerIncompatible as refusal:
            return answer(NoWay(self._local, refusal.code, refusal.why))
        if not following:
            return answer(NoWay(self._local, Code.ROUTING_LOOP, "all who could be asked have passed it on"))
        if len(self._pending) >= MOST_PENDING:
            return answer(NoWay(self._local, Code.INSUFFICIENT_RESOURCES, "too many ask for ways"))
        return self._ask(_Pending(destination, following, route, [answer], public=public), now)

    def _ask(self, pending: _Pending, now: Now) -> list[RoleAction]:
        drawn = self._drawn(now)
        neighbour = pending.following[pending.asked]
        pending.asked += 1
        pending.began = now.monotonic
        self._pending[drawn] = pending
        return [Relay(neighbour, encode_hop(hop.Trace(drawn, pending.route, ())))]

    def _drawn(self, now: Now) -> int:
        drawn = int(now.wall) << 32 | int.from_bytes(self._entropy(4), "big")
        while drawn in self._pending:
            drawn += 1
        return drawn

    def _answered(self, number: int, pending: _Pending, message: hop.HopMessage, now: Now) -> list[RoleAction]:
        del self._pending[number]
        neighbour = pending.following[pending.asked - 1]
        if isinstance(message, Traced) and len(message.hops) < MAX_ROUTE:
            took = min(round((now.monotonic - pending.began) * 1e6), _LONGEST)
            security = Security.NONE if pending.via else self._security(neighbour)
            return self._settle(pending, (TracedHop(self._local, security, took), *message.hops), now)
        if isinstance(message, NotRelayed):
            by = message.route.relayed[-1] if message.route.relayed else neighbour
            refusal = NoWay(by, message.detail.code, message.detail.text)
            elsewhere = message.detail.code in ELSEWHERE
        else:
            refusal = NoWay(neighbour, Code.POORLY_FORMED, "its answer is none")
            elsewhere = False
        return self._failed(pending, refusal, now, elsewhere=elsewhere)

    def _failed(self, pending: _Pending, refusal: NoWay, now: Now, *, elsewhere: bool) -> list[RoleAction]:
        if elsewhere and pending.asked < len(pending.following):
            return self._ask(pending, now)
        return self._settle(pending, refusal, now)

    def _settle(self, pending: _Pending, found: Way | NoWay, now: Now) -> list[RoleAction]:
        actions: list[RoleAction] = [ClosePort(pending.via)] if pending.via else []
        if pending.public:
            self._remembered[pending.destination] = now.monotonic + REMEMBERED_FOR, found
            if len(self._remembered) > MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        for answer in pending.answers:
            actions += answer(found)
        return actions

    def _said(self, number: int, route: Route, found: Way | NoWay) -> bytes:
        """Return the answer to a question with this route."""
        if not isinstance(found, NoWay):
            return encode_hop(Traced(number, found))
        refused = Route(route.hops, route.home_agent, (*route.relayed[: MAX_ROUTE - 1], found.by))
        return encode_hop(NotRelayed(number, Detail(found.code, 0, 0, clipped(found.why)), refused))

    # -- what anybody says

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """Take a question of somebody near, or the answer of the agent that we have asked; both come over TCP."""
        try:
            message = decode_hop(octets)
        except (Malformed, UnsupportedVersion, PeerFault):
            self._counts["unexpected"] += 1
            return []
        if isinstance(message, hop.Trace) and self._public and path.tcp:
            number, route = message.identification, message.route
            return self._asked_nearby(route, lambda found: [Send(self._said(number, route, found), path)], now)
        pending = self._pending.get(message.identification)
        if pending is None or not path.tcp or not pending.via or pending.via != path.via:
            self._counts["unexpected"] += 1
            return []
        return self._answered(message.identification, pending, message, now)

    def _asked_nearby(self, route: Route, answer: Answer, now: Now) -> list[RoleAction]:
        known = self._remembered.get(route.home_agent)
        if known is not None and known[0] > now.monotonic:
            return answer(known[1])
        for pending in self._pending.values():
            if pending.public and pending.destination == route.home_agent:
                if len(pending.answers) >= MOST_PENDING:
                    return []
                pending.answers.append(answer)
                return []
        if sum(pending.public for pending in self._pending.values()) >= MOST_PUBLIC:
            return answer(NoWay(self._local, Code.INSUFFICIENT_RESOURCES, "too many ask for ways"))
        # What a stranger says of who has passed it on is of no interest.
        onward = Route(MOST_HOPS, route.home_agent, (self._local,))
        return self._begin(route.home_agent, onward, answer, now, public=True)

    # -- where nothing comes of it

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return identification in self._pending

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        """See `Role.unreachable`."""
        pending = self._pending.get(identification)
        if pending is None or pending.via or pending.following[pending.asked - 1] != neighbour:
            return []
        del self._pending[identification]
        refusal = NoWay(self._local, code, clipped(f"{neighbour}: {why}"))
        return self._failed(pending, refusal, now, elsewhere=True)

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        """Take note that our agent could not be asked."""
        actions: list[RoleAction] = []
        for number, pending in tuple(self._pending.items()):
            if pending.via and pending.via == path.via:
                del self._pending[number]
                refusal = NoWay(self._local, Code.NEXT_HOP_UNREACHABLE, f"{path}: {why}")
                actions += self._failed(pending, refusal, now, elsewhere=False)
        return actions

    def tick(self, now: Now) -> list[RoleAction]:
        """Give up waiting."""
        actions: list[RoleAction] = []
        for number, pending in tuple(self._pending.items()):
            if pending.began + ANSWER_WITHIN <= now.monotonic:
                del self._pending[number]
                silent = pending.following[pending.asked - 1]
                why = f"{silent} has not answered within {ANSWER_WITHIN:.0f} s"
                refusal = NoWay(self._local, Code.NEXT_HOP_UNREACHABLE, why)
                actions += self._failed(pending, refusal, now, elsewhere=True)
        return actions

    def next_deadline(self, now: Now) -> float | None:  # noqa: ARG002  # the interface's
        """See `Role.next_deadline`."""
        began = min((pending.began for pending in self._pending.values()), default=None)
        return None if began is None else began + ANSWER_WITHIN

    # -- what does not concern it

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        """Do nothing: it keeps nothing that lasts."""
        return []

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # the same
        """Do nothing: it has no work done."""
        return []
