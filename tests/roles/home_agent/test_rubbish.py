"""Nodes and agents that have proved their names and say whatever comes to them: nothing is raised, and all goes on."""

from __future__ import annotations

import random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.sa import registration
from seckex.wire import hop
from seckex.wire.numbers import SIMULTANEOUS_FLAG, Kem, SaSubType
from tests.roaming.certificates import identity
from tests.roles.home_agent.parts import AES, AGENT, Agent, Table

SEEDS: Final = st.integers(0, 2**32)


def altered(payload: bytes, draw: random.Random) -> bytes:
    """Return an SA payload with some other octets behind its header, or cut short, or longer."""
    octets = bytearray(payload)
    for _ in range(draw.randrange(4)):
        at = draw.randrange(4, len(octets))
        octets[at] = draw.randrange(256)
    size = draw.choice((len(octets), len(octets), draw.randrange(5, len(octets)), len(octets) + 3))
    octets = octets[:size] + bytes(max(0, size - len(octets)))
    octets[2:4] = len(octets).to_bytes(2, "big")
    return bytes(octets)


class RubbishTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def answered_somehow(self, message: bytes) -> None:
        """Check that the agent has one answer, and nobody waits for anything."""
        [answer] = self.relay(message)
        self.assertIsInstance(answer, hop.Relayed | hop.NotRelayed)
        self.assertEqual(self.home.counters["under-way"], 0)
        # Whatever came of it, the node may go on by the root that it has.
        node = self.home.home.nodes.get(self.node.nai)
        assert node is not None
        self.assertIn(self.node.root, [each.secret for each in next(node.credentials).roots])
        self.node.chain = next(node.credentials).window.chain

    @settings(max_examples=60, deadline=None)
    @given(SEEDS)
    def test_of_a_node(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311  # has to repeat itself
        offers = {"home_offer": SaSubType.MN_HA, "agent_offer": SaSubType.MN_FA}
        changes = {name: altered(registration.encode_offer(AES, Kem.X25519, sub), draw) for name, sub in offers.items()}
        request = self.request(
            flags=draw.choice((0, SIMULTANEOUS_FLAG)),
            lifetime=draw.choice((0, 60, 1800, draw.randrange(65536))),
            round=draw.randrange(1, 4),
            previous=draw.choice((bytes(32), draw.randbytes(32))),
            fallback=draw.choice((True, False)),
            kvno=draw.choice((1, draw.randrange(2**32))),
            digest=draw.choice((None, draw.randbytes(32))),
            identification=(int(self.now().wall) + draw.choice((0, 0, 1000))) << 32 | draw.randrange(2**32),
            **changes,
        )
        self.answered_somehow(self.agent.relay(request.octets).octets)

    @settings(max_examples=60, deadline=None)
    @given(SEEDS)
    def test_of_an_agent(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311  # the same
        agent = Agent(identity(AGENT))
        good = registration.encode_offer
        request = self.request().octets
        self.patch(registration, "encode_offer", lambda *terms: altered(good(*terms), draw))
        message = agent.relay(request).octets
        self.patch(registration, "encode_offer", good)
        self.answered_somehow(message)
