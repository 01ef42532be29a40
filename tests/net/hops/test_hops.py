"""Hops by TLS between principals on loopback: what goes over them, and what does not come about."""

from __future__ import annotations

from seckex.events.hops import HopOpened
from tests.net.hops.parts import AGENT, RELAY, HopsCase, Party, answer, request


class ConversationTests(HopsCase):
    async def test_a_request_and_its_answer(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop())
        agent.hops.send(RELAY, request(1))
        await self.until(lambda: relay.heard)
        self.assertEqual(relay.heard, [(AGENT, request(1))])
        relay.hops.send(AGENT, answer(1))
        await self.until(lambda: agent.heard)
        self.assertEqual(agent.heard, [(RELAY, answer(1))])
        self.assertEqual([event.neighbour for event in relay.told(HopOpened)], [AGENT])
