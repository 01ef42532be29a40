"""Associations that come of registering: adopted, replaced, released, kept over a restart."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from seckex.crypto.authority import Registration, registration_root
from seckex.crypto.schedule import agree
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, Unfeasible
from seckex.events import AssociationEnded
from seckex.exchange.terms import Terms
from seckex.machine import Path
from seckex.node.adopted import LET_GO_AFTER
from seckex.node.limits import Limits, Peer
from seckex.sa.algorithms import named
from seckex.sa.association import Agreement, Association
from seckex.sa.store import DeleteAssociation, PutAssociation
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Role
from tests.conversation import AES, ConversationCase
from tests.pump import CALM, WALL, Host

HOME, NODE = "home@example.org", "node@example.org"
EVERYBODY = "*@example.org"


class AdoptedCase(ConversationCase):
    def host(self, nai: str, peer: str, limits: Limits | None = None, path: Path | None = None) -> Host:
        """Return a host that runs and knows ``peer`` by registering."""
        host = self.network.host(nai, limits)
        host.peers[peer] = Peer(Terms(nai, peer, Registration(nai, peer), AES, host.entropy), path)
        host.start()
        return host

    def registered(self, spi: int, role: Role = Role.RESPONDER, **changes: Any) -> Association:
        """Return what a registration leaves at the end that has ``role``."""
        ends = (HOME, NODE) if role is Role.RESPONDER else (NODE, HOME)
        agreement = Agreement((named("aes-256-gcm"), named("prf-hmac-sha-256")), 3600)
        keys = agree(PRF_HMAC_SHA2_256, Secret(bytes(32)), Secret(bytes(32)), bytes(48), (NODE, HOME), (9, spi))
        association = Association(
            role, *ends, spi, 9, agreement, WALL, bytes(48), keys, confirmed=True, root=registration_root(1)
        )
        return evolve(association, **changes)

    def adopt(self, host: Host, association: Association, *replaces: int) -> None:
        """Do what a role's unit and its action do."""
        host.store.commit([(*map(DeleteAssociation, replaces), PutAssociation(association))])
        host._run(host.node.adopt(association, replaces, host.now()))

    def held(self, host: Host) -> list[int]:
        """Return the SPIs of what the host has in use."""
        return [each.spi_in for each in host.node.associations]


