"""Groups on a link: what is said to them, and what is heard there.

What is said leaves from one address with a time to live of 1, so that it stays on
the link, and is heard on this machine too. A group is joined on the interface of
an address, or on one that is named. Whoever is not on the link, or has no such
interface, does without: a failure is told once, until it works again, and nothing depends on it, since agents can be
asked at their addresses as well.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol

from seckex.wire.numbers import MAX_DATAGRAM

ANYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104  # as they are written

_MREQN: Final = struct.Struct("@4s4si")
_MREQ6: Final = struct.Struct("@16sI")
_ADDRESSES: Final = Path("/proc/self/net/if_inet6")

# linux/in.h; the socket module has it not.
_IP_MULTICAST_ALL: Final = 49

Told = Callable[[str, str], None]


@frozen
class Place:
    """Where on this machine a group is: on the interface that has ``address``, or on the one called ``interface``.

    Without either it is where the system's routes lead.
    """

    address: str = ""
    interface: str = ""

    def aim(self, each: socket.socket) -> None:
        """Let what a UDP socket says to groups leave there, and stay on the link; raises OSError."""
        if each.family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index())
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        else:
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._request(bytes(4)))
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)

    def open(self, group: str, port: int) -> socket.socket:
        """Return a socket that hears a group here and nothing else; raises OSError."""
        family = family_of(group)
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            # Others on this machine may listen to the same group.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            packed = socket.inet_pton(family, group)
            if family == socket.AF_INET6:
                index = self._index()
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.bind((group, port, 0, index))
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _MREQ6.pack(packed, index))
            else:
                # Otherwise it would hear what comes to this group on other interfaces as well.
                opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                opened.bind((group, port))
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._request(packed))
        except OSError:
            opened.close()
            raise
        return opened

    def _request(self, group: bytes) -> bytes:
        index = socket.if_nametoindex(self.interface) if self.interface else 0
        own = bytes(4) if self.address in ANYWHERE else socket.inet_aton(self.address)
        return _MREQN.pack(group, own, index)

    def _index(self) -> int:
        if self.interface:
            return socket.if_nametoindex(self.interface)
        return 0 if self.address in ANYWHERE else _interface_of(self.address)


Heard = Callable[[bytes, str, int, Place], None]


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET


def is_group(host: str) -> bool:
    """Tell whether ``host`` is a multicast address."""
    with suppress(ValueError):
        return ip_address(host).is_multicast
    return False


def _interface_of(address: str) -> int:
    """Return the index of the interface that has an IPv6 address, 0 where none is known to."""
    wanted = ip_address(address.partition("%")[0]).packed.hex()
    with suppress(OSError):
        for line in _ADDRESSES.read_text(encoding="ascii").splitlines():
            number, index, *_ = line.split()
            if number == wanted:
                return int(index, 16)
    return 0


class _Listener(DatagramProtocol):
    """Hears one group."""

    noisy = False

    def __init__(self, heard: Heard, place: Place) -> None:
        self._heard = heard
        self._place = place

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        """Hand on what came."""
        self._heard(datagram, addr[0], addr[1], self._place)


class Multicast:
    """All groups of a daemon.

    ``heard`` takes what comes, from which host and port, and where; ``told`` a group and what does not work with it.
    """

    def __init__(self, reactor: Any, heard: Heard, told: Told) -> None:
        self._reactor = reactor
        self._heard = heard
        self._told = told
        self._listening: list[IListeningPort] = []
        self._speaking: dict[str, list[socket.socket]] = {}
        self._failing: set[str] = set()
        #: Whether a group could not be joined, or spoken to from some place, since all were left.
        self.lacking = False

    def join(self, group: str, port: int, place: Place) -> None:
        """Hear what is said to a group."""
        try:
            opened = place.open(group, port)
        except OSError as error:
            self.lacking = True
            self._told(group, f"it cannot be joined: {_why(error)}")
            return
        protocol = _Listener(self._heard, place)
        listening = self._reactor.adoptDatagramPort(
            opened.fileno(), opened.family, protocol, maxPacketSize=MAX_DATAGRAM + 1
        )
        # The reactor has a descriptor of its own for it.
        opened.close()
        self._listening.append(listening)

    def speak(self, group: str, place: Place) -> None:
        """Be able to say something to a group, also from several places."""
        opened = socket.socket(family_of(group), socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            place.aim(opened)
            if place.address not in ANYWHERE:
                opened.bind((place.address, 0))
        except OSError as error:
            opened.close()
            self.lacking = True
            self._told(group, f"nothing can be said to it from {place.address or 'here'}: {_why(error)}")
            return
        self._speaking.setdefault(group, []).append(opened)

    def say(self, octets: bytes, group: str, port: int) -> None:
        """Say something to a group, from every place."""
        for each in self._speaking.get(group, ()):
            try:
                each.sendto(octets, (group, port))
            except OSError as error:
                if group not in self._failing:
                    self._told(group, f"what is said to it does not leave: {_why(error)}")
                self._failing.add(group)
            else:
                self._failing.discard(group)

    def leave(self) -> list[Any]:
        """Leave all groups and say nothing more; return Deferreds of that."""
        self.lacking = False
        listening, self._listening = self._listening, []
        for sockets in self._speaking.values():
            for each in sockets:
                each.close()
        self._speaking.clear()
        return [port.stopListening() for port in listening]


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
