"""The foreign agent: who says where he is, and relays what he cannot read.

A request goes through, in this order: the gate, which asks for a cookie under
load; the memory of what was answered, so that a repetition costs no public-key
work and gets the same octets; the checks of `seckex.roles.foreign_agent.asked`;
then a conversation of `seckex.roles.foreign_agent.relaying`. What comes back to the
node is never longer than what it sent, or goes over TCP.

A home agent that ends a registration says so itself (`revoking`).

Of a node nothing is kept, shown or logged but the pseudonym that its home agent
gives it and the name of that. Every table has a bound (`Limits`): requests under
way and visitors are refused beyond theirs, answers give way, oldest first.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

from seckex.crypto.suites import SHA256
from seckex.errors import Malformed, PeerFault, PeerMisbehaved, UnsupportedVersion
from seckex.events.foreign_agent import AgentBusy, AgentIdle, RequestTurnedAway, VisitorForgotten, VisitorLeft
from seckex.machine import Now, Path, Report, Send
from seckex.node.buckets import Buckets, source_of
from seckex.node.drops import Drops
from seckex.node.gate import Gate, Guarded
from seckex.passage.faces import Admitted, Figures
from seckex.roles.accounts import Ledger
from seckex.roles.faces import RoleAction
from seckex.roles.foreign_agent import asked, relaying
from seckex.roles.foreign_agent.advertising import Advertising
from seckex.roles.foreign_agent.challenges import Challenges
from seckex.roles.foreign_agent.relays import Relays, keying_of, refused
from seckex.roles.foreign_agent.revoking import Revoking
from seckex.roles.foreign_agent.terms import AgentTerms, realm_of
from seckex.roles.foreign_agent.visitors import Visitor, Visitors, name_of
from seckex.roles.passing import EndingPassages
from seckex.sa.store import Outcome, Snapshot
from seckex.wire import hop
from seckex.wire.mobileip import NodeRequest, decode_node_request
from seckex.wire.mobileip.stem import encode_request_cookie, request_stem
from seckex.wire.numbers import MESSAGE_TYPE, REGISTRATION_REQUEST, Code, Kind

MOST_SHOWN: Final = 256

_REQUESTS: Final = Guarded((bytes((REGISTRATION_REQUEST,)),), request_stem, encode_request_cookie, "requests")
_IDENTIFICATION: Final = slice(16, 24)
_MESSAGE: Final = bytes((MESSAGE_TYPE,))
_KIND_AT: Final = slice(2, 4)
_REVOCATION: Final = int(Kind.REVOCATION).to_bytes(2, "big")


class ForeignAgent:
    """See the module, and `seckex.roles.faces.Role`."""

    kinds = frozenset((REGISTRATION_REQUEST, int(Kind.SOLICITATION), int(Kind.REVOCATION)))

    def __init__(self, terms: AgentTerms) -> None:
        self._terms = terms
        self._drops = Drops()
        # Rations what is told of requests that were turned away, which are counted by their codes.
        self._away = Drops()
        self._challenges = Challenges(terms.entropy)
        self._advertising = Advertising(terms, self._challenges)
        self._visitors = Visitors()
        self._ending = EndingPassages()
        self._ledger = Ledger("fa", terms.retention)
        self._relays = Relays(terms, self._visitors, self._ending)
        self._revoking = Revoking(self._visitors, self._relays, self._drops)
        self._relays.ended = self._revoking.ended
        self._gate = Gate(terms.limits.flood, terms.entropy, self._crowded, self._drops, _REQUESTS)
        self._solicitors = self._buckets()
        self._busy = ""
        self._counts: Counter[str] = Counter()

    def _buckets(self) -> Buckets:
        flood = self._terms.limits.flood
        return Buckets(flood.source_rate, flood.source_burst, flood.sources)

    # -- what it tells of itself

    @property
    def counters(self) -> dict[str, int]:
        """See `Role.counters`."""
        told = Counter(self._counts)
        told.update(self._relays.counters)
        told.update(self._revoking.counters)
        return (
            dict(told)
            | dict(self._drops.counters)
            | self._gate.counters
            | self._advertising.counters
            | self._ledger.counters
            | {"visitors": len(self._visitors), "gone": len(self._revoking.gone)}
        )

    def status(self, now: Now) -> dict[str, Any]:
        """See `Role.status`; of visitors the first `MOST_SHOWN`."""
        terms = self._terms
        shown = [_shown(visitor, now) for visitor, _ in zip(self._visitors, range(MOST_SHOWN), strict=False)]
        return {
            "domain": terms.domain,
            "care-of": [str(address) for address in terms.care_of],
            "servers": list(terms.servers),
            "sequence": self._advertising.sequence,
            "busy": self._busy,
            "under-way": len(self._relays),
            "visitors": shown,
            "visitors-in-all": len(self._visitors),
        }

    def visitor(self, home_agent: str, pseudonym: bytes) -> Visitor | None:
        """Return what the agent has with a visitor."""
        return self._visitors.get(name_of(home_agent, pseudonym))

    def passage(self, spi: int) -> Admitted | None:
        """Return what the traffic of a visitor comes under, by the agent's SPI of KEY 3; None where there is none."""
        return self._visitors.passage(spi)

    def has_visitor(self, spi: int) -> bool:
        """Tell whether there is a visitor whose KEY 2 has this SPI here."""
        return self._visitors.of_home(spi) is not None

    # -- life

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """See `Role.start`: visitors of before are still here, what was under way is not."""
        strange = [*self._visitors.take_over(snapshot.records), *self._revoking.gone.take_over(snapshot.records)]
        told = [Report(VisitorForgotten(why)) for why in strange]
        return [*told, *self._ledger.start(snapshot.records, now), *self.tick(now)]

    def reconfigure(self, terms: AgentTerms, now: Now) -> list[RoleAction]:
        """Go by other terms from now on, and tell everybody; what is under way goes on by those of before."""
        before, self._terms = self._terms, terms
        if terms.limits.flood != before.limits.flood:
            self._solicitors = self._buckets()
        self._gate.reconfigure(terms.limits.flood)
        self._relays.reconfigure(terms)
        self._advertising.reconfigure(terms, now)
        self._ledger.reconfigure(terms.retention, now)
        return self.tick(now)

    def next_deadline(self, now: Now) -> float | None:
        """See `Role.next_deadline`."""
        ends = now.monotonic + max(min(self._visitors.deadline, self._revoking.gone.deadline) - now.wall, 0.0)
        load = self._gate.deadline
        others = self._advertising.deadline, self._relays.deadline(), self._ending.deadline(), self._ledger.deadline
        return min(*others, ends, math.inf if load is None else load)

    def tick(self, now: Now) -> list[RoleAction]:
        """See `Role.tick`."""
        actions: list[Any] = []
        self._relays.tick(now, actions)
        for gone in self._visitors.expired(now.wall):
            why = "the registration has expired"
            actions.append(Report(VisitorLeft(gone.home_agent, gone.pseudonym.hex(), why)))
            self._ending.end(gone.spi_node, why, actions)
        self._ending.tick(now, actions)
        self._revoking.gone.expire(now.wall)
        self._gate.tick(now)
        self._solicitors.expire(now.monotonic)
        actions += self._ledger.tick(now)
        actions += self._news()
        if now.monotonic >= self._advertising.deadline:
            actions += self._advertising.everybody(now, busy=bool(self._busy))
        return actions

    def _news(self) -> list[Any]:
        """Return what the gate has to tell, and whether the agent has become busy, or idle again."""
        news, self._gate.news = list[Any](self._gate.news), []
        limits = self._terms.limits
        # It is busy from seven eighths of a bound on, and until there are less than six.
        eighths = 6 if self._busy else 7
        busy = ""
        if 8 * len(self._relays) >= eighths * limits.under_way:
            busy = f"{len(self._relays)} requests under way"
        elif 8 * len(self._visitors) >= eighths * limits.visitors:
            busy = f"{len(self._visitors)} visitors"
        if bool(busy) != bool(self._busy):
            news.append(Report(AgentBusy(busy) if busy else AgentIdle()))
        self._busy = busy
        return news

    def _crowded(self) -> bool:
        return 2 * len(self._relays) > self._terms.limits.under_way

    # -- what comes from nodes

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """See `Role.received`."""
        actions: list[Any] = []
        if octets[:1] == _MESSAGE and octets[_KIND_AT] == _REVOCATION:
            self._revoking.received(octets, path, now, actions)
        elif octets[:1] != bytes((REGISTRATION_REQUEST,)):
            self._solicited(octets, path, now, actions)
        elif self._admits(octets, path, now, actions):
            self._requested(octets, path, now, actions)
        return actions + self._news()

    def _solicited(self, octets: bytes, path: Path, now: Now, actions: list[Any]) -> None:
        flood = self._terms.limits.flood
        source = source_of(path.host, flood.ipv4_prefix, flood.ipv6_prefix)
        if not self._solicitors.take(source, now.monotonic):
            why = f"more than {flood.source_rate:g} solicitations a second from its part of the net"
            self._drops.note("source-rate", why, path, now, actions)
            return
        try:
            actions.append(self._advertising.answer(octets, path, busy=bool(self._busy)))
        except (Malformed, PeerFault, UnsupportedVersion) as fault:
            self._drops.note("malformed", str(fault), path, now, actions)

    def _admits(self, octets: bytes, path: Path, now: Now, actions: list[Any]) -> bool:
        """Tell whether a request may go on; if not, it may have got an answer already."""
        if path.tcp:
            return self._gate.admits(path.host, path.port, now)
        answer = self._gate.judge(octets, path.host, path.port, now)
        if answer:
            actions.append(Send(answer, path))
        return answer is None

    def _requested(self, octets: bytes, path: Path, now: Now, actions: list[Any]) -> None:
        self._counts["requests"] += 1
        realm = ""
        try:
            request = _read(octets)
            realm = realm_of(request.home_agent)
            digest = SHA256.digest(request.octets)
            if not self._relays.repeats(digest, path, actions):
                self._check(request)
                composed = asked.compose(request, self._terms, self._relays.taken)
                self._relays.begin(digest, composed, path, now, actions)
        except PeerFault as fault:
            self._turn_away(octets, path, realm, fault, now, actions)

    def _check(self, request: NodeRequest) -> None:
        """Raise `PeerFault` for what is not relayed, or not now."""
        limits = self._terms.limits
        asked.check(request, self._terms, self._challenges)
        if len(self._relays) >= limits.under_way:
            raise PeerMisbehaved(Code.AGENT_INSUFFICIENT_RESOURCES, "too many requests are under way here; try later")
        if request.header.lifetime and len(self._visitors) >= limits.visitors:
            raise PeerMisbehaved(Code.AGENT_INSUFFICIENT_RESOURCES, "too many visitors are here; try another agent")

    def _turn_away(self, octets: bytes, path: Path, realm: str, fault: PeerFault, now: Now, actions: list[Any]) -> None:
        """Tell a node, which may believe it or not, that its request is not relayed."""
        self._counts[f"turned-away.{fault.code.label}"] += 1
        answer = refused(fault.code, int.from_bytes(octets[_IDENTIFICATION], "big"), fault.why)
        if self._away.ration("", now):
            actions.append(Report(RequestTurnedAway(realm, fault.code, fault.why, self._away.left_out())))
        if len(answer) <= len(octets):
            actions.append(Send(answer, path))

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        """See `Role.failed`: a node that has not heard us asks again."""
        del path, why, now
        self._counts["unsent"] += 1
        return []

    # -- what comes from the home network

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return self._relays.awaits(identification)

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """See `Role.heard`."""
        actions: list[Any] = []
        try:
            said = hop.decode_hop(octets)
        except (Malformed, PeerFault, UnsupportedVersion) as fault:
            self._drops.note("malformed-on-hop", f"{neighbour}: {fault}", Path("a hop", 0), now, actions)
            return actions
        if isinstance(said, hop.Relayed):
            self._relays.happened(said.identification, relaying.Replied(neighbour, said.message), now, actions)
        elif isinstance(said, hop.NotRelayed):
            by = said.route.relayed[-1] if said.route.relayed else neighbour
            event = relaying.Declined(neighbour, by, said.detail.code, said.detail.text)
            self._relays.happened(said.identification, event, now, actions)
        else:
            self._counts["answers-unexpected"] += 1
        return actions + self._news()

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        """See `Role.unreachable`."""
        actions: list[Any] = []
        self._relays.happened(identification, relaying.Unsent(neighbour, code, why), now, actions)
        return actions + self._news()

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """See `Role.committed`."""
        if token < 0:
            return self._ledger.committed(token, outcome, now)
        actions: list[Any] = []
        if not self._relays.committed(token, outcome, now, actions):
            self._revoking.committed(token, outcome, actions)
        return actions + self._news()

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        """See `Role.worked`."""
        actions: list[Any] = []
        self._relays.worked(token, result, now, actions)
        return actions

    # -- accounts

    def accounted(self, figures: Figures, now: Now) -> list[RoleAction]:
        """See `Accounting.accounted`."""
        return self._ledger.accounted(figures, now)

    def closing(self) -> list[RoleAction]:
        """See `Accounting.closing`."""
        return self._ledger.closing()


def _read(octets: bytes) -> NodeRequest:
    """Return a request; raises `PeerFault` with what the node is told of one that is none."""
    try:
        return decode_node_request(octets)
    except (Malformed, PeerFault) as fault:
        raise asked.objection_to(fault) from None


def _shown(visitor: Visitor, now: Now) -> dict[str, Any]:
    keying, kem = keying_of(visitor)
    return {
        "pseudonym": visitor.pseudonym.hex(),
        "home-agent": visitor.home_agent,
        "expires-in": max(visitor.until - int(now.wall), 0),
        "keying": keying,
        "kem": kem,
    }
