"""What another configuration means for the peers of a node that runs.

A peer is judged by what its exchanges are given. Whose trust comes from
something else than before is a stranger: what it has here ends. Whose policy,
clock window or address has changed keeps what it has, and the next exchange is
by the new terms. All others notice nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

from seckex.node.limits import Peer

REMOVED: Final = "its peer is no longer configured"
REKEYED: Final = "what vouched for it has changed"
UNKEPT: Final = "its bound on octets cannot be kept over a restart"


@frozen
class PeerChanges:
    """The NAIs of peers, each in one of these."""

    added: frozenset[str]
    removed: frozenset[str]
    rekeyed: frozenset[str]
    altered: frozenset[str]

    @property
    def ended(self) -> frozenset[str]:
        """Those that keep nothing of what they have."""
        return self.removed | self.rekeyed


def compare(before: Mapping[str, Peer], after: Mapping[str, Peer]) -> PeerChanges:
    """Return what has changed."""
    both = before.keys() & after.keys()
    rekeyed = {nai for nai in both if before[nai].terms.authority.root != after[nai].terms.authority.root}
    return PeerChanges(
        added=frozenset(after.keys() - before.keys()),
        removed=frozenset(before.keys() - after.keys()),
        rekeyed=frozenset(rekeyed),
        altered=frozenset(nai for nai in both - rekeyed if _altered(before[nai], after[nai])),
    )


def strangers(before: Mapping[str, Peer], after: Mapping[str, Peer], changes: PeerChanges) -> Callable[[str], bool]:
    """Return what tells whether the peer with a NAI keeps nothing, also one that was known by its realm only."""

    def lost(nai: str) -> bool:
        was, is_now = before.get(nai), after.get(nai)
        if nai in changes.ended or was is None:
            return nai in changes.ended
        return is_now is None or is_now.terms.authority.root != was.terms.authority.root

    return lost


def new_policy(before: Peer, after: Peer) -> bool:
    """Return whether what was agreed by the terms of ``before`` may be against those of ``after``."""
    return before.terms.policy != after.terms.policy


def _altered(before: Peer, after: Peer) -> bool:
    same_window = before.terms.clock_window == after.terms.clock_window
    # Certificates and trust are read anew each time, and not compared.
    return new_policy(before, after) or not same_window or before.path != after.path or after.certified
