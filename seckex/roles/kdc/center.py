"""A key distribution center, as a role.

What neighbours say goes to `issuing` and `telling`; a replica has `copying`
beside them. What an operator asks for is in `operations`.

Everything that a center knows is in memory and in records: of `kdc.principal`,
`kdc.copy`, `kdc.issued` and `kdc.home-keys`; what was done is in the log `kdc.audit`. One process serves a state
directory; others are replicas.

At a start with many nodes keys are issued at once, and the nodes looked at in slices, of which none takes
long; until all have been, what has changed is not told, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from seckex.config.kdc import Kdc
from seckex.errors import Malformed, PeerFault, PeerMisbehaved, SeckexError, UnsupportedVersion, reply_code
from seckex.events.kdc import KeysRefused, PrincipalsLoaded, PrincipalsLoading, RecordUnreadable
from seckex.machine import Now, Path, Report
from seckex.node.drops import Drops
from seckex.node.histogram import Histogram
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.audit import entry
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.copying import Copying
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.issued import ISSUED, REMEMBERED
from seckex.roles.kdc.issuing import Issuing
from seckex.roles.kdc.operations import NewPrincipal, Operations
from seckex.roles.kdc.principals import COPIES, COPY, PRINCIPAL, PRINCIPALS
from seckex.roles.kdc.telling import HOME_KEYS, Telling
from seckex.sa.store import Outcome, Record, Snapshot
from seckex.wire import hop
from seckex.wire.general import decode_header
from seckex.wire.numbers import HEADER_SIZE, Code, Kind

__all__ = ["LATER", "Center", "NewPrincipal"]

#: The kinds of records that a store may hand over to be opened later.
LATER: Final = (PRINCIPAL, COPY)
#: So many nodes are looked at in one slice: some milliseconds.
SLICE: Final = 256

# Expired keys are forgotten this many seconds late at most, so that not each unit has a tick of its own.
_SLACK: Final = 1.0
# Progress is told after so many nodes.
_TOLD_EVERY: Final = 100_000


class Center(Operations):
    """See the module and `seckex.roles.faces.Role`; ``local`` is our NAI, ``entropy(n)`` returns n random octets."""

    def __init__(self, local: str, settings: Kdc, entropy: Callable[[int], bytes]) -> None:
        commits = Commits()
        directory = Directory(settings.principals, COPIES if settings.replicates else PRINCIPALS)
        telling = Telling(settings, directory, entropy, commits)
        super().__init__(local, settings, entropy, directory, telling, commits)
        self._form = COPIES if settings.replicates else PRINCIPALS
        self._drops = Drops()
        self._issuing = Issuing(settings, directory, entropy, commits, self._drops)
        self._copying: Copying | None = None
        self.kinds = frozenset((Kind.KEYS, Kind.NODES))
        if settings.replicates:
            self._copying = Copying(settings.replicates, directory, entropy, commits, telling.changed)
            self.kinds |= {Kind.CHANGED}
        self._when_known: list[Callable[[], None]] = []
        self._many = 0

    # -- what is told of it

    @property
    def counters(self) -> dict[str, int]:
        """See `Role.counters`."""
        issuing, telling = self._issuing, self._telling
        return {
            "principals": len(self.directory) - self.directory.deleted,
            "revoked": self.directory.revoked,
            "deleted": self.directory.deleted,
            "unopened": self.directory.unopened,
            "home-agents": self.directory.home_agents,
            "neighbours": telling.neighbours,
            "home-keys": telling.home_agents(),
            "remembered": len(issuing.issued),
            "waiting": issuing.waiting,
            "issued": issuing.counters["issued"],
            "repeated": issuing.counters["repeated"],
            "refused": issuing.counters["refused"],
            "limited": issuing.counters["limited"],
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
            "principals": len(self.directory) - self.directory.deleted,
            "revoked": self.directory.revoked,
            "loading": self.directory.unopened,
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
            if record.kind == ISSUED and record.expires <= snapshot.restored + REMEMBERED:
                # Keys of a backup are issued to nobody once more, whoever had it meanwhile.
                continue
            try:
                self._restore(record, now)
            except (Malformed, PeerFault) as error:
                actions.append(Report(RecordUnreadable(record.kind, str(error))))
        for later in snapshot.later:
            if later.kind == self._form.kind:
                self.directory.take_over(later)
        self._many = self.directory.unopened
        return actions if self.directory.loading else actions + self._known_all(now)

    def started(self, now: Now) -> list[RoleAction]:
        """Enter into the audit log that the daemon that has this center began to serve."""
        begun = entry(now, None, "started", principals=len(self.directory))
        return [self._commits.ask((begun,), lambda _outcome, _now: [])]

    def _restore(self, record: Record, now: Now) -> None:
        match record.kind:
            case kind if kind == ISSUED:
                self._issuing.issued.restore(record, now)
            case kind if kind == HOME_KEYS:
                self._telling.restore(record)
            case kind if kind == self._form.kind:
                self.directory.restore(record)

    def when_known(self, call: Callable[[], None]) -> None:
        """Call when all nodes have been looked at; now if they have."""
        if self.directory.loading:
            self._when_known.append(call)
        else:
            call()

    def _look(self, now: Now) -> list[RoleAction]:
        """Look at some more nodes."""
        before = self.directory.unopened
        damaged = self.directory.open_some(SLICE)
        actions: list[RoleAction] = [Report(RecordUnreadable(self._form.kind, why)) for why in damaged]
        if not self.directory.loading:
            return [*actions, Report(PrincipalsLoaded(len(self.directory))), *self._known_all(now)]
        seen, saw = self._many - self.directory.unopened, self._many - before
        if seen // _TOLD_EVERY > saw // _TOLD_EVERY:
            actions.append(Report(PrincipalsLoading(seen, self._many)))
        return actions

    def _known_all(self, now: Now) -> list[RoleAction]:
        self._serial = max(self._serial, self.directory.latest(None))
        waiting, self._when_known = self._when_known, []
        for call in waiting:
            call()
        actions = self._telling.begin(now)
        return actions if self._copying is None else actions + self._copying.ask(now)

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
                # An answer that comes too late may tell what is not so any more, while a later one is being stored.
                return self._copying.heard(message, now) if self._copying.awaits(message.identification) else []
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
        if self.directory.loading:
            return self._look(now)
        actions = self._telling.tick(now)
        return actions if self._copying is None else actions + self._copying.tick(now)

    def next_deadline(self, now: Now) -> float | None:
        """See `Role.next_deadline`."""
        if self.directory.loading:
            return now.monotonic
        end = self._issuing.issued.next_end
        deadlines = (
            None if end is None else end + _SLACK,
            self._telling.next_due,
            None if self._copying is None else self._copying.due,
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)
