"""A key distribution center, as a role.

What neighbours say goes to `issuing` and `telling`; a replica has `copying`
beside them. What an operator asks for is here: `add` makes a node with a KEY 0
of its own, `allow` disables and enables it, `rekey` draws another KEY 0 for it,
`provision` gives its KEY 0 away.

Everything that a center knows is in memory and in records: of `kdc.principal`,
`kdc.copy`, `kdc.issued` and `kdc.home-keys`. One process serves a state
directory; others are replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from attrs import evolve, frozen

from seckex.config.kdc import Kdc
from seckex.config.provision import HomeKey, Provision
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.errors import (
    Malformed,
    PeerFault,
    PeerMisbehaved,
    SeckexError,
    Unfeasible,
    UnsupportedVersion,
    reply_code,
)
from seckex.events import Event
from seckex.events.kdc import (
    KeysRefused,
    PrincipalAdded,
    PrincipalAllowed,
    PrincipalProvisioned,
    PrincipalRekeyed,
    RecordUnreadable,
)
from seckex.machine import Now, Path, Report
from seckex.node.drops import Drops
from seckex.node.histogram import Histogram
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.copying import Copying
from seckex.roles.kdc.issued import ISSUED
from seckex.roles.kdc.issuing import Issuing
from seckex.roles.kdc.principals import COPY, PRINCIPAL, Copy, Directory, IpAddress, Known, Principal, fits
from seckex.roles.kdc.telling import HOME_KEYS, Telling
from seckex.sa.store import Outcome, PutRecord, Record, Snapshot
from seckex.wire import hop, keying
from seckex.wire.extensions import is_nai
from seckex.wire.general import decode_header
from seckex.wire.info import Layer2Extension
from seckex.wire.numbers import HEADER_SIZE, Code, Kind

MOST_KVNO: Final = 0xFFFFFFFF

# Expired keys are forgotten this many seconds late at most, so that not each unit has a tick of its own.
_SLACK: Final = 1.0


@frozen(kw_only=True)
class NewPrincipal:
    """A node that is to be added."""

    nai: str
    home_agent: str
    kvno: int = 1
    home_address: IpAddress | None = None
    layer2: Layer2Extension | None = None


class Center:
    """See the module and `seckex.roles.faces.Role`; ``local`` is our NAI, ``entropy(n)`` returns n random octets."""

    def __init__(self, local: str, settings: Kdc, entropy: Callable[[int], bytes]) -> None:
        self.local = local
        self._settings = settings
        self._entropy = entropy
        self._commits = Commits()
        self._drops = Drops()
        self.directory = Directory(settings.principals)
        self._issuing = Issuing(settings, self.directory, entropy, self._commits, self._drops)
        self._telling = Telling(settings, self.directory, entropy, self._commits)
        self._copying: Copying | None = None
        self.kinds = frozenset((Kind.KEYS, Kind.NODES))
        if settings.replicates:
            self._copying = Copying(settings.replicates, self.directory, entropy, self._commits, self._telling.changed)
            self.kinds |= {Kind.CHANGED}
        self._adding: set[str] = set()
        self._changing: set[str] = set()
        self._serial = 0

    # -- what is told of it

    @property
    def counters(self) -> dict[str, int]:
        """See `Role.counters`."""
        issuing, telling = self._issuing, self._telling
        return {
            "principals": len(self.directory),
            "home-agents": self.directory.home_agents,
            "neighbours": telling.neighbours,
            "home-keys": telling.home_agents(),
            "remembered": len(issuing.issued),
            "waiting": issuing.waiting,
            "issued": issuing.counters["issued"],
            "repeated": issuing.counters["repeated"],
            "refused": issuing.counters["refused"],
            "forgotten-early": issuing.issued.forgotten,
            "nodes-asked": telling.counters["nodes"],
            "malformed": self._drops.counters["dropped.malformed"],
        }

    def status(self, now: Now) -> dict[str, Any]:  # noqa: ARG002  # a role's interface
        """See `Role.status`."""
        return {
            "keying": list(self._settings.keying),
            "replicates": self._settings.replicates or None,
            "replicas": list(self._settings.replicas),
            "principals": len(self.directory),
            "serial": self.directory.latest(None),
        }

    @property
    def loaded(self) -> bool:
        """Whether it knows its nodes; of a replica, whether it ever copied any."""
        return self._copying is None or self._copying.settled or len(self.directory) > 0

    @property
    def took(self) -> Histogram:
        """How long it took to answer requests for keys."""
        return self._issuing.took

    # -- its life

    def reconfigure(self, settings: Kdc) -> None:
        """Go on by other settings, of which ``replicates`` are what they were."""
        self._settings = settings
        self.directory.most = settings.principals
        self._issuing.reconfigure(settings)
        self._telling.reconfigure(settings)

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """See `Role.start`."""
        actions: list[RoleAction] = []
        for record in snapshot.records:
            try:
                self._restore(record, now)
            except (Malformed, PeerFault) as error:
                actions.append(Report(RecordUnreadable(record.kind, str(error))))
        self._serial = self.directory.latest(None)
        return actions if self._copying is None else actions + self._copying.ask(now)

    def _restore(self, record: Record, now: Now) -> None:
        match record.kind:
            case kind if kind == ISSUED:
                self._issuing.issued.restore(record, now)
            case kind if kind == HOME_KEYS:
                self._telling.restore(record)
            case kind if kind == PRINCIPAL and self._copying is None:
                self.directory.put(Principal.read(record))
            case kind if kind == COPY and self._copying is not None:
                self.directory.put(Copy.read(record))

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a role's interface
        """Take nothing from who has not proved a name."""
        self._drops.ration("malformed", now)
        return []

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """See `Role.heard`."""
        try:
            message = hop.decode_hop(octets)
        except (Malformed, UnsupportedVersion, PeerFault) as error:
            return self._malformed(neighbour, octets, error, now)
        match message:
            case hop.Keys():
                return self._issuing.asked(neighbour, octets, message, now)
            case hop.Nodes():
                return self._telling.asked(neighbour, message, now)
            case hop.Entries() if self._copying is not None and neighbour == self._copying.center:
                return self._copying.heard(message, now)
            case hop.Changed() if self._copying is not None and neighbour == self._copying.center:
                return self._copying.told(now)
        return []

    def _malformed(self, neighbour: str, octets: bytes, error: SeckexError, now: Now) -> list[RoleAction]:
        told = self._drops.ration("malformed", now)
        try:
            header = decode_header(octets[:HEADER_SIZE])
        except (Malformed, UnsupportedVersion):
            header = None
        if header is not None and header.kind is Kind.KEYS:
            fault = PeerMisbehaved(reply_code(error) or Code.UNSPECIFIED, str(error))
            return self._issuing.refuse(neighbour, header.identification, "", fault, now)
        return [Report(KeysRefused(neighbour, "", int(Code.POORLY_FORMED), str(error)))] if told else []

    def awaits(self, identification: int) -> bool:
        """See `Role.awaits`."""
        return self._copying is not None and self._copying.awaits(identification)

    def unreachable(
        self,
        neighbour: str,  # noqa: ARG002  # a role's interface
        identification: int,
        why: str,
        code: int,  # noqa: ARG002  # the same
        now: Now,
    ) -> list[RoleAction]:
        """See `Role.unreachable`."""
        if self._copying is None or not self._copying.awaits(identification):
            return []
        return self._copying.failed(why, now)

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a role's interface
        """Nothing: a center sends nothing but over hops."""
        return []

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """See `Role.committed`."""
        return self._commits.told(token, outcome, now)

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # a role's interface
        """Nothing: a center has no work done aside."""
        return []

    def tick(self, now: Now) -> list[RoleAction]:
        """See `Role.tick`."""
        self._issuing.issued.expire(now)
        actions = self._telling.tick(now)
        return actions if self._copying is None else actions + self._copying.tick(now)

    def next_deadline(self, now: Now) -> float | None:  # noqa: ARG002  # a role's interface
        """See `Role.next_deadline`."""
        end = self._issuing.issued.next_end
        deadlines = (
            None if end is None else end + _SLACK,
            self._telling.next_due,
            None if self._copying is None else self._copying.due,
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # -- what an operator asks for

    def find(self, nai: str) -> Known:
        """Return a node; raises `Unfeasible` for one that is not there."""
        known = self.directory.find(nai)
        if known is None or known.deleted:
            raise Unfeasible(f"{nai} is not known here")
        return known

    def home_keys(self, home_agent: str, wall: float) -> tuple[keying.HomeKey, ...]:
        """Return the static keys that a home agent has told of and that have not ended."""
        return self._telling.home_keys(home_agent, wall)

    def changed_after(self, serial: int) -> Iterator[Known]:
        """Yield the nodes that have changed after ``serial``, in that order; 0: all."""
        return (known for known in self.directory.after(serial, None) if not known.deleted)

    def add(self, new: NewPrincipal, now: Now, told: Callable[[Principal | str], None]) -> list[RoleAction]:
        """Add a node; ``told`` is called once, when it is durable, or with the reason why it is not.

        Raises `Unfeasible` where it cannot be.
        """
        self._check(new)
        self._serial = max(self._serial + 1, int(now.wall * 1000))
        principal = Principal(
            nai=new.nai,
            home_agent=new.home_agent,
            kvno=new.kvno,
            key0=Secret(self._entropy(KEY0_SIZE)),
            serial=self._serial,
            created=int(now.wall),
            home_address=new.home_address,
            layer2=new.layer2,
        )
        self._adding.add(new.nai)

        def stored(outcome: Outcome | str, later: Now) -> list[RoleAction]:
            self._adding.discard(principal.nai)
            if outcome is not Outcome.STORED:
                told(outcome if isinstance(outcome, str) else f"{principal.nai} is in the database already")
                return []
            self.directory.put(principal)
            told(principal)
            event = PrincipalAdded(principal.nai, principal.home_agent, principal.kvno, principal.serial)
            return [Report(event), *self._telling.changed({principal.home_agent}, later)]

        return [self._commits.ask((PutRecord(principal.record(), fresh=True),), stored)]

    def allow(self, nai: str, now: Now, told: Callable[[Known | str], None], *, enabled: bool) -> list[RoleAction]:
        """Have a node's home agent take it, or no longer; ``told`` is called once, as by `add`.

        Raises `Unfeasible` where there is no such node, or where it is not for this center to say.
        """
        known = self._own(nai)
        if known.enabled == enabled:
            told(known)
            return []
        return self._change(evolve(known, enabled=enabled), partial(PrincipalAllowed, nai, enabled), now, told)

    def rekey(self, nai: str, now: Now, told: Callable[[Known | str], None]) -> list[RoleAction]:
        """Draw another KEY 0 for a node, with the next key version; ``told`` is called once, as by `add`.

        The home agent takes the former one until the node has used the new one. Raises `Unfeasible` as `allow` does.
        """
        known = self._own(nai)
        if known.kvno == MOST_KVNO:
            raise Unfeasible(f"{nai} has had {MOST_KVNO} key versions, and there are no more")
        changed = evolve(known, kvno=known.kvno + 1, key0=Secret(self._entropy(KEY0_SIZE)))
        return self._change(changed, partial(PrincipalRekeyed, nai, changed.kvno), now, told)

    def _own(self, nai: str) -> Principal:
        known = self.find(nai)
        if not isinstance(known, Principal):
            raise Unfeasible(f"{self.local} is a replica of {self._settings.replicates}: say so there")
        if nai in self._changing:
            raise Unfeasible(f"{nai} is being changed already: try again")
        return known

    def _change(
        self, known: Principal, event: Callable[[int], Event], now: Now, told: Callable[[Known | str], None]
    ) -> list[RoleAction]:
        self._serial = max(self._serial + 1, int(now.wall * 1000))
        changed = evolve(known, serial=self._serial)
        self._changing.add(changed.nai)

        def stored(outcome: Outcome | str, later: Now) -> list[RoleAction]:
            self._changing.discard(changed.nai)
            if outcome is not Outcome.STORED:
                told(str(outcome))
                return []
            self.directory.put(changed)
            told(changed)
            return [Report(event(changed.serial)), *self._telling.changed({changed.home_agent}, later)]

        return [self._commits.ask((PutRecord(changed.record()),), stored)]

    def _check(self, new: NewPrincipal) -> None:
        if self._copying is not None:
            raise Unfeasible(f"{self.local} is a replica of {self._copying.center}: add nodes there")
        if not fits(new.nai) or not is_nai(new.home_agent):
            raise Unfeasible("a node's name is name@realm of at most 128 octets, a home agent's of at most 253")
        if new.nai == new.home_agent:
            raise Unfeasible(f"{new.nai} cannot be its own home agent")
        if self.directory.find(new.nai) is not None or new.nai in self._adding:
            raise Unfeasible(f"{new.nai} is there already")
        if len(self.directory) + len(self._adding) >= self.directory.most:
            raise Unfeasible(f"there are {self.directory.most} nodes, and kdc.principals allows no more")

    def provision(self, nai: str, addresses: tuple[str, ...], now: Now) -> Provision:
        """Return what a node needs, KEY 0 among it; ``addresses`` are the home agent's.

        Raises `Unfeasible` where there is no such node, or its KEY 0 is not here.
        """
        known = self.find(nai)
        if not isinstance(known, Principal):
            raise Unfeasible(f"the KEY 0 of {nai} is not here: provision it at {self._settings.replicates}")
        keys = self.home_keys(known.home_agent, now.wall)
        return Provision(
            nai=known.nai,
            home_agent=known.home_agent,
            kvno=known.kvno,
            key0=known.key0,
            home_address=known.home_address,
            layer2=known.layer2,
            addresses=addresses,
            home_keys=tuple(HomeKey(kem=key.kem, until=key.until, public=key.public) for key in keys),
        )

    def provisioned(self, provision: Provision, sealed: str) -> list[RoleAction]:
        """Take note that a provisioning file was made; ``sealed`` says how, in words."""
        return [Report(PrincipalProvisioned(provision.nai, provision.kvno, sealed))]
