"""What a group is to an exchange: the initiator begins, the responder answers, the initiator finishes.

Diffie-Hellman and key encapsulation both fit: of the two only the latter has
values of different sizes for the two roles. Randomness is drawn by the caller
and passed in, so that whatever takes long can be run aside, as a pure function
of its arguments. The one exception is the encapsulation of ML-KEM, for which
the library draws by itself.

A value of the peer that will not do raises `PeerMisbehaved`, code
bad-key-share. A share is made for one round of one exchange and forgotten with
it; it shows its value and nothing else.
"""

from __future__ import annotations

from typing import Protocol

from seckex.crypto.secrets import Secret
from seckex.errors import PeerMisbehaved
from seckex.wire.numbers import Code


class Share(Protocol):
    """The initiator's half: ``value`` goes to the responder."""

    @property
    def value(self) -> bytes:
        """The public value."""
        ...

    def finish(self, peer_value: bytes) -> Secret:
        """Return the shared secret; raises `PeerMisbehaved` for a value that will not do."""
        ...


class Group(Protocol):
    """One way to agree on a secret.

    ``randomness`` is how many random octets each role needs, ``initiator_size``
    and ``responder_size`` what their values have. What is ``heavy`` takes longer
    than a reactor should wait for.
    """

    @property
    def name(self) -> str:
        """What configurations and logs call it."""
        ...

    @property
    def randomness(self) -> int:
        """Random octets for `begin` and for `respond`."""
        ...

    @property
    def initiator_size(self) -> int:
        """Octets of the initiator's value."""
        ...

    @property
    def responder_size(self) -> int:
        """Octets of the responder's value."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether it is to be run aside."""
        ...

    def begin(self, randomness: bytes) -> Share:
        """Return the initiator's share, made from ``randomness``."""
        ...

    def respond(self, peer_value: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """Return the responder's value and the shared secret; raises `PeerMisbehaved`."""
        ...


class DiffieHellman:
    """What groups have in common whose two roles do the same: a responder begins and finishes at once."""

    def begin(self, randomness: bytes) -> Share:
        """See `Group.begin`."""
        raise NotImplementedError

    def respond(self, peer_value: bytes, randomness: bytes) -> tuple[bytes, Secret]:
        """See `Group.respond`."""
        share = self.begin(randomness)
        return share.value, share.finish(peer_value)


def bad_share(why: str) -> PeerMisbehaved:
    """Return the error for a value of the peer."""
    return PeerMisbehaved(Code.BAD_KEY_SHARE, why)


def check_size(value: bytes, size: int, kind: str) -> None:
    """Insist on the size of a peer's value; ``kind`` is "an X25519 value" or the like."""
    if len(value) != size:
        raise bad_share(f"{kind} has {size} octets, this one {len(value)}")
