"""Whatever comes, from whomever: nothing raises, and nothing but what verifies has an effect."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.machine import Path, Send
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import REGISTRATION_REPLY, Kind
from tests.roles.mobile_node.scripted import accept, silence
from tests.roles.mobile_node.world import World

STARTS = (
    bytes((REGISTRATION_REPLY,)),
    bytes((REGISTRATION_REPLY, 0)),
    bytes((REGISTRATION_REPLY, 65)),
    encode_header(Header(Kind.ADVERTISEMENT, True, 0, 0)),
    encode_header(Header(Kind.COOKIE, True, 7, 0)),
)


class RubbishTests(World):
    def waiting(self) -> Path:
        """Have the node wait for a reply; return where one would come from."""
        self.anew(groups=(("239.255.67.34", 4434),))
        self.agent.moves = [silence] * 100
        self.start()
        self.network.run_until(lambda: self.agent.requests)
        sent = [action for action in self.network.sent if action.label == "REQUEST"]
        self.assertEqual(len(sent), 1)
        return Path("192.0.2.2", 4434, self.via())

    def via(self) -> int:
        state = self.node.keeping.course.state
        return int(getattr(state, "attempt").via)  # noqa: B009  # whichever state it is

    def test_octets_that_begin_well(self) -> None:
        path = self.waiting()

        @settings(max_examples=150, deadline=None)
        @given(st.sampled_from(STARTS), st.binary(max_size=900))
        def try_out(start: bytes, rest: bytes) -> None:
            self.host.receive(start + rest, path)

        try_out()
        self.assertEqual((self.host.replaced, len(self.node.keeping.agents)), ([], 1))

    def test_a_reply_with_any_octet_altered(self) -> None:
        path = self.waiting()
        _, request, _ = self.agent.requests[0]
        (sent,) = accept(self.agent, request, path, self.host.now())
        assert isinstance(sent, Send)
        for place in range(0, len(sent.octets), 3):
            altered = bytearray(sent.octets)
            altered[place] ^= 1 << place % 8
            self.host.receive(bytes(altered), path)
        for end in range(0, len(sent.octets), 40):
            self.host.receive(sent.octets[:end] or b"\3", path)
        self.host.receive(sent.octets + b"\0", path)
        self.assertEqual(self.host.replaced, [])
        self.assertEqual(self.told_of(), 1)
        # What was sent by the home agent itself is still taken.
        self.host.receive(sent.octets, path)
        self.registered()

    def told_of(self) -> int:
        """Return how many requests went out: altered replies make none begin anew."""
        return len({request.spi for _, request, _ in self.agent.requests})

    def test_what_comes_to_another_port_is_not_for_this_registration(self) -> None:
        path = self.waiting()
        _, request, _ = self.agent.requests[0]
        (sent,) = accept(self.agent, request, path, self.host.now())
        assert isinstance(sent, Send)
        self.host.receive(sent.octets, path._replace(via=0))
        self.assertEqual((self.host.replaced, self.node.counters["answers-unexpected"]), ([], 1))
