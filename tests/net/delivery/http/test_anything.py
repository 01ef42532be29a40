"""Whatever comes over a connection, in whatever pieces: it is answered, or the connection ends, and nothing is lost."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.delivery.faces import SPOOLED_ABOVE
from tests.net.delivery.http.scene import TO, HttpCase, Wire

METHODS = st.sampled_from(("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"))
WORDS = st.sampled_from(
    (
        *("v1", "messages", "uploads", "services", "orders", "dialogs", "outbox", "inbox", "dead", "why", "end"),
        *("payload", "verdict", "retry", "drop", "u1", "0123456789ab.o1", "0" * 32, "%ff", "%00", "..", ""),
    )
)
NAMES = st.sampled_from(("to", "service", "type", "ttl", "wait", "mode", "upload", "answers", "limit", "after", "x"))
PAIRS = st.tuples(NAMES, st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=20))
HEADERS = st.sampled_from(
    (
        *(b"Content-Length: 3", b"Content-Length: 99999999999", b"Content-Length: x", b"Transfer-Encoding: chunked"),
        *(b"Content-Range: bytes 0-2/3", b"Content-Range: bytes 2-1/0", b"Expect: 100-continue", b"a" * 17000),
        *(b"Seckex-To: \xff", b"Seckex-Service: orders", b"Connection: close", b"Cookie: a=b; c", b": x"),
    )
)
CUTS = st.lists(st.integers(0, 2**16), max_size=4)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return what looks like a request, more or less."""
    path = "/" + "/".join(draw(st.lists(WORDS, max_size=5)))
    query = "&".join(f"{name}={value}" for name, value in draw(st.lists(PAIRS, max_size=3)))
    lines = [f"{draw(METHODS)} {path}?{query} HTTP/1.1".encode(), *draw(st.lists(HEADERS, max_size=3))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.binary(max_size=10))


SAID = st.lists(requests() | st.binary(max_size=60), max_size=3)


class AnythingTests(HttpCase):
    def say(self, wire: Wire, octets: bytes, cuts: list[int]) -> None:
        """Send octets in pieces; a connection that is being closed is not read from any more."""
        places = sorted({0, *(cut % (len(octets) + 1) for cut in cuts), len(octets)})
        for start, end in itertools.pairwise(places):
            if not wire.transport.disconnecting:
                wire.say(octets[start:end])

    @given(SAID, CUTS)
    @settings(max_examples=150, deadline=None)
    def test_nothing_fails(self, said: list[bytes], cuts: list[int]) -> None:
        wire = self.wire()
        try:
            self.say(wire, b"".join(said), cuts)
            self.messages.advance()
            if not wire.transport.disconnecting:
                self.messages.advance(4000)
        finally:
            wire.close()
        self.messages.advance()
        self.assertEqual((len(self.served.tree.holdings), len(self.connections.protocols)), (0, 0))
        self.assertEqual(self.flushLoggedErrors(), [])

    @given(st.integers(0, 3 * SPOOLED_ABOVE), st.lists(st.integers(1, SPOOLED_ABOVE), max_size=6), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_a_payload_comes_whole_in_whatever_pieces(self, size: int, cuts: list[int], slow: bool) -> None:
        octets = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(size))
        while octets:
            cut = cuts.pop() if cuts else SPOOLED_ABOVE
            if slow:
                self.messages.spool.hold()
            wire.say(octets[:cut])
            octets = octets[cut:]
            self.messages.spool.release()
        self.messages.advance()
        self.assertEqual(wire.heard().status, 201)
        wire.close()
        self.assertEqual(len(self.messages.spool.octets(self.messages.posted[-1].payload)), size)
        self.messages.posted.clear()
        self.assertEqual(self.messages.spool.open, 0)
