"""The settings of accounts: for how long what passages amounted to is kept, at agents and home agents."""

from __future__ import annotations

from typing import Annotated

from attrs import frozen

from seckex.config.values import Seconds, Whole


@frozen(kw_only=True)
class Accounting:
    """What is kept of traffic through agents (docs/passages.md, section 8)."""

    records: Annotated[int, Whole(0, 10_000_000)] = 100_000
    """Finished passages whose records are kept; of more the oldest go, and their octets stay in the totals."""

    keep: Annotated[int, Seconds(3600, 3650 * 86400)] = 90 * 86400
    """How long after its end the record of a passage is kept."""

    totals: Annotated[int, Whole(16, 1_000_000)] = 65536
    """Totals at most; of more, those that have not grown for longest become one of their domain."""
