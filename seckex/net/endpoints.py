"""Twisted endpoints whose connections are dialogs: what ``seckex:`` strings stand for (docs/endpoints.md).

A client endpoint connects a factory's protocol with a peer's service, a server
endpoint gives a service of this responder to a factory. Each names a
configuration file, whose principal runs in this process while it is used
(`seckex.net.inprocess`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from seckex.config.problems import Unfit
from seckex.config.values import NAI, SERVICE, Words
from seckex.dialog.stream import Dialog
from seckex.errors import ApiMisuse, SeckexError
from seckex.events import DialogOpened, DialogRefused
from seckex.net.carried import Carried
from seckex.net.dials import closed
from seckex.net.forwards import LINK_WITHIN
from seckex.net.initiator import InitiatorDaemon
from seckex.net.inprocess import Tenancy, hire_initiator, hire_responder
from seckex.net.responder import ResponderDaemon
from seckex.net.transport import DialogAddress, accept
from seckex.wire.numbers import Code

LONGEST_TIMEOUT: Final = 86400.0


class UnknownPeer(SeckexError):
    """The configuration of a client endpoint has no such peer."""


class BadEndpoint(SeckexError, ValueError):
    """A ``seckex:`` string that is none, and what is wrong with it."""


def parse_client(reactor: Any, *places: str, **named: str) -> DialogEndpoint:
    """Return what ``seckex:PEER:service=NAME:config=FILE[:timeout=SECONDS]`` stands for; raises `BadEndpoint`."""
    arguments = _arguments("PEER:service=NAME:config=FILE", ("peer",), places, named, {"timeout"})
    peer = _read("peer", NAI, arguments["peer"])
    try:
        timeout = float(arguments.get("timeout", LINK_WITHIN))
    except ValueError:
        timeout = -1
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise BadEndpoint(f"seckex: timeout must be a number of seconds, at most {LONGEST_TIMEOUT:.0f}")
    service = _read("service", SERVICE, arguments["service"])
    return DialogEndpoint(reactor, peer, service, Path(arguments["config"]), timeout)


def parse_server(reactor: Any, *places: str, **named: str) -> ServiceEndpoint:
    """Return what ``seckex:service=NAME:config=FILE`` stands for; raises `BadEndpoint`."""
    arguments = _arguments("service=NAME:config=FILE", (), places, named, set())
    return ServiceEndpoint(reactor, _read("service", SERVICE, arguments["service"]), Path(arguments["config"]))


def _arguments(
    form: str, names: tuple[str, ...], places: tuple[str, ...], named: dict[str, str], more: set[str]
) -> dict[str, str]:
    if len(places) > len(names):
        raise BadEndpoint(f"seckex: {places[len(names)]!r} is one argument too many; the form is seckex:{form}")
    given = dict(zip(names, places, strict=False)) | named
    needed = {*names, "service", "config"}
    for name in sorted(given.keys() - needed - more):
        raise BadEndpoint(f"seckex: there is no argument {name!r}; the form is seckex:{form}")
    for name in sorted(needed):
        if not given.get(name):
            raise BadEndpoint(f"seckex: {name} is missing; the form is seckex:{form}")
    return given


def _read(name: str, reader: Words, text: str) -> str:
    try:
        return str(reader.read(text))
    except Unfit as error:
        raise BadEndpoint(f"seckex: {name} must be {error.expected}") from None


@implementer(IStreamClientEndpoint)
@frozen
class DialogEndpoint:
    """Connects to ``service`` of ``peer`` as the initiator of ``config``; ``timeout`` seconds are for the link."""

    reactor: Any
    peer: str
    service: str
    config: Path
    timeout: float = LINK_WITHIN

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fire with a connected protocol.

        Fails with `DialogFailed` where the dialog or its association is refused
        or nobody answers, with `ConfigInvalid` or `PrincipalFailed` where there is no principal,
        and with `UnknownPeer`.
        """
        return _Connecting(self, protocolFactory).begin()


