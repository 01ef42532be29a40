"""Who takes what comes over a hop: octets into a space of their own, or where they lie."""

from __future__ import annotations

from typing import Final, Protocol


class Taker(Protocol):
    """Who takes the octets that come."""

    def space(self) -> memoryview:
        """Return where the next octets are to be put; `received` follows before anything else."""
        ...

    def received(self, count: int) -> None:
        """Take ``count`` octets that were put into `space`."""
        ...


class Pieces(Protocol):
    """Who takes octets and PROOFs where they lie (`HopEnd.take`)."""

    def payload(self, octets: memoryview, now: float) -> None:
        """Take octets of DATA."""
        ...

    def proof(self, place: memoryview, now: float) -> None:
        """Take note that the 36 octets here are a PROOF that has verified."""
        ...


class Copied:
    """Pieces, copied to where a `Taker` wants them."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker

    def payload(self, octets: memoryview, now: float) -> None:  # noqa: ARG002  # see Pieces
        """Copy them."""
        while octets:
            space = self._taker.space()
            count = min(len(space), len(octets))
            space[:count] = octets[:count]
            octets = octets[count:]
            self._taker.received(count)

    def proof(self, place: memoryview, now: float) -> None:
        """Nothing depends on it here."""


class Nothing:
    """Takes nothing: before a hop is open there is nothing to take."""

    def payload(self, octets: memoryview, now: float) -> None:
        """See the class."""

    def proof(self, place: memoryview, now: float) -> None:
        """See the class."""


NOTHING: Final = Nothing()
