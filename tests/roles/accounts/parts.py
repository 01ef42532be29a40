"""A ledger on a table, with a store that does what it is told, and passages that never were."""

from __future__ import annotations

from typing import Any, Final

from seckex.events import Event
from seckex.machine import Now, Report
from seckex.node.actions import Commit
from seckex.passage.faces import Figures, Octets, Party
from seckex.roles.accounts import Account, Ledger, Retention, Total, Whose
from seckex.roles.faces import RoleAction
from seckex.sa.store import MemoryStore, Outcome

AT_HOME: Final = Party("visited.example", bytes(15) + b"p", "node@example.org", "agent@visited.example")
AT_AGENT: Final = Party("example.org", bytes(15) + b"p")


def ident(number: int) -> bytes:
    """Return the id of a passage."""
    return number.to_bytes(16, "big")


def figures(number: int = 1, octets: int = 0, who: Party = AT_HOME, **changes: Any) -> Figures:
    """Return figures of a passage that carried so many octets outward and twice as many inward, all of them proved."""
    each = (Octets(octets, octets, octets), Octets(2 * octets, 2 * octets, 2 * octets))
    return Figures(ident(number), who, 1000.0, *each, **changes)


class Books:
    """A ledger, and what becomes of its units; ``broken`` has them fail."""

    def __init__(self, side: str = "ha", retention: Retention | None = None, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.ledger = Ledger(side, retention or Retention())
        self.now = Now(100.0, 2000.0)
        self.units = 0
        self.events: list[Event] = []
        self.broken = ""
        self.waiting: list[Commit] = []
        self.do(self.ledger.start(self.store.load(0, self.now.wall).records, self.now))

    def do(self, actions: list[RoleAction]) -> None:
        """Take actions, and tell at once what became of them."""
        self.take(actions)
        self.settle()

    def take(self, actions: list[RoleAction]) -> None:
        """Take actions; units wait."""
        for action in actions:
            if isinstance(action, Report):
                self.events.append(action.event)
            elif isinstance(action, Commit):
                self.waiting.append(action)

    def settle(self) -> None:
        """Make what waits durable, or not."""
        while self.waiting:
            commit = self.waiting.pop(0)
            outcome: Outcome | str = self.broken
            if not self.broken:
                self.units += 1
                [outcome] = self.store.commit([commit.unit])
            self.take(self.ledger.committed(commit.token, outcome, self.now))

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let time pass, and the ledger do what is due then."""
        self.now = Now(self.now.monotonic + seconds, self.now.wall + seconds)
        while self.ledger.deadline <= self.now.monotonic:
            self.do(self.ledger.tick(self.now))

    def tell(self, *told: Figures) -> None:
        """Tell figures, and let the tick pass that follows."""
        for each in told:
            self.do(self.ledger.accounted(each, self.now))
        self.pass_time()

    def restarted(self) -> Books:
        """Return what starts with the same store after this one was killed."""
        return Books(self.ledger.kinds.side, store=self.store)

    # -- what is durable

    def kept(self) -> list[Account]:
        """Return the finished accounts in the store, in their order."""
        page = self.store.page(self.ledger.kinds.finished, None, 1_000_000)
        return [Account.read(record.octets) for record in page.records]

    def open(self) -> list[Account]:
        """Return the open ones."""
        return [Account.read(one.octets) for one in self.store.page(self.ledger.kinds.open, None, 1_000_000).records]

    def totals(self) -> dict[Whose, Total]:
        """Return the totals in the store."""
        page = self.store.page(self.ledger.kinds.totals, None, 1_000_000)
        return {Whose.read(record.name): Total.read(record.octets) for record in page.records}
