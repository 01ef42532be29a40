"""A home agent, or a mobility manager, as a role.

What agents say comes over hops, and goes to `registering`; what centers say of
nodes to `keeping`; what agents answer to REVOCATION comes from whoever can send it, to `revocations`. Everything that
it knows is in memory and in records: of ``ha.node``, ``ha.reply``, ``ha.static-key``, ``ha.serial`` and
``ha.revocation``. One process serves a state directory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import nsmallest
from typing import Any, Final

from seckex.errors import Malformed, PeerFault, Unfeasible, UnsupportedVersion
from seckex.events.home_agent import BindingExpired
from seckex.machine import Now, Path, Report
from seckex.node.conversation import Driver
from seckex.passage.faces import Admitted, Figures
from seckex.roles.accounts import Ledger
from seckex.roles.faces import RoleAction
from seckex.roles.home_agent.ending import Endings
from seckex.roles.home_agent.home import Home
from seckex.roles.home_agent.keeping import Keeping
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.registering import Asker, Registering
from seckex.roles.home_agent.terms import HomeTerms
from seckex.roles.home_agent.units import Units
from seckex.roles.passing import EndingPassages
from seckex.sa.store import Outcome, Snapshot
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.numbers import MESSAGE_TYPE, Kind, Reason, SaSubType

MOST_SHOWN: Final = 256

_EVICTED_AT_ONCE: Final = 256
_LONGEST: Final = 3600.0
_NEVER: Final = math.inf
_MESSAGE: Final = bytes((MESSAGE_TYPE,))
_KIND_AT: Final = slice(2, 4)
_REVOKED: Final = int(Kind.REVOKED).to_bytes(2, "big")


class HomeAgent:
    """See the module, and `seckex.roles.faces.Role`."""

    kinds = frozenset((int(Kind.RELAY), int(Kind.CHANGED), int(Kind.REVOKED)))

    def __init__(self, terms: HomeTerms, now: Now) -> None:
        self.home = Home(terms, now)
        self._driver = Driver()
        self._registering = Registering(self.home, self._driver)
        self._units = Units(self._driver)
        self._endings = Endings(self.home, self._units, self._registering)
        self._keeping = Keeping(self.home, self._units, self._registering, self._endings)
        self._ending = EndingPassages()
        self._ledger = Ledger("ha", terms.retention)

    # -- what is told of it

    @property
    def counters(self) -> dict[str, int]:
        """See `Role.counters`."""
        home, registering = self.home, self._registering
        counts = ("registered", "refused", "deregistered", "repeated", "centers-failed")
        return dict(registering.drops.counters) | {
            "nodes": len(home.nodes),
            "bound": home.nodes.bound,
            "replies": len(home.replies),
            "under-way": len(registering),
            "rounds": len(home.rounds),
            "leaving": len(home.leaving),
            "revocations": len(home.revocations),
            "revocations-pending": home.revocations.pending,
            "revocations-told": home.revocations.counters["revocations-told"],
            "revocations-given-up": home.revocations.counters["revocations-given-up"],
            **{name: registering.counters[name] for name in counts},
            **self._ledger.counters,
        }

    @property
    def synced(self) -> bool:
        """Whether a center has ever told which nodes there are."""
        syncing = self._keeping.syncing
        return syncing.told or syncing.serial > 0

    def status(self, now: Now) -> dict[str, Any]:
        """See `Role.status`."""
        home, terms, syncing = self.home, self.home.terms, self._keeping.syncing
        nodes = nsmallest(MOST_SHOWN, home.nodes, key=lambda node: (not node.bindings, node.nai))
        return {
            "kind": "mobility-manager" if terms.sub_type is SaSubType.MN_SMM else "home-agent",
            "keying": terms.keying.name.lower().replace("_", "-"),
            "centers": list(terms.centers),
            "centers-failing": syncing.failing or None,
            "serial": syncing.serial,
            "nodes": [self._shown(node, now) for node in nodes],
            "nodes-not-shown": len(home.nodes) - len(nodes),
            "revocations": home.revocations.shown(now),
            "revocations-in-all": home.revocations.pending,
        }

    def _shown(self, node: KnownNode, now: Now) -> dict[str, Any]:
        refusal = self._registering.refusals.get(node.nai)
        return {
            "nai": node.nai,
            "enabled": node.enabled,
            "kvno": node.kvno,
            "revoked": node.current is None,
            "home-address": None if node.home_address is None else str(node.home_address),
            "spi-in": node.association or None,
            "bindings": [
                {
                    "agent": each.agent,
                    "care-of": str(each.care_of),
                    "lifetime": each.lifetime,
                    "left": max(0, int(each.until - now.wall)),
                }
                for each in node.bindings
                if each.until > now.wall
            ],
            "refused": None
            if refusal is None
            else {"code": refusal.code, "why": refusal.why, "agent": refusal.agent, "at": int(refusal.at)},
        }

    def passage(self, spi: int) -> Admitted | None:
        """Return what the traffic of a node comes under, by our SPI of KEY 2; None where there is none."""
        return self.home.nodes.passage(spi)

    # -- its life

    def reconfigure(self, terms: HomeTerms, now: Now) -> list[RoleAction]:
        """Go on by other terms of the same name and kind; what is under way goes on by those of before."""
        self.home.reconfigure(terms)
        self._keeping.syncing.hasten(now)
        self._ledger.reconfigure(terms.retention, now)
        return []

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """See `Role.start`."""
        actions: list[Any] = []
        self._keeping.start(snapshot, now, actions)
        self.home.nodes.ended.clear()
        return actions + self._ledger.start(snapshot.records, now)

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """Take REVOKED; everything else is heard from neighbours only, and counted."""
        actions: list[Any] = []
        if octets[:1] == _MESSAGE and octets[_KIND_AT] == _REVOKED:
            self.home.revocations.received(octets, path, now, actions)
            self._forget(_EVICTED_AT_ONCE, now, actions)
        else:
            self.home.drops.ration("not-over-a-hop", now)
        return actions

    def gone(self, spi_in: int, now: Now, *, by_peer: bool) -> list[RoleAction]:
        """See `Adopting.gone`: a node that ends its association has ended its registration."""
        actions: list[Any] = []
        self.home.leaving.let_go(spi_in, now, actions)
        nai = self.home.nodes.holder_of(spi_in) if by_peer else None
        if nai is not None:
            self._endings.end(nai, Reason.LEFT, "the node has ended its association", lambda _why: None, now, actions)
        return actions

    def end(self, nai: str, now: Now, done: Callable[[str], None]) -> list[RoleAction]:
        """End what a node has here, by its operator; ``done`` is told why that was not done, or nothing.

        The node may register again. Raises `Unfeasible` for one that is not known.
        """
        if self.home.nodes.get(nai) is None:
            raise Unfeasible(f"no node {nai} is at home here")
        actions: list[Any] = []
        self._endings.end(nai, Reason.OPERATOR, "was ended by an operator", done, now, actions)
        return actions

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """See `Role.heard`."""
        actions: list[Any] = []
        try:
            message = hop.decode_hop(octets)
        except (Malformed, UnsupportedVersion, PeerFault):
            self._registering.drops.ration("malformed", now)
            return actions
        registering, keeping = self._registering, self._keeping
        match message:
            case hop.Relay():
                registering.relayed(Asker(neighbour, message.identification), message.message, now, actions)
                if registering.unknown_named:
                    registering.unknown_named = False
                    keeping.syncing.hasten(now)
            case hop.Changed():
                keeping.changed(neighbour, now)
            case hop.Issued():
                registering.issued(neighbour, message.identification, message.material, now, actions)
            case hop.NotIssued():
                registering.not_issued(neighbour, message.identification, message.detail, now, actions)
            case hop.Entries() if keeping.syncing.awaits(message.identification):
                keeping.entries(neighbour, message, now, actions)
            case _:
                registering.drops.ration("not-asked", now)
        self._end_passages(now, actions)
        return actions

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return self._registering.awaits(identification) or self._keeping.syncing.awaits(identification)

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        """See `Role.unreachable`."""
        actions: list[Any] = []
        if self._keeping.syncing.awaits(identification):
            self._keeping.missed(why, now, actions)
        else:
            detail = Detail(code, 0, 0, why)
            self._registering.not_issued(neighbour, identification, detail, now, actions)
        return actions

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a role's interface
        """Nothing: a home agent sends to nobody but neighbours."""
        return []

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """See `Role.committed`."""
        if token < 0:
            return self._ledger.committed(token, outcome, now)
        actions: list[Any] = []
        conversation, _ = self._driver.committed(token, outcome, now, actions)
        if conversation is None:
            self._units.committed(token, outcome, now, actions)
        self._keeping.resume(now, actions)
        self._endings.resume(now, actions)
        self._forget(_EVICTED_AT_ONCE, now, actions)
        self._end_passages(now, actions)
        return actions

    def _end_passages(self, now: Now, actions: list[Any]) -> None:
        """Close the passages of bindings that are no more."""
        ended, self.home.nodes.ended = self.home.nodes.ended, []
        for binding, replaced in ended:
            if replaced:
                self._ending.replaced(binding.spi_in, now)
            else:
                self._ending.end(binding.spi_in, "the registration has ended", actions)

    def _forget(self, least: int, now: Now, actions: list[Any]) -> None:
        for unit in (self.home.replies.evicted(least), self.home.revocations.finished(now)):
            if unit:
                self._driver.commit(None, unit, actions)

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a role's interface
        """Nothing: no work is done aside."""
        return []

    def tick(self, now: Now) -> list[RoleAction]:
        """See `Role.tick`."""
        actions: list[Any] = []
        self._registering.tick(now, actions)
        self._keeping.tick(now, actions)
        self.home.replies.expire(now.wall)
        for _ in self.home.rounds.expired(now.monotonic):
            pass
        for before, after in self.home.expired(now.wall):
            agents = {each.agent for each in before.bindings} - {each.agent for each in after.bindings}
            actions += [Report(BindingExpired(before.nai, agent)) for agent in sorted(agents)]
        self.home.leaving.tick(now, actions)
        self.home.revocations.tick(now, actions)
        self._forget(1, now, actions)
        self._end_passages(now, actions)
        self._ending.tick(now, actions)
        return actions + self._ledger.tick(now)

    def accounted(self, figures: Figures, now: Now) -> list[RoleAction]:
        """See `Accounting.accounted`."""
        return self._ledger.accounted(figures, now)

    def closing(self) -> list[RoleAction]:
        """See `Accounting.closing`."""
        return self._ledger.closing()

    def next_deadline(self, now: Now) -> float | None:
        """See `Role.next_deadline`."""
        home, keeping = self.home, self._keeping
        return min(
            self._registering.deadline() or _NEVER,
            keeping.deadline(),
            home.leaving.deadline(),
            home.revocations.deadline(now),
            self._ending.deadline(),
            home.rounds.deadline() or _NEVER,
            self._ledger.deadline,
            # A wall clock may be set: it is looked at again in time.
            now.monotonic + min(max(min(home.next_end(), home.replies.oldest()) - now.wall, 0.0), _LONGEST),
        )
