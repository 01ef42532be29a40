"""The accounts that an agent or a home agent keeps, and how they last.

Of an open passage there is one record, which is put in place of itself when
there are new figures; once it has ended it becomes one of the finished, which
stay in the store and are not in memory. In the same unit the total that it belongs
to grows, so that whatever happens each is counted once. What comes in one tick
becomes durable in one unit, and while that is under way what follows gathers.

An account that is open when the daemon starts was left behind by one that did not end in
order: it is closed as of its last figures, and says so.

Bounds: finished accounts by number (`Retention.records`; the oldest go, totals
stay) and by age (`Retention.keep`, by the store itself); totals by `Retention.totals`; open
ones by `MOST_OPEN`, of more the one without figures for longest is closed as it is; those that
wait for a store that cannot be written by `MOST_WAITING`, of more the oldest stays open in the store and
is closed at the next start.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from attrs import define, frozen

from seckex.errors import Malformed
from seckex.events import StoreUnwritable
from seckex.events.kdc import RecordUnreadable
from seckex.machine import Now, Report
from seckex.node.actions import Commit
from seckex.passage.faces import Figures
from seckex.roles.accounts.accounts import Account, Kinds, Numbers, Total, Whose, name_of
from seckex.roles.accounts.totals import Totals
from seckex.roles.faces import RoleAction
from seckex.sa.store import DeleteRecord, Operation, Outcome, PutRecord, Record

MOST_OPEN: Final = 65536
MOST_WAITING: Final = 65536
#: Accounts, and records that are deleted, in one unit.
MOST_AT_ONCE: Final = 512
#: Seconds until a store that could not be written is tried again.
AGAIN_AFTER: Final = 10.0

_OCTETS: Final = ("outward", "outward-proved", "inward", "inward-proved")


@frozen
class Retention:
    """How many finished accounts are kept, for how many seconds after their end, and how many totals."""

    records: int = 100_000
    keep: float = 90 * 86400.0
    totals: int = 65536


@define
class _Written:
    """What a unit that is under way has in it."""

    opened: list[bytes]
    finished: list[tuple[int, Account]]
    totals: list[Whose]
    deleted: range


class Ledger:
    """See the module; ``side`` is ``fa`` or ``ha``. Its tokens are below zero: a role tells them from its own."""

    def __init__(self, side: str, retention: Retention) -> None:
        self.kinds = Kinds(side)
        self._retention = retention
        self._open: OrderedDict[bytes, Account] = OrderedDict()
        self._unwritten: OrderedDict[bytes, None] = OrderedDict()
        self._finished: deque[Account] = deque()
        # Of a unit that failed: they have their numbers, and are in the totals.
        self._numbered: deque[tuple[int, Account]] = deque()
        self.totals = Totals(retention.totals)
        self._numbers = Numbers()
        self._stored = Numbers()
        self._under_way: dict[int, _Written] = {}
        self._last_token = 0
        self._due = math.inf
        self._not_before = -math.inf
        self._counts: Counter[str] = Counter()

    @property
    def counters(self) -> dict[str, int]:
        """What a role's counters have of it."""
        return {
            "accounts.open": len(self._open),
            "accounts.waiting": len(self._finished) + len(self._numbered),
            "accounts.kept": self._numbers.next - self._numbers.first,
            "accounts.totals": len(self.totals),
            "accounts.finished": self._counts["finished"],
            "accounts.cut-short": self._counts["cut-short"],
            "accounts.lost": self._counts["lost"],
            **{f"accounts.{name}": self._counts[name] for name in _OCTETS},
        }

    # -- life

    def reconfigure(self, retention: Retention, now: Now) -> None:
        """Go by another retention; what ended before is kept for as long as was said then."""
        self._retention = retention
        self.totals.limit = retention.totals
        self._wake(now.monotonic)

    def start(self, records: Iterable[Record], now: Now) -> list[RoleAction]:
        """Take over what the store holds; close what was left open."""
        actions: list[RoleAction] = []
        kinds = self.kinds
        totals: list[tuple[Whose, Total]] = []
        for record in records:
            try:
                if record.kind == kinds.open:
                    account = Account.read(record.octets)
                    self._open[account.ident] = account
                elif record.kind == kinds.totals:
                    totals.append((Whose.read(record.name), Total.read(record.octets)))
                elif record.kind == kinds.numbers:
                    self._numbers = self._stored = Numbers.read(record.octets)
            except Malformed as error:
                actions.append(Report(RecordUnreadable(record.kind, str(error))))
        for whose, total in sorted(totals, key=lambda each: each[1].last):
            self.totals.restore(whose, total)
        for account in list(self._open.values()):
            self._close(account.cut_short())
        self._wake(now.monotonic)
        return [*actions, *self.tick(now)]

    def accounted(self, figures: Figures, now: Now) -> list[RoleAction]:
        """Take the figures of a passage; they become durable with the next tick, which is due at once."""
        account = Account.of(figures, now.wall)
        self._count(account, self._open.get(account.ident))
        if account.ended is not None:
            self._close(account)
        else:
            # The one without figures for longest comes first.
            self._open.pop(account.ident, None)
            if len(self._open) >= MOST_OPEN:
                self._close(next(iter(self._open.values())).cut_short())
            self._open[account.ident] = account
            self._unwritten[account.ident] = None
        self._wake(now.monotonic)
        return []

    def _count(self, account: Account, before: Account | None) -> None:
        """Count what has come since the figures of before."""
        for way, now, then in (
            ("outward", account.outward, None if before is None else before.outward),
            ("inward", account.inward, None if before is None else before.inward),
        ):
            self._counts[way] += now.carried - (0 if then is None else then.carried)
            self._counts[f"{way}-proved"] += now.proved - (0 if then is None else then.proved)

    def _close(self, account: Account) -> None:
        self._open.pop(account.ident, None)
        self._unwritten.pop(account.ident, None)
        self._counts["finished"] += 1
        self._counts["cut-short"] += not account.whole
        if len(self._finished) >= MOST_WAITING:
            self._finished.popleft()
            self._counts["lost"] += 1
        self._finished.append(account)

    # -- time

    @property
    def deadline(self) -> float:
        """When `tick` has something to do (monotonic); infinity while a unit is under way, or nothing waits."""
        return math.inf if self._under_way else max(self._due, self._not_before)

    def _wake(self, at: float) -> None:
        self._due = min(self._due, at)

    def tick(self, now: Now) -> list[RoleAction]:
        """Make durable what has come, unless a unit is under way."""
        return self._commit() if self.deadline <= now.monotonic else []

    def closing(self) -> list[RoleAction]:
        """Make durable what has come, whatever is under way: the daemon stops."""
        actions: list[RoleAction] = []
        while more := self._commit():
            actions += more
        return actions

    # -- the store

    def _commit(self) -> list[RoleAction]:
        self._due = math.inf
        unit, written = self._unit()
        if not unit:
            return []
        self._last_token -= 1
        self._under_way[self._last_token] = written
        return [Commit(self._last_token, tuple(unit))]

    def _unit(self) -> tuple[list[Operation], _Written]:
        """Return a portion of what is not durable yet, and what that is."""
        kinds, retention = self.kinds, self._retention
        written = _Written([], self._take_finished(), [], range(0))
        unit: list[Operation] = []
        for number, account in written.finished:
            unit.append(DeleteRecord(kinds.open, account.ident))
            if retention.records:
                unit.append(PutRecord(kinds.put_finished(number, account, retention.keep)))
        for whose, total in self.totals.changed():
            written.totals.append(whose)
            name = whose.octets()
            unit.append(
                DeleteRecord(kinds.totals, name)
                if total is None
                else PutRecord(Record(kinds.totals, name, total.octets()))
            )
        while self._unwritten and len(written.opened) < MOST_AT_ONCE:
            ident, _ = self._unwritten.popitem(last=False)
            written.opened.append(ident)
            unit.append(PutRecord(kinds.put_open(self._open[ident])))
        written.deleted = self._outnumbered()
        unit += [DeleteRecord(kinds.finished, name_of(number)) for number in written.deleted]
        if self._numbers != self._stored:
            unit.append(PutRecord(Record(kinds.numbers, b"", self._numbers.octets())))
            self._stored = self._numbers
        return unit, written

    def _take_finished(self) -> list[tuple[int, Account]]:
        """Return some that have ended, with their numbers; they are in the totals from now on."""
        taken: list[tuple[int, Account]] = []
        while self._numbered and len(taken) < MOST_AT_ONCE:
            taken.append(self._numbered.popleft())
        while self._finished and len(taken) < MOST_AT_ONCE:
            account, number = self._finished.popleft(), self._numbers.next
            self._numbers = Numbers(self._numbers.first, number + 1)
            self.totals.add(account)
            taken.append((number, account))
        return taken

    def _outnumbered(self) -> range:
        """Return the numbers of those that have to go now."""
        first, after = self._numbers.first, self._numbers.next
        gone = range(first, min(max(after - self._retention.records, first), first + MOST_AT_ONCE))
        self._numbers = Numbers(first + len(gone), after)
        return gone

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """Take what became of a unit; of one that failed everything is tried again."""
        written = self._under_way.pop(token)
        if outcome is not Outcome.STORED:
            self._unwritten.update((ident, None) for ident in written.opened if ident in self._open)
            self._numbered.extendleft(reversed(written.finished))
            for whose in written.totals:
                self.totals.again(whose)
            if written.deleted:
                self._numbers = Numbers(min(self._numbers.first, written.deleted.start), self._numbers.next)
            self._stored = Numbers(-1, -1)
            self._not_before = now.monotonic + AGAIN_AFTER
            self._wake(self._not_before)
            return [Report(StoreUnwritable(str(outcome)))]
        if self._waits:
            self._wake(now.monotonic)
        return self.tick(now)

    @property
    def _waits(self) -> bool:
        outnumbered = self._numbers.next - self._numbers.first > self._retention.records
        return bool(self._unwritten or self._finished or self._numbered or outnumbered)
