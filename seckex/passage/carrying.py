"""The two directions of a hop that is open: how many octets, what covers them, and the bounds.

docs/passages.md, section 5. This is the hot path: counters are mutable, and
octets are looked at where they lie.

How often there is a PROOF follows the path: a second's worth of octets, so that
neither a slow path nor one that was fast at first keeps the other end without
one for long; at least 2^20 octets apart where that is possible at all.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.passage import RunningMac
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import Octets as Buffer
from seckex.errors import PeerMisbehaved
from seckex.passage.faces import MOST_HELD, MOST_UNPROVED, PROVE_EVERY, PROVE_WITHIN, UNPROVED_FOR, Octets
from seckex.wire.numbers import Code
from seckex.wire.passage import ProofFrame, decode_proof, encode_proof

#: Seconds between two looks at what is due (`HopEnd.tick`).
TICK: Final = 0.25

_FIRST_EVERY: Final = 65536
_LEAST_EVERY: Final = 4096


class Leaving:
    """What this end sends: ``carried`` octets, of which its own PROOFs cover ``proved``.

    ``acknowledged`` are those that the other end has told of. Before there is a key what was sent is kept,
    at most `MOST_HELD` octets, for the first PROOF.
    """

    __slots__ = ("_every", "_kept", "_mac", "_since", "acknowledged", "carried", "proved")

    def __init__(self) -> None:
        self.carried = self.proved = self.acknowledged = 0
        self._mac: RunningMac | None = None
        self._kept = bytearray()
        self._since = 0.0
        self._every = _FIRST_EVERY

    def begin(self, key: Secret) -> None:
        """Take the key of this side's PROOFs."""
        self._mac = RunningMac(key)
        self._mac.cover(self._kept)
        self._kept = bytearray()

    def cover(self, octets: Buffer, now: float) -> None:
        """Count octets that are sent, and have the next PROOF cover them."""
        if self.carried == self.proved:
            self._since = now
        self.carried += len(octets)
        if self._mac is None:
            self._kept += octets
        else:
            self._mac.cover(octets)

    @property
    def room(self) -> int:
        """How many octets of DATA may come before the next PROOF, or before the key."""
        return (MOST_HELD if self._mac is None else self._every) - (self.carried - self.proved)

    def due(self, now: float) -> bool:
        """Tell whether it is time for a PROOF."""
        return self._mac is not None and self.carried != self.proved and now - self._since >= PROVE_WITHIN - TICK

    def proof(self, received: int, now: float) -> bytes:
        """Return a PROOF of all that has been sent, which tells of ``received`` octets of the other direction."""
        if self._mac is None:
            raise RuntimeError("there is no key yet")
        if self.carried != self.proved:
            took = now - self._since
            if took > PROVE_WITHIN:
                self._every = max(self._every // 2, _LEAST_EVERY)
            elif took < PROVE_WITHIN / 2:
                self._every = min(self._every * 2, PROVE_EVERY)
        self.proved = self.carried
        return encode_proof(ProofFrame(self.carried, received, self._mac.tag(self.carried, received)))

    def acknowledge(self, received: int) -> None:
        """Take what the other end says that it has received; raises `PeerMisbehaved` if that cannot be."""
        if not self.acknowledged <= received <= self.carried:
            why = f"{received} octets are acknowledged, of {self.carried}, after {self.acknowledged}"
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, why)
        self.acknowledged = received

    def octets(self) -> Octets:
        """Return the counts."""
        return Octets(self.carried, self.proved, self.acknowledged)


class Arriving:
    """What the other end sends: ``carried`` octets, of which its PROOFs cover ``proved``.

    ``acknowledged`` are those that PROOFs of ours have told it of.
    """

    __slots__ = ("_mac", "_since", "acknowledged", "carried", "proved")

    def __init__(self) -> None:
        self.carried = self.proved = self.acknowledged = 0
        self._mac: RunningMac
        self._since = 0.0

    def begin(self, key: Secret) -> None:
        """Take the key of the other side's PROOFs."""
        self._mac = RunningMac(key)

    def cover(self, octets: Buffer, now: float) -> None:
        """Take octets that have come; raises `PeerMisbehaved` for too many without a PROOF."""
        if self.carried == self.proved:
            self._since = now
        self.carried += len(octets)
        if self.carried - self.proved > MOST_UNPROVED:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, f"{self.carried - self.proved} octets came without a PROOF")
        self._mac.cover(octets)

    def verify(self, octets: Buffer, leaving: Leaving) -> None:
        """Take a PROOF; raises `PeerMisbehaved` for counts that cannot be, `AuthenticationFailed` for all others."""
        sent, received, mac = decode_proof(octets)
        if sent != self.carried:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, f"a PROOF over {sent} octets where {self.carried} came")
        self._mac.verify(sent, received, mac)
        leaving.acknowledge(received)
        self.proved = sent

    def overdue(self, now: float) -> bool:
        """Tell whether octets wait for a PROOF for too long."""
        return self.carried != self.proved and now - self._since > UNPROVED_FOR

    def resumed(self, now: float) -> None:
        """Count the time anew: nothing could come, since this end did not read."""
        self._since = now

    def octets(self) -> Octets:
        """Return the counts."""
        return Octets(self.carried, self.proved, self.acknowledged)
