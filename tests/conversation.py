"""What the tests of exchanges and nodes share: two principals, their policies, and what to check of them."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from twisted.trial.unittest import FailTest, SynchronousTestCase

from seckex.events import AssociationEstablished, Event, MessageDropped
from seckex.node.limits import Limits
from seckex.sa.algorithms import named
from seckex.sa.association import Association
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import ProtocolId
from tests.pump import Host, Network

E = TypeVar("E", bound=Event)

NODE, HOME = "node@example.net", "home@example.org"
INDISPENSABLE: Final = frozenset((ProtocolId.ENCRYPTION, ProtocolId.PRF, ProtocolId.KEY_AGREEMENT))


def proposal(names: str, lifetime: int = 3600, mebioctets: int = 0) -> PolicyProposal:
    """Return a proposal of the algorithms in ``names``, those of one protocol in their order."""
    algorithms: dict[ProtocolId, tuple[Any, ...]] = {}
    for algorithm in map(named, names.split()):
        algorithms[algorithm.protocol] = (*algorithms.get(algorithm.protocol, ()), algorithm)
    return PolicyProposal(algorithms, lifetime, mebioctets)


def sealing(encryption: str, lifetime: int = 3600, mebioctets: int = 0) -> PolicyProposal:
    """Return a proposal of ``encryption`` and one algorithm of each other protocol."""
    return proposal(f"{encryption} hmac-sha-256 prf-hmac-sha-256 x25519", lifetime, mebioctets)


def policy(*proposals: PolicyProposal, open_with: int = 0, shortest_lifetime: int = 60, **more: Any) -> Policy:
    """Return a policy with the mandatory protocols that every configuration has."""
    return Policy(proposals, INDISPENSABLE, shortest_lifetime, open_with, **more)


AES: Final = policy(sealing("aes-256-gcm"))
CHACHA: Final = policy(sealing("chacha20-poly1305"))


class ConversationCase(SynchronousTestCase):
    """Tests that talk over a `Network`; their failures show what was said."""

    def setUp(self) -> None:
        self.anew()

    def anew(self) -> None:
        """Forget all that was said, for one more conversation in the same test."""
        self.network = network = Network()

        class Told(FailTest):
            def __init__(self, why: object = "") -> None:
                super().__init__(f"{why}\n{network}")

        # Other processes, where tests run side by side, have to find it by its name.
        Told.__module__, Told.__name__ = FailTest.__module__, FailTest.__name__

        self.failureException = Told  # type: ignore[assignment]  # trial declares it no wider than its own

    def pair(self, ours: Policy = AES, theirs: Policy = AES, limits: Limits | None = None) -> tuple[Host, Host]:
        """Return two hosts that know each other and run: the initiator, on the left, and the responder."""
        node, home = self.network.host(NODE), self.network.host(HOME, limits)
        node.knows(home, ours)
        home.knows(node, theirs)
        node.start()
        home.start()
        return node, home

    def assertArrows(self, *expected: str) -> None:
        """Check all that was said so far."""
        self.assertEqual(self.network.arrows(), list(expected))

    def assertTold(self, host: Host, kind: type[E], **fields: object) -> E:
        """Check that exactly one report of ``kind`` was made, with these fields, and return it."""
        events = host.told(kind)
        self.assertEqual(len(events), 1, f"{kind.__name__}s of {host.name}")
        for name, value in fields.items():
            self.assertEqual(getattr(events[0], name), value, name)
        return events[0]

    def assertDropped(self, host: Host, cause: str, why: str = "") -> None:
        """Check that the last thing that was dropped and told of was dropped for ``cause``."""
        events = host.told(MessageDropped)
        self.assertTrue(events, f"{host.name} dropped nothing")
        self.assertEqual(events[-1].cause, cause)
        self.assertIn(why, events[-1].why)

    def assertAgreed(self, node: Host, home: Host) -> Association:
        """Check that both hold the association that ``node`` uses, alike and with the same keys; return the node's."""
        ours = node.node.associations.newest(home.nai)
        if ours is None:
            self.fail(f"{node.name} has no association")
        theirs = home.node.associations.get(ours.spi_out)
        if theirs is None:
            self.fail(f"{home.name} does not have {node.name}'s association")
        self.assertEqual(theirs.spi_out, ours.spi_in)
        self.assertEqual(theirs.keys.octets(), ours.keys.octets())
        self.assertEqual(theirs.agreement, ours.agreement)
        self.assertEqual(theirs.transcript, ours.transcript)
        self.assertEqual((theirs.names, theirs.responder_spi), (ours.names, ours.responder_spi))
        self.assertNotIn(ours.role, (theirs.role,))
        return ours

    def assertConversation(self, node: Host, home: Host) -> Association:
        """Check that both agree and that both know it; return the node's association."""
        ours = self.assertAgreed(node, home)
        theirs = home.node.associations.get(ours.spi_out)
        self.assertEqual((ours.confirmed, theirs and theirs.confirmed), (True, True))
        self.assertEqual(home.store.associations[ours.spi_out].confirmed, True)
        self.assertNotIn(ours.spi_out, home.node._answering.unconfirmed)
        return ours

    def established(self, node: Host, home: Host) -> Association:
        """Have ``node`` want ``home`` and return its association once both know that the other holds it."""
        node.want(home)
        self.network.run_until(lambda: any(a.confirmed for a in node.node.associations))
        self.network.run()
        self.assertTrue(node.told(AssociationEstablished))
        return self.assertConversation(node, home)
