"""What traffic through agents amounted to: docs/passages.md, section 8."""

from seckex.roles.accounts.accounts import Account, Total, Whose
from seckex.roles.accounts.ledger import Ledger, Retention

__all__ = ["Account", "Ledger", "Retention", "Total", "Whose"]
