"""Registrations that are no bindings any more, and that their agents may still have: docs/passages.md, section 7.

A node that registers again through the same agent leaves one behind that nothing is said of, since the agent is not to
learn that the two are of one node; it is remembered, so that the agent can be told when the node is revoked. Of any
other there is a REVOCATION, the same octets each time that it is said. Nothing of KEY 2 is kept but the key of these.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.revoking import RevocationKey, digest_of
from seckex.exchange.terms import Entropy
from seckex.machine import Now, Path
from seckex.roles.home_agent.bindings import Binding
from seckex.wire.frames import Address
from seckex.wire.numbers import Reason
from seckex.wire.revocation import Revocation

#: Seconds for which what a node has left behind at another agent goes on, so that its links can move.
MOVES_WITHIN: Final = 5.0
#: Seconds in which the reply to a deregistration comes to the agent that has relayed it.
HEARS_WITHIN: Final = 1.0

_MICROSECONDS: Final = 1_000_000
_MOST_TIME: Final = 0xFFFF_FFFF_FFFF_FFFF


@frozen
class Ended:
    """A registration of ``node`` through ``agent``, which is at ``address`` and ``port``, that ended at ``since``.

    ``until`` is when its lifetime would have been over, ``due`` when the agent is to be told, all in wall-clock
    seconds. ``revocation`` is what it is told for ``reason``; both are empty where it is told nothing.
    """

    node: str
    agent: str
    address: Address
    port: int
    spi_in: int
    spi_out: int
    spi_of_node: int
    since: float
    until: float
    key: RevocationKey = field(repr=False)
    reason: Reason | None = None
    due: float = 0.0
    revocation: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> bytes:
        """What there is one record of: both SPIs of KEY 2."""
        return self.spi_in.to_bytes(4, "big") + self.spi_out.to_bytes(4, "big")

    @property
    def digest(self) -> bytes:
        """What the answer names the revocation by."""
        return digest_of(self.revocation)

    @property
    def path(self) -> Path:
        """Where the agent is told."""
        return Path(str(self.address), self.port)

    def told(self, reason: Reason, entropy: Entropy, now: Now, due: float = 0.0) -> Ended:
        """Return it with a REVOCATION for ``reason``."""
        identification = (int(now.wall) & 0xFFFF_FFFF) << 32 | int.from_bytes(entropy(4), "big")
        time = min(max(int(self.since * _MICROSECONDS), 0), _MOST_TIME)
        said = Revocation(identification, self.spi_out, reason, self.spi_of_node, time)
        return evolve(self, reason=reason, due=due, revocation=self.key.sign(said))


def _of(node: str, binding: Binding, now: Now) -> Ended:
    spis = binding.spi_in, binding.spi_out, binding.spi_of_node
    key = RevocationKey.of(binding.keys)
    return Ended(node, binding.agent, binding.address, binding.port, *spis, now.wall, binding.until, key)


def over(node: str, binding: Binding, reason: Reason, entropy: Entropy, now: Now) -> Ended:
    """Return what is kept of a binding that has ended, of which the agent is told at once."""
    return _of(node, binding, now).told(reason, entropy, now)


def left(node: str, binding: Binding, by: str, entropy: Entropy, now: Now) -> Ended:
    """Return what is kept of a binding that the node has ended through the agent ``by``, which hears of it first."""
    due = now.wall + HEARS_WITHIN if binding.agent == by else 0.0
    return _of(node, binding, now).told(Reason.LEFT, entropy, now, due)


def replaced(node: str, binding: Binding, by: str, entropy: Entropy, now: Now) -> Ended:
    """Return what is kept of a binding in whose place there is one through the agent ``by``."""
    ended = _of(node, binding, now)
    if binding.agent == by:
        return ended
    return ended.told(Reason.MOVED, entropy, now, now.wall + MOVES_WITHIN)
