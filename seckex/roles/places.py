"""Which addresses that somebody else names are good to send to.

An agent connects to where a home agent says that it takes passages, and a home agent tells an agent where that says
that it is. Both prove their names and may say any address, that of a third party or of something that only the one
who is told can reach. So nobody is sent to a group, to nowhere, to this host or to its own wire by somebody farther
away. What else of one's own network strangers may have one reach is for its filters to say.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from seckex.wire.frames import Address


def may_be_at(where: Address, own: Address) -> bool:
    """Tell whether a neighbour of who is at ``own`` may say that it is at ``where``."""
    where, own = _plain(where), _plain(own)
    if where == own:
        return True
    if where.is_unspecified or where.is_multicast or (where.version == 4 and where.is_reserved):
        return False
    if where.is_loopback:
        return own.is_loopback
    return own.is_link_local or not where.is_link_local


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
