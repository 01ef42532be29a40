"""A node registers: what it says, what it makes of replies, and what is durable when."""

from __future__ import annotations

from seckex.events import ClocksApart, CounterReceived, NegotiationFailed, NegotiationRefused, StoreTrouble
from seckex.events.mobile_node import AgentHeard, AgentRefused, Registered
from seckex.roles.mobile_node.records import HOME, Home
from seckex.wire.extensions import Detail
from seckex.wire.numbers import MAX_DATAGRAM, Code, Kem, Keying, SaSubType
from tests.conversation import policy, proposal, sealing
from tests.roles.mobile_node.scripted import says, silence, spoilt, turns_away
from tests.roles.mobile_node.world import AES, CHACHA, World


class Registering(World):
    def test_a_node_hears_an_agent_and_registers(self) -> None:
        self.start()
        self.registered()
        self.assertEqual([event.agent for event in self.told(AgentHeard)], ["fa1@visited.example"])
        (event,) = self.told(Registered)
        self.assertEqual((event.lifetime, event.rounds, event.keying, event.kem), (1800, 1, "stateless", "x25519"))
        (opened,) = self.home.opened
        self.assertEqual((opened.block.node, opened.block.index, opened.fallback), ("node@example.org", 0, False))

    def test_every_request_has_one_size(self) -> None:
        self.start()
        self.registered()
        self.assertEqual([len(request.octets) for _, request, _ in self.agent.requests], [1152])

    def test_each_keying_mode_leads_to_the_same_keys_at_both_ends(self) -> None:
        for keying in Keying:
            with self.subTest(keying=keying):
                self.anew()
                self.rely_on(keying)
                self.start()
                self.registered()

    def test_the_hybrid_goes_over_tcp(self) -> None:
        both = policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519-ml-kem-768"))
        self.anew(policy=both, home_policy=both, kem=Kem.X25519_ML_KEM_768)
        self.agent.flags |= 8 | 16
        self.start()
        self.registered()
        ((_, request, path),) = self.agent.requests
        self.assertTrue(path.tcp)
        self.assertEqual(len(request.octets), 4096)
        self.assertGreater(len(request.octets), MAX_DATAGRAM)

    def test_towards_a_mobility_manager_the_association_is_another(self) -> None:
        self.anew(manager=True)
        self.start()
        self.registered()
        self.assertEqual(self.home.key1[0].context[0], 6)

    def test_the_index_is_durable_before_the_request_leaves(self) -> None:
        self.provision()
        self.host.commit_delay = 5.0
        self.host.start()
        self.network.run(4.0)
        self.assertEqual(self.agent.requests, [])
        self.network.run(2.0)
        self.assertEqual(len(self.agent.requests), 1)
        self.assertEqual(self.stored().chain.index, 1)

    def stored(self) -> Home:
        return Home.read(self.host.store.records[HOME, b"home@example.org"])

    def test_a_node_that_dies_after_its_request_goes_on_with_the_next_index(self) -> None:
        self.agent.moves = [silence]
        self.start()
        self.network.run_until(lambda: self.agent.requests)
        self.host.restart()
        self.registered()
        self.assertEqual([opened.block.index for opened in self.home.opened], [1])

    def test_a_node_that_dies_before_the_result_is_stored_registers_by_the_root_of_before(self) -> None:
        dies = [lambda point: point.stage == "commit" and len(self.host.units) == 2]
        self.host.crash = lambda point: bool(dies and dies[0](point) and dies.pop())
        self.start()
        self.registered()
        # Both came under the first root: the home agent replaces what it would have healed to.
        self.assertEqual(self.home.opened[0].root.secret, self.home.opened[1].root.secret)

    def test_a_store_that_fails_once_costs_one_registration(self) -> None:
        self.host.commit_faults = {2: "disk full"}
        self.start()
        self.registered()
        self.assertEqual(len(self.told(StoreTrouble)), 1)
        self.assertEqual(len(self.home.opened), 2)

    def test_each_registration_heals_the_root(self) -> None:
        self.start()
        self.registered()
        self.again()
        self.registered(2)
        self.again()
        self.registered(3)
        roots = [opened.root.secret.octets for opened in self.home.opened]
        self.assertEqual(len(set(roots)), 3)
        self.assertEqual(len(self.host.store.associations), 1)

    def again(self) -> None:
        self.host.ask(self.node, lambda: self.node.keeping.again(self.host.now()))

    def test_keys_of_the_other_kem_outlast_an_answer_that_has_no_room_for_them(self) -> None:
        held = self.home.keys()
        self.home.home_keys = tuple(key for key in held if key.kem == Kem.X25519)
        self.start()
        self.registered()
        kept = self.node.keeping.home
        assert kept is not None
        self.assertEqual({key.kem for key in kept.keys}, set(Kem))

    def test_each_registration_has_a_port_of_its_own(self) -> None:
        self.start()
        self.registered()
        self.again()
        self.registered(2)
        ports = [path.port for _, _, path in self.agent.requests]
        self.assertEqual(len(set(ports)), 2)

    def test_a_request_is_repeated_octet_for_octet(self) -> None:
        self.agent.moves = [silence, silence]
        self.start()
        self.registered()
        self.assertEqual(len({request.octets for _, request, _ in self.agent.requests}), 1)
        first, second, third = (at for at, _, _ in self.agent.requests)
        self.assertTrue(1.0 <= second - first <= 1.25)
        self.assertTrue(2.0 <= third - second <= 2.5)

    def test_after_a_while_of_silence_it_begins_anew(self) -> None:
        self.agent.moves = [silence] * 5
        self.start()
        self.registered()
        self.assertGreaterEqual(len({request.spi for _, request, _ in self.agent.requests}), 2)
        (failed,) = self.told(NegotiationFailed)
        self.assertIn("does not know node@example.org by version 1 of KEY 0", " ".join(failed.causes))

    def test_after_many_unanswered_it_uses_the_fallback_and_returns_from_it(self) -> None:
        self.agent.moves = [turns_away(80)] * 7
        self.start()
        self.registered(within=600)
        self.assertEqual([opened.fallback for opened in self.home.opened], [True])
        self.again()
        self.registered(2)
        self.assertEqual([opened.fallback for opened in self.home.opened], [True, False])

    def test_a_reply_that_does_not_verify_is_no_reply(self) -> None:
        self.agent.moves = [spoilt]
        self.start()
        self.network.run(1.0)
        self.assertEqual(self.node.counters["dropped.unauthenticated"], 1)
        self.assertEqual(self.host.replaced, [])

    def test_what_the_home_agent_refuses_is_told_with_its_reason(self) -> None:
        self.agent.moves = [says(code=Code.DISABLED_NODE, detail=Detail(Code.DISABLED_NODE, 0, 0, "ask the desk"))]
        self.start()
        self.network.run_until(lambda: self.told(NegotiationRefused))
        (event,) = self.told(NegotiationRefused)
        self.assertEqual((event.code, event.reason), (Code.DISABLED_NODE, "ask the desk"))
        status = self.node.status(self.host.now())
        self.assertEqual(status["last-failure"]["why"], "ask the desk")
        self.registered()

    def test_clocks_that_differ_are_corrected_for(self) -> None:
        self.agent.moves = [says(code=Code.IDENTIFICATION_MISMATCH, clock=1_700_000_000)]
        self.start()
        self.registered()
        self.assertEqual(len(self.told(ClocksApart)), 1)
        second = self.agent.requests[1][1]
        self.assertLess(abs((second.header.identification >> 32) - 1_700_000_000), 2)
        self.assertEqual((second.round, second.previous), (1, bytes(32)))

    def test_a_home_agent_that_contradicts_itself_is_not_believed(self) -> None:
        for said in ({"agent_digest": bytes(32)}, {"spi_of_home": 0}, {"home_offer": None}, {"lifetime": 61}):
            with self.subTest(said=said):
                self.anew()
                self.agent.moves = [says(**said)]
                self.start()
                self.network.run_until(lambda: self.told(NegotiationFailed))
                self.assertEqual(self.host.store.associations, {})


