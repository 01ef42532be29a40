"""Requests that an agent does not relay: each with its code, before any public-key work, and never with more octets."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any
from unittest.mock import patch

from attrs import evolve

from seckex.config.policy import PolicySettings
from seckex.events.foreign_agent import AgentBusy, AgentIdle, RequestTurnedAway
from seckex.roles.foreign_agent import Limits, asked
from seckex.wire import hop
from seckex.wire.advertisement import encode_solicitation
from seckex.wire.extensions import Cookie
from seckex.wire.general import decode_message
from seckex.wire.mobileip import with_cookie
from seckex.wire.mobileip.stem import request_stem
from seckex.wire.numbers import Code, Kem, Kind
from tests.roles.foreign_agent.parts import NODE_PATH, AgentCase, Node, node_request


class TurningAwayTests(AgentCase):
    def turned_away(self, request: Node | bytes, code: Code, why: str) -> None:
        """Insist that a request is refused so, without public-key work."""
        octets = request.octets if isinstance(request, Node) else request
        with patch.object(asked, "kem", side_effect=AssertionError("public-key work")):
            said = self.say(octets)
        self.assertRefused(said, code, why)
        self.assertLessEqual(len(said), len(octets))
        self.assertEqual(self.relays, [])
        self.assertEqual(self.agent.counters[f"turned-away.{code.label}"], 1)

    def test_another_agents(self) -> None:
        request = self.request(agent="other@visited.example")
        self.turned_away(request, Code.AGENT_POORLY_FORMED_REQUEST, "for another agent")

    def test_another_care_of_address(self) -> None:
        request = self.request(care_of=IPv4Address("192.0.2.3"))
        self.turned_away(request, Code.AGENT_POORLY_FORMED_REQUEST, "care-of address")

    def test_a_lifetime_that_there_is_not(self) -> None:
        for lifetime in (1, 61, 65535):
            self.setUp()
            self.turned_away(self.request(lifetime=lifetime), Code.AGENT_POORLY_FORMED_REQUEST, f"{lifetime} s")

    def test_a_lifetime_that_is_too_long(self) -> None:
        self.start(self.terms(longest=900))
        self.assertEqual(self.advertised.longest, 900)
        self.turned_away(self.request(lifetime=1800), Code.AGENT_LIFETIME_TOO_LONG, "at most 900 s")
        self.relayed(self.request(lifetime=900))

    def test_a_home_agent_that_is_not_served(self) -> None:
        self.start(self.terms(realms=frozenset(("example.net",))))
        self.turned_away(self.request(), Code.AGENT_PROHIBITED, "not served")
        self.start(self.terms(home_agents=frozenset(("other@example.org",))))
        self.turned_away(self.request(), Code.AGENT_PROHIBITED, "not served")
        self.start(self.terms(realms=frozenset(("example.org",)), home_agents=frozenset(("home@example.org",))))
        self.relayed(self.request())

    def test_a_kem_that_the_policy_has_not(self) -> None:
        self.start(self.terms(policy=PolicySettings().as_policy()))
        self.turned_away(self.request(Kem.X25519_ML_KEM_768), Code.AGENT_PROHIBITED, "not in the policy")

    def test_a_challenge_that_was_never_said(self) -> None:
        self.turned_away(self.request(challenge=bytes(16)), Code.UNKNOWN_CHALLENGE, "since it started")

    def test_a_challenge_of_before_a_restart(self) -> None:
        request = self.request()
        entropy = self.began.entropy
        self.start(self.terms(entropy=entropy))
        self.turned_away(request, Code.UNKNOWN_CHALLENGE, "since it started")

    def test_the_last_four_challenges_are_good_and_older_ones_are_stale(self) -> None:
        challenge = self.advertised.challenge
        for _ in range(3):
            self.next_advertisement()
        self.relayed(self.request(challenge=challenge))
        self.next_advertisement()
        self.assertRefused(self.say(self.request(challenge=challenge).octets), Code.STALE_CHALLENGE, "an old one")

    def test_without_a_challenge(self) -> None:
        octets = self.request().octets
        at = octets.index(b"\x84\x10")
        self.turned_away(octets[:at] + b"\x26\x00" + octets[at + 2 :], Code.MISSING_CHALLENGE, "challenge")

    def test_what_is_no_request(self) -> None:
        octets = self.request().octets
        for number, wrong in enumerate((octets[:-1], octets[:500], octets + b"\0", b"\x01" + bytes(len(octets) - 1))):
            said = self.say(wrong)
            self.assertRefused(said, Code.AGENT_POORLY_FORMED_REQUEST, "")
            self.assertLessEqual(len(said), len(wrong), number)
        self.assertEqual(self.say(b"\x01\x00\x07\x08"), b"")

    def test_a_share_that_is_none(self) -> None:
        octets = self.request().octets
        at = octets.index(b"\x00\x21", 100) + 2
        said = self.say(octets[:at] + bytes(32) + octets[at + 32 :])
        self.assertRefused(said, Code.AGENT_POORLY_FORMED_REQUEST, "the node's share")

    def test_it_is_told_by_realm_and_within_a_ration(self) -> None:
        for _ in range(30):
            self.say(self.request(challenge=bytes(16)).octets)
        events = self.told(RequestTurnedAway)
        self.assertEqual(len(events), 10)
        self.assertEqual((events[0].realm, events[0].code), ("example.org", Code.UNKNOWN_CHALLENGE))
        self.pass_time(6)
        self.say(self.request(challenge=bytes(16)).octets)
        self.assertEqual(self.told(RequestTurnedAway)[-1].suppressed, 20)


class BusyTests(AgentCase):
    def limited(self, **limits: Any) -> None:
        self.start(self.terms(limits=evolve(Limits(), **limits)))

    def test_requests_under_way_have_a_bound(self) -> None:
        self.limited(under_way=8, flood=evolve(Limits().flood, cookies="never"))
        relays = []
        for number in range(8):
            self.assertEqual(bool(self.advertised.flags & 2), number >= 7)
            relays.append(self.relayed(self.request()))
        self.assertRefused(self.say(self.request().octets), Code.AGENT_INSUFFICIENT_RESOURCES, "under way")
        for relay in relays[:2]:
            self.hear(hop.Relayed(relay.identification, self.home.reply(relay.message, code=128).octets))
            self.assertTrue(self.advertised.flags & 2)
        self.hear(hop.Relayed(relays[2].identification, self.home.reply(relays[2].message, code=128).octets))
        self.assertFalse(self.advertised.flags & 2)
        self.assertEqual([len(self.told(each)) for each in (AgentBusy, AgentIdle)], [1, 1])
        self.relayed(self.request())

    def test_visitors_have_a_bound_and_may_leave_at_it(self) -> None:
        self.limited(visitors=4)
        for number in range(4):
            self.home.pseudonym = bytes(15) + bytes((number,))
            self.registered(self.request())
        self.assertTrue(self.advertised.flags & 2)
        self.assertRefused(self.say(self.request().octets), Code.AGENT_INSUFFICIENT_RESOURCES, "too many visitors")
        for number in (0, 1):
            self.home.pseudonym = bytes(15) + bytes((number,))
            self.registered(self.request(lifetime=0))
        self.assertFalse(self.advertised.flags & 2)
        self.relayed(self.request())


class FloodTests(AgentCase):
    FLOOD = evolve(Limits().flood, threshold=20, source_burst=1000)

    def flooded(self) -> None:
        self.start(self.terms(limits=evolve(Limits(), flood=self.FLOOD)))
        self.challenge = self.advertised.challenge
        for number in range(25):
            path = NODE_PATH._replace(host=f"192.0.2.{number + 100}")
            self.say(node_request(bytes(16)).octets, path)

    def test_under_load_an_address_has_to_be_proved_before_anything_else_is_done(self) -> None:
        self.flooded()
        request = node_request(self.challenge)
        with patch("seckex.roles.foreign_agent.agent.decode_node_request", side_effect=AssertionError("decoded")):
            asked_for = self.say(request.octets)
        cookie = cookie_of(asked_for, request.parts.identification)
        self.assertLessEqual(len(asked_for), len(request.octets))
        self.assertEqual(self.relays, [])
        again = with_cookie(request.octets, cookie)
        self.assertEqual(request_stem(again), (len(request.octets), cookie))
        self.say(again)
        self.assertEqual(len(self.relays), 1)
        self.assertNotIn(cookie, self.relays[0][1].message)

    def test_a_cookie_is_for_one_request_from_one_place(self) -> None:
        self.flooded()
        request, other = node_request(self.challenge), node_request(self.challenge)
        again = with_cookie(request.octets, cookie_of(self.say(request.octets), request.parts.identification))
        elsewhere = NODE_PATH._replace(port=NODE_PATH.port + 1)
        self.assertEqual(self.say(again, elsewhere)[0], 255)
        swapped = with_cookie(other.octets, request_stem(again)[1])
        self.assertEqual(self.say(swapped)[0], 255)
        self.assertEqual(self.agent.counters["gate.cookies-wrong"], 2)
        self.assertEqual(self.relays, [])

    def test_over_tcp_no_cookie_is_needed(self) -> None:
        self.flooded()
        self.relayed(node_request(self.challenge), NODE_PATH._replace(tcp=True))

    def test_solicitations_have_a_rate_of_their_own(self) -> None:
        self.start(self.terms(limits=evolve(Limits(), flood=evolve(self.FLOOD, source_rate=1, source_burst=5))))
        path = NODE_PATH
        answers = [bool(self.say(encode_solicitation(number), path)) for number in range(8)]
        self.assertEqual(answers, [True] * 5 + [False] * 3)
        self.pass_time(2)
        self.assertTrue(self.say(encode_solicitation(9), path))
        self.assertEqual(self.agent.counters["dropped.source-rate"], 3)


def cookie_of(octets: bytes, identification: int) -> bytes:
    """Return the cookie of a COOKIE for a request."""
    message = decode_message(octets)
    assert (message.header.kind, message.header.identification) == (Kind.COOKIE, identification)
    (cookie,) = message.extensions
    assert isinstance(cookie, Cookie)
    return cookie.cookie
