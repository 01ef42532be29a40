"""Conversations about groups: right and wrong guesses, every group, groups that peers bring along, and bundles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from seckex.crypto.groups.modp import MODP_1024, Modp
from seckex.crypto.groups.table import GROUPS
from seckex.crypto.groups.user import Parameters
from seckex.events import CounterSent, MessageDropped, NegotiationFailed, NegotiationRefused
from seckex.exchange.aside import MOST_AT_ONCE
from seckex.sa.algorithms import ALL, BY_NAME, user_group
from seckex.sa.policy import Policy
from seckex.wire.numbers import Code, ProtocolId
from seckex.wire.payloads import KeyExchange, UserKeyExchange, decode_sa
from tests.conversation import AES, ConversationCase, policy, proposal
from tests.exchange.parts import sa_of
from tests.groups import HEAVY, LIGHT, PRIME_8192, ROOT, SMALL, anyone, naming, using
from tests.link import flipped, on
from tests.pump import Host

KEY_AGREEMENT = ProtocolId.KEY_AGREEMENT
ONE_ROUND = ("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED")
TWO_ROUNDS = ("OFFER 1 -->", "<-- COUNTER 1", "OFFER 2 -->", "<-- CHOICE 2", "CONFIRM -->", "<-- CONFIRMED")


def groups(names: str, **more: Any) -> Policy:
    """Return a policy of one proposal with these groups."""
    return policy(proposal(f"aes-256-gcm prf-hmac-sha-256 {names}"), **more)


class Talking(ConversationCase):
    def group(self, node: Host, home: Host) -> str:
        """Have an association set up and return its group."""
        return str(self.established(node, home).agreement.algorithm(KEY_AGREEMENT))

    def shares(self) -> list[list[KeyExchange | UserKeyExchange]]:
        """Return the key exchanges of each offer that was sent, in their order."""
        found = []
        for datagram in self.network.sent:
            if datagram.called("OFFER"):
                parts = decode_sa(sa_of(datagram.octets)).payloads
                found.append([part for part in parts if isinstance(part, KeyExchange | UserKeyExchange)])
        return found

    def refused(self, node: Host, home: Host, code: Code, why: str) -> None:
        node.want(home)
        self.network.run(0.5)
        for host in (node, home):
            self.assertIn(why, self.assertTold(host, NegotiationRefused, by=home.nai, code=code).reason)
        self.assertEqual((len(node.node.associations), len(home.node.associations)), (0, 0))


class EveryGroupTests(Talking):
    def test_one_round_with_each_group_that_has_a_number(self) -> None:
        tried = [algorithm for algorithm in ALL if algorithm.protocol is KEY_AGREEMENT]
        self.assertEqual({algorithm.transform_id for algorithm in tried}, set(GROUPS))
        for algorithm in tried:
            self.anew()
            node, home = self.pair(groups(algorithm.name), groups(algorithm.name))
            self.assertEqual(self.group(node, home), algorithm.name)
            self.assertArrows(*ONE_ROUND)
            [[share]] = self.shares()
            assert isinstance(share, KeyExchange)
            number = algorithm.transform_id
            self.assertEqual((share.sub, share.transform_id), (number if number in (1, 2) else 4, number))

    def test_one_round_with_a_user_defined_group(self) -> None:
        for parameters in (LIGHT, ROOT, HEAVY):
            self.anew()
            node, home = self.pair(naming(parameters), naming(parameters))
            self.assertEqual(self.group(node, home), parameters.name)
            self.assertArrows(*ONE_ROUND)
            [[share]] = self.shares()
            assert isinstance(share, UserKeyExchange)
            self.assertEqual((share.prime, share.generator), (parameters.prime, parameters.generator))

    def test_groups_that_a_policy_does_not_name_are_not_taken(self) -> None:
        for ours in (groups("modp-768"), groups("modp-1024"), naming(LIGHT)):
            self.anew()
            node, home = self.pair(ours, AES)
            node.want(home)
            self.network.run(0.5)
            self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "ABANDON 2 -->")
            self.assertEqual((len(node.node.associations), len(home.node.associations)), (0, 0))


class GuessTests(Talking):
    def test_a_wrong_guess_costs_one_round(self) -> None:
        for wanted in ("p-256", "x25519-ml-kem-768", "modp-2048"):
            self.anew()
            node, home = self.pair(groups(f"x25519 {wanted}"), groups(wanted))
            self.assertEqual(self.group(node, home), wanted)
            self.assertArrows(*TWO_ROUNDS)
            why = f"proposal 1: {wanted} would be chosen, but the offer holds no key exchange for it"
            self.assertEqual(self.assertTold(home, CounterSent).reasons[-1], why)
            # Nothing was sent for what was not guessed.
            number = BY_NAME[wanted].transform_id
            sent = [[s.transform_id for s in shares] for shares in self.shares()]
            self.assertEqual(sent, [[31], [number]])

    def test_more_guesses_cost_octets_and_no_round(self) -> None:
        node, home = self.pair(groups("x25519 p-256", guesses=2), groups("p-256"))
        self.assertEqual(self.group(node, home), "p-256")
        self.assertArrows(*ONE_ROUND)
        self.assertEqual([s.transform_id for s in self.shares()[0]], [31, 19])

    def test_the_guess_is_right_for_a_later_proposal_as_well(self) -> None:
        ours = policy(
            proposal("chacha20-poly1305 prf-hmac-sha-256 x25519"), proposal("aes-256-gcm prf-hmac-sha-256 x25519")
        )
        node, home = self.pair(ours, groups("x25519"))
        self.established(node, home)
        self.assertArrows(*ONE_ROUND)
        self.assertEqual(len(self.shares()[0]), 1)

    def test_an_offer_after_a_counter_offer_has_a_fresh_value(self) -> None:
        ours = policy(
            proposal("chacha20-poly1305 prf-hmac-sha-256 p-256"),
            proposal("aes-256-gcm prf-hmac-sha-256 p-256"),
            open_with=1,
        )
        node, home = self.pair(ours, groups("p-256"))
        self.assertEqual(self.group(node, home), "p-256")
        self.assertArrows(*TWO_ROUNDS)
        (first,), (second,) = self.shares()
        self.assertEqual(first.transform_id, second.transform_id)
        self.assertNotEqual(first.value, second.value)

    def test_too_many_large_guesses_are_left_out(self) -> None:
        large = [Parameters.of(PRIME_8192, generator) for generator in (2, 3, 5)]
        names = " ".join(user_group(one.fingerprint).name for one in large)
        ours = groups(names, guesses=3, groups={one.fingerprint: one for one in large})
        node, home = self.pair(ours, AES)
        node.want(home)
        self.network.run(0.5)
        self.assertEqual([len(shares) for shares in self.shares()], [2])

    def test_a_wrong_guess_in_a_heavy_group(self) -> None:
        ours = evolve(naming(HEAVY), proposals=(proposal(f"x25519 {using(HEAVY)}"),))
        node, home = self.pair(ours, naming(HEAVY))
        self.assertEqual(self.group(node, home), HEAVY.name)
        self.assertArrows(*TWO_ROUNDS)


class BroughtTests(Talking):
    """The responder takes user-defined groups that it has never seen, once it has verified them."""

    def setUp(self) -> None:
        super().setUp()
        self.verified: list[str] = []
        verify = Parameters.verified

        def verifying(parameters: Parameters) -> Modp:
            self.verified.append(parameters.name)
            return verify(parameters)

        self.patch(Parameters, "verified", verifying)

    def test_it_is_verified_once_and_remembered(self) -> None:
        node, home = self.pair(naming(LIGHT), anyone())
        self.assertEqual(self.group(node, home), LIGHT.name)
        node.renew()
        self.network.run(2.0)
        self.assertEqual(len(node.ready), 2)
        self.assertEqual(self.verified, [LIGHT.name])

    def test_what_is_none_is_refused_and_remembered_as_such(self) -> None:
        bad = Parameters.of(int(MODP_1024.prime) + 2, 4)
        node, home = self.pair(naming(bad), anyone())
        self.refused(node, home, Code.UNKNOWN_GROUP_PARAMETERS, f"{bad.name}: P is not a safe prime")
        self.network.run(1.5)
        self.assertEqual(len(node.told(NegotiationRefused)), 2)
        self.assertEqual(self.verified, [bad.name])

    def test_sizes_are_judged_before_anything_is_computed(self) -> None:
        node, home = self.pair(naming(SMALL), anyone())
        node.want(home)
        self.network.run(0.5)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "ABANDON 2 -->")
        why = f"{SMALL.name}: P has 768 bits, 1024 to 8192 are allowed"
        self.assertIn(why, self.assertTold(home, CounterSent).reasons[0])
        self.assertEqual(self.verified, [])

    def test_copies_of_an_offer_are_let_pass_while_its_group_is_verified(self) -> None:
        node, home = self.pair(naming(LIGHT), anyone())
        home.work_delay = 5.0
        node.want(home)
        self.network.run(4.0)
        self.assertGreater(self.network.arrows().count("OFFER 1 -->"), 2)
        self.assertEqual(self.network.arrows().count("<-- CHOICE 1"), 0)
        self.network.run(10.0)
        self.assertConversation(node, home)
        self.assertEqual((self.verified, len(home.node.associations)), ([LIGHT.name], 1))

    def test_a_flood_of_large_primes_is_bounded_and_others_are_served(self) -> None:
        home = self.network.host("home@example.org")
        peers = [self.network.host(f"node{number}@example.net") for number in range(12)]
        served = self.network.host("node@example.net")
        for number, peer in enumerate(peers):
            # Composite, but nothing small divides them: each costs at least a power modulo 8192 bits.
            bad = Parameters.of(PRIME_8192 + 4 * 3 * 5 * 7 * 11 * 13 * 17 * 19 * (number + 1), 2)
            peer.knows(home, naming(bad), spi=0x2000 + number)
            home.knows(peer, anyone(), spi=0x2000 + number)
        served.knows(home, groups("x25519"), spi=0x3000)
        home.knows(served, anyone(), spi=0x3000)
        for host in (home, *peers, served):
            host.start()
        home.work_delay = 5.0
        for peer in peers:
            peer.want(home)
        served.want(home)
        self.network.run(1.0)
        self.assertEqual(len(served.ready), 1)
        self.network.run(90.0)
        # One check of 5 s, and 95 s without.
        self.assertEqual(len(self.verified), 1)
        codes = [event.code for peer in peers for event in peer.told(NegotiationRefused)]
        self.assertEqual(set(codes), {Code.INSUFFICIENT_RESOURCES, Code.UNKNOWN_GROUP_PARAMETERS})
        self.network.run(60.0)
        self.assertEqual(len(self.verified), 2)


class AsideTests(Talking):
    def test_so_many_key_agreements_are_done_aside_at_once_and_others_go_on(self) -> None:
        home = self.network.host("home@example.org")
        peers = [self.network.host(f"node{number}@example.net") for number in range(MOST_AT_ONCE + 2)]
        light = self.network.host("node@example.net")
        for number, (peer, ours) in enumerate([*((peer, naming(HEAVY)) for peer in peers), (light, AES)]):
            peer.knows(home, ours, spi=0x2000 + number)
            home.knows(peer, ours, spi=0x2000 + number)
        for host in (home, *peers, light):
            host.start()
        home.work_delay = 0.3
        for peer in (*peers, light):
            peer.want(home)
        self.network.run(0.2)
        self.assertEqual(len(light.ready), 1)
        refused = [event for peer in peers for event in peer.told(NegotiationRefused)]
        self.assertEqual([event.code for event in refused], [Code.INSUFFICIENT_RESOURCES] * 2)
        self.assertIn("too many key agreements are under way", refused[0].reason)
        self.network.run(5.0)
        self.assertEqual([len(peer.ready) for peer in peers], [1] * len(peers))

    def test_a_peer_that_goes_takes_no_place_with_it(self) -> None:
        home = self.network.host("home@example.org")
        *gone, stays = [self.network.host(f"node{number}@example.net") for number in range(MOST_AT_ONCE + 1)]
        for number, peer in enumerate((*gone, stays)):
            peer.knows(home, naming(HEAVY), spi=0x2000 + number)
            home.knows(peer, naming(HEAVY), spi=0x2000 + number)
        for host in (home, *gone, stays):
            host.start()
        home.work_delay = 1.0
        for peer in gone:
            peer.want(home)
        self.network.run(0.5)
        home.peers = {stays.nai: home.peers[stays.nai]}
        home.reconfigure()
        self.network.run(1.0)
        stays.want(home)
        self.network.run(5.0)
        self.assertConversation(stays, home)
        self.assertEqual([len(peer.ready) for peer in gone], [0] * len(gone))
        self.assertEqual(len(home.store.replays), 1)


class UnwantedTests(Talking):
    def test_who_is_not_wanted_any_more_is_not_asked_once_a_value_is_ready(self) -> None:
        node, home = self.pair(naming(HEAVY), naming(HEAVY))
        node.work_delay = 0.5
        node.want(home)
        node.down(home)
        self.network.run(40)
        self.assertArrows()

    def test_a_value_by_a_policy_of_before_is_not_offered(self) -> None:
        node, home = self.pair(naming(HEAVY), AES)
        node.work_delay = 0.5
        node.want(home)
        node.knows(home, AES)
        node.reconfigure()
        self.established(node, home)
        self.assertArrows(*ONE_ROUND)


class ForgedTests(Talking):
    def test_forged_choices_in_a_heavy_group_keep_no_offer_from_being_repeated(self) -> None:
        node, home = self.pair(naming(HEAVY), naming(HEAVY))
        forged: list[Any] = []

        def kept(datagram: Any) -> Iterator[Any]:
            forged.append(evolve(datagram, octets=flipped(datagram.octets, 8 * len(datagram.octets) - 1)))
            yield from ()

        def again() -> None:
            self.network.deliver(forged[0])
            self.network.at(0.4, again)

        self.network.faults.append(on("CHOICE", kept, times=100))
        node.work_delay = 0.1
        node.want(home)
        self.network.run(0.3)
        again()
        self.network.run_until(lambda: node.told(NegotiationFailed), 32.0)
        self.assertEqual(len([each for each in self.network.sent if each.called("OFFER")]), 7)

    def test_a_forged_choice_in_a_heavy_group_is_found_out_and_the_exchange_goes_on(self) -> None:
        node, home = self.pair(naming(HEAVY), naming(HEAVY))

        def also_forged(datagram: Any) -> Iterator[Any]:
            yield evolve(datagram, octets=flipped(datagram.octets, 8 * len(datagram.octets) - 1))
            yield datagram

        self.network.faults.append(on("CHOICE", also_forged))
        node.work_delay = 0.2
        self.established(node, home)
        self.assertIn("the MAC of CHOICE does not verify", node.told(MessageDropped)[0].why)

    def test_a_choice_in_a_group_for_which_there_was_no_value_is_dropped(self) -> None:
        node, home = self.pair(groups("x25519 p-256"), groups("x25519"))
        changed = bytes.fromhex("03000008 01 00 001f"), bytes.fromhex("03000008 02 00 0013")

        def renamed(datagram: Any) -> Iterator[Any]:
            yield evolve(datagram, octets=datagram.octets.replace(*changed).replace(b"\0\x1f\0\0", b"\0\x13\0\0"))

        self.network.faults.append(on("CHOICE", renamed))
        node.want(home)
        self.network.run(1.0)
        self.assertDropped(node, "unauthenticated", "CHOICE takes p-256, for which there was no key exchange")


class BundleTests(Talking):
    def test_a_bundle_is_offered_and_chosen_from(self) -> None:
        held = proposal("chacha20-poly1305 prf-hmac-sha-384 x25519").algorithms
        whole = evolve(proposal("chacha20-poly1305 prf-hmac-sha-384 x25519"), bundle=7)
        ours = policy(whole, bundles={7: held})
        node, home = self.pair(ours, ours)
        agreed = self.established(node, home)
        self.assertArrows(*ONE_ROUND)
        self.assertEqual(str(agreed.agreement), "chacha20-poly1305 + prf-hmac-sha-384 + x25519")

    def test_whoever_does_not_know_it_counters_with_what_it_has(self) -> None:
        held = proposal("aes-256-gcm prf-hmac-sha-256 x25519").algorithms
        whole = evolve(proposal("aes-256-gcm prf-hmac-sha-256 x25519"), bundle=7)
        node, home = self.pair(policy(whole, bundles={7: held}), groups("x25519"))
        agreed = self.established(node, home)
        self.assertArrows(*TWO_ROUNDS)
        self.assertIn("bundle 7 is not known here", self.assertTold(home, CounterSent).reasons[0])
        self.assertEqual(str(agreed.agreement), "aes-256-gcm + prf-hmac-sha-256 + x25519")
