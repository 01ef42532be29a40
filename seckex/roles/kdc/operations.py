"""What an operator asks of a center: each operation is one unit, with its entry in the audit log, or did not happen.

`add` makes a node with a KEY 0 of its own and `enrol` many; `allow` disables and enables one; `rotate` draws another
KEY 0; `revoke` and `delete` destroy it; `provision` gives it away. ``told`` is called once, when it is durable, with
the nodes as they are then, or with the reason why nothing was stored. `Unfeasible` is raised where it cannot be.

A name that was used once stays: of who was deleted or revoked the version of KEY 0 is known, so that who is added
again under that name has a higher one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.config.kdc import Kdc
from seckex.config.provision import HomeKey, Provision
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.errors import Unfeasible
from seckex.events import Event
from seckex.events.kdc import (
    ArchiveLoaded,
    ArchiveMade,
    PrincipalAdded,
    PrincipalAllowed,
    PrincipalDeleted,
    PrincipalProvisioned,
    PrincipalRevoked,
    PrincipalRotated,
    PrincipalsEnrolled,
)
from seckex.machine import Now, Report
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.archive import Taking
from seckex.roles.kdc.audit import Operator, entry
from seckex.roles.kdc.commits import Commits
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import IpAddress, Known, Principal, Standing, fits
from seckex.roles.kdc.telling import Telling
from seckex.sa.store import Append, Operation, Outcome, PutRecord, Unit
from seckex.wire import keying
from seckex.wire.extensions import is_nai
from seckex.wire.info import Layer2Extension

MOST_KVNO: Final = 0xFFFFFFFF
#: So many nodes at once at most.
MOST_AT_ONCE: Final = 128

Told: TypeAlias = Callable[[Principal | str], None]


@frozen(kw_only=True)
class NewPrincipal:
    """A node that is to be added."""

    nai: str
    home_agent: str
    kvno: int = 1
    home_address: IpAddress | None = None
    layer2: Layer2Extension | None = None


class Operations:
    """See the module; a center is one. ``by`` is who asks, None the program itself."""

    def __init__(
        self,
        local: str,
        settings: Kdc,
        entropy: Callable[[int], bytes],
        directory: Directory,
        telling: Telling,
        commits: Commits,
    ) -> None:
        self.local = local
        self._settings = settings
        self._entropy = entropy
        self.directory = directory
        self._telling = telling
        self._commits = commits
        self._changing: set[str] = set()
        self._serial = 0
        self._fresh = 0
        #: Why nothing can be changed at present; nothing where it can.
        self.closed = ""

    # -- looking

    def listed(
        self, after: int, wanted: Callable[[str, Standing], bool], most: int, looked_at: int
    ) -> tuple[list[Known], int | None]:
        """Return at most ``most`` nodes that changed after a serial and are wanted, out of the next ``looked_at``.

        And after which serial to go on, None where there are no more. ``wanted`` is asked by name and standing.
        """
        found: list[Known] = []
        for count, (serial, nai, standing) in enumerate(self.directory.standings(after)):
            if count == looked_at or len(found) == most:
                return found, after
            after = serial
            if wanted(nai, standing):
                known = self.directory.find(nai)
                found += [] if known is None else [known]
        return found, None

    def find(self, nai: str) -> Known:
        """Return a node; raises `Unfeasible` for one that is not there."""
        known = self.directory.find(nai)
        if known is None or known.deleted:
            raise Unfeasible(f"{nai} is not known here")
        return known

    def home_keys(self, home_agent: str, wall: float) -> tuple[keying.HomeKey, ...]:
        """Return the static keys that a home agent has told of and that have not ended."""
        return self._telling.home_keys(home_agent, wall)

    # -- adding

    def add(
        self,
        new: NewPrincipal,
        now: Now,
        told: Told,
        by: Operator | None = None,
    ) -> list[RoleAction]:
        """Add a node; one that was deleted or revoked gets a higher version of KEY 0 than it had."""
        why = self.objection(new)
        if why:
            raise Unfeasible(why)
        principal = self._made(new, now)

        def done(later: Now) -> list[RoleAction]:
            told(principal)
            event = PrincipalAdded(principal.nai, principal.home_agent, principal.kvno, principal.serial)
            return [Report(event), *self._telling.changed({principal.home_agent}, later)]

        return self._store([principal], "added", now, by, told, done)

    def enrol(
        self,
        rows: Sequence[NewPrincipal],
        now: Now,
        told: Callable[[Sequence[Principal] | str], None],
        by: Operator | None = None,
    ) -> list[RoleAction]:
        """Add nodes, all or none; those that are there already as they are to be are passed over."""
        new = [row for row in rows if not self.has(row)]
        for row in new:
            why = self.objection(row)
            if why:
                raise Unfeasible(why)
        if len(self.directory) + self._fresh + len(new) > self.directory.most:
            raise Unfeasible(self._full())
        if len({row.nai for row in new}) < len(new):
            raise Unfeasible("a node is named twice")
        if not new:
            told(())
            return []
        principals = [self._made(row, now) for row in new]

        def done(later: Now) -> list[RoleAction]:
            told(principals)
            event = PrincipalsEnrolled(len(principals), principals[-1].serial)
            return [Report(event), *self._telling.changed({each.home_agent for each in principals}, later)]

        return self._store(principals, "enrolled", now, by, told, done)

    def has(self, new: NewPrincipal) -> bool:
        """Tell whether a node is there already, just as it is to be."""
        known = self.directory.find(new.nai)
        return (
            isinstance(known, Principal)
            and not known.deleted
            and not known.revoked
            and (known.home_agent, known.home_address, known.layer2) == (new.home_agent, new.home_address, new.layer2)
        )

    def objection(self, new: NewPrincipal) -> str:
        """Return why a node cannot be added, if it cannot."""
        if self._settings.replicates:
            return f"{self.local} is a replica of {self._settings.replicates}: add nodes there"
        if self.closed or self.directory.loading:
            return self.closed or self._unready()
        if not fits(new.nai) or not is_nai(new.home_agent):
            return "a node's name is name@realm of at most 128 octets, a home agent's of at most 253"
        if new.nai == new.home_agent:
            return f"{new.nai} cannot be its own home agent"
        known = self.directory.find(new.nai)
        if new.nai in self._changing or (known is not None and not (known.deleted or known.revoked)):
            return f"{new.nai} is there already"
        if known is not None and known.kvno == MOST_KVNO:
            return f"{new.nai} has had {MOST_KVNO} key versions, and there are no more"
        if known is not None and known.home_agent != new.home_agent:
            return f"{new.nai} was at home with {known.home_agent}, which has to forget it: take another name"
        if known is None and len(self.directory) + self._fresh >= self.directory.most:
            return self._full()
        return ""

    def _full(self) -> str:
        return f"there are {self.directory.most} nodes, and kdc.principals allows no more"

    def _made(self, new: NewPrincipal, now: Now) -> Principal:
        known = self.directory.find(new.nai)
        return Principal(
            nai=new.nai,
            home_agent=new.home_agent,
            kvno=new.kvno if known is None else known.kvno + 1,
            key0=Secret(self._entropy(KEY0_SIZE)),
            serial=self._next_serial(now),
            created=int(now.wall),
            home_address=new.home_address,
            layer2=new.layer2,
        )

    # -- changing

    def allow(self, nai: str, now: Now, told: Told, by: Operator | None = None, *, enabled: bool) -> list[RoleAction]:
        """Have a node's home agent take it, or no longer."""
        known = self._own(nai)
        if known.revoked:
            raise Unfeasible(f"{nai} is revoked, which only another KEY 0 undoes: rotate it, and provision the node")
        if known.enabled == enabled:
            told(known)
            return []
        changed = evolve(known, enabled=enabled)
        what = "enabled" if enabled else "disabled"
        return self._change(changed, what, now, told, by, lambda one: PrincipalAllowed(nai, enabled, one.serial))

    def rotate(self, nai: str, now: Now, told: Told, by: Operator | None = None, until: int = 0) -> list[RoleAction]:
        """Draw another KEY 0 for a node, with the next key version; who was revoked is taken again with that one.

        The one before is taken up to ``until`` (seconds since 1970), 0: until the node has used the new one.
        """
        known = self._own(nai)
        if known.kvno == MOST_KVNO:
            raise Unfeasible(f"{nai} has had {MOST_KVNO} key versions, and there are no more")
        if until and known.revoked:
            raise Unfeasible(f"{nai} is revoked: there is no KEY 0 before that could be taken")
        if until and until <= now.wall:
            raise Unfeasible("the time up to which the KEY 0 before is taken is over already")
        changed = evolve(
            known,
            kvno=known.kvno + 1,
            key0=Secret(self._entropy(KEY0_SIZE)),
            until=until,
            enabled=known.enabled or known.revoked,
            revoked=False,
        )
        event = PrincipalRotated
        return self._change(changed, "rotated", now, told, by, lambda one: event(nai, one.kvno, until, one.serial))

    def revoke(
        self,
        nais: Sequence[str],
        now: Now,
        told: Callable[[Sequence[Known] | str], None],
        by: Operator | None = None,
    ) -> list[RoleAction]:
        """Destroy the KEY 0 of nodes and have them lose everything everywhere, all or none; their names stay."""
        known = [self._own(nai) for nai in dict.fromkeys(nais)]
        changed = [
            evolve(one.without_key(revoked=True), serial=self._next_serial(now)) for one in known if not one.revoked
        ]
        if not changed:
            told(known)
            return []

        def done(later: Now) -> list[RoleAction]:
            told([self.find(one.nai) for one in known])
            events = [Report(PrincipalRevoked(one.nai, one.kvno, one.serial)) for one in changed]
            return [*self._telling.changed({one.home_agent for one in changed}, later, urgent=True), *events]

        return self._store(changed, "revoked", now, by, told, done)

    def delete(self, nai: str, now: Now, told: Told, by: Operator | None = None) -> list[RoleAction]:
        """Destroy a node's KEY 0 and have its home agent forget it."""
        changed = self._own(nai).without_key(deleted=True)
        return self._change(
            changed, "deleted", now, told, by, lambda one: PrincipalDeleted(nai, one.kvno, one.serial), urgent=True
        )

    def _own(self, nai: str) -> Principal:
        known = self.find(nai)
        if not isinstance(known, Principal):
            raise Unfeasible(f"{self.local} is a replica of {self._settings.replicates}: say so there")
        if self.closed or self.directory.loading:
            raise Unfeasible(self.closed or self._unready())
        if nai in self._changing:
            raise Unfeasible(f"{nai} is being changed already: try again")
        return known

    def _unready(self) -> str:
        return f"{self.directory.unopened} nodes have not been looked at since the start: try again in some seconds"

    def _change(
        self,
        known: Principal,
        what: str,
        now: Now,
        told: Told,
        by: Operator | None,
        event: Callable[[Principal], Event],
        *,
        urgent: bool = False,
    ) -> list[RoleAction]:
        changed = evolve(known, serial=self._next_serial(now))

        def done(later: Now) -> list[RoleAction]:
            told(changed)
            return [*self._telling.changed({changed.home_agent}, later, urgent), Report(event(changed))]

        return self._store([changed], what, now, by, told, done)

    def _next_serial(self, now: Now) -> int:
        self._serial = max(self._serial + 1, int(now.wall * 1000))
        return self._serial

    def _store(
        self,
        principals: Sequence[Principal],
        what: str,
        now: Now,
        by: Operator | None,
        failed: Callable[[str], None],
        done: Callable[[Now], list[RoleAction]],
    ) -> list[RoleAction]:
        """Make nodes durable, together with what is entered of each."""
        unit: list[Operation] = []
        fresh = 0
        for each in principals:
            is_new = self.directory.find(each.nai) is None
            fresh += is_new
            unit += (PutRecord(each.record(), fresh=is_new), _entered(each, what, now, by))
        names = {each.nai for each in principals}
        self._changing |= names
        self._fresh += fresh

        def stored(outcome: Outcome | str, later: Now) -> list[RoleAction]:
            self._changing -= names
            self._fresh -= fresh
            if outcome is not Outcome.STORED:
                about = principals[0].nai if len(principals) == 1 else "one of them"
                failed(outcome if isinstance(outcome, str) else f"{about} is in the database already")
                return []
            for each in principals:
                self.directory.put(each)
            return done(later)

        return [self._commits.ask(tuple(unit), stored)]

    # -- what else is entered

    def declined(self, what: str, nai: str, why: str, now: Now, by: Operator | None) -> list[RoleAction]:
        """Enter that an operator was refused something."""
        return [self._commits.ask((entry(now, by, "refused", nai, asked=what, why=why),), lambda _outcome, _now: [])]

    # -- archives

    def may_dump(self) -> None:
        """Raise `Unfeasible` where an archive of all nodes cannot be made here."""
        if self._settings.replicates:
            raise Unfeasible(f"{self.local} is a replica of {self._settings.replicates}, which has KEY 0: ask there")
        if self.directory.loading:
            raise Unfeasible(self._unready())

    def dumped(
        self, sealed: str, now: Now, told: Callable[[str], None], by: Operator | None = None
    ) -> list[RoleAction]:
        """Enter that all nodes are given away, sealed as is said; ``told`` gets "" then, or why it is not entered."""
        nodes = len(self.directory)

        def stored(outcome: Outcome | str, _later: Now) -> list[RoleAction]:
            told("" if outcome is Outcome.STORED else str(outcome))
            return [Report(ArchiveMade(nodes, sealed))] if outcome is Outcome.STORED else []

        return [self._commits.ask((entry(now, by, "dumped", nodes=nodes, sealed=sealed),), stored)]

    def begin_taking(self, now: Now, *, replace: bool) -> Taking:
        """Change nothing from now on until `end_taking`, and return what takes nodes over; raises `Unfeasible`."""
        self.may_dump()
        if self.closed or self._changing:
            raise Unfeasible(self.closed or "nodes are being changed: try again")
        if len(self.directory) and not replace:
            raise Unfeasible(f"there are {len(self.directory)} nodes here already, which only --replace gives up")
        self.closed = "an archive is being loaded: try again when that is done"
        return Taking(self.directory, now)

    def end_taking(self, taking: Taking | None, now: Now) -> list[RoleAction]:
        """Go on by what was taken over, which is durable; None: by what there was before."""
        self.closed = ""
        if taking is None:
            return []
        self.directory.become(taking.there)
        self._serial = max(self._serial, self.directory.latest(None))
        event = ArchiveLoaded(taking.taken, taking.kept, taking.deleted)
        return [Report(event), *self._telling.changed(self.directory.names_of_home_agents(), now)]

    def provision(self, nai: str, addresses: tuple[str, ...], now: Now) -> Provision:
        """Return what a node needs, KEY 0 among it; ``addresses`` are the home agent's."""
        known = self.find(nai)
        if not isinstance(known, Principal):
            raise Unfeasible(f"the KEY 0 of {nai} is not here: provision it at {self._settings.replicates}")
        if known.key0 is None:
            raise Unfeasible(f"{nai} is revoked, and its KEY 0 destroyed: rotate it first")
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

    def provisioned(
        self,
        provisions: Sequence[Provision],
        sealed: str,
        now: Now,
        told: Callable[[str], None],
        by: Operator | None = None,
    ) -> list[RoleAction]:
        """Enter that provisioning files were made, before they leave; ``sealed`` says how, in words.

        ``told`` is called once, with "" or the reason why nothing was stored.
        """
        unit: Unit = tuple(
            entry(now, by, "exported", one.nai, home_agent=one.home_agent, kvno=one.kvno, sealed=sealed)
            for one in provisions
        )

        def stored(outcome: Outcome | str, _later: Now) -> list[RoleAction]:
            if outcome is not Outcome.STORED:
                told(str(outcome))
                return []
            told("")
            return [Report(PrincipalProvisioned(one.nai, one.kvno, sealed)) for one in provisions]

        return [self._commits.ask(unit, stored)]


def _entered(principal: Principal, what: str, now: Now, by: Operator | None) -> Append:
    about: dict[str, object] = {"home_agent": principal.home_agent, "kvno": principal.kvno, "serial": principal.serial}
    if principal.until:
        about["until"] = principal.until
    return entry(now, by, what, principal.nai, **about)
