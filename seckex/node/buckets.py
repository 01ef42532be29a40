"""Token buckets by source: how often each part of the net may ask.

A bucket holds ``burst`` tokens at most and gains ``rate`` of them a second. All
that is kept of it is when it will be full again, so a bucket that is full by
now is as good as none. At most ``most`` are kept; for one more, the one that
was used least recently gives way, and its source begins with a full one when
it comes again. So nobody new is ever turned away for want of room, and whoever
can empty more buckets than that could do so without this rule as well.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

Source: TypeAlias = tuple[int, int] | str

#: Addresses of which the prefix is remembered; the one asked for longest ago gives way.
MOST_REMEMBERED: Final = 1024

_BITS: Final = {4: 32, 6: 128}


@lru_cache(maxsize=MOST_REMEMBERED)
def source_of(host: str, ipv4_prefix: int, ipv6_prefix: int) -> Source:
    """Return the prefix that ``host`` belongs to; an IPv4 address mapped into IPv6 is the former."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    bits = ipv4_prefix if address.version == 4 else ipv6_prefix
    return address.version, int(address) >> (_BITS[address.version] - bits)


class Buckets:
    """See the module; ``rate`` in tokens a second."""

    def __init__(self, rate: float, burst: int, most: int) -> None:
        self._gain = 1 / rate
        self._depth = burst / rate
        self._most = most
        self._full_at: dict[Source, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, source: Source, now: float) -> bool:
        """Take a token at ``now`` (monotonic seconds), if there is one."""
        full_at = max(self._full_at.pop(source, now), now)
        enough = full_at + self._gain <= now + self._depth
        # Out and in again, so that the order is that of use.
        self._full_at[source] = full_at + self._gain if enough else full_at
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]
        return enough

    def expire(self, now: float) -> None:
        """Forget buckets that are full, from the one that was used least recently up to the first that is not."""
        while self._full_at:
            source = next(iter(self._full_at))
            if self._full_at[source] > now:
                return
            del self._full_at[source]
