"""What the tests of exchanges by certificates share: two principals with certificates of one authority."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import Certificate

from seckex.crypto.identity import Identity, Trust
from seckex.events import AssociationEstablished
from seckex.node.limits import Limits
from seckex.sa.association import Association
from seckex.sa.policy import Policy
from tests.conversation import AES, HOME, NODE, ConversationCase
from tests.crypto.certified import Maker, key, trust
from tests.pump import CALM, Host, Network

#: What is said when all goes well.
SMOOTH = ["OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED"]


class CertifiedCase(ConversationCase):
    """Tests that talk by certificates over a `Network`."""

    def setUp(self) -> None:
        super().setUp()
        self.root = Maker.root()

    def certified(
        self,
        ours: Policy = AES,
        theirs: Policy = AES,
        *,
        node: Identity | None = None,
        home: Identity | None = None,
        trusted_by_node: Trust | None = None,
        trusted_by_home: Trust | None = None,
        limits: Limits | None = None,
        nai: str = "",
        network: Network | None = None,
    ) -> tuple[Host, Host]:
        """Return two hosts that know each other by certificate, and run."""
        net = network or self.network
        first, second = net.host(NODE), net.host(HOME, limits or Limits(flood=CALM))
        mine, other = node or self.root.identity(NODE), home or self.root.identity(HOME)
        first.certifies(second, ours, mine, trusted_by_node or trust(self.root))
        second.certifies(first, theirs, other, trusted_by_home or trust(self.root), nai=nai)
        first.start()
        second.start()
        return first, second

    def identity_of(self, nai: str, certificate: Certificate) -> Identity:
        """Return the identity with one certificate in particular."""
        return Identity([certificate], key(f"principal {nai}"))

    def wanted(self, node: Host, home: Host, seconds: float = 1.0) -> None:
        """Have ``node`` want ``home``, and let time go by."""
        node.want(home)
        self.network.run(seconds)

    def agreed(self, node: Host, home: Host) -> Association:
        """Have ``node`` want ``home``, and check that both hold the association."""
        self.wanted(node, home)
        self.assertTold(node, AssociationEstablished)
        return self.assertConversation(node, home)

    def assertNothing(self, *hosts: Host) -> None:
        """Check that nobody holds an association, in memory or in store."""
        for host in hosts:
            self.assertEqual((list(host.node.associations), dict(host.store.associations)), ([], {}), host.name)

    def told_causes(self, host: Host) -> str:
        """Return all that was told to the operator, for looking through it."""
        return "\n".join(map(str, host.reports))


def settled(host: Host) -> Any:
    """Return what a host holds that an attack must not change."""
    return [(each.spi_in, each.spi_out, each.peer, each.keys.octets()) for each in host.node.associations]
