"""Accounts at the edge: for how long they are kept, and what is told of them on the control socket."""

from __future__ import annotations

from seckex.config.accounting import Accounting
from seckex.roles.accounts import Retention


def retention_of(settings: Accounting) -> Retention:
    """Return what a ledger goes by."""
    return Retention(settings.records, float(settings.keep), settings.totals)
