"""What an initiator keeps from round to round, and how it repeats a request.

A request is repeated octet for octet, after half a second and then at doubled
intervals with jitter, until it is answered or 30 s have gone
(docs/protocol.md, section 9).
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import Action, Arm, Now, Path, Send
from seckex.sa.association import Association

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 8.0
GIVE_UP: Final = 30.0
# So many requests of a later round unanswered, and the responder is taken to have forgotten the exchange.
FORGOTTEN_AFTER: Final = 4
JITTER: Final = 0.25

# Anybody on the way can send hints; the first few are told, so that the others cannot flood the log.
MOST_HINTS: Final = 4


@frozen
class Answer:
    """A CHOICE, COUNTER, REFUSAL or CONFIRMED came for this exchange."""

    received: Received


@frozen
class OtherVersions:
    """A VERSIONS came for this exchange: a hint, not authenticated."""

    versions: tuple[int, ...]
    address: str


@frozen
class Unknown:
    """An UNKNOWN came for this exchange, from ``address``: a hint, not authenticated."""

    address: str


@frozen
class Outcome:
    """How an exchange ended: with an association, or with ``code`` (0: no answer) and ``why``."""

    peer: str
    association: Association | None
    code: int = 0
    why: str = ""


@frozen
class Attempt:
    """What stays the same from round to round: who with, where, which SPI, since when.

    ``shift`` corrects Identifications by the responder's clock, in seconds; ``again`` tells that this exchange was
    begun anew once already; ``hints`` are unauthenticated clues for whoever has to find out why nothing came.
    """

    terms: Terms
    path: Path
    spi: int
    give_up: float
    shift: int = 0
    again: bool = False
    hints: tuple[str, ...] = ()

    def identification(self, now: Now) -> int:
        """Return one for a new request: the corrected seconds modulo 2^32, and 32 random bits."""
        seconds = (int(now.wall) + self.shift) & 0xFFFFFFFF
        return seconds << 32 | int.from_bytes(self.terms.entropy(4), "big")


@frozen
class Retry:
    """One request on its way: octets, how often it went out, when it goes again."""

    request: bytes = field(repr=False)
    sent: int
    wait: float

    def again(self, attempt: Attempt, now: Now) -> tuple[Retry, tuple[Action, ...]]:
        """Return the request after one more sending, and the actions that do it."""
        jitter = 1 + JITTER * int.from_bytes(attempt.terms.entropy(2), "big") / 0xFFFF
        deadline = min(now.monotonic + self.wait * jitter, attempt.give_up)
        retry = Retry(self.request, self.sent + 1, min(self.wait * 2, LONGEST_WAIT))
        return retry, (Send(self.request, attempt.path), Arm(deadline))
