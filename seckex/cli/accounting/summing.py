"""Totals as they are told: those that a daemon keeps, and what is open; or those of some records only."""

from __future__ import annotations

from typing import Any, Final

from attrs import define, field

from seckex.cli.accounting.desk import Desk
from seckex.cli.accounting.written import DIRECTIONS, FIGURES, TOTAL_SCHEMA

# What only records can tell.
_OF_RECORDS: Final = ("since", "until", "agent")

Row = dict[str, Any]


@define
class Sums:
    """Totals by node or pseudonym and domain, or ``by_domain`` alone."""

    by_domain: bool = False
    _totals: dict[tuple[str, str, str], Row] = field(factory=dict, init=False)

    def _of(self, row: Row) -> Row:
        node, pseudonym = ("", "") if self.by_domain else (row["node"], row["pseudonym"])
        # At home a node has many pseudonyms, and one total.
        key = row["domain"], node, "" if node else pseudonym
        total = self._totals.get(key)
        if total is None:
            head = {name: row[name] for name in ("role", "local")}
            names = {"node": node, "domain": row["domain"], "pseudonym": key[2]}
            counts = dict.fromkeys(("passages", "open", "cut_short"), 0)
            octets = {way: dict.fromkeys(FIGURES, 0) for way in DIRECTIONS}
            total = {"schema": TOTAL_SCHEMA, **head, **names, **counts, "since": None, "last": None, **octets}
            self._totals[key] = total
        return total

    def account(self, row: Row) -> None:
        """Add an account."""
        ended = row["ended"] is not None
        counts = {"passages": 1, "open": int(not ended), "cut_short": int(not row["whole"])}
        self._add(row, counts, row["began"], row["ended"] if ended else row["as_of"])

    def total(self, row: Row) -> None:
        """Add a total."""
        self._add(row, {name: row[name] for name in ("passages", "cut_short")}, row["since"], row["last"])

    def _add(self, row: Row, counts: dict[str, int], since: float, last: float) -> None:
        total = self._of(row)
        for name, count in counts.items():
            total[name] += count
        total["since"] = since if total["since"] is None else min(total["since"], since)
        total["last"] = last if total["last"] is None else max(total["last"], last)
        for way in DIRECTIONS:
            for figure in FIGURES:
                total[way][figure] += row[way][figure]

    def rows(self) -> list[Row]:
        """Return the totals by domain and name."""
        return [self._totals[key] for key in sorted(self._totals)]


def told_totals(desk: Desk, wanted: Row, sums: Sums) -> list[Row]:
    """Return the totals that are ``wanted``."""
    if any(name in wanted for name in _OF_RECORDS):
        for row in desk.accounts(wanted):
            sums.account(row)
        return sums.rows()
    # What ends meanwhile may be told twice or not at all: read first, it is counted as open, and found so again.
    for row in desk.every("open", wanted):
        sums.account(row)
    for row in desk.every("totals", wanted):
        sums.total(row)
    return sums.rows()
