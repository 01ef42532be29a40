"""One end of a stream that changes its link again and again.

``python -m benchmarks.handover server|client PORT TAKEOVERS``

The client sends as fast as it can and, every `EVERY` seconds, begins to use
another association, whose link takes the dialog over. The server prints the
longest time, in milliseconds, in which nothing came after the first second,
and whether every octet came in its place.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from typing import Any, Final

from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.endpoints import clientFromString

from seckex.crypto.schedule import LinkSchedule
from seckex.crypto.secrets import Secret
from seckex.dialog.faces import Closure, Ending, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.net.peer import PeerLinks
from seckex.net.stream import LinkPort, LinkTerms
from seckex.wire.dialog import Hello
from seckex.wire.numbers import MAX_BODY, PRF_HMAC_SHA2_256, Suite

EVERY: Final = 0.25
SETTLING: Final = 1.0
CREDIT: Final = 1 << 20
# Of a length that no record has, so that octets out of place are seen.
PATTERN: Final = bytes(range(251)) * 261

reactor: Any = installed


@cache
def association(number: int) -> LinkAssociation:
    """Return the association ``number``, whose keys both ends know."""
    schedule = LinkSchedule(Suite.AES_256_GCM, PRF_HMAC_SHA2_256, Secret(number.to_bytes(32, "big")))
    return LinkAssociation(number, "there@example.net", schedule, here=number)


class Receiving:
    """Notes the longest pause, and whether the octets are those that were sent."""

    def __init__(self, dialog: Dialog) -> None:
        self._dialog = dialog
        self._at = 0
        self._right = True
        self._began = self._last = 0.0
        self._longest = 0.0

    def opened(self) -> None:
        """Begin."""
        self._began = time.perf_counter()

    def data(self, octets: bytes) -> None:
        """Look at the clock, and at the first and last octets."""
        now = time.perf_counter()
        if self._last and now - self._began > SETTLING:
            self._longest = max(self._longest, now - self._last)
        self._last = now
        size = len(PATTERN)
        self._right &= octets[0] == PATTERN[self._at % size]
        self._at += len(octets)
        self._right &= octets[-1] == PATTERN[(self._at - 1) % size]

    def ended(self) -> None:
        """Print what was seen."""
        print(f"{self._longest * 1000:.3f} {'whole' if self._right else 'damaged'}", flush=True)
        self._dialog.end()

    def sent_end(self) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def resume(self) -> None:
        """Nothing."""

    def over(self, ending: Ending) -> None:
        """Stop."""
        print(ending, file=sys.stderr)
        reactor.callLater(0.1, reactor.stop)


class Sending:
    """Sends the pattern as fast as it is taken."""

    def __init__(self) -> None:
        self.dialog: Dialog
        self._paused = False
        self.finished = False

    def opened(self) -> None:
        """Begin."""
        self.resume()

    def resume(self) -> None:
        """Send until paused."""
        self._paused = False
        while not self._paused and not self.finished:
            self.dialog.write(PATTERN)

    def pause(self) -> None:
        """Stop for a while."""
        self._paused = True

    def data(self, octets: bytes) -> None:
        """Nothing comes."""

    def ended(self) -> None:
        """Nothing."""

    def sent_end(self) -> None:
        """Nothing."""

    def over(self, _ending: Ending) -> None:
        """Stop."""
        reactor.callLater(0.1, reactor.stop)


class Owner:
    """Hears what links report."""

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        """Accept."""
        dialog.attach(Receiving(dialog))
        dialog.accept()

    def link_opened(self, _link: Link) -> None:
        """Nothing."""

    def link_idle(self, _link: Link) -> None:
        """Nothing."""

    def link_worn(self, _link: Link) -> None:
        """Nothing."""

    def link_closed(self, _link: Link, closure: Closure) -> None:
        """Nothing."""


def main() -> None:
    """Run as the command line says."""
    role, port, takeovers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    terms = LinkTerms(reactor, Hello(CREDIT, 16, MAX_BODY), time.time_ns, os.urandom, DialogTables(16, 60))
    if role == "server":
        reactor.listenTCP(port, LinkPort(terms, Owner(), association), interface="127.0.0.1")
        reactor.callWhenRunning(print, "ready", flush=True)
        reactor.run()
        return
    links = PeerLinks(evolve(terms), clientFromString(reactor, f"tcp:127.0.0.1:{port}"), Owner())
    links.use(association(1))
    links.startService()
    program = Sending()

    def opened(link: Link) -> None:
        program.dialog = link.open("benchmark", os.urandom(16), program)
        reactor.callLater(2 * SETTLING, again, 2)

    def again(number: int) -> None:
        if number <= takeovers + 1:
            links.use(association(number))
            reactor.callLater(EVERY, again, number + 1)
        else:
            # As long without takeovers as with them.
            reactor.callLater(0 if takeovers else 10 * EVERY, finish)

    def finish() -> None:
        program.finished = True
        program.dialog.end()

    links.when_open(10).addCallback(opened)
    reactor.run()


main()
