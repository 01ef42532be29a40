"""Registrations by way of an agent: what goes where, what the agent keeps, and what each has in the end."""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.suites import SHA256
from seckex.events import StoreTrouble
from seckex.events.foreign_agent import HomeAgentRefused, VisitorLeft, VisitorRegistered
from seckex.machine import Path
from seckex.roles.foreign_agent import Limits, visitors
from seckex.sa.store import Outcome, PutRecord
from seckex.wire import hop
from seckex.wire.mobileip import NodeReply, decode_agent_request, decode_node_reply
from seckex.wire.numbers import MOST_HOPS, Code, Kem, Keying
from tests.roles.foreign_agent.parts import AGENT, HOME, NODE_PATH, AgentCase


class RegisteringTests(AgentCase):
    def test_a_request_goes_to_the_home_agent_as_it_came(self) -> None:
        request = self.request()
        relay = self.relayed(request)
        self.assertEqual(self.relays[-1][0], HOME)
        self.assertEqual(relay.route, hop.Route(MOST_HOPS, HOME, (AGENT,)))
        passed = decode_agent_request(relay.message)
        self.assertEqual(passed.request.octets, request.octets)
        self.assertNotEqual(passed.shares.spi_home, passed.shares.spi_node)

    def test_all_three_have_the_same_keys(self) -> None:
        for number in Kem:
            for mode in Keying:
                request = self.request(number)
                replied, reply = self.registered(request, mode=mode)
                visitor = self.agent.visitor(HOME, self.home.pseudonym)
                assert visitor is not None
                self.assertEqual(visitor.key2, replied.key2)
                key3 = request.key3(reply, replied.k3, replied.prf, replied.spi_of_node)
                self.assertEqual(visitor.key3, key3)
                self.assertNotEqual(visitor.key2.secret, visitor.key3.secret)
                self.assertEqual((visitor.mode, visitor.kem), (mode, number))

    def test_where_policy_allows_key_2_may_be_without_the_agents_secret(self) -> None:
        relay = self.relayed(self.request())
        said = self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message, mixed=False).octets))
        self.assertRefused(said, Code.AGENT_POORLY_FORMED_REPLY, "")
        self.start(self.terms(mix=False))
        for mixed in (False, True):
            replied, _ = self.registered(self.request(), mixed=mixed)
            visitor = self.agent.visitor(HOME, self.home.pseudonym)
            assert visitor is not None
            self.assertEqual(visitor.key2, replied.key2)

    def test_the_node_gets_the_home_agents_words_and_the_agents_shares(self) -> None:
        replied, reply = self.registered(self.request())
        self.assertEqual(reply.shares, replied.request.shares)
        self.assertEqual(reply.header.lifetime, 1800)
        self.assertIn(reply.sealed, replied.octets)
        self.assertIn(reply.y, replied.octets)
        self.assertLessEqual(len(reply.octets), 1152)

    def test_nothing_is_said_before_it_is_durable(self) -> None:
        self.holding = True
        relay = self.relayed(self.request())
        replied = self.home.reply(relay.message)
        self.assertEqual(self.hear(hop.Relayed(relay.identification, replied.octets)), b"")
        (commit,) = self.waiting
        (operation,) = commit.unit
        assert isinstance(operation, PutRecord)
        self.assertEqual(visitors.decode(operation.record.octets).key2, replied.key2)
        self.assertEqual(operation.record.expires, self.now.wall + 1800)
        before = len(self.actions)
        self.commit(commit)
        self.assertIsInstance(decode_node_reply(self.answered(before)), NodeReply)

    def test_a_full_disk_is_a_refusal(self) -> None:
        for outcome in ("the disk is full", Outcome.CONFLICT):
            self.stored = outcome
            relay = self.relayed(self.request())
            replied = self.home.reply(relay.message)
            said = self.hear(hop.Relayed(relay.identification, replied.octets))
            self.assertRefused(said, Code.AGENT_INSUFFICIENT_RESOURCES, "cannot store")
            self.assertIsNone(self.agent.visitor(HOME, self.home.pseudonym))
        self.assertEqual(len(self.told(StoreTrouble)), 2)

    def test_visitors_are_told_by_pseudonym(self) -> None:
        self.registered(self.request())
        (event,) = self.told(VisitorRegistered)
        self.assertEqual((event.home_agent, event.pseudonym), (HOME, self.home.pseudonym.hex()))
        (shown,) = self.agent.status(self.now)["visitors"]
        self.assertEqual(shown["pseudonym"], self.home.pseudonym.hex())

    def test_a_refusal_of_the_home_agents_is_passed_on_and_leaves_nothing(self) -> None:
        _, reply = self.registered(self.request(), code=128)
        self.assertEqual((reply.header.code, reply.header.lifetime), (128, 0))
        self.assertEqual(len(self.store.records), 0)
        (event,) = self.told(HomeAgentRefused)
        self.assertEqual(event.home_agent, HOME)

    def test_a_shorter_lifetime_is_what_counts(self) -> None:
        self.registered(self.request(), lifetime=60)
        self.pass_time(59)
        self.assertIsNotNone(self.agent.visitor(HOME, self.home.pseudonym))
        self.pass_time(2)
        self.assertIsNone(self.agent.visitor(HOME, self.home.pseudonym))
        (event,) = self.told(VisitorLeft)
        self.assertEqual(event.why, "the registration has expired")

    def test_registering_again_takes_the_place_of_before(self) -> None:
        self.registered(self.request(), lifetime=60)
        self.pass_time(30)
        replied, _ = self.registered(self.request())
        self.assertEqual([event.again for event in self.told(VisitorRegistered)], [False, True])
        self.pass_time(60)
        visitor = self.agent.visitor(HOME, self.home.pseudonym)
        assert visitor is not None
        self.assertEqual(visitor.key2, replied.key2)
        self.assertEqual(sorted(kind for kind, _ in self.store.records), ["fa.gone", "fa.visitor"])

    def test_whoever_deregisters_is_forgotten(self) -> None:
        self.registered(self.request())
        _, reply = self.registered(self.request(lifetime=0))
        self.assertEqual(reply.header.lifetime, 0)
        self.assertIsNone(self.agent.visitor(HOME, self.home.pseudonym))
        # What answers its home agent, should that say so as well.
        self.assertEqual([kind for kind, _ in self.store.records], ["fa.gone"])
        self.assertEqual(self.told(VisitorLeft)[0].why, "it has deregistered")

    def test_visitors_outlive_the_process(self) -> None:
        replied, _ = self.registered(self.request())
        self.start(self.terms())
        visitor = self.agent.visitor(HOME, self.home.pseudonym)
        assert visitor is not None
        self.assertEqual(visitor.key2, replied.key2)
        self.pass_time(1801)
        self.assertIsNone(self.agent.visitor(HOME, self.home.pseudonym))

    def test_over_tcp_the_answer_goes_back_over_it(self) -> None:
        path = Path("192.0.2.9", 40001, 5, tcp=True)
        relay = self.relayed(self.request(Kem.X25519_ML_KEM_768), path)
        before = len(self.actions)
        self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message).octets))
        self.assertIsInstance(decode_node_reply(self.answered(before, path)), NodeReply)


