"""Which nodes there are, as their centers tell, and which static keys: taken over durably, a node at a time.

A node whose registration is being stored keeps its turn, and what a center has
told waits for that; one that waits for keys gives up. A node that was disabled,
deleted or revoked loses bindings and association at once, and its agents are told; of one that was revoked nothing
stays but its name. The static keys are made at
the first start and rotated; the centers are told of them with the next question.
"""

from __future__ import annotations

import math
from typing import Any, Final

from seckex.errors import StoreFailed
from seckex.events.home_agent import CentersSilent, NodeEnded, NodeRevoked, NodesTaken, StaticKeysMade
from seckex.events.kdc import RecordUnreadable
from seckex.machine import Now, Report
from seckex.roles.home_agent.ending import Ending, Endings, ending
from seckex.roles.home_agent.home import Home
from seckex.roles.home_agent.nodes import KnownNode, entered
from seckex.roles.home_agent.records import (
    NODE,
    REPLY,
    REVOCATION,
    SERIAL,
    STATIC_KEY,
    StaticKey,
    node_record,
    read_ended,
    read_node,
    read_reply,
    read_serial,
    serial_record,
)
from seckex.roles.home_agent.registering import Registering
from seckex.roles.home_agent.statics import Statics
from seckex.roles.home_agent.syncing import Syncing
from seckex.roles.home_agent.units import Units
from seckex.sa.store import DeleteRecord, Operation, Outcome, PutRecord, Snapshot
from seckex.wire import hop
from seckex.wire.keying import NodeEntries, NodeEntry
from seckex.wire.numbers import Reason

DISABLED: Final = "was disabled at its key distribution center"
DELETED: Final = "was deleted at its key distribution center"
REVOKED: Final = "was revoked at its key distribution center"

_TURN: Final = "told by a center"
_AGAIN: Final = 10.0


