"""What DNS names stand for, and which of their addresses to ask.

A name is looked up when it is used, at most once a minute. It may have several
addresses, and not all need answer: after `TRIES` sendings to one without a word
from it the next one has its turn, and the one that answers stays. A name that
cannot be looked up is told of as such; the next use tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import define
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

RESOLVED_FOR: Final = 60.0
TRIES: Final = 2
# So many sendings may wait for one look-up.
_MOST_WAITING: Final = 16

Then = Callable[[str], None]
Failed = Callable[[str], None]


@implementer(IResolutionReceiver)
class _Lookup:
    """Collects the addresses of one look-up."""

    def __init__(self, done: Callable[[list[str]], None]) -> None:
        self._done = done
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do."""

    def addressResolved(self, address: Any) -> None:
        """Take note of one address."""
        if address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """Hand on what was found."""
        self._done(self._found)


@define
class _Name:
    addresses: list[str]
    until: float
    unheard: int = 0


class Names:
    """See the module; the addresses of a name are kept with the one to be asked first."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._known: dict[str, _Name] = {}
        self._names: dict[str, set[str]] = {}
        self._waiting: dict[str, list[tuple[Then, Failed]]] = {}

    def ask(self, host: str, port: int, then: Then, failed: Failed) -> None:
        """Call ``then`` with the address of ``host`` to send to, now or later, or ``failed`` with the reason."""
        known = self._known.get(host)
        if known is not None and known.until > self._reactor.seconds():
            then(self._next(known))
            return
        waiting = self._waiting.get(host)
        if waiting is not None:
            if len(waiting) < _MOST_WAITING:
                waiting.append((then, failed))
            return
        self._waiting[host] = [(then, failed)]
        lookup = _Lookup(lambda addresses: self._found(host, addresses))
        self._reactor.nameResolver.resolveHostName(lookup, host, port)

    def heard(self, address: str) -> None:
        """Take note that something has come from ``address``."""
        for host in self._names.get(address, ()):
            known = self._known[host]
            if known.unheard:
                # Only what was waited for: a late answer of another one changes nothing.
                known.unheard = 0
                known.addresses.remove(address)
                known.addresses.insert(0, address)

    @staticmethod
    def _next(known: _Name) -> str:
        if known.unheard >= TRIES:
            known.unheard = 0
            known.addresses.append(known.addresses.pop(0))
        known.unheard += 1
        return known.addresses[0]

    def _found(self, host: str, addresses: list[str]) -> None:
        waiting = self._waiting.pop(host)
        if not addresses:
            for _, failed in waiting:
                failed(f"the name {host} cannot be looked up, or has no address")
            return
        before = self._known.get(host)
        if before is None:
            known = self._known[host] = _Name(addresses, 0.0)
        else:
            known = before
            # What was asked last is asked on, if the name still stands for it.
            kept = [address for address in before.addresses if address in addresses]
            known.addresses = [*kept, *(address for address in addresses if address not in kept)]
        known.until = self._reactor.seconds() + RESOLVED_FOR
        self._names = {}
        for name, each in self._known.items():
            for address in each.addresses:
                self._names.setdefault(address, set()).add(name)
        for then, _ in waiting:
            then(self._next(known))
