"""What agents are still to be told of: how much of it there may be, and who gives way."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.revoking import KEY_SIZE, RevocationKey
from seckex.crypto.secrets import Secret
from seckex.events.home_agent import RevocationGivenUp
from seckex.machine import Now, Report
from seckex.node.drops import Drops
from seckex.roles.home_agent.ended import Ended
from seckex.roles.home_agent.records import REVOCATION
from seckex.roles.home_agent.revocations import MOST_OF_NODE, Revocations
from seckex.sa.store import DeleteRecord
from seckex.wire.numbers import Reason

NOW = Now(100.0, 1_790_000_000.0)
KEY = RevocationKey(Secret(bytes(KEY_SIZE)))


class LimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.revocations = Revocations(Drops())
        self.actions: list[Any] = []
        self.count = 0

    def keep(self, node: str, reason: Reason | None = Reason.MOVED) -> Ended:
        """Keep one more of a node."""
        self.count += 1
        spis = 0x1000 + self.count, 0x2000 + self.count, 0x3000 + self.count
        where = IPv4Address("192.0.2.2"), 4434
        ended = Ended(node, "agent@visited.example", *where, *spis, NOW.wall, NOW.wall + 3600, KEY)
        if reason is not None:
            ended = ended.told(reason, bytes, NOW)
        self.revocations.keep(ended, NOW, self.actions)
        return ended

    def test_a_node_whose_agents_never_answer_takes_no_others_places(self) -> None:
        others = [self.keep("other@example.org"), self.keep("other@example.org", None)]
        first = self.keep("node@example.org")
        rest = [self.keep("node@example.org") for _ in range(MOST_OF_NODE - 1)]
        self.assertEqual(self.revocations.of("node@example.org"), (first, *rest))
        self.assertEqual(self.actions, [])
        last = self.keep("node@example.org")
        self.assertEqual(self.revocations.of("node@example.org"), (*rest, last))
        self.assertEqual(self.revocations.of("other@example.org"), tuple(others))
        (given_up,) = [each.event for each in self.actions if isinstance(each, Report)]
        self.assertIsInstance(given_up, RevocationGivenUp)
        self.assertEqual(given_up.node, "node@example.org")
        # It is forgotten durably as well.
        forgotten = self.revocations.finished(Now(101.0, NOW.wall + 1))
        self.assertEqual(forgotten, (DeleteRecord(REVOCATION, first.name),))