class RepetitionTests(AgentCase):
    def test_the_same_request_gets_the_same_octets_and_costs_no_relay(self) -> None:
        request = self.request()
        _, reply = self.registered(request)
        for _ in range(3):
            self.assertEqual(self.say(request.octets), reply.octets)
        self.assertEqual(len(self.relays), 1)
        self.assertEqual(self.agent.counters["repeated"], 3)

    def test_while_it_is_under_way_nothing_is_said_and_the_latest_path_counts(self) -> None:
        request = self.request()
        relay = self.relayed(request)
        path = NODE_PATH._replace(port=50001)
        self.assertEqual(self.say(request.octets, path), b"")
        self.assertEqual(len(self.relays), 1)
        before = len(self.actions)
        self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message).octets))
        self.assertNotEqual(self.answered(before, path), b"")

    def test_nobody_elsewhere_takes_the_answer_by_repeating_what_he_heard(self) -> None:
        request = self.request()
        relay = self.relayed(request)
        self.say(request.octets, Path("198.51.100.66", 50000, 0))
        self.assertNotEqual(self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message).octets)), b"")

    def test_after_twenty_seconds_it_is_another_request(self) -> None:
        request = self.request()
        self.registered(request)
        self.pass_time(21.5)
        self.assertEqual(self.say(request.octets), b"")
        self.assertEqual(len(self.relays), 2)

    def test_answers_beyond_the_bound_give_way(self) -> None:
        self.start(self.terms(limits=evolve(Limits(), answers=2)))
        requests = [self.request() for _ in range(3)]
        for request in requests:
            self.registered(request)
        self.assertEqual(self.agent.counters["answers"], 2)
        self.assertEqual(self.say(requests[0].octets), b"")
        self.assertNotEqual(self.say(requests[2].octets), b"")

    def test_the_octets_tell_and_not_the_identification(self) -> None:
        request = self.request()
        self.registered(request)
        other = self.request(identification=request.parts.identification)
        self.assertNotEqual(SHA256.digest(request.octets), SHA256.digest(other.octets))
        self.relayed(other)
