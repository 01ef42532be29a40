"""``seckex pair``: two machines get to know each other, by files or over a connection, without an authority."""

from seckex.cli.pair import carried, kept, live, new
from seckex.cli.pair.group import pair

__all__ = ["carried", "kept", "live", "new", "pair"]
