"""Totals, bounded: of more than ``limit`` those that have not grown for longest become one of their domain.

So no octet is ever lost from the sum. Where there are more domains than the bound allows totals, these become one too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from seckex.roles.accounts.accounts import Account, Total, Whose

# One for what was added, and some for a bound that was lowered.
_FOLDED_AT_ONCE: Final = 4


class Totals:
    """See the module; what has changed is to be taken, and made durable, by `changed`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._single: OrderedDict[Whose, Total] = OrderedDict()
        self._rest: OrderedDict[Whose, Total] = OrderedDict()
        self._changed: OrderedDict[Whose, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._single) + len(self._rest)

    def __iter__(self) -> Iterator[tuple[Whose, Total]]:
        yield from self._rest.items()
        yield from self._single.items()

    def get(self, whose: Whose) -> Total | None:
        """Return a total."""
        return self._table(whose).get(whose)

    def restore(self, whose: Whose, total: Total) -> None:
        """Take one over that is durable; those that grew last come last."""
        self._table(whose)[whose] = total

    def add(self, account: Account) -> None:
        """Count a finished account."""
        self._put(Whose.of(account.who), Total().with_account(account))
        for _ in range(_FOLDED_AT_ONCE):
            if len(self) <= self.limit or not self._fold():
                break

    def changed(self) -> Iterator[tuple[Whose, Total | None]]:
        """Yield what has changed since the last time, None for what is no more."""
        while self._changed:
            whose, _ = self._changed.popitem(last=False)
            yield whose, self.get(whose)

    def again(self, whose: Whose) -> None:
        """Have `changed` yield one again: it did not become durable."""
        self._changed[whose] = None

    def _table(self, whose: Whose) -> OrderedDict[Whose, Total]:
        return self._rest if whose.rest else self._single

    def _put(self, whose: Whose, more: Total) -> None:
        table = self._table(whose)
        # The last to grow comes last.
        before = table.pop(whose, None)
        table[whose] = more if before is None else before.with_total(more)
        self._changed[whose] = None

    def _fold(self) -> bool:
        """Make one less; False where that cannot be."""
        everybody = Whose()
        domains = (whose for whose in self._rest if whose != everybody)
        oldest = next(iter(self._single), None) or next(domains, None)
        if oldest is None or len(self) < 2:
            return False
        gone = self._table(oldest).pop(oldest)
        self._changed[oldest] = None
        self._put(everybody if oldest.rest else Whose(oldest.domain), gone)
        return True