class Countering(World):
    def test_a_counter_offer_within_our_policy_is_taken_up(self) -> None:
        ours = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
        self.anew(policy=ours, home_policy=AES)
        self.start()
        self.registered()
        rounds = [request.round for _, request, _ in self.agent.requests]
        self.assertEqual(rounds, [1, 2])
        self.assertNotEqual(self.agent.requests[1][1].previous, bytes(32))
        self.assertEqual(self.told(Registered)[0].transforms["encryption"], "aes-256-gcm")
        self.assertEqual(len(self.told(CounterReceived)), 1)

    def test_a_counter_offer_that_is_not_within_our_policy_is_not(self) -> None:
        self.anew(policy=CHACHA, home_policy=AES)
        self.start()
        self.network.run_until(lambda: self.told(NegotiationRefused))
        (event,) = self.told(NegotiationRefused)
        self.assertEqual(event.code, Code.NOTHING_ACCEPTABLE)
        self.assertIn("aes-256-gcm", event.acceptable)
        self.assertEqual(len(self.agent.requests), 1)

    def test_a_home_agent_may_ask_for_the_hybrid(self) -> None:
        ours = policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519 x25519-ml-kem-768"))
        theirs = policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519-ml-kem-768"))
        self.anew(policy=ours, home_policy=theirs)
        self.agent.flags |= 8 | 16
        self.start()
        self.registered()
        self.assertEqual([request.kem for _, request, _ in self.agent.requests], [1, 2])

    def test_nobody_who_is_not_authenticated_changes_what_is_offered(self) -> None:
        self.agent.moves = [turns_away(code) for code in (64, 65, 66, 69, 78)]
        self.start()
        self.registered(within=600)
        offers = {request.offers[SaSubType.MN_HA].payload for _, request, _ in self.agent.requests}
        self.assertEqual(len(offers), 1)
        self.assertEqual([event.code for event in self.told(AgentRefused)], [64, 65, 66, 69, 78])
