"""Where this machine is: which of its addresses leads to those that matter, and when that changes.

The kernel tells of addresses and routes that come and go (rtnetlink, which needs no
privilege); then, and every `LOOK_EVERY` seconds in case it could not, each of those
that matter is looked up: a UDP socket that is connected and sends nothing has the address that
would be used. Changes that come together are told together, `SETTLE` seconds after the first.

Limits: Linux for the first; elsewhere changes are seen within `LOOK_EVERY`. A NAT that forgets us is not seen:
links notice that (docs/protocol.md, section 10).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

LOOK_EVERY: Final = 2.0
SETTLE: Final = 0.02

# linux/rtnetlink.h: RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE.
_GROUPS: Final = 0x10 | 0x40 | 0x100 | 0x400
_MOST_AT_ONCE: Final = 64
_PORT: Final = 9

#: For each host that matters the address before and now; empty is none.
Changes: TypeAlias = Mapping[str, tuple[str, str]]


def own_address(host: str) -> str:
    """Return our address towards ``host``, an address; empty where no way leads there."""
    family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((host, _PORT))
            found: str = asked.getsockname()[0]
    except OSError:
        return ""
    return found


@implementer(IReadDescriptor)
class _Kernel:
    """Hears of addresses and routes; what is said of them is not read, since it is looked up."""

    def __init__(self, reactor: Any, told: Callable[[], None]) -> None:
        self._reactor = reactor
        self._told = told
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen, where that can be."""
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._socket.bind((0, _GROUPS))
        except (AttributeError, OSError):
            self.close()
            return
        self._reactor.addReader(self)

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        """Return the number of the socket."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """Return what log lines begin with."""
        return "whereabouts"

    def doRead(self) -> Exception | None:  # type: ignore[override]  # the interface says Failure, the reactor takes these
        """Throw away what has come, and look."""
        try:
            for _ in range(_MOST_AT_ONCE):
                if self._socket is not None:
                    self._socket.recv(1)
        except OSError:
            # There is no more, or more was lost than we could have: either way it is looked at.
            pass
        self._told()
        return None

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002  # the interface's
        """Go on without it."""
        self.close()


class Whereabouts(Service):
    """Tells ``changed`` when the addresses towards ``hosts`` change, as ``own`` finds them."""

    def __init__(
        self,
        reactor: Any,
        hosts: Callable[[], Iterable[str]],
        changed: Callable[[Changes], None],
        own: Callable[[str], str] = own_address,
    ) -> None:
        self._reactor = reactor
        self._hosts = hosts
        self._changed = changed
        self._own = own
        self._known: dict[str, str] = {}
        self._kernel = _Kernel(reactor, self.stir)
        self._settling: IDelayedCall | None = None
        self._regular: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's services have no types
        self._kernel.open()
        self._look_regularly()

    def stopService(self) -> None:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        self._kernel.close()
        for timer in (self._settling, self._regular):
            if timer is not None and timer.active():
                timer.cancel()

    def stir(self) -> None:
        """Look in a moment: something has changed, and more of it may be about to."""
        if self._settling is None or not self._settling.active():
            self._settling = self._reactor.callLater(SETTLE, self.look)

    def _look_regularly(self) -> None:
        self.look()
        self._regular = self._reactor.callLater(LOOK_EVERY, self._look_regularly)

    def learn(self) -> None:
        """Take note of where we are towards those that have not mattered before."""
        known = self._known
        self._known = {host: known[host] if host in known else self._own(host) for host in self._wanted()}

    def _wanted(self) -> list[str]:
        return [host for host in dict.fromkeys(self._hosts()) if _is_address(host)]

    def look(self) -> None:
        """Tell what has changed since this was called last."""
        found = {host: self._own(host) for host in self._wanted()}
        before, self._known = self._known, found
        changes = {host: (before[host], now) for host, now in found.items() if before.get(host, now) != now}
        if changes:
            self._changed(changes)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
