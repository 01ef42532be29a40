"""Principals inside a program: the daemon of a configuration file, run on the program's own reactor.

A file's principal is shared by all of a program that name the file. It starts
when the first of them needs it and stops when the last has left: a responder at
once, an initiator `LINGER` seconds later, so that one connection after another
does not negotiate or build a link each time. A reactor that stops takes its
principals along, in order. Everything that the file says is in effect, forwards, control
socket and the lock on the state directory included; a daemon that runs from
the same state is in the way of it, and is named by what fails.

Nothing of the reactor is changed. Its clock is used as it is: the daemons give
theirs one without steps, which a program may do as well (docs/endpoints.md).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall

from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.errors import SeckexError
from seckex.net.daemon import Daemon, StartFailed
from seckex.net.initiator import InitiatorDaemon
from seckex.net.responder import ResponderDaemon

LINGER: Final = 10.0

D = TypeVar("D", bound=Daemon[Any])


class PrincipalFailed(SeckexError):
    """The principal of a configuration file cannot run in this process."""


def initiator_of(reactor: Any, file: Path) -> InitiatorDaemon:
    """Return an initiator that has not started."""
    return InitiatorDaemon(reactor, load(file, InitiatorSettings))


def responder_of(reactor: Any, file: Path) -> ResponderDaemon:
    """Return a responder that has not started."""
    return ResponderDaemon(reactor, load(file, ResponderSettings))


class Tenancy(Generic[D]):
    """One use of a principal that runs; `leave` ends it."""

    def __init__(self, principal: _Principal[D], daemon: D) -> None:
        self.daemon = daemon
        self._principal = principal
        self._left = False

    def again(self) -> Tenancy[D]:
        """Return another use, with an end of its own."""
        return self._principal.enter(self.daemon)

    def leave(self) -> Deferred[None]:
        """Use it no more; fires when it has stopped, if it stops at once."""
        if self._left:
            return succeed(None)
        self._left = True
        return self._principal.left()


class _Principal(Generic[D]):
    """What runs, or could, of one file."""

    def __init__(self, reactor: Any, file: Path, make: Callable[[Any, Path], D], linger: float) -> None:
        self._reactor = reactor
        self._file = file
        self._make = make
        self._linger = linger
        self._daemon: D | None = None
        self._users = 0
        self._leaving: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None
        self._trigger: Any = None

    def hire(self) -> Deferred[Tenancy[D]]:
        """Start it if need be; one that is stopping is waited for."""
        if self._stopped is not None:
            waiting: Deferred[None] = Deferred()
            self._stopped.addCallback(lambda _: waiting.callback(None))
            return waiting.addCallback(lambda _: self.hire())
        return maybeDeferred(lambda: self.enter(self._running()))

    def enter(self, daemon: D) -> Tenancy[D]:
        """Count one more use."""
        self._users += 1
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        return Tenancy(self, daemon)

    def left(self) -> Deferred[None]:
        """Count one use less; stop after the last."""
        self._users -= 1
        if self._users or self._daemon is None:
            return succeed(None)
        if not self._linger:
            return self.stop()
        self._leaving = self._reactor.callLater(self._linger, self.stop)
        return succeed(None)

    def _running(self) -> D:
        if self._daemon is None:
            daemon = self._make(self._reactor, self._file)
            try:
                daemon.privilegedStartService()
                daemon.startService()
            except StartFailed as error:
                raise PrincipalFailed(str(error)) from None
            self._daemon = daemon
            self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)
        return self._daemon

    def _shut_down(self) -> Deferred[None]:
        self._trigger = None
        return self.stop()

    def stop(self) -> Deferred[None]:
        """Stop it, whoever uses it."""
        if self._leaving is not None:
            if self._leaving.active():
                self._leaving.cancel()
            self._leaving = None
        daemon, self._daemon = self._daemon, None
        done: Deferred[None] = Deferred()
        if daemon is None:
            if self._stopped is None:
                return succeed(None)
            self._stopped.addCallback(lambda _: done.callback(None))
            return done
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        stopped.addCallback(lambda _: done.callback(None))

        def over(_: object) -> None:
            self._stopped = None
            stopped.callback(None)

        maybeDeferred(daemon.stopService).addBoth(over)
        return done


_PRINCIPALS: Final[WeakKeyDictionary[Any, dict[tuple[Any, Path], _Principal[Any]]]] = WeakKeyDictionary()


def hire_initiator(reactor: Any, file: Path) -> Deferred[Tenancy[InitiatorDaemon]]:
    """Use the initiator of ``file``; fails with `ConfigInvalid` or `PrincipalFailed`."""
    return _hire(reactor, file, initiator_of, LINGER)


def hire_responder(reactor: Any, file: Path) -> Deferred[Tenancy[ResponderDaemon]]:
    """Use the responder of ``file``; fails as `hire_initiator` does."""
    return _hire(reactor, file, responder_of, 0)


def _hire(reactor: Any, file: Path, make: Callable[[Any, Path], D], linger: float) -> Deferred[Tenancy[D]]:
    known = _PRINCIPALS.setdefault(reactor, {})
    found = file.resolve()
    return known.setdefault((make, found), _Principal(reactor, found, make, linger)).hire()


def stop_principals(reactor: Any) -> Deferred[None]:
    """Stop all that run on ``reactor`` now, whoever uses them; a test does so when it is over."""
    known = _PRINCIPALS.get(reactor, {})
    stopping = DeferredList([principal.stop() for principal in known.values()], consumeErrors=True)
    return stopping.addCallback(lambda _: None)
