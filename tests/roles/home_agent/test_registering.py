"""Registrations that are granted: keys, lifetimes, bindings, addresses, and what is left of each."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from attrs import evolve

from seckex.crypto.registration import sub_seeds
from seckex.crypto.secrets import Secret
from seckex.events.home_agent import BindingExpired, NodeDeregistered, NodeRegistered
from seckex.roles.home_agent.judgement import NO_ADDRESS
from seckex.roles.home_agent.pseudonyms import MOST_AT_ONCE
from seckex.sa import registration
from seckex.sa.store import PutRecord
from seckex.wire import hop
from seckex.wire.mobileip import decode_home_reply
from seckex.wire.numbers import SIMULTANEOUS_FLAG, Code, Kem, Keying, Role, SaContent, SaSubType
from tests.roaming.air import WALL
from tests.roaming.certificates import identity
from tests.roles.home_agent.parts import (
    AES,
    AGENT,
    CHACHA,
    HOME,
    HOME_ADDRESS,
    KDC,
    NODE,
    OTHER,
    OTHER_AGENT,
    Agent,
    Node,
    Table,
    agreed,
    semi_stateful,
)


class KeyTests(Table):
    def registered(self, keying: Keying, number: Kem = Kem.X25519, **terms: object) -> None:
        """Check that node and agent come to the keys that the home agent has."""
        self.start(keying=keying, **terms)
        wanted = ip_address("10.0.0.7")
        request = self.request(number=number, wanted=wanted)
        relayed = self.agent.relay(request.octets, number)
        found = self.read(request, relayed, self.relay(relayed.octets))
        answer = found.answer
        self.assertEqual((answer.code, answer.mode, answer.lifetime), (0, keying, 1800))
        self.assertEqual((answer.home_address, answer.home_agent_address), (wanted, HOME_ADDRESS))
        reply = self.home.home.replies.get(next(iter(self.home.home.replies._kept)))
        assert reply is not None
        told, ss2, tr = self.agent.read(request.octets, relayed, reply.octets)
        self.assertEqual(tr, found.tr)
        self.assertEqual((told.code, told.lifetime, told.spi_of_node), (0, 1800, request.block.spi_agent))
        a1, k2 = Secret(answer.a), Secret(told.a)
        if keying is Keying.SEMI_STATEFUL:
            a1 = semi_stateful(answer.a, HOME, NODE, (str(HOME_ADDRESS), str(wanted)), tr)
            k2 = semi_stateful(told.a, HOME, AGENT, (str(HOME_ADDRESS), str(self.agent.address)), tr)
        self.assertEqual(answer.b, told.b)
        prf = agreed(answer.home_offer, request.parts.home_offer, SaSubType.MN_HA)
        association = self.adopted[-1].association
        self.assertEqual(association.keys, found.key1(request, a1, prf))
        self.assertEqual(association.keys.context[0], SaContent.MN_HA)
        self.assertEqual((association.role, association.peer, association.confirmed), (Role.RESPONDER, NODE, True))
        self.assertEqual((association.spi_in, association.spi_out), (answer.spi_of_home, request.block.spi_home))
        self.assertEqual((association.root, association.agreement.lifetime), ("registration kvno 1", 1800))
        (binding,) = self.node_here().bindings
        self.assertEqual(
            binding.keys, self.agent.key2(relayed, told, k2, ss2 if terms.get("mix", True) else None, tr, prf)
        )
        self.assertEqual((binding.agent, str(binding.care_of)), (AGENT, "198.51.100.1"))

    def node_here(self):  # type: ignore[no-untyped-def]  # of the role's own
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        return node

    def test_stateless(self) -> None:
        self.registered(Keying.STATELESS)
        self.assertEqual(self.centers[KDC].requests, [])

    def test_stateful(self) -> None:
        self.registered(Keying.STATEFUL)
        (asked,) = self.centers[KDC].requests
        self.assertEqual((asked.node, asked.agent, asked.kvno, asked.lifetime), (NODE, AGENT, 1, 1800))
        self.assertEqual(asked.mode, Keying.STATEFUL)

    def test_semi_stateful(self) -> None:
        self.registered(Keying.SEMI_STATEFUL)
        seeds = sub_seeds(Secret(bytes((1,)) * 32))
        request, found = self.register()
        self.assertEqual((found.answer.a, found.answer.b), (seeds.mh.octets, seeds.mf.octets))
        self.assertTrue(request)

    def test_hybrid(self) -> None:
        self.registered(Keying.STATELESS, Kem.X25519_ML_KEM_768)

    def test_without_mixing(self) -> None:
        self.registered(Keying.STATEFUL, mix=False)

    def test_each_registration_has_keys_of_its_own(self) -> None:
        self.start(keying=Keying.STATEFUL)
        # The center of this test issues the same ones each time.
        _, first = self.register()
        _, second = self.register()
        self.assertEqual(first.answer.a, second.answer.a)
        one, other = (each.association for each in self.adopted)
        self.assertNotEqual(one.keys, other.keys)
        self.assertEqual(self.adopted[1].replaces, (one.spi_in,))
        self.assertEqual(list(self.store.associations), [other.spi_in])

    def test_a_mobility_manager_has_other_keys_and_takes_no_offers_to_home_agents(self) -> None:
        self.start(sub_type=SaSubType.MN_SMM)
        _, found = self.register()
        self.code_of(found, Code.NOTHING_ACCEPTABLE, "this is a mobility manager")
        offer = registration.encode_offer(AES, Kem.X25519, SaSubType.MN_SMM)
        _, found = self.register(home_offer=offer)
        self.assertEqual(found.answer.code, 0)
        self.assertEqual(self.adopted[0].association.keys.context[0], SaContent.MN_SMM)


class LifeTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_a_longer_lifetime_than_there_is_becomes_shorter(self) -> None:
        self.start(longest=900)
        _, found = self.register(lifetime=28800)
        self.assertEqual(found.answer.lifetime, 900)
        self.assertEqual(self.adopted[0].association.agreement.lifetime, 900)

    def test_what_was_agreed_for_less_lives_for_less(self) -> None:
        self.node.policy = evolve(AES, proposals=(evolve(AES.proposals[0], lifetime=120),))
        _, found = self.register()
        self.assertEqual(found.answer.lifetime, 1800)
        self.assertEqual(self.adopted[0].association.agreement.lifetime, 120)

    def test_a_registration_expires(self) -> None:
        self.register(lifetime=60)
        self.assertEqual(self.home.counters["bound"], 1)
        self.wait(61)
        self.assertEqual(self.home.counters["bound"], 0)
        self.assertEqual(self.told(BindingExpired), [BindingExpired(NODE, AGENT)])
        # The next one is by the same chain and root.
        _, found = self.register()
        self.assertEqual(found.answer.code, 0)

    def test_deregistration_ends_it(self) -> None:
        _, found = self.register()
        request = self.request(lifetime=0)
        relayed = self.agent.relay(request.octets)
        heard = self.relay(relayed.octets)
        ended = self.read(request, relayed, heard)
        self.assertEqual((ended.answer.code, ended.answer.lifetime, ended.answer.a), (0, 0, bytes(32)))
        self.assertEqual([each.spi_in for each in self.released], [found.answer.spi_of_home])
        self.assertEqual((self.store.associations, self.home.counters["bound"]), ({}, 0))
        self.assertEqual(self.told(NodeDeregistered), [NodeDeregistered(NODE, AGENT)])
        # The agent is not told which of its visitors that was.
        told, _, _ = self.agent.read(request.octets, relayed, self.answered(hop.Relayed, heard).message)
        self.assertEqual(told.pseudonym, bytes(16))
        self.assertEqual((told.spi_of_home, told.a), (0, bytes(32)))

    def pseudonym(self, agent: Agent, **changes: int) -> bytes:
        """Return what an agent is told to call the node, which makes a request through it."""
        request = self.request(agent=agent.who.nai, **changes)
        relayed = agent.relay(request.octets)
        heard = self.relay(relayed.octets)
        self.read(request, relayed, heard)
        return agent.read(request.octets, relayed, self.answered(hop.Relayed, heard).message)[0].pseudonym

    def test_an_agent_cannot_follow_a_node_by_its_pseudonym(self) -> None:
        told = []
        for _ in range(3):
            told.append(self.pseudonym(self.agent))
            self.wait(1500)
        told.append(self.pseudonym(Agent(identity(OTHER_AGENT))))
        told.append(self.pseudonym(self.agent))
        self.assertEqual(len(set(told)), 5)
        self.assertEqual(self.pseudonym(self.agent, lifetime=0), bytes(16))

    def test_a_node_that_registers_all_the_time_has_few_names_at_an_agent(self) -> None:
        def many(agent: Agent) -> list[bytes]:
            told = []
            for _ in range(12):
                told.append(self.pseudonym(agent))
                # To end it in between helps nobody to further names.
                self.pseudonym(agent, lifetime=0)
            return told

        told = many(self.agent)
        self.assertEqual(len(set(told)), MOST_AT_ONCE)
        self.assertEqual(set(told[MOST_AT_ONCE:]), {told[MOST_AT_ONCE - 1]})
        other = Agent(identity(OTHER_AGENT))
        self.assertEqual(len({*told, *many(other)}), 2 * MOST_AT_ONCE)
        # Once they would have ended it is as before.
        self.wait(1801)
        self.assertEqual(len({*told, *many(self.agent)}), 2 * MOST_AT_ONCE)

    def test_where_policy_says_so_the_agent_calls_a_node_the_same_as_long_as_it_stays(self) -> None:
        self.start(same_pseudonym=True)
        first = self.pseudonym(self.agent)
        self.assertEqual(self.pseudonym(self.agent), first)
        self.start()
        self.assertEqual(self.pseudonym(self.agent), first)
        self.assertEqual(self.pseudonym(self.agent, lifetime=0), first)
        again = self.pseudonym(self.agent)
        elsewhere = self.pseudonym(Agent(identity(OTHER_AGENT)))
        back = self.pseudonym(self.agent)
        self.assertEqual(len({first, again, elsewhere, back}), 4)

    def test_a_registration_takes_the_place_of_the_one_through_another_agent(self) -> None:
        self.register()
        self.register(Agent(identity(OTHER_AGENT)))
        self.assertEqual(self.agents(), [OTHER_AGENT])

    def agents(self) -> list[str]:
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        return [each.agent for each in node.bindings]

    def test_several_bindings_where_they_are_allowed(self) -> None:
        self.start(bindings=2)
        other, third = Agent(identity(OTHER_AGENT)), Agent(identity("third@visited.example"))
        self.register(flags=SIMULTANEOUS_FLAG)
        self.register(other, flags=SIMULTANEOUS_FLAG)
        self.assertEqual(self.agents(), [AGENT, OTHER_AGENT])
        _, found = self.register(third, flags=SIMULTANEOUS_FLAG)
        self.code_of(found, Code.TOO_MANY_BINDINGS, "2 bindings beside this one")
        # Through the same agent it is no further one.
        _, found = self.register(flags=SIMULTANEOUS_FLAG)
        self.assertEqual(found.answer.code, 0)
        self.register(other, flags=SIMULTANEOUS_FLAG, lifetime=0)
        self.assertEqual(self.agents(), [AGENT])
        self.assertEqual(len(self.store.associations), 1)
        self.register(lifetime=0)
        self.assertEqual((self.agents(), self.store.associations), ([], {}))

    def test_where_there_is_one_binding_a_further_one_is_refused(self) -> None:
        self.register()
        _, found = self.register(Agent(identity(OTHER_AGENT)), flags=SIMULTANEOUS_FLAG)
        self.code_of(found, Code.TOO_MANY_BINDINGS)
        self.assertEqual(self.agents(), [AGENT])


class AddressTests(Table):
    def other(self) -> None:
        """Go on with another node."""
        self.node = Node.provisioned(OTHER)
        self.centers[KDC].nodes[OTHER] = self.node.entry(2)
        self.hear(KDC, hop.Changed(7))
        self.wait(3)

    def test_without_a_network_nodes_have_what_they_ask_for(self) -> None:
        self.start()
        _, found = self.register(wanted=ip_address("10.9.9.9"))
        self.assertEqual(str(found.answer.home_address), "10.9.9.9")
        self.other()
        _, found = self.register()
        self.assertEqual(found.answer.home_address, NO_ADDRESS)
        _, found = self.register(wanted=ip_address("10.9.9.9"))
        self.code_of(found, Code.PROHIBITED, "another node has the home address 10.9.9.9")

    def test_from_a_network_they_are_given_one(self) -> None:
        self.start(network=ip_network("10.0.0.0/30"), address=ip_address("10.0.0.1"))
        _, found = self.register()
        self.assertEqual(str(found.answer.home_address), "10.0.0.2")
        _, found = self.register()
        self.assertEqual(str(found.answer.home_address), "10.0.0.2")
        _, own = self.register(wanted=ip_address("10.0.0.1"))
        self.code_of(own, Code.PROHIBITED, "is our own")
        _, outside = self.register(wanted=ip_address("10.0.1.1"))
        self.code_of(outside, Code.PROHIBITED, "is not in 10.0.0.0/30")
        first = self.node
        self.other()
        _, none = self.register()
        self.code_of(none, Code.INSUFFICIENT_RESOURCES, "no home address of 10.0.0.0/30 is free")
        self.node, other = first, self.node
        self.register(lifetime=0)
        self.node = other
        _, found = self.register()
        self.assertEqual(str(found.answer.home_address), "10.0.0.2")

    def test_one_that_is_about_to_be_given_is_not_given_twice(self) -> None:
        self.start(network=ip_network("10.0.0.0/30"), address=ip_address("10.0.0.1"))
        first, mine = self.node, self.request()
        self.hold()
        self.relay(self.agent.relay(mine.octets).octets)
        self.held, waiting = None, self.held
        self.other()
        _, none = self.register()
        self.code_of(none, Code.INSUFFICIENT_RESOURCES)
        self.assertIsNot(self.node, first)
        assert waiting is not None
        for commit in waiting:
            self.commit(commit)


class HealingTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_the_root_heals_with_each_registration(self) -> None:
        provisioned = self.node.root
        _, first = self.register()
        self.assertFalse(first.answer.renewed)
        self.assertNotEqual(self.node.root, provisioned)
        _, second = self.register()
        self.assertTrue(second.answer.renewed)
        # Now nobody is heard by the root of before.
        self.node.root = provisioned
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)

    def test_a_node_that_got_no_reply_is_heard_by_the_root_of_before(self) -> None:
        before = self.node.root
        _, lost = self.register()
        self.node.root = before
        _, again = self.register()
        self.assertEqual((again.answer.code, again.answer.renewed), (0, False))
        # What the reply that was lost would have led to is no more.
        self.node.root = lost.healed
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)

    def test_a_refusal_heals_nothing(self) -> None:
        self.register()
        root = self.node.root
        _, refused = self.register(lifetime=61)
        self.code_of(refused, Code.BAD_LIFETIME)
        self.assertTrue(refused.answer.renewed)
        self.assertEqual(self.node.root, root)
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_nothing_of_an_index_that_was_used_is_kept(self) -> None:
        spent = self.node.chain.octets()
        self.register()
        kept = b"".join(record.octets for record in self.store.records.values())
        self.assertNotIn(spent[4:36], kept)
        self.assertIn(self.node.chain.octets(), kept)


class FallbackTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_a_node_that_is_ahead_of_its_window_is_heard(self) -> None:
        for _ in range(20):
            self.request()
        _, found = self.register(fallback=True)
        self.assertEqual(found.answer.code, 0)
        self.assertTrue(self.told(NodeRegistered)[0].fallback)
        # From there on its SPIs are known again.
        _, found = self.register()
        self.assertEqual(found.answer.code, 0)
        self.assertFalse(self.told(NodeRegistered)[1].fallback)

    def test_ahead_of_the_window_an_spi_says_nothing(self) -> None:
        for _ in range(8):
            self.request()
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)
        self.node = Node.provisioned()
        for _ in range(7):
            self.request()
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_an_spi_that_means_another_node_is_no_hindrance(self) -> None:
        other = Node.provisioned(OTHER)
        self.centers[KDC].nodes[OTHER] = other.entry(2)
        self.wait(31)
        self.assertEqual(self.home.counters["nodes"], 2)
        _, found = self.register(fallback=True, spi=other.chain.spi)
        self.assertEqual(found.answer.code, 0)

    def test_by_the_older_static_key_both_ways(self) -> None:
        old = self.static()
        self.later(7 * 86400 + 1)
        self.assertNotEqual(self.static(), old)
        for fallback in (False, True):
            _, found = self.register(static=old, fallback=fallback)
            self.assertEqual(found.answer.code, 0)
            # It is told of the younger one.
            self.assertEqual(found.answer.home_keys, (self.static(),))
        self.later(7 * 86400 + 1)
        gone = self.agent.relay(self.request(static=old).octets).octets
        self.unheard(gone, Code.FAILED_AUTHENTICATION)


class ShapeTests(Table):
    def test_refusals_look_like_acceptances(self) -> None:
        self.start()
        for number, kem in enumerate((Kem.X25519, Kem.X25519_ML_KEM_768)):
            sizes = set()
            for lifetime in (1800, 61, 0, 0):
                request = self.request(number=kem, lifetime=lifetime)
                relayed = self.agent.relay(request.octets, kem)
                heard = self.relay(relayed.octets)
                self.read(request, relayed, heard)
                reply = decode_home_reply(self.answered(hop.Relayed, heard).message)
                sizes.add((len(reply.sealed), len(reply.c2), len(reply.sealed_secrets), reply.signed))
            self.assertEqual(len(sizes), 1, number)

    def test_a_refusal_says_as_much_as_there_is_room_for(self) -> None:
        many = evolve(AES, proposals=tuple(evolve(AES.proposals[0], lifetime=60 + n) for n in range(40)))
        self.start(policy=many)
        self.node.policy = CHACHA
        _, found = self.register()
        self.code_of(found, Code.COUNTER_OFFER, "with the home agent: proposal 1")
        home = found.answer.home_offer
        assert home is not None
        said = registration.decode(home.payload, SaSubType.MN_HA)
        # The best first, and not all of them.
        self.assertEqual([each.lifetime for each in said.alternatives], [60 + n for n in range(len(said.alternatives))])
        self.assertLess(len(said.alternatives), 40)

    def test_durable_before_it_is_sent(self) -> None:
        self.start()
        self.hold()
        request = self.request()
        relayed = self.agent.relay(request.octets)
        self.assertEqual(self.relay(relayed.octets), [])
        self.assertEqual((self.adopted, self.home.counters["under-way"]), ([], 1))
        before = len(self.said)
        self.let_go()
        self.assertEqual(len(self.said) - before, 1)
        (unit,) = [unit for unit in self.units if any(isinstance(each, PutRecord) and each.fresh for each in unit)]
        self.assertEqual(len(unit), 3)

    def test_time_is_that_of_the_wall(self) -> None:
        self.start()
        _, found = self.register()
        self.assertEqual(found.answer.clock, int(WALL + self.monotonic))
