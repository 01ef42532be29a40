"""Conversations by certificates: who gets an association, who does not, and what each is told."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from seckex.crypto.certified import Certificates, chain_of
from seckex.crypto.groups.user import Parameters
from seckex.errors import Unfeasible
from seckex.events import (
    AssociationConfirmed,
    AssociationEnded,
    AssociationEstablished,
    CertificateRefused,
    CounterReceived,
    CounterSent,
    NegotiationFailed,
    NegotiationRefused,
    PeerUnreachable,
    StoreTrouble,
)
from seckex.machine import Path
from seckex.node.limits import Limits
from seckex.sa.algorithms import ANY_USER_GROUP, user_group
from seckex.sa.policy import Policy
from seckex.sa.store import Outcome
from seckex.wire.numbers import Code, ProtocolId
from tests.conversation import AES, CHACHA, HOME, NODE, policy, proposal, sealing
from tests.crypto.certified import DAY, NOW, Maker, trust
from tests.exchange.certified import SMOOTH, CertifiedCase
from tests.groups import HEAVY, PRIME_8192, naming, using
from tests.link import Datagram, duplicate, late, lose, on
from tests.pump import CALM, WALL, Host


class SmoothTests(CertifiedCase):
    def test_two_that_share_no_secret_come_to_an_association(self) -> None:
        node, home = self.certified()
        ours = self.agreed(node, home)
        self.assertArrows(*SMOOTH)
        self.assertEqual(ours.names, (NODE, HOME))
        self.assertTold(node, AssociationConfirmed, peer=HOME)
        self.assertTold(home, AssociationConfirmed, peer=NODE)
        self.assertTold(home, AssociationEstablished, peer=NODE, role="responder")
        authority = home.peers[NODE].terms.authority
        assert isinstance(authority, Certificates)
        self.assertEqual(chain_of(ours.root), authority.identity.chain)

    def test_it_is_all_over_tcp(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        self.assertEqual({datagram.destination.tcp for datagram in self.network.sent}, {True})

    def test_no_name_is_to_be_read(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        said = b"".join(datagram.octets for datagram in self.network.sent)
        for name in (NODE, HOME, "root", "principal"):
            self.assertNotIn(name.encode(), said)

    def test_authorities_between(self) -> None:
        site = self.root.under("country").under("site")
        node, home = self.certified(node=site.identity(NODE), home=self.root.under("other").identity(HOME))
        self.agreed(node, home)

    def test_everybody_of_a_realm(self) -> None:
        node, home = self.certified(nai="*@example.net")
        ours = self.agreed(node, home)
        self.assertEqual(ours.local, NODE)
        self.assertEqual(next(iter(home.node.associations)).peer, NODE)

    def test_by_key_0_and_by_certificate_side_by_side(self) -> None:
        node, home = self.certified()
        guest = self.network.host("guest@example.com")
        guest.knows(home, AES)
        home.knows(guest, AES)
        home.restart()
        guest.start()
        guest.want(home)
        self.wanted(node, home)
        self.assertEqual({each.peer for each in home.node.associations}, {NODE, "guest@example.com"})

    def test_a_renewal_is_vouched_for_by_the_association(self) -> None:
        node, home = self.certified()
        first = self.agreed(node, home)
        node.rekey(home)
        self.network.run()
        second = node.node.associations.newest(HOME)
        assert second is not None
        self.assertEqual((second.replaces, second.root), (first.spi_in, first.root))
        self.assertEqual([datagram.destination.tcp for datagram in self.network.sent[4:]], [False] * 4)

    def test_counter_offers(self) -> None:
        node, home = self.certified(policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1), CHACHA)
        ours = self.agreed(node, home)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "OFFER 2 -->", "<-- CHOICE 2", *SMOOTH[2:])
        self.assertIn("chacha20-poly1305", str(ours.agreement))
        self.assertTold(node, CounterReceived)
        self.assertTold(home, CounterSent)

    def test_nothing_in_common(self) -> None:
        node, home = self.certified(AES, CHACHA)
        self.wanted(node, home)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1")
        self.assertTold(node, NegotiationRefused, code=Code.NOTHING_ACCEPTABLE)
        self.assertNothing(node, home)

    def test_groups(self) -> None:
        for group in ("x25519", "p-256", "x25519-ml-kem-768", "modp-2048"):
            self.anew()
            only = policy(proposal(f"aes-256-gcm prf-hmac-sha-384 {group}"))
            node, home = self.certified(only, only)
            self.assertIn(group, str(self.agreed(node, home).agreement))

    def test_a_wrong_guess_of_group_costs_a_round(self) -> None:
        ours = policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519 p-256"))
        theirs = policy(proposal("aes-256-gcm prf-hmac-sha-256 p-256"))
        node, home = self.certified(ours, theirs)
        self.assertIn("p-256", str(self.agreed(node, home).agreement))
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "OFFER 2 -->", "<-- CHOICE 2", *SMOOTH[2:])

    def test_groups_that_take_long_have_no_part_in_it(self) -> None:
        large = Parameters.of(PRIME_8192, 2)
        slow = f"aes-256-gcm prf-hmac-sha-256 {user_group(large.fingerprint).name}"
        both = policy(proposal(f"{slow} x25519"), groups={large.fingerprint: large})
        node, home = self.certified(both, both)
        self.assertIn("x25519", str(self.agreed(node, home).agreement))
        self.anew()
        only = policy(proposal(slow), groups={large.fingerprint: large})
        node, home = self.certified(only, both)
        self.wanted(node, home, 0.5)
        self.assertArrows()
        self.assertIn("no proposal of our policy", self.assertTold(node, NegotiationFailed).why)

    def test_a_group_of_the_peers_own_is_not_looked_at(self) -> None:
        base = proposal("aes-256-gcm prf-hmac-sha-256 x25519")
        anything = (*base.algorithms[ProtocolId.KEY_AGREEMENT], ANY_USER_GROUP)
        wide = policy(evolve(base, algorithms={**base.algorithms, ProtocolId.KEY_AGREEMENT: anything}))
        node, home = self.certified(policy(base), wide)
        self.assertIn("x25519", str(self.agreed(node, home).agreement))

    def test_key_agreement_is_mandatory(self) -> None:
        lone = Policy((proposal("aes-256-gcm prf-hmac-sha-256"),), frozenset(), 60, 0)
        both = Policy((*lone.proposals, sealing("aes-256-gcm")), frozenset(), 60, 0)
        node, home = self.certified(both, both)
        self.assertIn("x25519", str(self.agreed(node, home).agreement))


class LifeTests(CertifiedCase):
    def test_an_association_does_not_outlive_a_certificate(self) -> None:
        for node, home in ((600, 900), (900, 600)):
            self.anew()
            first = self.root.identity(NODE, until=NOW + node)
            second = self.root.identity(HOME, until=NOW + home)
            left, right = self.certified(node=first, home=second)
            ours = self.agreed(left, right)
            self.assertLessEqual(ours.expires, NOW + 600)
            for host in (left, right):
                [held] = host.node.associations
                self.assertGreater(held.expires, NOW + 590)
                self.assertLessEqual(held.expires, NOW + 600)

    def test_nor_does_a_renewed_one(self) -> None:
        node, home = self.certified(node=self.root.identity(NODE, until=NOW + 600))
        self.agreed(node, home)
        node.rekey(home)
        self.network.run()
        for host in (node, home):
            self.assertEqual(len(host.node.associations), 2)
            for held in host.node.associations:
                self.assertLessEqual(held.expires, NOW + 600)

    def test_when_a_certificate_has_expired_there_is_no_other_association(self) -> None:
        node, home = self.certified(node=self.root.identity(NODE, until=NOW + 600))
        self.agreed(node, home)
        self.network.run(700)
        self.assertNothing(node, home)
        self.assertIn("expired", self.told_causes(node))

    def test_after_a_restart_it_is_looked_at_again(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        home.restart()
        self.assertEqual(len(home.node.associations), 1)
        revoked = self.root.certify("nobody@example.net")
        home.certifies(node, AES, self.root.identity(HOME), trust(self.root, lists=[self.root.revoked(revoked)]))
        home.restart()
        self.assertEqual(len(home.node.associations), 1)
        home.certifies(node, AES, self.root.identity(HOME), trust(Maker.root("another")))
        home.restart()
        self.network.run()
        self.assertEqual(len(home.node.associations), 0)

    def test_what_is_no_longer_vouched_for(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        [held] = home.node.associations
        self.assertEqual(home.node.unvouched(home.now()), {})
        late = home.now()._replace(wall=NOW + 20 * DAY)
        self.assertIn("expired at", home.node.unvouched(late)[held.spi_in])

    def reload(self, host: Host) -> None:
        host._run(host.node.reconfigure(host.peers.values(), host.limits, host.now()))
        self.network.run(5)

    def test_a_reload_that_changes_nothing(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        held = list(home.node.associations)
        for host in (node, home):
            self.reload(host)
        self.assertEqual(list(home.node.associations), held)
        node.rekey(home)
        self.network.run()
        self.assertEqual(len(home.node.associations), 2)

    def test_who_is_revoked_by_a_reload_is_out(self) -> None:
        for nai in ("", "*@example.net"):
            self.anew()
            certificate = self.root.certify(NODE)
            node, home = self.certified(node=self.identity_of(NODE, certificate), nai=nai)
            self.agreed(node, home)
            checked = trust(self.root, lists=[self.root.revoked(certificate)])
            home.certifies(node, AES, self.root.identity(HOME), checked, nai=nai)
            self.reload(home)
            self.assertNothing(node, home)
            [ended] = home.told(AssociationEnded)
            self.assertIn("was revoked by CN=root", ended.why)
            self.assertIn("was revoked by CN=root", self.told_causes(node))

    def test_a_responder_that_is_revoked_by_a_reload_is_left(self) -> None:
        certificate = self.root.certify(HOME)
        node, home = self.certified(home=self.identity_of(HOME, certificate))
        self.agreed(node, home)
        checked = trust(self.root, lists=[self.root.revoked(certificate)])
        node.certifies(home, AES, self.root.identity(NODE), checked)
        self.reload(node)
        self.assertNothing(node, home)
        self.assertTold(node, CertificateRefused, flaw="revoked")

    def test_a_reload_in_mid_exchange(self) -> None:
        for kind in ("CHOICE", "CONFIRM", "CONFIRMED"):
            for side in (0, 1):
                self.anew()
                hosts = node, home = self.certified()
                self.network.faults.append(on(kind, lose, times=100))
                self.wanted(node, home, 0.1)
                self.network.faults.clear()
                self.reload(hosts[side])
                self.network.run(60)
                self.assertConversation(node, home)

    def test_a_reload_while_the_store_is_written(self) -> None:
        node, home = self.certified()
        home.hold_commits()
        self.wanted(node, home, 0.1)
        home._run(home.node.reconfigure(home.peers.values(), home.limits, home.now()))
        home.release_commits()
        self.network.run(1)
        self.assertEqual(len(home.node.associations), len(home.store.associations))
        self.network.run(60)
        self.assertConversation(node, home)

    def test_who_is_revoked_while_the_store_is_written_is_out(self) -> None:
        certificate = self.root.certify(NODE)
        node, home = self.certified(node=self.identity_of(NODE, certificate))
        self.agreed(node, home)
        home.hold_commits()
        node.rekey(home)
        self.network.run(0.1)
        trusted = trust(self.root, lists=[self.root.revoked(certificate)])
        home.certifies(node, AES, self.root.identity(HOME), trusted)
        self.reload(home)
        home.release_commits()
        self.network.run(1)
        self.assertNothing(home)
        self.assertEqual(home.counters["unconfirmed"], 0)

    def test_a_pattern_that_goes_while_the_store_is_written(self) -> None:
        node, home = self.certified(nai="*@example.net")
        self.agreed(node, home)
        home.hold_commits()
        node.rekey(home)
        self.network.run(0.1)
        self.assertEqual(home.counters["commits-waiting"], 1)
        home.peers.clear()
        self.reload(home)
        home.release_commits()
        self.network.run()
        self.assertNothing(home)
        self.assertNotIn("<-- CHOICE 1", self.network.arrows()[4:])

    def test_a_pattern_that_goes_while_somebody_of_it_is_asked(self) -> None:
        node, home = self.certified(nai="*@example.net")
        self.agreed(node, home)
        self.network.faults.append(lose)
        home.rekey(node)
        home.peers.clear()
        self.reload(home)
        before = len(self.network.sent)
        self.network.run(60)
        self.assertNotIn("<-- OFFER 1", self.network.arrows()[before:])
        self.assertEqual(home.counters["asking"], 0)
        self.assertRaises(Unfeasible, home.rekey, node)

    def test_of_whom_a_pattern_fits_no_address_is_kept_without_an_association(self) -> None:
        node, home = self.certified(nai="*@example.net")
        self.agreed(node, home)
        node.rekey(home)
        self.network.run(61)
        self.assertEqual(list(home.node._paths), [NODE])
        node.down(home)
        self.network.run(61)
        self.assertNothing(home)
        self.assertEqual(home.node._paths, {})

    def test_a_certificate_that_ends_while_a_renewal_is_worked_out(self) -> None:
        both = evolve(naming(HEAVY), proposals=(proposal(f"{using(HEAVY)} x25519"),))
        node, home = self.certified(both, both, node=self.root.identity(NODE, until=NOW + 100))
        self.agreed(node, home)
        self.network.run(70)
        home.work_delay = 40
        node.rekey(home)
        self.network.run(75)
        refused = home.told(NegotiationRefused)[0]
        self.assertEqual((refused.code, refused.by), (Code.BAD_CERTIFICATE, HOME))
        self.assertEqual(home.node._answering._under_way, {})

    def test_who_had_key_0_and_is_left_with_a_pattern_keeps_nothing(self) -> None:
        home, node = self.network.host(HOME), self.network.host(NODE)
        home.certifies(node, AES, self.root.identity(HOME), trust(self.root), nai="*@example.net")
        home.knows(node, AES)
        node.knows(home, AES)
        home.start()
        node.start()
        self.network.faults.append(lose)
        home.want(node)
        del home.peers[NODE]
        self.reload(home)
        before = len(self.network.sent)
        self.network.run(60)
        self.assertEqual((home.counters["asking"], self.network.sent[before:]), (0, []))

    def test_a_wider_clock_window_brings_no_renewal_back(self) -> None:
        node, home = self.certified()
        for side, other in ((node, home), (home, node)):
            side.certifies(other, AES, self.root.identity(side.nai), trust(self.root), clock_window=20)
            side.restart()
        self.agreed(node, home)
        node.rekey(home)
        self.network.run(120)
        offer = next(each for each in self.network.sent if each.called("OFFER") and not each.source.tcp)
        self.assertEqual(home.counters["replay-records"], 0)
        home.certifies(node, AES, self.root.identity(HOME), trust(self.root), clock_window=300)
        self.reload(home)
        before = len(home.node.associations)
        home.receive(offer.octets, offer.source)
        self.network.run()
        self.assertEqual(len(home.node.associations), before)

    def test_a_pattern_that_goes(self) -> None:
        node, home = self.certified(nai="*@example.net")
        self.agreed(node, home)
        home.peers.clear()
        self.reload(home)
        self.assertNothing(home)


class RefusedTests(CertifiedCase):
    """Certificates that do not prove what they have to."""

    def by_home(self, node: Host, home: Host, why: str, code: Code = Code.BAD_CERTIFICATE) -> None:
        self.wanted(node, home)
        self.assertArrows(*SMOOTH[:3], "<-- REFUSAL 1")
        self.assertTold(node, NegotiationRefused, code=code)
        self.assertIn(why, self.told_causes(node))
        self.assertIn(why, self.told_causes(home))
        self.assertNothing(node, home)

    def by_node(self, node: Host, home: Host, why: str) -> None:
        self.wanted(node, home)
        self.assertIn(why, str(self.assertTold(node, CertificateRefused, peer=HOME)))
        self.assertNotIn("CONFIRM -->", self.network.arrows())
        self.network.run(31)
        failed = self.assertTold(node, NegotiationFailed)
        self.assertIn(why, failed.causes[0])
        self.assertNothing(node, home)

    def test_an_initiator_whose_certificate_expired(self) -> None:
        node, home = self.certified(node=self.root.identity(NODE, until=WALL - 1))
        # It thinks that it is yesterday.
        node.skew = -DAY / 2
        self.by_home(node, home, "expired at")

    def test_who_knows_that_its_own_has_expired_asks_nobody(self) -> None:
        node, home = self.certified(node=self.root.identity(NODE, until=WALL - 1))
        self.wanted(node, home, 0.5)
        self.assertArrows()
        self.assertIn("the certificate of node@example.net has expired", self.assertTold(node, NegotiationFailed).why)

    def test_a_responder_whose_certificate_expired(self) -> None:
        self.by_node(*self.certified(home=self.root.identity(HOME, until=WALL - 1)), "expired at")

    def test_not_yet_valid(self) -> None:
        self.by_home(*self.certified(node=self.root.identity(NODE, since=WALL + 900)), "begins at")
        self.anew()
        self.by_node(*self.certified(home=self.root.identity(HOME, since=WALL + 900)), "begins at")

    def test_of_another_authority(self) -> None:
        other = Maker.root("another")
        self.by_home(*self.certified(node=other.identity(NODE)), "nobody who is trusted has issued")
        self.anew()
        self.by_node(*self.certified(home=other.identity(HOME)), "nobody who is trusted has issued")

    def test_revoked(self) -> None:
        node, home = self.root.certify(NODE), self.root.certify(HOME)
        checked = trust(self.root, lists=[self.root.revoked(node, home)])
        of = self.identity_of
        self.by_home(*self.certified(node=of(NODE, node), trusted_by_home=checked), "was revoked by")
        self.anew()
        self.by_node(*self.certified(home=of(HOME, home), trusted_by_node=checked), "was revoked by")

    def test_the_wrong_name(self) -> None:
        self.by_home(
            *self.certified(node=self.root.identity("other@example.net")),
            "other@example.net may not negotiate here",
            Code.PROHIBITED,
        )
        self.anew()
        self.by_node(*self.certified(home=self.root.identity("other@example.org")), "is of other@example.org")

    def test_another_realm_than_the_one_that_is_known(self) -> None:
        self.by_home(*self.certified(nai="*@example.com"), f"{NODE} may not negotiate here", Code.PROHIBITED)

    def test_a_principal_that_is_to_prove_itself_by_key_0(self) -> None:
        node, home = self.certified(nai="*@example.net")
        home.knows(node, AES)
        home.restart()
        self.by_home(node, home, f"{NODE} may not negotiate here", Code.PROHIBITED)

    def test_our_own_name(self) -> None:
        node, home = self.certified(node=self.root.identity(HOME), nai="*@example.org")
        self.by_home(node, home, f"{HOME} may not negotiate here", Code.PROHIBITED)

    def test_expired_in_mid_exchange(self) -> None:
        node, home = self.certified(node=self.root.identity(NODE, until=WALL + 5))
        self.network.faults.append(
            lambda d: (d.__class__(d.source, d.destination, d.octets, 6.0),) if d.called("CONFIRM") else (d,)
        )
        self.wanted(node, home, 10)
        self.assertIn("expired at", self.told_causes(node))
        self.assertNothing(node, home)

    def test_certificates_that_are_too_many_for_a_responder_that_has_none(self) -> None:
        node, home = self.network.host(NODE), self.network.host(HOME)
        node.certifies(home, AES, self.root.identity(NODE), trust(self.root))
        home.knows(node, AES)
        node.start()
        home.start()
        self.wanted(node, home)
        self.assertArrows("OFFER 1 -->", "OFFER 1 -->")
        self.assertDropped(home, "no-certificates", "which are not configured here")

    def test_over_udp_there_is_no_answer(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        offer = self.network.sent[0]
        before = len(self.network.sent)
        where = Path("192.0.2.9", 9)
        self.network.deliver(Datagram(where, home.path, offer.octets))
        self.network.run()
        self.assertEqual(len(self.network.sent), before)
        self.assertDropped(home, "no-certificates", "an offer by certificates, over UDP")

    def test_nor_is_there_one_to_a_confirmation(self) -> None:
        for mine, answer in ((None, "CONFIRMED"), (Maker.root("strangers").identity(NODE), "REFUSAL")):
            self.anew()
            node, home = self.certified(node=mine)
            self.network.faults.append(on("CONFIRM", lose))
            self.wanted(node, home, 0.1)
            confirm, before = self.network.last("CONFIRM"), len(self.network.sent)
            self.network.deliver(evolve(confirm, source=Path("192.0.2.9", 9)))
            self.network.run(0.1)
            self.assertEqual(len(self.network.sent), before)
            self.assertDropped(home, "no-certificates", "a confirmation by certificates, over UDP")
            self.network.run(1)
            self.assertTrue(self.network.sent[-1].called(answer))


class LossTests(CertifiedCase):
    def test_why_no_connection_can_be_made_is_told(self) -> None:
        node, home = self.certified()
        home.stop()
        node.want(home)
        node._run(node.node.unreachable(*home.path[:2], "connection refused", node.now()))
        self.assertTold(node, PeerUnreachable, peer=HOME, why="connection refused")
        self.network.run(31)
        self.assertIn("connection refused", self.assertTold(node, NegotiationFailed).causes)

    def test_a_copy_of_an_offer_gets_the_same_counter_offer(self) -> None:
        ours = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1)
        node, home = self.certified(ours, CHACHA)
        self.network.faults = [on("OFFER 2", late(0.2))]
        self.wanted(node, home, 0.1)
        counter = self.network.last("COUNTER").octets
        home.receive(self.network.last("OFFER 1").octets, self.network.last("OFFER 1").source)
        self.assertEqual(self.network.sent[-1].octets, counter)
        self.network.run(0.5)
        # The second round is to the counter-offer that the initiator has heard.
        self.assertConversation(node, home)

    def test_every_message_may_be_lost_once(self) -> None:
        for lost in ("OFFER", "CHOICE", "CONFIRM", "CONFIRMED"):
            self.anew()
            node, home = self.certified()
            gone: list[Datagram] = []

            def fault(datagram: Datagram, lost: str = lost, gone: list[Datagram] = gone) -> Iterable[Datagram]:
                if datagram.called(lost) and not gone:
                    gone.append(datagram)
                    return lose(datagram)
                return (datagram,)

            self.network.faults.append(fault)
            self.wanted(node, home, 5)
            self.assertConversation(node, home)
            self.assertEqual(len(home.node.associations), 1)

    def test_everything_may_come_twice(self) -> None:
        node, home = self.certified()
        self.network.faults.append(duplicate)
        self.wanted(node, home, 5)
        self.assertConversation(node, home)
        self.assertEqual(len(home.node.associations), 1)

    def test_a_copy_of_an_offer_gets_the_same_choice(self) -> None:
        node, home = self.certified()
        self.network.faults.append(lambda d: lose(d) if d.called("CHOICE") else (d,))
        self.wanted(node, home, 3)
        choices = {datagram.octets for datagram in self.network.sent if datagram.called("CHOICE")}
        self.assertGreater(len([d for d in self.network.sent if d.called("CHOICE")]), 1)
        self.assertEqual(len(choices), 1)
        self.assertEqual(home.counters["certified-half-open"], 1)

    def test_a_responder_that_restarts_before_confirm(self) -> None:
        node, home = self.certified()
        self.network.faults.append(lambda d: lose(d) if d.called("CONFIRM") else (d,))
        self.wanted(node, home, 1)
        self.network.faults.clear()
        home.restart()
        self.network.run(40)
        self.assertConversation(node, home)

    def test_an_initiator_that_restarts_before_confirmed(self) -> None:
        node, home = self.certified()
        self.network.faults.append(lambda d: lose(d) if d.called("CONFIRMED") else (d,))
        self.wanted(node, home, 1)
        self.network.faults.clear()
        self.assertNothing(node)
        node.restart()
        self.network.run(5)
        self.assertConversation(node, home)

    def test_a_responder_restarting_between_rounds(self) -> None:
        node, home = self.certified(policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1), CHACHA)
        self.network.faults.append(lambda d: lose(d) if d.called("OFFER 2") else (d,))
        self.wanted(node, home, 0.3)
        self.network.faults.clear()
        home.restart()
        self.network.run(20)
        self.assertConversation(node, home)


class StoreTests(CertifiedCase):
    def test_a_responder_with_a_full_disk_says_so(self) -> None:
        node, home = self.certified()
        home.commit_faults[1] = "no space left"
        self.wanted(node, home, 0.5)
        self.assertArrows(*SMOOTH[:3], "<-- REFUSAL 1")
        self.assertTold(node, NegotiationRefused, code=Code.INSUFFICIENT_RESOURCES)
        self.assertTold(home, StoreTrouble)
        self.network.run(5)
        self.assertConversation(node, home)

    def test_an_initiator_with_a_full_disk_uses_nothing(self) -> None:
        node, home = self.certified()
        node.commit_faults[1] = "no space left"
        self.wanted(node, home, 0.5)
        self.assertTold(node, StoreTrouble)
        self.assertNothing(node)
        self.network.run(5)
        self.assertConversation(node, home)

    def test_an_spi_that_was_taken(self) -> None:
        for side in (0, 1):
            self.anew()
            hosts = self.certified()
            hosts[side].commit_faults[1] = Outcome.CONFLICT
            self.wanted(*hosts, 70)
            self.assertConversation(*hosts)

    def test_confirmed_comes_after_the_store(self) -> None:
        node, home = self.certified()
        home.hold_commits()
        self.wanted(node, home)
        self.assertNotIn("<-- CONFIRMED", self.network.arrows())
        self.assertNothing(node)
        home.release_commits()
        self.network.run(5)
        self.assertConversation(node, home)


class LimitTests(CertifiedCase):
    def test_half_open_exchanges_give_way_and_begin_anew(self) -> None:
        node, home = self.certified(limits=Limits(half_open=1, flood=CALM))
        other = self.network.host("other@example.net")
        other.certifies(home, AES, self.root.identity("other@example.net"), trust(self.root))
        home.certifies(other, AES, self.root.identity(HOME), trust(self.root))
        home.restart()
        other.start()
        self.network.faults.append(lambda d: lose(d) if d.called("CONFIRM") else (d,))
        self.wanted(node, home, 0.1)
        other.want(home)
        self.network.run(0.1)
        self.assertEqual(home.counters["certified-half-open"], 1)
        self.network.faults.clear()
        self.network.run(80)
        self.assertEqual({each.peer for each in home.node.associations}, {NODE, "other@example.net"})

    def test_what_is_kept_is_forgotten(self) -> None:
        node, home = self.certified()
        self.network.faults.append(lambda d: lose(d) if d.called("CHOICE") else (d,))
        self.wanted(node, home, 1)
        self.assertEqual(home.counters["certified-half-open"], 1)
        node.stop()
        self.network.run(61)
        self.assertEqual((home.counters["certified-half-open"], home.counters["half-open-expired"]), (0, 1))

    def test_where_the_table_of_associations_is_full(self) -> None:
        node, home = self.certified(limits=Limits(associations=0, flood=CALM))
        self.wanted(node, home, 0.5)
        self.assertTold(node, NegotiationRefused, code=Code.INSUFFICIENT_RESOURCES)
        self.assertNothing(node, home)
