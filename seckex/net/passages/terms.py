"""What all passages of a daemon have in common, and what each of them is to the port that it came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen

from seckex.events import Event
from seckex.net.principal import Clock
from seckex.passage.faces import Figures
from seckex.passage.hop import HopEnd


@frozen
class PassageTerms:
    """``entropy`` gives that many random octets; ``may_report`` counts a cause and rations what is told of it.

    ``accounted`` is given the figures of hops under KEY 2.
    """

    reactor: Any
    clock: Clock
    entropy: Callable[[int], bytes]
    report: Callable[[Event], None]
    may_report: Callable[[str], bool]
    accounted: Callable[[Figures], None]


class Passage(Protocol):
    """A passage whose hop to us was accepted; see `seckex.net.passages.port.PassagePort` for what it tells the port."""

    @property
    def hop(self) -> HopEnd:
        """The hop by which it has come."""
        ...

    @property
    def counted(self) -> HopEnd:
        """The hop under KEY 2, which is what is accounted."""
        ...

    def start(self) -> None:
        """Begin: say ACCEPT and await the first PROOF."""
        ...

    def tick(self, now: float) -> None:
        """Do what is due (monotonic), at least every `seckex.passage.carrying.TICK` seconds."""
        ...

    def close(self, code: int, why: str) -> None:
        """End it, and tell the caller so."""
        ...

    def abort(self, why: str) -> None:
        """End it at once."""
        ...
