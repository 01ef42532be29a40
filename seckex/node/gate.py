"""What stands before whoever is asked: who must prove their address, and who asks too often.

An OFFER costs whoever receives it a look-up, a MAC, and public-key work once
the MAC has verified; anybody can send OFFERs from addresses that are not
theirs. So under load an OFFER over UDP that has no cookie of ours is answered
with one, and nothing else happens: no decoding, no table, no key but the one of
the cookie. Whoever gets that answer has its address, and sends the OFFER again
with the cookie in it (docs/protocol.md, section 13). The same goes for whichever
requests `Guarded` describes.

A cookie is ``version 8 | time 32 | MAC 128``, the MAC over the source address,
the port and the stem of the request, under one of two secrets that change places
every minute. Time is in seconds from a random start, so that it tells nothing.

Load is a rate of unproved requests above the threshold, until `LOAD_LASTS` seconds
after it was last above it, or a table of whoever is asked that is more than half
full. Apart from load each source has two buckets: one that it uses up
unproved, which anybody can empty in its name and which costs it no more than a
cookie then, and one for what is proved, by a cookie or by TCP.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Final

from attrs import frozen

from seckex.crypto.cookie import COOKIE_MAC_SIZE, COOKIE_SECRET_SIZE, cookie_mac
from seckex.crypto.secrets import equal
from seckex.events import LoadBegan, LoadEnded
from seckex.exchange.terms import Entropy
from seckex.machine import Now, Path, Report
from seckex.node.actions import NodeAction
from seckex.node.buckets import Buckets, Source, source_of
from seckex.node.drops import Drops
from seckex.node.limits import Flood
from seckex.wire.numbers import MAX_DATAGRAM, MESSAGE_TYPE, VERSION, Kind
from seckex.wire.stem import encode_cookie, stem_of

ROTATE_EVERY: Final = 60.0
COOKIE_FOR: Final = 60
LOAD_LASTS: Final = 5.0
_WINDOW: Final = 1.0

_COOKIE: Final = struct.Struct(f">BI{COOKIE_MAC_SIZE}s")
_BOUND: Final = struct.Struct(">HBI")

_DROP: Final = b""


@frozen
class Guarded:
    """Requests that a gate stands before.

    They are those that begin with one of ``starts``. ``stem_of`` returns the size of what stays the same of one
    however often it is sent, 0 for what cannot be read, and its cookie; ``encode_cookie`` the answer that asks for it
    again with a cookie, None where that would be too long. ``name`` is their plural, for people.
    """

    starts: tuple[bytes, ...]
    stem_of: Callable[[bytes], tuple[int, bytes]]
    encode_cookie: Callable[[bytes, bytes], bytes | None]
    name: str


OFFERS: Final = Guarded(
    (struct.pack(">BBH", MESSAGE_TYPE, VERSION << 4, Kind.OFFER),), stem_of, encode_cookie, "offers"
)


class Gate:
    """See the module; ``crowded`` tells whether a table of whoever is asked is more than half full."""

    def __init__(
        self,
        flood: Flood,
        entropy: Entropy,
        crowded: Callable[[], bool],
        drops: Drops,
        guarded: Guarded = OFFERS,
    ) -> None:
        self._entropy = entropy
        self._starts = guarded.starts
        self._stem_of = guarded.stem_of
        self._encode_cookie = guarded.encode_cookie
        self._name = guarded.name
        self._crowded = crowded
        self._drops = drops
        self._take_up(flood)
        self._epoch = 0
        # By the lowest bit of its version; the one that is not in use for new cookies is the one before.
        self._secrets = [b"", b""]
        self._version = 0
        # Nothing is drawn before it is needed, which may be never.
        self._rotate_at = -math.inf
        self._arrived = 0
        self._window_ends = 0.0
        self._load_ends: float | None = None
        self._asked_before = 0
        self.asked = 0
        self.right = 0
        self.wrong = 0
        #: What there is to tell beside the verdicts.
        self.news: list[NodeAction] = []

    def reconfigure(self, flood: Flood) -> None:
        """Stand up to floods so from now on; where something of it is new all buckets are full again."""
        if flood != self._flood:
            self._take_up(flood)

    def _take_up(self, flood: Flood) -> None:
        self._flood = flood
        self._always = flood.cookies == "always"
        self._never = flood.cookies == "never"
        self._unproved = Buckets(flood.source_rate, flood.source_burst, flood.sources)
        self._proved = Buckets(flood.source_rate, flood.source_burst, flood.sources)

    @property
    def counters(self) -> dict[str, int]:
        """What was asked and shown, and the size of the tables."""
        return {
            "gate.cookies-asked": self.asked,
            "gate.cookies-right": self.right,
            "gate.cookies-wrong": self.wrong,
            "gate.sources": len(self._unproved) + len(self._proved),
        }

    # -- verdicts

    def judge(self, octets: bytes, host: str, port: int, now: Now) -> bytes | None:
        """Return None for a datagram that may go on, else the answer that it gets, which may be empty.

        This runs for everything that comes, before anything else does.
        """
        if not octets.startswith(self._starts) or len(octets) > MAX_DATAGRAM:
            return None
        stem, cookie = self._stem_of(octets)
        if cookie:
            if self._proves(cookie, octets, stem, host, port, now.monotonic):
                self.right += 1
                return None if self._within(host, port, now) else _DROP
            self.wrong += 1
        self._arrived += 1
        if now.monotonic >= self._window_ends:
            self._arrived, self._window_ends = 1, now.monotonic + _WINDOW
        if self._never:
            return None if self._within(host, port, now) else _DROP
        demanding = self._always or self._under_load(now)
        if not demanding and self._unproved.take(self.source(host), now.monotonic):
            return None
        return self._ask(octets, stem, host, port, now.monotonic)

    def admits(self, host: str, port: int, now: Now) -> bool:
        """Tell whether a request may go on that came over TCP, so that its address is proved."""
        return self._within(host, port, now)

    def _within(self, host: str, port: int, now: Now) -> bool:
        if self._proved.take(self.source(host), now.monotonic):
            return True
        why = f"more than {self._flood.source_rate:g} requests a second from its part of the net"
        self._drops.note("source-rate", why, Path(host, port), now, self.news)
        return False

    def source(self, host: str) -> Source:
        """Return the part of the net that an address belongs to."""
        return source_of(host, self._flood.ipv4_prefix, self._flood.ipv6_prefix)

    # -- load

    def _under_load(self, now: Now) -> bool:
        ends = self._load_ends
        if self._arrived > self._flood.threshold:
            self._load_ends = now.monotonic + LOAD_LASTS
            if ends is None:
                self._began(f"more than {self._flood.threshold} unproved {self._name} in a second")
            return True
        if self._crowded():
            if ends is None:
                self._load_ends = now.monotonic + LOAD_LASTS
                self._began("a table is more than half full")
            return True
        if ends is not None and now.monotonic >= ends:
            self.tick(now)
        return self._load_ends is not None

    def _began(self, why: str) -> None:
        self._asked_before = self.asked
        self.news.append(Report(LoadBegan(why)))

    def tick(self, now: Now) -> None:
        """End a load that is over, and forget full buckets."""
        if self._load_ends is not None and now.monotonic >= self._load_ends:
            self._load_ends = None
            self.news.append(Report(LoadEnded(self.asked - self._asked_before)))
        self._unproved.expire(now.monotonic)
        self._proved.expire(now.monotonic)

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to tell (monotonic)."""
        return self._load_ends

    # -- cookies

    def _rotate(self, now: float) -> None:
        if self._rotate_at == -math.inf:
            self._epoch = int.from_bytes(self._entropy(4), "big")
        # After so long a silence the secret in use is older than the one before may be.
        for _ in range(2 if now >= self._rotate_at + ROTATE_EVERY else 1):
            self._version = (self._version + 1) & 0xFF
            self._secrets[self._version & 1] = self._entropy(COOKIE_SECRET_SIZE)
        self._rotate_at = now + ROTATE_EVERY

    def _mac(self, version: int, time: int, octets: bytes, host: str, port: int) -> bytes:
        # An address has neither of the octets 0xff and 0x01, one of which begins a stem: no other division gives these.
        bound = b"%b%b%b" % (_BOUND.pack(port, version, time), host.encode(), octets)
        return cookie_mac(self._secrets[version & 1], bound)

    def _time(self, now: float) -> int:
        return (int(now) + self._epoch) & 0xFFFFFFFF

    def _proves(self, cookie: bytes, octets: bytes, stem: int, host: str, port: int, now: float) -> bool:
        if now >= self._rotate_at:
            self._rotate(now)
        if len(cookie) != _COOKIE.size:
            return False
        version, time, mac = _COOKIE.unpack(cookie)
        if version != self._version and version != (self._version - 1) & 0xFF:
            return False
        if (self._time(now) - time) & 0xFFFFFFFF > COOKIE_FOR:
            return False
        return equal(mac, self._mac(version, time, octets[:stem], host, port))

    def _ask(self, octets: bytes, stem: int, host: str, port: int, now: float) -> bytes:
        if not stem:
            self._drops.counters["dropped.malformed"] += 1
            return _DROP
        if now >= self._rotate_at:
            self._rotate(now)
        time = self._time(now)
        mac = self._mac(self._version, time, octets[:stem], host, port)
        answer = self._encode_cookie(octets, _COOKIE.pack(self._version, time, mac))
        if answer is None:
            return _DROP
        self.asked += 1
        return answer
