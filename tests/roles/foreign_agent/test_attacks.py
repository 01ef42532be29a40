"""Attacks on what goes between agent and home agent, by those who relay it and by those who only hear the node.

No relay is trusted with anything: what it alters, keeps and says again, or makes up
leads to no visitor, no key and no reply that a node would get as the home agent's.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from attrs import evolve

from seckex.crypto.identity import TrustAnchors
from seckex.events.foreign_agent import ReplyUnbelievable
from seckex.machine import Path
from seckex.roles.foreign_agent import Limits
from seckex.sa import registration
from seckex.sa.algorithms import BY_NAME
from seckex.wire import hop
from seckex.wire.extensions import SaPayloadExtension
from seckex.wire.mobileip import decode_home_reply
from seckex.wire.numbers import Code, Kem, Keying, ProtocolId, SaSubType
from tests.roaming.certificates import identity, trust
from tests.roles.foreign_agent.parts import AGENT, HOME, NODE_PATH, AgentCase, Home


class ReplyAttacks(AgentCase):
    def disbelieved(self, octets: bytes, relay: hop.Relay, code: Code, why: str = "", neighbour: str = HOME) -> None:
        """Insist that nothing comes of a reply but a hint to the node and a line for the operator."""
        said = self.hear(hop.Relayed(relay.identification, octets), neighbour)
        self.assertRefused(said, code, "")
        self.assertIn(why, self.told(ReplyUnbelievable)[-1].why)
        self.assertEqual((len(self.store.records), self.agent.counters["visitors"]), (0, 0))

    def replied(self, home: Home | None = None, number: Kem = Kem.X25519, **how: Any) -> tuple[hop.Relay, bytes]:
        relay = self.relayed(self.request(number))
        return relay, (home or self.home).reply(relay.message, **how).octets

    def test_flip_every_octet(self) -> None:
        number = 0
        self.start(self.terms(limits=evolve(Limits(), flood=evolve(Limits().flood, source_burst=10_000))))
        while True:
            relay, octets = self.replied()
            if number >= len(octets):
                break
            wrong = octets[:number] + bytes((octets[number] ^ 1,)) + octets[number + 1 :]
            said = self.hear(hop.Relayed(relay.identification, wrong))
            code = self.refusal(said).code
            self.assertIn(code, (Code.HOME_AGENT_FAILED_AUTHENTICATION, Code.AGENT_POORLY_FORMED_REPLY), number)
            self.assertEqual(len(self.store.records), 0, number)
            # Every octet of the header and of where the first part begins, then some of each part.
            number += 1 if number < 34 else 29

    def test_truncate(self) -> None:
        for cut in (0, 1, 19, 20, 100, 700, 1000):
            relay, octets = self.replied()
            self.disbelieved(octets[:cut], relay, Code.AGENT_POORLY_FORMED_REPLY)

    def test_append(self) -> None:
        relay, octets = self.replied()
        self.disbelieved(octets + b"\0", relay, Code.AGENT_POORLY_FORMED_REPLY)

    def test_replay_the_reply_to_another_request(self) -> None:
        _, old = self.replied()
        relay = self.relayed(self.request())
        self.disbelieved(old, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "another request")

    def test_replay_the_reply_to_another_request_of_the_same_identification(self) -> None:
        first = self.request()
        old = self.home.reply(self.relayed(first).message).octets
        relay = self.relayed(self.request(identification=first.parts.identification))
        self.disbelieved(old, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "signature")

    def test_splice_two_replies(self) -> None:
        first, second = self.replied(), self.replied()
        one, other = decode_home_reply(first[1]), decode_home_reply(second[1])
        for part in ("y", "sealed", "c2", "sealed_secrets", "signature"):
            ours, theirs = getattr(one, part), getattr(other, part)
            if len(ours) != len(theirs):
                continue
            relay, octets = self.replied()
            mine = getattr(decode_home_reply(octets), part)
            if len(mine) == len(theirs):
                spliced = octets.replace(mine, theirs)
                self.disbelieved(spliced, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION)

    def test_another_home_agent_answers(self) -> None:
        relay, octets = self.replied(Home(identity("other@example.org")))
        why = "signed by other@example.org, not by home@example.org"
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, why)

    def test_the_agent_itself_answers(self) -> None:
        relay, octets = self.replied(Home(identity(AGENT)))
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "not by home@example.org")

    def test_somebody_without_the_home_agents_key_shows_its_certificate(self) -> None:
        thief = Home(identity(HOME, held="thief"))
        thief.identity.chain = identity(HOME).chain
        self.addCleanup(setattr, thief.identity, "chain", thief.identity.chain)
        relay, octets = self.replied(thief)
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "signature")

    def test_a_certificate_of_nobody_who_is_trusted(self) -> None:
        relay, octets = self.replied(Home(identity(HOME, by="another authority")))
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "nobody who is trusted")

    def test_an_expired_certificate(self) -> None:
        wall = self.now.wall
        relay, octets = self.replied(Home(identity(HOME, since=wall - 1000, until=wall - 1)))
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION, "expired")

    def test_a_reply_that_was_meant_for_another_agent(self) -> None:
        relay = self.relayed(self.request())
        octets = self.home.reply(relay.message).octets
        other = self.terms(identity=identity("agent2@visited.example"))
        self.agent._relays._under_way  # noqa: B018  # what it was made for stays what it was
        self.start(other)
        again = self.relayed(self.request(agent="agent2@visited.example"))
        self.disbelieved(octets, again, Code.HOME_AGENT_FAILED_AUTHENTICATION)

    def test_a_corrupt_home_agent_contradicts_itself(self) -> None:
        for how in ({"header": {"lifetime": 60}}, {"lifetime": 3600}, {"header": {"code": 128, "lifetime": 0}}):
            relay, octets = self.replied(**how)
            self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY)

    def test_a_registration_without_its_parts(self) -> None:
        for how in ({"spi_of_home": 0}, {"spi_of_node": 0}, {"home_offer": None}, {"node_offer": None}):
            relay, octets = self.replied(**how)
            self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY)
        relay, octets = self.replied(mode=Keying.SEMI_STATEFUL, home_agent_address=None)
        self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY, "address")

    def test_a_home_agent_that_says_it_is_where_the_agent_is_not_to_call(self) -> None:
        for where in ("127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "fe80::1"):
            relay, octets = self.replied(home_agent_address=ip_address(where))
            self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY, "no address of a home agent")
        relay, octets = self.replied(home_agent_address=ip_address("::ffff:127.0.0.1"))
        self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY, "no address of a home agent")

    def test_a_choice_of_what_nobody_offered(self) -> None:
        weak = evolve(self.terms().policy.proposals[0], lifetime=86400)
        policy = evolve(self.terms().policy, proposals=(weak,))
        for part, sub in (("home_offer", SaSubType.HA_FA), ("node_offer", SaSubType.MN_FA)):
            whole = SaPayloadExtension(registration.encode_offer(policy, Kem.X25519, sub))
            relay, octets = self.replied(**{part: whole})  # type: ignore[arg-type]  # as above
            self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY)

    def test_a_choice_of_what_only_the_node_would_take(self) -> None:
        (ours,) = self.terms().policy.proposals
        only = {**ours.algorithms, ProtocolId.ENCRYPTION: (BY_NAME["aes-256-gcm"],)}
        self.start(self.terms(policy=evolve(self.terms().policy, proposals=(evolve(ours, algorithms=only),))))
        other = {**ours.algorithms, ProtocolId.ENCRYPTION: (BY_NAME["aes-128-gcm"],)}
        policy = evolve(self.terms().policy, proposals=(evolve(ours, algorithms=other),))
        offer = registration.encode_offer(policy, Kem.X25519, SaSubType.MN_FA)
        relay = self.relayed(self.request(agent_offer=offer))
        octets = self.home.reply(relay.message).octets
        self.disbelieved(octets, relay, Code.AGENT_POORLY_FORMED_REPLY, "not in the policy here")

    def test_another_kem_in_the_answer(self) -> None:
        relay = self.relayed(self.request())
        hybrid = self.relayed(self.request(Kem.X25519_ML_KEM_768))
        octets = self.home.reply(hybrid.message).octets
        self.disbelieved(octets, relay, Code.HOME_AGENT_FAILED_AUTHENTICATION)


class HopAttacks(AgentCase):
    def test_a_neighbour_that_was_not_asked_is_not_heard(self) -> None:
        relay = self.relayed(self.request())
        octets = self.home.reply(relay.message).octets
        for said in (hop.Relayed(relay.identification, octets), hop.Relayed(relay.identification, b"")):
            self.assertEqual(self.hear(said, "stranger@example.net"), b"")
        self.assertNotEqual(self.hear(hop.Relayed(relay.identification, octets)), b"")

    def test_an_answer_to_nothing(self) -> None:
        relay = self.relayed(self.request())
        replied = self.home.reply(relay.message)
        self.assertEqual(self.hear(hop.Relayed(relay.identification ^ 1, replied.octets)), b"")
        self.assertFalse(self.agent.awaits(relay.identification ^ 1))
        self.assertTrue(self.agent.awaits(relay.identification))
        self.hear(hop.Relayed(relay.identification, replied.octets))
        self.assertEqual(self.hear(hop.Relayed(relay.identification, replied.octets)), b"")
        self.assertFalse(self.agent.awaits(relay.identification))

    def test_a_reply_twice_while_it_is_being_stored(self) -> None:
        self.holding = True
        relay = self.relayed(self.request())
        replied = self.home.reply(relay.message)
        for _ in range(2):
            self.assertEqual(self.hear(hop.Relayed(relay.identification, replied.octets)), b"")
        self.assertEqual(len(self.waiting), 1)

    def test_rubbish_over_a_hop(self) -> None:
        relay = self.relayed(self.request())
        start = hop.encode_hop(hop.Relayed(relay.identification, b""))
        for octets in (start[:17], b"\xff\x11\x00\x12" + start[4:16] + b"\x7f\x2a\xff\xff", start + b"\0"):
            self.assertEqual(self.hear(octets), b"")
        self.assertEqual(self.agent.counters["dropped.malformed-on-hop"], 3)
        self.assertEqual(self.hear(hop.Changed(relay.identification)), b"")


class OnTheAir(AgentCase):
    """Who hears requests of others, or makes up some."""

    def test_repeating_what_was_heard_changes_nothing_for_the_node(self) -> None:
        request = self.request()
        _, reply = self.registered(request)
        elsewhere = Path("198.51.100.9", 4000, 0)
        # He gets what was on the air already, no longer than what he sent, and no work is done for him.
        self.assertEqual(self.say(request.octets, elsewhere), reply.octets)
        self.assertLessEqual(len(reply.octets), len(request.octets))
        self.assertEqual(len(self.relays), 1)

    def test_altered_copies_are_other_requests_and_take_nothing_from_the_first(self) -> None:
        request = self.request()
        relay = self.relayed(request)
        self.say(request.octets[:-1] + bytes((request.octets[-1] ^ 1,)), NODE_PATH)
        self.assertEqual(len(self.relays), 2)
        self.assertNotEqual(self.relays[1][1].identification, relay.identification)
        replied = self.home.reply(relay.message)
        self.assertNotEqual(self.hear(hop.Relayed(relay.identification, replied.octets)), b"")

    def test_nothing_that_a_node_sends_makes_the_agent_raise(self) -> None:
        octets = self.request().octets
        for number in range(0, len(octets), 7):
            for mask in (0x01, 0x80, 0xFF):
                path = NODE_PATH._replace(host=f"192.0.2.{number % 250}", port=number + 1024)
                self.say(octets[:number] + bytes((octets[number] ^ mask,)) + octets[number + 1 :], path)

    def test_what_the_agent_tells_has_nothing_of_the_node_but_its_pseudonym_and_realm(self) -> None:
        replied, _ = self.registered(self.request())
        self.registered(self.request(), code=128)
        told = " ".join(str(action) for action in self.actions if "Report" in type(action).__name__)
        told += str(self.agent.status(self.now)) + str(self.agent.counters)
        for secret in (NODE_PATH.host, replied.key2.secret.octets.hex(), "node@", replied.k3.octets.hex()):
            self.assertNotIn(secret, told)
        visitor = self.agent.visitor(HOME, self.home.pseudonym)
        for octets in (replied.key2.secret.octets, replied.k3.octets):
            self.assertNotIn(repr(octets), repr(visitor))


class TrustTests(AgentCase):
    def test_trust_that_was_taken_away_counts_for_what_comes_after(self) -> None:
        relay = self.relayed(self.request())
        nobody: TrustAnchors = trust("another authority")
        self.agent.reconfigure(self.terms(trust=nobody), self.now)
        # What was under way goes on by the terms of before.
        replied = self.home.reply(relay.message)
        self.assertEqual(decode_home_reply(replied.octets).header.code, 0)
        self.hear(hop.Relayed(relay.identification, replied.octets))
        self.assertEqual(self.agent.counters["visitors"], 1)
        relay = self.relayed(self.request())
        said = self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message).octets))
        self.assertRefused(said, Code.HOME_AGENT_FAILED_AUTHENTICATION, "not the home agent's")
