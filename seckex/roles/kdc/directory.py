"""All nodes of a center by name, and in the order of their changes: a million of them in little memory.

A node is kept as the octets of its record, and read when it is asked for. What a store hands over to be opened
`Later` is opened by `Directory.open_some`, a few at a time, or when it is asked for by
its name; so a center answers for any node long before it has looked at all of
them. Until then the order of changes is not known (`loading`).

A table that grows stops everything for a moment, some 50 ms with a million nodes: what is taken over at a start has its
places before anything is answered, so that this happens only where as many nodes are added as there were.

Limits: at most ``most`` nodes, of which those that were deleted are some; whoever adds one asks `is_full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from attrs import define, field

from seckex.errors import AuthenticationFailed, Malformed
from seckex.roles.kdc.changes import Changes
from seckex.roles.kdc.principals import CURRENT, PRINCIPALS, Form, Known, Standing, as_written_now
from seckex.sa.store import Later, Record
from seckex.wire.keying import DELETED, REVOKED

# In place of the octets of a node that has not been looked at.
_UNOPENED: Final = b""


@define
class _Noted:
    serials: list[int] = field(factory=list)
    names: list[bytes] = field(factory=list)


class Directory:
    """See the module; ``form`` is how nodes are kept here."""

    def __init__(self, most: int, form: Form = PRINCIPALS) -> None:
        self.most = most
        self._form = form
        self._known: dict[bytes, bytes] = {}
        self._all = Changes()
        self._of: dict[bytes, Changes] = {}
        self._gone = 0
        self._revoked = 0
        self._later: Later | None = None
        self._unopened: Iterator[tuple[bytes, bytes]] = iter(())
        self._left = 0

    def __len__(self) -> int:
        """How many names there are, those of deleted nodes too."""
        return len(self._known)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another name."""
        return len(self) >= self.most

    @property
    def deleted(self) -> int:
        """How many of them are only names, of nodes that were deleted, as far as they have been looked at."""
        return self._gone

    @property
    def revoked(self) -> int:
        """How many are revoked, likewise."""
        return self._revoked

    @property
    def home_agents(self) -> int:
        """How many home agents there are."""
        return len(self._of)

    def has_home_agent(self, nai: str) -> bool:
        """Tell whether any node was ever at home there."""
        return nai.encode() in self._of

    # -- looking nodes up

    def find(self, nai: str) -> Known | None:
        """Return the node of this name; raises `Malformed` where its record is damaged."""
        name = nai.encode()
        octets = self._octets(name)
        return None if octets is None else self._form.read(name, octets)

    def standing(self, nai: str) -> Standing | None:
        """Return what is judged of the node of this name."""
        octets = self._octets(nai.encode())
        return None if octets is None else self._form.standing(octets)

    def _octets(self, name: bytes) -> bytes | None:
        octets = self._known.get(name)
        if octets != _UNOPENED:
            return octets
        try:
            self._open(name)
        except (AuthenticationFailed, Malformed):
            # It is told of when its turn comes.
            return None
        return self._known[name]

    def latest(self, home_agent: str | None) -> int:
        """Return the serial of the last change of a home agent's nodes; None: of all."""
        changes = self._all if home_agent is None else self._of.get(home_agent.encode())
        return 0 if changes is None else changes.latest

    def after(self, serial: int, home_agent: str | None) -> Iterator[Known]:
        """Yield the nodes of a home agent, None: all, that have changed after ``serial``, in that order."""
        changes = self._all if home_agent is None else self._of.get(home_agent.encode())
        if changes is None:
            return
        own = None if home_agent is None else home_agent.encode()
        for at, name in changes.after(serial):
            standing = self._form.standing(self._known[name])
            if standing.serial == at and own in (None, standing.home_agent):
                yield self._form.read(name, self._known[name])

    def standings(self, serial: int) -> Iterator[tuple[int, str, Standing]]:
        """Yield serial, name and standing of all nodes that have changed after ``serial``, in that order."""
        for at, name in self._all.after(serial):
            standing = self._form.standing(self._known[name])
            if standing.serial == at:
                yield at, name.decode(), standing

    def records(self, serial: int, most: int) -> list[tuple[int, bytes, bytes]]:
        """Return serial, name and record of at most ``most`` nodes that changed after ``serial``, in that order."""
        found: list[tuple[int, bytes, bytes]] = []
        for at, name in self._all.after(serial):
            octets = self._known[name]
            if self._form.standing(octets).serial == at:
                found.append((at, name, octets))
                if len(found) == most:
                    break
        return found

    def every(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield names and records of all nodes, in no order; nothing may change meanwhile."""
        return iter(self._known.items())

    def named(self, name: bytes) -> Standing | None:
        """Return what is judged of the node with the name ``name``, of those that have been looked at."""
        octets = self._known.get(name)
        return None if octets is None else self._form.standing(octets)

    def names_of_home_agents(self) -> set[str]:
        """Return the home agents of all nodes that are, or were, known."""
        return {nai.decode() for nai in self._of}

    # -- what changes

    def become(self, other: Directory) -> None:
        """Have the nodes of ``other``, and no others; home agents that had any stay known."""
        for nai in self._of:
            other._of.setdefault(nai, Changes())
        self._known, self._all, self._of = other._known, other._all, other._of
        self._gone, self._revoked = other._gone, other._revoked

    def keep(self, name: bytes, octets: bytes) -> None:
        """Take the record of a node, as it is written now and sound."""
        self._keep(name, octets)

    def put(self, known: Known) -> None:
        """Take a node, in place of what was known of it; its serial is above those of before."""
        record = known.record()
        self._octets(record.name)
        self._keep(record.name, record.octets)

    def restore(self, record: Record) -> None:
        """Take a node from its record; raises `Malformed`."""
        octets = as_written_now(record.octets)
        self._form.read(record.name, octets)
        self._keep(record.name, octets)

    def _keep(self, name: bytes, octets: bytes) -> None:
        standing = self._form.standing(octets)
        before = self._known.get(name)
        self._known[name] = octets
        if not before:
            self._begin(name, standing)
            return
        was = self._form.standing(before)
        of = self._changes_of(standing.home_agent)
        if was.home_agent != standing.home_agent:
            of.live += 1
            self._of[was.home_agent].live -= 1
        self._gone += (standing.flags == DELETED) - (was.flags == DELETED)
        self._revoked += (standing.flags == REVOKED) - (was.flags == REVOKED)
        self._all.note(standing.serial, name, self._is_current)
        of.note(standing.serial, name, self._is_current)

    def _is_current(self, serial: int, name: bytes) -> bool:
        return self._form.standing(self._known[name]).serial == serial

    # -- what is opened later

    @property
    def loading(self) -> bool:
        """Whether there are nodes that have not been looked at."""
        return self._later is not None

    @property
    def unopened(self) -> int:
        """How many."""
        return self._left

    def take_over(self, later: Later) -> None:
        """Take over nodes that are to be opened."""
        if len(later):
            self._later, self._left, self._unopened = later, len(later), later.left()
            self._known.update(dict.fromkeys((name for name, _ in later.left()), _UNOPENED))

    def open_some(self, most: int) -> list[str]:
        """Open at most ``most`` nodes; return what is wrong with those that are damaged."""
        damaged: list[str] = []
        later = self._later
        if later is None:
            return damaged
        unseal, checked, known = later.unseal, self._form.checked, self._known
        every = _Noted()
        of: dict[bytes, _Noted] = {}
        for name, sealed in islice(self._unopened, most):
            self._left -= 1
            try:
                octets = unseal(name, sealed)
                if octets[:1] != CURRENT:
                    octets = as_written_now(octets)
                flags, _, serial, _, home_agent = checked(octets)
            except (AuthenticationFailed, Malformed) as error:
                damaged.append(str(error))
                del known[name]
                continue
            finally:
                later.drop(name)
            known[name] = octets
            self._gone += flags == DELETED
            self._revoked += flags == REVOKED
            for noted in (every, of.get(home_agent) or of.setdefault(home_agent, _Noted())):
                noted.serials.append(serial)
                noted.names.append(name)
        self._note_all(self._all, every)
        for home_agent, noted in of.items():
            self._note_all(self._changes_of(home_agent), noted)
        if not self._left:
            self._later, self._unopened = None, iter(())
        return damaged

    def _note_all(self, changes: Changes, noted: _Noted) -> None:
        changes.live += len(noted.names)
        changes.note_all(noted.serials, noted.names, self._is_current)

    def _changes_of(self, home_agent: bytes) -> Changes:
        found = self._of.get(home_agent)
        if found is None:
            found = self._of[home_agent] = Changes()
        return found

    def _open(self, name: bytes) -> None:
        """Open one before it is its turn."""
        later = self._later
        if later is None:
            return
        octets = as_written_now(later.open(name))
        standing = Standing(*self._form.checked(octets))
        later.drop(name)
        self._left -= 1
        self._known[name] = octets
        self._begin(name, standing)

    def _begin(self, name: bytes, standing: Standing) -> None:
        """Take note of a name that was not known."""
        of = self._changes_of(standing.home_agent)
        self._all.live += 1
        of.live += 1
        self._gone += standing.flags == DELETED
        self._revoked += standing.flags == REVOKED
        self._all.note(standing.serial, name, self._is_current)
        of.note(standing.serial, name, self._is_current)