class AdoptedTests(AdoptedCase):
    def test_at_the_home_agent_it_serves_links_and_builds_none(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        self.assertEqual(home.node.usable(0x1000, home.now()), self.registered(0x1000))
        self.assertEqual(home.ready, [])
        self.assertNotIn(0x1000, home.node._answering.unconfirmed)

    def test_an_operator_of_the_home_agent_cannot_end_it_and_leave_the_registration_behind(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        for refused in (home.node.down, home.node.rekey):
            error = self.assertRaises(Unfeasible, refused, NODE, home.now())
            self.assertIn("comes of registering", str(error))
        self.assertEqual((self.held(home), home.gone), ([0x1000], []))

    def test_at_the_node_links_are_built_on_it(self) -> None:
        node = self.host(NODE, HOME)
        node._run(node.node.want(HOME, node.now()))
        self.assertEqual((node.ready, self.network.sent), ([], []))
        mine = self.registered(0x1000, Role.INITIATOR)
        self.adopt(node, mine)
        self.assertEqual(node.ready, [mine])
        node.restart()
        node._run(node.node.want(HOME, node.now()))
        self.assertEqual(node.ready, [mine, mine])

    def test_what_is_replaced_stays_for_its_links_and_then_goes(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        self.adopt(home, self.registered(0x2000), 0x1000)
        self.assertEqual(self.held(home), [0x1000, 0x2000])
        self.network.run(LET_GO_AFTER - 1)
        self.assertEqual((self.held(home), home.gone), ([0x1000, 0x2000], []))
        self.network.run(2)
        self.assertEqual(self.held(home), [0x2000])
        self.assertEqual([gone.association.spi_in for gone in home.gone], [0x1000])
        self.assertTold(home, AssociationEnded, spi_in=0x1000, why="replaced by a newer one")

    def test_links_that_have_moved_let_it_go_at_once(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        self.adopt(home, self.registered(0x2000), 0x1000)
        home.retire(self.registered(0x1000))
        self.assertEqual(self.held(home), [0x2000])
        # Another one may have its SPI by the time that it would have gone.
        self.adopt(home, self.registered(0x1000, created=WALL + 1))
        self.network.run(LET_GO_AFTER + 1)
        self.assertEqual(self.held(home), [0x2000, 0x1000])
        self.assertEqual(len(home.gone), 1)

    def test_at_the_limit_the_oldest_that_is_replaced_goes_first(self) -> None:
        home = self.host(HOME, EVERYBODY, Limits(associations=2, flood=CALM))
        for number in range(1, 5):
            self.adopt(home, self.registered(number * 0x1000), *((number - 1) * 0x1000,) * (number > 1))
        self.assertEqual(self.held(home), [0x2000, 0x3000, 0x4000])

    def test_what_is_released_is_gone_at_once(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        for _ in range(2):
            home._run(home.node.release(0x1000, "deregistered"))
        self.assertEqual(self.held(home), [])
        self.assertTold(home, AssociationEnded, why="deregistered")
        self.assertEqual([gone.why for gone in home.gone], ["deregistered"])
        # Its record is the business of whoever registers.
        self.assertEqual(home.units, [])

    def test_what_it_has_replaced_goes_with_it(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        self.adopt(home, self.registered(0x2000), 0x1000)
        other = "other@example.org"
        self.adopt(home, self.registered(0x3000, peer=other))
        self.adopt(home, self.registered(0x4000, peer=other), 0x3000)
        home._run(home.node.release(0x2000, "deregistered"))
        self.assertEqual(self.held(home), [0x3000, 0x4000])

    def test_it_is_kept_over_a_restart_as_long_as_registering_is_configured(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        self.adopt(home, self.registered(0x2000, root="key0 0x00001234 kvno 1 check 00000000"))
        home.restart()
        self.assertEqual(self.held(home), [0x1000])
        home.reconfigure()
        self.assertEqual(self.held(home), [0x1000])
        home.peers.clear()
        home.reconfigure()
        self.assertEqual(self.held(home), [])

    def test_the_home_agent_cannot_renew_it(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.adopt(home, self.registered(0x1000))
        error = self.assertRaises(Unfeasible, home.node.rekey, NODE, home.now())
        self.assertIn("the mobile node renews it", str(error))

    def test_no_exchange_renews_it(self) -> None:
        home = self.host(HOME, EVERYBODY)
        node = self.host(NODE, HOME, path=home.path)
        self.adopt(home, self.registered(0x1000))
        mine = self.registered(0x9, Role.INITIATOR, spi_out=0x1000)
        node.node.associations.add(mine)
        node._run(node.node.want(HOME, node.now()))
        wanted = evolve(node.peers[HOME].terms, authority=mine.authority(responding=False), replaces=mine.spi_in)
        node.node._seeking._peers = {HOME: Peer(wanted, home.path)}
        node.node._seeking.want(HOME, node.now(), [])
        node._run(self.rekeyed(node))
        self.network.run(1)
        self.assertIn("<-- OFFER 1", self.network.arrows())
        self.assertDropped(home, "unknown-key0")

    def rekeyed(self, node: Host) -> list[Any]:
        """Return what a node does that would renew by an exchange."""
        actions: list[Any] = []
        node.node._seeking.rekey(HOME, node.now(), actions)
        return actions

    def test_it_vouches_for_no_exchange(self) -> None:
        authority = Registration(HOME, EVERYBODY)
        self.assertEqual(str(authority), "registration")
        self.assertRaises(ApiMisuse, authority.authenticate, Role.INITIATOR, b"", b"")
        self.assertRaises(ApiMisuse, authority.extension_key, Role.INITIATOR, 0, b"")
        self.assertRaises(AuthenticationFailed, authority.not_after, "registrations kvno 1", NODE, 0.0)

    def test_a_realm_is_everybody_but_ourselves(self) -> None:
        home = self.host(HOME, EVERYBODY)
        self.assertEqual(home.node.peers[NODE].terms.authority.names, (HOME, NODE))
        self.assertTrue(home.node.peers[NODE].registered)
        self.assertNotIn(HOME, home.node.peers)
        self.assertNotIn("node@example.net", home.node.peers)
