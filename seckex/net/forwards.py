"""Forwards and services: local programs at both ends of dialogs.

At the initiator a `Forwards` listens where its configuration says; each
connection becomes a dialog with a peer's service. At the responder `Services`
connects the dialogs that peers ask for to the programs behind their names, for
those peers that may; where a name's target is `ENDPOINT`, to what a program of
this process has given with `Services.serve`.

Bounds: so many connections over all forwards at once, more are closed at once;
so many dialogs with one service at once, more are rejected (code 303). A
connection waits at most `LINK_WITHIN` seconds for a link to the peer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from seckex.config.common import pattern_of
from seckex.config.endpoints import ENDPOINT, unix_path
from seckex.dialog.faces import End, Ending
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.errors import PeerFault, SeckexError
from seckex.events import DialogClosed, DialogOpened, DialogRefused
from seckex.net.log import EventLog
from seckex.net.peer import PeerLinks
from seckex.net.pipe import Pipe
from seckex.net.stale import remove_stale
from seckex.wire.numbers import Code

LINK_WITHIN: Final = 20.0
CONNECT_WITHIN: Final = 10.0


class ForwardFailed(SeckexError):
    """A forward cannot listen where it is to."""


def _opened(log: EventLog, peer: str, pipe: Pipe) -> None:
    if pipe.dialog is not None:
        log.report(DialogOpened(peer, pipe.dialog.service, pipe.dialog.dialog_id.hex()))


def _closed(log: EventLog, peer: str, dialog: Dialog, ending: Ending | None) -> None:
    how = "the local program went away" if ending is None else str(ending)
    log.report(DialogClosed(peer, dialog.service, dialog.dialog_id.hex(), dialog.received, dialog.sent, how))


@frozen
class Forward:
    """Where to listen (a Twisted server endpoint), and what for."""

    listen: str
    peer: str
    service: str

    @property
    def is_port(self) -> bool:
        """Whether it listens on a port, not on a unix socket."""
        return self.listen.startswith("tcp")


@define(eq=False)
class Forwards:
    """All forwards of an initiator; ``new_id`` draws the id of a dialog."""

    reactor: Any
    local: str
    forwards: Sequence[Forward]
    links: Mapping[str, PeerLinks]
    most: int
    new_id: Callable[[], bytes]
    log: EventLog
    counts: Counter[Forward] = field(factory=Counter, init=False)
    refused: int = field(default=0, init=False)
    _open: list[_ForwardFactory] = field(factory=list, init=False)
    _fresh: list[_ForwardFactory] = field(factory=list, init=False)
    _pipes: set[Pipe] = field(factory=set, init=False)

    def listen(self, *, early: bool) -> Deferred[None]:
        """Listen; fail with `ForwardFailed` where one cannot.

        Ports are taken ``early``, while privileges last; the others are unix
        sockets, which belong to the user that makes them.
        """
        done = self._listen_all([forward for forward in self.forwards if forward.is_port is early])
        self._open += self._fresh
        self._fresh = []
        return done

    def _listen_all(self, forwards: Iterable[Forward]) -> Deferred[None]:
        listening = [self._listen(forward) for forward in forwards]
        done: Deferred[Any] = DeferredList(listening, fireOnOneErrback=True, consumeErrors=True)
        return done.addCallbacks(lambda _: None, lambda failure: failure.value.subFailure)

    def _listen(self, forward: Forward) -> Deferred[None]:
        factory = _ForwardFactory(self, forward)
        self._fresh.append(factory)
        listening = maybeDeferred(self._begin, forward, factory)

        def failed(failure: Failure) -> None:
            why = " ".join(failure.getErrorMessage().split())
            raise ForwardFailed(f"the forward {forward.listen} cannot listen: {why}")

        return listening.addCallbacks(factory.listens, failed)

    def _begin(self, forward: Forward, factory: Factory) -> Deferred[IListeningPort]:
        path = unix_path(forward.listen)
        if path is not None:
            remove_stale(Path(path))
            # The lock names a process by its number, which may be another's by now; nobody listens, so nobody holds it.
            Path(f"{path}.lock").unlink(missing_ok=True)
        listening: Deferred[IListeningPort] = serverFromString(self.reactor, forward.listen).listen(factory)
        return listening

    # -- other forwards

    def prepare(self, forwards: Sequence[Forward]) -> Deferred[None]:
        """Listen where ``forwards`` do and these do not; fail with `ForwardFailed`; `settle` or `undo` comes next."""
        return self._listen_all([forward for forward, factory in self._matched(forwards) if factory is None])

    def settle(self, forwards: Sequence[Forward], most: int) -> None:
        """Have ``forwards`` from now on; connections that stand go on, whatever becomes of their forward."""
        fresh, self._fresh = self._fresh, []
        matched = self._matched(forwards)
        kept = [factory for _, factory in matched if factory is not None]
        for factory in self._open:
            if factory not in kept:
                factory.stop()
        for forward, kept_factory in matched:
            if kept_factory is not None:
                kept_factory.forward = forward
        self._open = [*kept, *fresh]
        self.forwards, self.most = forwards, most

    def undo(self) -> None:
        """Listen no more where `prepare` began to."""
        fresh, self._fresh = self._fresh, []
        for factory in fresh:
            factory.stop()

    def _matched(self, forwards: Sequence[Forward]) -> list[tuple[Forward, _ForwardFactory | None]]:
        """Return each of ``forwards`` with what listens there already; what does may be of another peer or service."""
        left = list(self._open)
        matched: list[tuple[Forward, _ForwardFactory | None]] = []
        for forward in forwards:
            found = next((factory for factory in left if factory.forward.listen == forward.listen), None)
            if found is not None:
                left.remove(found)
            matched.append((forward, found))
        return matched

    def stop(self) -> Deferred[None]:
        """Listen no more and drop what is connected."""
        factories, self._open = self._open, []
        for pipe in tuple(self._pipes):
            pipe.drop()
        stopped = DeferredList([factory.stop() for factory in factories], consumeErrors=True)
        return stopped.addCallback(lambda _: None)

    def addresses(self) -> list[str]:
        """Return where forwards listen, as it was configured."""
        return [forward.listen for forward in self.forwards]

    def ports(self) -> list[int | None]:
        """Return the TCP port of each forward, None where it has none; the real one where any free one was asked."""
        return [None if factory is None else factory.port for _, factory in self._matched(self.forwards)]

    def accept(self, forward: Forward) -> Pipe | None:
        """Return the pipe for one more connection, None if there are too many."""
        if len(self._pipes) >= self.most:
            self.refused += 1
            why = f"{self.most} connections over forwards already"
            self._refuse(forward, self.local, Code.INSUFFICIENT_RESOURCES, why)
            return None
        pipe = Pipe(
            lambda pipe: self._connected(forward, pipe),
            lambda pipe: _opened(self.log, forward.peer, pipe),
            lambda pipe, ending: self._over(forward, pipe, ending),
        )
        self._pipes.add(pipe)
        self.counts[forward] += 1
        return pipe

    def _refuse(self, forward: Forward, by: str, code: int, why: str) -> None:
        self.log.report(DialogRefused(forward.peer, forward.service, by, code, why))

    def _connected(self, forward: Forward, pipe: Pipe) -> None:
        def linked(link: Link) -> None:
            if pipe in self._pipes:
                dialog = link.open(forward.service, self.new_id(), pipe)
                pipe.dialog = dialog

        def failed(failure: Failure) -> None:
            error = failure.value
            if isinstance(error, PeerFault):
                self._refuse(forward, self.local, error.code, error.why)
            else:
                why = f"no link within {LINK_WITHIN:.0f} s; the log tells what became of negotiation and link"
                self._refuse(forward, self.local, Code.UNKNOWN_ASSOCIATION, why)
            pipe.drop()

        self.links[forward.peer].when_open(LINK_WITHIN).addCallback(linked).addErrback(failed)

    def _over(self, forward: Forward, pipe: Pipe, ending: Ending | None) -> None:
        if pipe in self._pipes:
            self._pipes.remove(pipe)
            self.counts[forward] -= 1
        if pipe.carried and pipe.dialog is not None:
            _closed(self.log, forward.peer, pipe.dialog, ending)
        elif ending is not None and ending.end is End.REJECTED:
            self._refuse(forward, forward.peer, ending.code, ending.text)
        elif ending is not None:
            self._refuse(forward, self.local, Code.UNKNOWN_ASSOCIATION, f"it was never opened: {ending}")


class _ForwardFactory(Factory):
    noisy = False

    def __init__(self, forwards: Forwards, forward: Forward) -> None:
        self._forwards = forwards
        self._port: IListeningPort | None = None
        self.forward = forward

    @property
    def port(self) -> int | None:
        """The TCP port."""
        return None if self._port is None else getattr(self._port.getHost(), "port", None)

    def listens(self, port: IListeningPort) -> None:
        """Take the port of this factory."""
        self._port = port

    def stop(self) -> Deferred[Any]:
        """Listen no more."""
        port, self._port = self._port, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)

    def buildProtocol(self, addr: IAddress | None) -> Pipe | None:  # noqa: ARG002  # the signature is Twisted's
        return self._forwards.accept(self.forward)


#: Takes an offered dialog, whose peer is named, and calls what it is given when that is over.
Program = Callable[[Dialog, str, Callable[[], None]], None]


class NotServable(SeckexError):
    """A program cannot have a service: the configuration does not say so, or another program has it."""


@define(eq=False)
class Services:
    """The services of a responder: ``connect`` strings by name, and which ``allowed`` names each peer may use."""

    reactor: Any
    local: str
    connect: Mapping[str, str]
    allowed: Mapping[str, Collection[str]]
    most: int
    log: EventLog
    counts: Counter[str] = field(factory=Counter, init=False)
    _pipes: set[Pipe] = field(factory=set, init=False)
    _programs: dict[str, Program] = field(factory=dict, init=False)

    def serve(self, service: str, program: Program) -> None:
        """Give the dialogs of ``service`` to a program of this process from now on; raises `NotServable`."""
        if service not in self.connect:
            raise NotServable(f"{self.local} has no service {service!r}: the configuration does not name it")
        if self.connect[service] != ENDPOINT:
            raise NotServable(f'service {service!r} of {self.local} is elsewhere: its connect is not "{ENDPOINT}"')
        if service in self._programs:
            raise NotServable(f"service {service!r} of {self.local} is served already")
        self._programs[service] = program

    def withdraw(self, service: str) -> None:
        """Give no more dialogs of ``service`` to the program that has it; those that it has go on."""
        del self._programs[service]

    def reconfigure(self, connect: Mapping[str, str], allowed: Mapping[str, Collection[str]], most: int) -> None:
        """Judge dialogs by other services, rights and bounds from now on; those that stand go on."""
        self.connect, self.allowed, self.most = connect, allowed, most

    def offered(self, link: Link, dialog: Dialog) -> None:
        """Connect an offered dialog to its service, or reject it and say why."""
        peer = "" if link.association is None else link.association.peer
        service = dialog.service
        if service not in self.connect:
            self._reject(peer, dialog, Code.UNKNOWN_SERVICE, "no such service here")
        elif service not in self.allowed.get(peer, self.allowed.get(pattern_of(peer), ())):
            self._reject(peer, dialog, Code.PROHIBITED, "this peer may not use this service")
        elif self.counts[service] >= self.most:
            self._reject(peer, dialog, Code.TOO_MANY_DIALOGS, f"{self.most} dialogs with this service already")
        elif self.connect[service] == ENDPOINT:
            self._give(peer, dialog)
        else:
            self._connect(peer, dialog)

    def _give(self, peer: str, dialog: Dialog) -> None:
        program = self._programs.get(dialog.service)
        if program is None:
            self._reject(peer, dialog, Code.CONNECT_FAILED, "no program of the daemon's process serves it")
            return

        def over() -> None:
            self.counts[dialog.service] -= 1

        self.counts[dialog.service] += 1
        program(dialog, peer, over)

    def _reject(self, peer: str, dialog: Dialog, code: Code, why: str) -> None:
        self.log.report(DialogRefused(peer, dialog.service, self.local, code, why))
        dialog.reject(code, why)

    def _connect(self, peer: str, dialog: Dialog) -> None:
        pipe = Pipe(
            lambda _: dialog.accept(),
            lambda pipe: _opened(self.log, peer, pipe),
            lambda pipe, ending: self._over(peer, pipe, dialog, ending),
        )
        pipe.dialog = dialog
        dialog.attach(pipe)
        self._pipes.add(pipe)
        self.counts[dialog.service] += 1
        target = self.connect[dialog.service]
        factory = _ServiceFactory(pipe)
        connecting = maybeDeferred(lambda: clientFromString(self.reactor, target).connect(factory))
        connecting.addTimeout(CONNECT_WITHIN, self.reactor)
        # A dialog that is over before that must not leave a connection behind that nobody counts.
        pipe.give_up = connecting.cancel

        def failed(failure: Failure) -> None:
            if not dialog.is_over:
                why = " ".join(failure.getErrorMessage().split()) or type(failure.value).__name__
                self._reject(peer, dialog, Code.CONNECT_FAILED, f"its target cannot be reached: {why}")

        connecting.addErrback(failed)

    def _over(self, peer: str, pipe: Pipe, dialog: Dialog, ending: Ending | None) -> None:
        if pipe in self._pipes:
            self._pipes.remove(pipe)
            self.counts[dialog.service] -= 1
        if pipe.carried:
            _closed(self.log, peer, dialog, ending)

    def stop(self) -> None:
        """Drop what is connected."""
        for pipe in tuple(self._pipes):
            pipe.drop()


class _ServiceFactory(Factory):
    noisy = False

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def buildProtocol(self, addr: IAddress | None) -> Pipe:  # noqa: ARG002  # the signature is Twisted's
        return self._pipe