class Keeping:
    """See the module."""

    def __init__(self, home: Home, units: Units, registering: Registering, endings: Endings) -> None:
        self._home = home
        self._registering = registering
        self.syncing = Syncing(home.terms.entropy)
        self._units = units
        self._endings = endings
        self._deferred: NodeEntries | None = None
        self._keys_at: float | None = None
        self._silent = False

    # -- the start

    def start(self, snapshot: Snapshot, now: Now, actions: list[Any]) -> None:
        """Take over what the store holds."""
        home = self._home
        keys: list[StaticKey] = []
        for record in snapshot.records:
            try:
                if record.kind == NODE:
                    node = read_node(record, home.terms.nai).lived(now.wall)
                    home.nodes.put(node)
                    for binding in node.bindings:
                        home.bound(node.nai, binding.until)
                elif record.kind == REPLY:
                    home.replies.keep(record.name, read_reply(record), record.expires)
                elif record.kind == STATIC_KEY:
                    keys.append(StaticKey.read(record))
                elif record.kind == SERIAL:
                    self.syncing.serial = read_serial(record)
                elif record.kind == REVOCATION:
                    home.revocations.keep(read_ended(record), now, actions)
            except StoreFailed as error:
                actions.append(Report(RecordUnreadable(record.kind, str(error))))
        home.restored(snapshot.restored, now)
        home.statics = Statics(keys, home.terms.rotation, now.wall)
        self._keys_at = now.monotonic
        self.rotate(now, actions)

    # -- static keys

    def rotate(self, now: Now, actions: list[Any]) -> None:
        """Make the static keys that are due."""
        made, unit = self._home.statics.overdue(now.wall, self._home.terms.entropy)
        self._keys_at = None if made else self._next_rotation(now)
        if made:
            self._units.commit(unit, lambda *told: self._rotated(made, *told), actions)
        elif self.syncing.due is None and not self.syncing.waiting:
            self.syncing.begin(now)

    def _next_rotation(self, now: Now) -> float:
        # Looked at once a day at least, for the clock may be set.
        return now.monotonic + min(max(self._home.statics.due(now.wall) - now.wall, 1.0), 86400.0)

    def _rotated(self, made: tuple[StaticKey, ...], outcome: Outcome | str, now: Now, actions: list[Any]) -> None:
        if outcome is not Outcome.STORED:
            self._keys_at = now.monotonic + _AGAIN
            return
        self._home.statics.take(made)
        self._keys_at = self._next_rotation(now)
        names = tuple(key.number.name.lower().replace("_", "-") for key in made)
        actions.append(Report(StaticKeysMade(names, made[0].until)))
        self.syncing.begin(now)

    # -- nodes

    def changed(self, center: str, now: Now) -> None:
        """Take CHANGED."""
        if center in self._home.terms.centers:
            self.syncing.hasten(now)

    def entries(self, center: str, message: hop.Entries, now: Now, actions: list[Any]) -> None:
        """Take an answer that is awaited."""
        if center != self.syncing.center:
            return
        told = message.entries
        objection = self.syncing.objection(told) or self._no_room(told)
        if objection:
            self.missed(objection, now, actions)
            return
        self.syncing.answered()
        self._take(told, now, actions)

    def _no_room(self, told: NodeEntries) -> str:
        nodes = self._home.nodes
        fresh = sum(not each.deleted and self._ours(each) and nodes.get(each.node) is None for each in told.entries)
        return f"there are more than {nodes.limit} nodes" if len(nodes) + fresh > nodes.limit else ""

    def _ours(self, entry: NodeEntry) -> bool:
        return entry.home_agent in ("", self._home.terms.nai)

    def missed(self, why: str, now: Now, actions: list[Any]) -> None:
        """Ask the next center, in place of one of which nothing of use came."""
        left = self.syncing.missed(why, now)
        if left:
            actions += self.syncing.ask(left, self._home.statics.told(), now)
        elif not self._silent:
            self._silent = True
            actions.append(Report(CentersSilent(self.syncing.failing)))

    def resume(self, now: Now, actions: list[Any]) -> None:
        """Take over what waits, if it still does and nothing is in its way any more."""
        if self._deferred is not None:
            deferred, self._deferred = self._deferred, None
            self._take(deferred, now, actions)

    def _take(self, told: NodeEntries, now: Now, actions: list[Any]) -> None:
        turns = self._registering.turns
        entries = [entry for entry in told.entries if self._ours(entry)]
        for entry in entries:
            self._registering.let_go(entry.node, "its center has told something of the node", now, actions)
        if any(turns.holder(entry.node) is not None for entry in entries):
            self._deferred = told
            return
        after: dict[str, KnownNode | None] = {}
        for entry in entries:
            after[entry.node] = self._after(entry, after.get(entry.node, self._home.nodes.get(entry.node)))
        unit: list[Operation] = []
        ends: dict[str, Ending] = {}
        for nai, node in after.items():
            unit.append(DeleteRecord(NODE, nai.encode()) if node is None else PutRecord(node_record(node)))
            if node is None or not node.enabled:
                ends[nai] = ending(self._home, self._home.nodes.get(nai), nai, Reason.REVOKED, now)
                unit += ends[nai].unit
        if not entries and told.serial <= self.syncing.serial:
            self._taken(told, after, ends, now, actions)
            return
        for nai in after:
            turns.take(nai, _TURN)
        unit.append(PutRecord(serial_record(max(told.serial, self.syncing.serial))))
        self._units.commit(tuple(unit), lambda *outcome: self._stored(told, after, ends, *outcome), actions)

    def _after(self, entry: NodeEntry, known: KnownNode | None) -> KnownNode | None:
        if entry.deleted:
            return None
        node = entered(entry, known, (entry.node, self._home.terms.nai))
        return node if node.enabled else node.left()

    def _stored(
        self,
        told: NodeEntries,
        after: dict[str, KnownNode | None],
        ends: dict[str, Ending],
        outcome: Outcome | str,
        now: Now,
        actions: list[Any],
    ) -> None:
        if outcome is Outcome.STORED:
            self._taken(told, after, ends, now, actions)
        else:
            self.missed("what it tells cannot be stored", now, actions)
        for nai in after:
            self._registering.ended(nai, now, actions)

    def _taken(
        self,
        told: NodeEntries,
        after: dict[str, KnownNode | None],
        ends: dict[str, Ending],
        now: Now,
        actions: list[Any],
    ) -> None:
        nodes = self._home.nodes
        for nai, node in after.items():
            known = nodes.get(nai)
            if node is None:
                nodes.remove(nai)
            else:
                nodes.put(node)
            if nai in ends:
                self._ended(nai, known, node, ends[nai], now, actions)
        if after:
            actions.append(Report(NodesTaken(self.syncing.center, len(after), told.serial)))
        self._silent = False
        self.syncing.taken(told.serial, more=told.more, now=now)

    def _ended(
        self, nai: str, known: KnownNode | None, node: KnownNode | None, ends: Ending, now: Now, actions: list[Any]
    ) -> None:
        why = DELETED if node is None else REVOKED if node.current is None else DISABLED
        if known is not None and why == REVOKED and known.current is not None:
            actions.append(Report(NodeRevoked(nai, len({each.agent for each in ends.ended}))))
        elif known is not None and why != REVOKED and (node is None or known.enabled):
            actions.append(Report(NodeEnded(nai, why)))
        self._home.rounds.pop(nai)
        if why != DISABLED:
            self._home.pseudonyms.forget(nai)
            self._registering.refusals.pop(nai, None)
        self._endings.took(ends, f"its node {why}", now, actions)

    # -- time

    def tick(self, now: Now, actions: list[Any]) -> None:
        """Ask, or find that no answer came; make the keys that are due."""
        if self._keys_at is not None and now.monotonic >= self._keys_at:
            self.rotate(now, actions)
        due = self.syncing.due
        if due is not None and now.monotonic >= due:
            if self.syncing.waiting:
                self.missed("no answer came", now, actions)
            else:
                actions += self.syncing.ask(self._registering.centers(now), self._home.statics.told(), now)

    def deadline(self) -> float:
        """Return when `tick` has something to do (monotonic); infinity where nothing is to be waited for."""
        keys, due = self._keys_at, self.syncing.due
        return min(math.inf if keys is None else keys, math.inf if due is None else due)
