"""What an initiator keeps from round to round, and how it repeats a request.

A request is repeated octet for octet, after half a second and then at doubled
intervals with jitter, until it is answered or 30 s have gone
(docs/protocol.md, section 9).
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, field, frozen

from seckex.exchange.messages import Received, request_digest
from seckex.exchange.terms import Terms
from seckex.machine import Action, Arm, Now, Path, Send
from seckex.sa.association import Association
from seckex.wire.numbers import MAX_DATAGRAM

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 8.0
GIVE_UP: Final = 30.0
# So many requests of a later round unanswered, and the responder is taken to have forgotten the exchange.
FORGOTTEN_AFTER: Final = 4
JITTER: Final = 0.25

# Anybody on the way can send hints; the first few are told, so that the others cannot flood the log.
MOST_HINTS: Final = 4
# So many times in a round an OFFER is sent again with the cookie that somebody asks for.
MOST_COOKIES: Final = 4


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
class CookieAsked:
    """A COOKIE came for this exchange: a hint, not authenticated."""

    cookie: bytes


@frozen
class TcpAsked:
    """A USE_TCP came for the request whose stem has ``digest``: a hint, not authenticated."""

    digest: bytes


@frozen
class Unreachable:
    """The request could not be sent, or not over TCP, and why."""

    why: str


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


def sending(octets: bytes, path: Path) -> Send:
    """Return the sending of a request: over TCP where it is too long for a datagram."""
    return Send(octets, _over_tcp(path) if len(octets) > MAX_DATAGRAM else path)


def _over_tcp(path: Path) -> Path:
    # The number of a UDP socket names no connection: one is made, unless the path is over TCP already.
    return path if path.tcp else path._replace(via=None, tcp=True)


@frozen
class Retry:
    """One request on its way: octets, how often it went out, when it goes again.

    It is ``due`` then (monotonic), and ``wait`` seconds after that once more.
    ``tcp`` tells that its last sending was repeated over TCP because the responder asked for that.
    """

    request: bytes = field(repr=False)
    sent: int
    wait: float
    tcp: bool = False
    due: float = 0.0

    def again(self, attempt: Attempt, now: Now) -> tuple[Retry, tuple[Action, ...]]:
        """Return the request after one more sending, and the actions that do it."""
        jitter = 1 + JITTER * int.from_bytes(attempt.terms.entropy(2), "big") / 0xFFFF
        deadline = min(now.monotonic + self.wait * jitter, attempt.give_up)
        retry = Retry(self.request, self.sent + 1, min(self.wait * 2, LONGEST_WAIT), due=deadline)
        return retry, (sending(self.request, attempt.path), Arm(deadline))

    def over_tcp(self, attempt: Attempt, asked: TcpAsked) -> tuple[Retry, tuple[Action, ...]]:
        """Return the request after having been repeated over TCP, once for each sending over UDP.

        The next sending is over UDP again: nobody who can forge a USE_TCP keeps a request on a transport that a
        firewall may not let through.
        """
        send = sending(self.request, attempt.path)
        if self.tcp or send.path.tcp or asked.digest != request_digest(self.request):
            return self, ()
        return evolve(self, tcp=True), (Send(self.request, _over_tcp(attempt.path)),)
