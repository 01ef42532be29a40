"""What an operator can have a daemon do, as narrow as the commands need it.

A daemon offers an `Operator` to its control socket. `PrincipalOperator` is the
one that stands on a node: each call is one call of the node, and what comes of
it is told by events, as everything else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from seckex.crypto.secrets import Secret
from seckex.net.principal import Principal
from seckex.sa.association import Association

LONGEST_LABEL: Final = 255
LONGEST_CONTEXT: Final = 1024


class Operator(Protocol):
    """See the module. ``peer`` is a NAI that it `knows`; what cannot be done raises `seckex.errors.Unfeasible`."""

    @property
    def local(self) -> str:
        """Our NAI."""
        ...

    def known(self) -> Iterable[str]:
        """Return the names of all peers as they were configured."""
        ...

    def knows(self, peer: str) -> bool:
        """Tell whether ``peer`` is one of them, or meant by one of them."""
        ...

    def has_address(self, peer: str) -> bool:
        """Tell whether ``peer`` can be asked for an association from here."""
        ...

    def associations(self, peer: str) -> list[Association]:
        """Return the live associations with ``peer``, the oldest first."""
        ...

    def up(self, peer: str) -> None:
        """Have an association with ``peer`` from now on, and begin at once."""
        ...

    def rekey(self, peer: str) -> None:
        """Have another association in place of the one with ``peer``, from whichever end."""
        ...

    def down(self, peer: str) -> None:
        """End every association with ``peer``, tell it, and begin none until `up`."""
        ...

    def export(self, peer: str, label: bytes, context: bytes, length: int) -> tuple[Association, Secret]:
        """Return keying material of the association with ``peer``, and which that is."""
        ...


class PrincipalOperator:
    """See the module."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @property
    def local(self) -> str:
        """See `Operator.local`."""
        return self._principal.node.local

    def known(self) -> Iterable[str]:
        """See `Operator.known`."""
        return self._principal.node.peers

    def knows(self, peer: str) -> bool:
        """See `Operator.knows`."""
        return peer in self._principal.node.peers

    def has_address(self, peer: str) -> bool:
        """See `Operator.has_address`."""
        return self._principal.node.peers[peer].path is not None

    def associations(self, peer: str) -> list[Association]:
        """See `Operator.associations`."""
        wall = self._principal.clock.wall()
        return [one for one in self._principal.node.associations.held(peer) if wall < one.expires]

    def up(self, peer: str) -> None:
        """See `Operator.up`."""
        self._principal.want(peer)

    def rekey(self, peer: str) -> None:
        """See `Operator.rekey`."""
        self._principal.rekey(peer)

    def down(self, peer: str) -> None:
        """See `Operator.down`."""
        self._principal.down(peer)

    def export(self, peer: str, label: bytes, context: bytes, length: int) -> tuple[Association, Secret]:
        """See `Operator.export`."""
        key = self._principal.node.export(peer, label, context, length)
        return self.associations(peer)[-1], key
