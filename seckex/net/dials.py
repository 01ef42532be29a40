"""Dialogs that a program of this process opens: a protocol, connected to a peer's service.

A dial waits for a link to the peer, asks for the dialog, and connects the
protocol when the peer accepts. It fails with `DialogFailed`, which says who
refused what: the peer the dialog, either side the association, or nobody in
time. A negotiation that is refused ends the wait at once; one without an answer
does not, since the next try comes by itself.

Bounds: those of links (`MOST_WAITERS` wait for one, and so many dialogs as the
peer allows). Nothing is queued beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from seckex.dialog.faces import End, Ending
from seckex.dialog.link import Link
from seckex.errors import PeerFault
from seckex.events import DialogClosed, DialogOpened, DialogRefused, NegotiationFailed, NegotiationRefused
from seckex.net.carried import Carried
from seckex.net.log import EventLog
from seckex.net.peer import PeerLinks
from seckex.net.transport import DialogAddress, DialogTransport, connect
from seckex.wire.numbers import Code


class DialogFailed(ConnectError):
    """There is no dialog; ``refusal`` says which service of whom, who refused (``by``), with what code, and why."""

    def __init__(self, refusal: DialogRefused) -> None:
        super().__init__(string=str(refusal))  # type: ignore[no-untyped-call]  # Twisted's errors have no types
        self.refusal = refusal

    def __str__(self) -> str:
        return str(self.refusal)


@define(eq=False)
class Dials:
    """All that are going on; ``new_id`` draws the id of a dialog."""

    reactor: Any
    local: str
    links: Mapping[str, PeerLinks]
    new_id: Callable[[], bytes]
    log: EventLog
    _waiting: dict[str, set[_Dial]] = field(factory=dict, init=False)

    def dial(
        self, peer: str, service: str, factory: IProtocolFactory, timeout: float, gone: Callable[[], None]
    ) -> Deferred[IProtocol]:
        """Connect a protocol of ``factory`` with a service; ``timeout`` seconds are for the link.

        Fires with the protocol, or fails with `DialogFailed`, as the factory does,
        or with `ConnectingCancelledError`. ``gone`` is called once, when it has failed or the connection is over.
        """
        dial = _Dial(self, DialogAddress(peer, service), factory, gone)
        waiting = self._waiting.setdefault(peer, set())
        waiting.add(dial)
        dial.done.addBoth(self._no_longer, peer, dial)
        dial.begin(timeout)
        return dial.done

    def refused(self, peer: str) -> None:
        """End the waiting for links to a peer if what was refused last is a negotiation with it."""
        trouble = self.trouble(peer)
        if isinstance(trouble, NegotiationRefused):
            for dial in tuple(self._waiting.get(peer, ())):
                dial.no_link(trouble)

    def trouble(self, peer: str) -> NegotiationRefused | NegotiationFailed | None:
        """Return what became of the last negotiation with a peer that came to nothing."""
        for _, event in reversed(self.log.troubles):
            if isinstance(event, NegotiationRefused | NegotiationFailed) and event.peer == peer:
                return event
        return None

    def _no_longer(self, result: Any, peer: str, dial: _Dial) -> Any:
        self._waiting[peer].discard(dial)
        return result


class _Dial:
    """One of them."""

    def __init__(
        self, dials: Dials, address: DialogAddress, factory: IProtocolFactory, gone: Callable[[], None]
    ) -> None:
        self.done: Deferred[IProtocol] = Deferred(self._cancel)
        self._dials = dials
        self._address = address
        self._factory = factory
        self._gone = gone
        self._transport: DialogTransport | None = None

    def begin(self, timeout: float) -> None:
        """Wait for a link, and go on there."""
        links = self._dials.links[self._address.principal]
        self._linking: Deferred[Link] = links.when_open(timeout)
        self._linking.addCallback(self._linked).addErrback(self._no_link)

    def no_link(self, trouble: NegotiationRefused) -> None:
        """Fail while waiting for a link: the negotiation was refused."""
        if self._transport is None:
            self._fail(self._told_by(trouble))
            self._linking.cancel()

    @property
    def _words(self) -> tuple[str, str]:
        return self._address.principal, self._address.service

    def _told_by(self, trouble: NegotiationRefused) -> DialogRefused:
        would = (f"acceptable would be {trouble.acceptable}",) if trouble.acceptable else ()
        reason = "; ".join(("no association", trouble.reason, *trouble.detail, *would))
        return DialogRefused(*self._words, trouble.by, trouble.code, reason)

    def _linked(self, link: Link) -> None:
        dials = self._dials
        carried = Carried(lambda: self._factory.buildProtocol(self._address), self._connected, self._over)
        service, local = self._address.service, dials.local
        self._transport = connect(dials.reactor, link, service, dials.new_id(), carried, local, self._refused)

    def _no_link(self, failure: Failure) -> None:
        if self.done.called:
            return
        error = failure.value
        local, code = self._dials.local, Code.UNKNOWN_ASSOCIATION
        if isinstance(error, PeerFault):
            self._fail(DialogRefused(*self._words, local, error.code, error.why))
            return
        trouble = self._dials.trouble(self._address.principal)
        if isinstance(trouble, NegotiationRefused):
            refusal = self._told_by(trouble)
        elif failure.check(CancelledError):
            refusal = DialogRefused(*self._words, local, Code.SHUTTING_DOWN, "this principal is stopping")
        else:
            why = "" if trouble is None else f"; last: {trouble.why}"
            refusal = DialogRefused(*self._words, local, code, f"there was no link in time{why}")
        self._fail(refusal)

    def _refused(self, ending: Ending) -> None:
        if ending.end is End.REJECTED:
            self._fail(DialogRefused(*self._words, self._address.principal, ending.code, ending.text))
        else:
            why = f"it was never opened: {ending}"
            self._fail(DialogRefused(*self._words, self._dials.local, Code.UNKNOWN_ASSOCIATION, why))

    def _fail(self, refusal: DialogRefused) -> None:
        if not self.done.called:
            self._dials.log.report(refusal)
            self._gone()
            self.done.errback(Failure(DialogFailed(refusal)))

    def _cancel(self, done: Deferred[IProtocol]) -> None:
        address: Any = self._address
        self._gone()
        done.errback(ConnectingCancelledError(address))
        if self._transport is None:
            self._linking.cancel()
        else:
            self._transport.abortConnection()

    def _connected(self, result: IProtocol | Failure) -> None:
        if isinstance(result, Failure):
            self.done.errback(result)
            return
        if self._transport is not None:
            self._dials.log.report(DialogOpened(*self._words, self._transport.dialog.dialog_id.hex()))
        self.done.callback(result)

    def _over(self, reason: Failure) -> None:
        if self._transport is not None:
            self._dials.log.report(closed(self._address, self._transport, reason))
        self._gone()


def closed(address: DialogAddress, transport: DialogTransport, reason: Failure) -> DialogClosed:
    """Return what to report of a connection over a dialog with ``address`` that is over."""
    dialog = transport.dialog
    name, how = dialog.dialog_id.hex(), reason.getErrorMessage()
    return DialogClosed(address.principal, address.service, name, dialog.received, dialog.sent, how)
