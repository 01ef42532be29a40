"""Which nodes there are, as their centers tell, and which static keys: taken over durably, a node at a time.

A node whose registration is being stored keeps its turn, and what a center has
told waits for that; one that waits for keys gives up. A node that was disabled
or deleted loses binding and association at once. The static keys are made at
the first start and rotated; the centers are told of them with the next question.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from seckex.errors import StoreFailed
from seckex.events import StoreUnwritable
from seckex.events.home_agent import CentersSilent, NodeEnded, NodesTaken, StaticKeysMade
from seckex.events.kdc import RecordUnreadable
from seckex.machine import Now, Report
from seckex.node.conversation import Driver
from seckex.roles.faces import Release
from seckex.roles.home_agent.home import Home
from seckex.roles.home_agent.nodes import KnownNode, entered
from seckex.roles.home_agent.records import (
    NODE,
    REPLY,
    SERIAL,
    STATIC_KEY,
    StaticKey,
    node_record,
    read_node,
    read_reply,
    read_serial,
    serial_record,
)
from seckex.roles.home_agent.registering import Registering
from seckex.roles.home_agent.statics import Statics
from seckex.roles.home_agent.syncing import Syncing
from seckex.sa.store import DeleteAssociation, DeleteRecord, Operation, Outcome, PutRecord, Snapshot
from seckex.wire import hop
from seckex.wire.keying import NodeEntries, NodeEntry

DISABLED: Final = "was disabled at its key distribution center"
DELETED: Final = "was deleted at its key distribution center"

_TURN: Final = "told by a center"
_AGAIN: Final = 10.0

Then: TypeAlias = Callable[[Outcome | str, Now, list[Any]], None]


class Keeping:
    """See the module."""

    def __init__(self, home: Home, driver: Driver, registering: Registering) -> None:
        self._home = home
        self._driver = driver
        self._registering = registering
        self.syncing = Syncing(home.terms.entropy)
        self._then: dict[int, Then] = {}
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
            except StoreFailed as error:
                actions.append(Report(RecordUnreadable(record.kind, str(error))))
        home.restored(snapshot.restored, now)
        home.statics = Statics(keys, home.terms.rotation, now.wall)
        self._keys_at = now.monotonic
        self.rotate(now, actions)

    def _commit(self, unit: tuple[Operation, ...], then: Then, actions: list[Any]) -> None:
        asked: list[Any] = []
        self._driver.commit(None, unit, asked)
        self._then[asked[0].token] = then
        actions += asked

    def committed(self, token: int, outcome: Outcome | str, now: Now, actions: list[Any]) -> None:
        """Take what became of a unit that no registration waits for."""
        then = self._then.pop(token, None)
        if outcome is not Outcome.STORED:
            actions.append(Report(StoreUnwritable(str(outcome))))
        if then is not None:
            then(outcome, now, actions)

    # -- static keys

    def rotate(self, now: Now, actions: list[Any]) -> None:
        """Make the static keys that are due."""
        made, unit = self._home.statics.overdue(now.wall, self._home.terms.entropy)
        self._keys_at = None if made else self._next_rotation(now)
        if made:
            self._commit(unit, lambda *told: self._rotated(made, *told), actions)
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
        unit: list[Operation] = []
        after: dict[str, KnownNode | None] = {}
        for entry in entries:
            after[entry.node] = node = self._after(entry, after.get(entry.node, self._home.nodes.get(entry.node)))
            known = self._home.nodes.get(entry.node)
            unit.append(DeleteRecord(NODE, entry.node.encode()) if node is None else PutRecord(node_record(node)))
            if known is not None and known.association and (node is None or not node.association):
                unit.append(DeleteAssociation(known.association))
        if not entries and told.serial <= self.syncing.serial:
            self._taken(told, after, now, actions)
            return
        for nai in after:
            turns.take(nai, _TURN)
        unit.append(PutRecord(serial_record(max(told.serial, self.syncing.serial))))
        self._commit(tuple(unit), lambda *outcome: self._stored(told, after, *outcome), actions)

    def _after(self, entry: NodeEntry, known: KnownNode | None) -> KnownNode | None:
        if entry.deleted:
            return None
        node = entered(entry, known, (entry.node, self._home.terms.nai))
        return node if node.enabled else node.left()

    def _stored(
        self,
        told: NodeEntries,
        after: dict[str, KnownNode | None],
        outcome: Outcome | str,
        now: Now,
        actions: list[Any],
    ) -> None:
        if outcome is Outcome.STORED:
            self._taken(told, after, now, actions)
        else:
            self.missed("what it tells cannot be stored", now, actions)
        for nai in after:
            self._registering.ended(nai, now, actions)

    def _taken(self, told: NodeEntries, after: dict[str, KnownNode | None], now: Now, actions: list[Any]) -> None:
        nodes = self._home.nodes
        for nai, node in after.items():
            known = nodes.get(nai)
            if node is None:
                nodes.remove(nai)
            else:
                nodes.put(node)
            if known is not None and (node is None or (known.enabled and not node.enabled)):
                why = DELETED if node is None else DISABLED
                actions.append(Report(NodeEnded(nai, why)))
                if known.association:
                    actions.append(Release(known.association, f"its node {why}"))
        if after:
            actions.append(Report(NodesTaken(self.syncing.center, len(after), told.serial)))
        self._silent = False
        self.syncing.taken(told.serial, more=told.more, now=now)

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
