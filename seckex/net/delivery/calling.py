"""Calls to peers: when the next attempt may be, and where it goes.

A call that is asked for is attempted until it comes to a connection; of each attempt that fails is told why. After a
failure, and after a connection that did not last `STEADY` seconds, the next attempt waits: `SHORTEST` seconds, twice as
long each time up to `LONGEST`, spread by a quarter. So whoever has lost a connection may ask for another one at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

CONNECT_WITHIN: Final = 10.0
STEADY: Final = 10.0
SHORTEST: Final = 0.5
LONGEST: Final = 30.0
SPREAD: Final = 0.25


@define
class Call:
    """What there is of calls to one address; ``make`` makes what speaks there, ``failed`` is told of attempts."""

    _reactor: Any
    host: str
    port: int
    _make: Callable[[], IProtocol]
    _failed: Callable[[str], None]
    _random: Callable[[], float]
    _failures: int = field(default=0, init=False)
    _not_before: float = field(default=0.0, init=False)
    _waiting: IDelayedCall | None = field(default=None, init=False)
    _connecting: Deferred[Any] | None = field(default=None, init=False)
    _up_since: float | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)

    @property
    def under_way(self) -> bool:
        """Whether an attempt is being made, or waits."""
        return self._waiting is not None or self._connecting is not None

    def begin(self) -> None:
        """Attempt, as soon as it may be; nothing if that is under way."""
        if not self.under_way:
            # The outcome must not come before this returns.
            wait = max(self._not_before - self._reactor.seconds(), 0)
            self._waiting = self._reactor.callLater(wait, self._attempt)

    def hurry(self) -> None:
        """Forget failures: what was in the way may be gone."""
        self._failures, self._not_before = 0, 0.0
        if self._waiting is not None:
            self._waiting.reset(0)

    def lost(self) -> None:
        """Take note that the connection has ended."""
        since, self._up_since = self._up_since, None
        if since is not None and self._reactor.seconds() - since >= STEADY:
            self._failures, self._not_before = 0, 0.0
        elif since is not None:
            self._put_off()

    def stop(self) -> None:
        """Attempt nothing any more, and tell nobody."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._connecting is not None:
            self._connecting.cancel()

    def _attempt(self) -> None:
        self._waiting = None
        endpoint = HostnameEndpoint(self._reactor, self.host, self.port, timeout=CONNECT_WITHIN)
        self._connecting = connecting = endpoint.connect(_Quiet(self._make))
        connecting.addCallbacks(self._made, self._not_made)

    def _made(self, _protocol: object) -> None:
        self._connecting = None
        self._up_since = self._reactor.seconds()

    def _not_made(self, failure: Failure) -> None:
        self._connecting = None
        self._put_off()
        if not self._stopped:
            self.begin()
            self._failed(failure.getErrorMessage())

    def _put_off(self) -> None:
        wait = min(SHORTEST * 2.0 ** min(self._failures, 16), LONGEST)
        self._failures += 1
        self._not_before = self._reactor.seconds() + wait * (1 - SPREAD + 2 * SPREAD * self._random())


class _Quiet(Factory):
    """Makes what speaks over a connection, and adds nothing to the log."""

    noisy = False

    def __init__(self, make: Callable[[], IProtocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002  # the signature is Twisted's
        """Make it."""
        return self._make()
