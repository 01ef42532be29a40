"""What a relay remembers of routes never lets anything pass that reading the message in full would refuse."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import Malformed, PeerFault, UnsupportedVersion
from seckex.roles.aaa.envelope import Envelopes
from seckex.roles.aaa.ways import Ways
from seckex.wire import hop
from seckex.wire.hop import Route, decode_hop, encode_hop
from seckex.wire.numbers import MOST_HOPS, Kind
from tests.roles.aaa.parts import AGENT, FIRST, FOREIGN, HOME, INSIDE, SECOND

WAYS = Ways(frozenset({HOME}), {"else.example": (FIRST, SECOND)})
RIGHT = encode_hop(hop.Relay(7, Route(MOST_HOPS, HOME, (AGENT,)), INSIDE))
BEGINNING = len(RIGHT) - len(INSIDE)


def warmed() -> Envelopes:
    """Return envelopes that remember the right route."""
    envelopes = Envelopes(FOREIGN, WAYS)
    envelopes.opened(AGENT, RIGHT)
    return envelopes


def altered(octets: bytes, changes: list[tuple[int, int]], cut: int, more: bytes) -> bytes:
    changed = bytearray(octets)
    for at, value in changes:
        changed[at % BEGINNING] = value
    return bytes(changed[: len(changed) - cut]) + more


class EnvelopeTests(SynchronousTestCase):
    def test_what_is_remembered_is_what_was_read(self) -> None:
        envelopes = Envelopes(FOREIGN, WAYS)
        first, second = envelopes.opened(AGENT, RIGHT), envelopes.opened(AGENT, RIGHT)
        self.assertEqual(first, second)
        self.assertIs(first[0], second[0])
        onward = decode_hop(RIGHT[:16] + first[0].route + RIGHT[first[1] :])
        self.assertEqual(onward, hop.Relay(7, Route(MOST_HOPS - 1, HOME, (AGENT, FOREIGN)), INSIDE))

    def test_who_says_it_counts(self) -> None:
        found, _ = warmed().opened(FIRST, RIGHT)
        self.assertIsNotNone(found.detail)

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(4, BEGINNING - 1), st.integers(0, 255)), max_size=3),
        st.sampled_from((0, 0, 0, 1, 2, 64, len(INSIDE))),
        st.sampled_from((b"", b"", b"\0", bytes(8))),
    )
    def test_altered_messages(self, changes: list[tuple[int, int]], cut: int, more: bytes) -> None:
        octets = altered(RIGHT, changes, cut, more)
        try:
            read: hop.HopMessage | None = decode_hop(octets)
        except (Malformed, UnsupportedVersion, PeerFault):
            read = None
        try:
            found, end = warmed().opened(AGENT, octets)
        except (Malformed, UnsupportedVersion, PeerFault):
            self.assertIsNone(read, octets.hex())
            return
        if not isinstance(read, hop.Relay):
            self.fail(f"it took {read}: {octets.hex()}")
        self.assertEqual(found.came, read.route)
        self.assertEqual(octets[end + 4 :], read.message)
        self.assertEqual(int.from_bytes(octets[2:4], "big"), Kind.RELAY)