@define(eq=False)
class _Connecting:
    """One connection, and its use of the principal."""

    endpoint: DialogEndpoint
    factory: IProtocolFactory
    _inner: Deferred[Any] | None = field(default=None, init=False)

    def begin(self) -> Deferred[IProtocol]:
        done: Deferred[IProtocol] = Deferred(self._cancel)
        inner = self._inner = hire_initiator(self.endpoint.reactor, self.endpoint.config)
        inner.addCallback(self._hired).addBoth(self._finish, done)
        return done

    def _hired(self, tenancy: Tenancy[InitiatorDaemon]) -> Deferred[IProtocol]:
        endpoint, dials = self.endpoint, tenancy.daemon.dials
        if endpoint.peer not in dials.links:
            tenancy.leave()
            known = ", ".join(dials.links)
            raise UnknownPeer(f"{endpoint.config} has no peer {endpoint.peer}, but {known}")
        self.factory.doStart()

        def gone() -> None:
            self.factory.doStop()
            tenancy.leave()

        return dials.dial(endpoint.peer, endpoint.service, self.factory, endpoint.timeout, gone)

    def _finish(self, result: IProtocol | Failure, done: Deferred[IProtocol]) -> None:
        if done.called:
            return
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)

    def _cancel(self, done: Deferred[IProtocol]) -> None:
        address: Any = DialogAddress(self.endpoint.peer, self.endpoint.service)
        done.errback(ConnectingCancelledError(address))
        if self._inner is not None:
            self._inner.cancel()


@implementer(IStreamServerEndpoint)
@frozen
class ServiceEndpoint:
    """Gives ``service`` of the responder of ``config`` to a factory; the file says which peers may use it."""

    reactor: Any
    service: str
    config: Path

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Fire with a port when peers can connect.

        Fails with `ConfigInvalid` or `PrincipalFailed` where there is no
        principal, with `NotServable` where the service cannot be had.
        """

        def hired(tenancy: Tenancy[ResponderDaemon]) -> IListeningPort:
            port = ServicePort(self, protocolFactory, tenancy)
            try:
                port.startListening()
            except SeckexError:
                tenancy.leave()
                raise
            return port

        return hire_responder(self.reactor, self.config).addCallback(hired)


@implementer(IListeningPort)
class ServicePort:
    """What listens to a service; connections go on when it stops, and keep the responder running."""

    def __init__(self, endpoint: ServiceEndpoint, factory: IProtocolFactory, tenancy: Tenancy[ResponderDaemon]) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._tenancy = tenancy
        self._listening = False

    def __repr__(self) -> str:
        return f"<ServicePort {self.getHost()}>"

    def startListening(self) -> None:
        """Take dialogs; raises `NotServable`."""
        if self._listening:
            raise ApiMisuse("it listens already")
        self._tenancy.daemon.served.serve(self._endpoint.service, self._offered)
        self._listening = True
        self._factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Take no more; fires when the responder has stopped too, if nothing else uses it."""
        if self._listening:
            self._listening = False
            self._tenancy.daemon.served.withdraw(self._endpoint.service)
            self._factory.doStop()
        return self._tenancy.leave()

    def getHost(self) -> DialogAddress:
        """Return this principal and the service."""
        return DialogAddress(self._tenancy.daemon.settings.identity.nai, self._endpoint.service)

    def _offered(self, dialog: Dialog, peer: str, over: Callable[[], None]) -> None:
        daemon, address = self._tenancy.daemon, DialogAddress(peer, self._endpoint.service)
        local, log = daemon.settings.identity.nai, daemon.log
        try:
            protocol = self._factory.buildProtocol(address)
        except Exception:
            log.failure("the program behind a service has made no protocol")
            protocol = None
        if protocol is None:
            code, why = Code.CONNECT_FAILED, "the program does not take this connection"
            log.report(DialogRefused(peer, dialog.service, local, code, why))
            dialog.reject(code, why)
            over()
            return
        tenancy = self._tenancy.again()

        def connected(result: IProtocol | Failure) -> None:
            if isinstance(result, Failure):
                log.failure("the program behind a service has failed", result)
            else:
                log.report(DialogOpened(peer, dialog.service, dialog.dialog_id.hex()))

        def gone(reason: Failure) -> None:
            log.report(closed(address, carried.transport, reason))
            over()
            tenancy.leave()

        carried = Carried(lambda: protocol, connected, gone)
        accept(self._endpoint.reactor, dialog, carried, local, peer)
