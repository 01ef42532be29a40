"""Whom a node knows: by name, or, where certificates or registrations prove names, by realm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import evolve

from seckex.crypto.authority import Authority, Registration
from seckex.crypto.certified import Certificates
from seckex.node.limits import Peer

EVERYBODY: Final = "*@"


class Peers(Mapping[str, Peer]):
    """By NAI; a peer named ``*@realm`` is everybody of that realm who has no entry of its own, but for ourselves.

    Iteration yields the names as they were configured.
    """

    def __init__(self, local: str, peers: Iterable[Peer]) -> None:
        self._local = local
        self._peers: dict[str, Peer] = {}
        self.replace(peers)

    def replace(self, peers: Iterable[Peer]) -> None:
        """Know these and no others."""
        self._peers = {peer.terms.peer: peer for peer in peers}

    def __getitem__(self, nai: str) -> Peer:
        peer = self._peers.get(nai)
        if peer is not None:
            return peer
        peer = self._peers[EVERYBODY + nai.partition("@")[2]]
        authority = peer.terms.authority
        named: Authority
        if nai == self._local:
            raise KeyError(nai)
        if isinstance(authority, Certificates):
            named = Certificates(authority.identity, authority.trust, nai)
        elif isinstance(authority, Registration):
            named = Registration(self._local, nai)
        else:
            raise KeyError(nai)
        return evolve(peer, terms=evolve(peer.terms, peer=nai, authority=named))

    def __contains__(self, nai: object) -> bool:
        if not isinstance(nai, str) or nai in self._peers:
            return isinstance(nai, str)
        # Asked for each association that comes or goes: what `__getitem__` makes is not made for that.
        everybody = self._peers.get(EVERYBODY + nai.partition("@")[2])
        named_by = Certificates | Registration
        return everybody is not None and nai != self._local and isinstance(everybody.terms.authority, named_by)

    def named(self, nai: str) -> bool:
        """Tell whether the peer is configured by its name, and not by its realm only."""
        return nai in self._peers

    def __iter__(self) -> Iterator[str]:
        return iter(self._peers)

    def __len__(self) -> int:
        return len(self._peers)
