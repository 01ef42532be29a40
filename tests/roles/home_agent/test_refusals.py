"""Requests that are refused: with which code, and where the reason is to be seen."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from attrs import evolve

from seckex.crypto.identity import Identity
from seckex.events import CounterSent, NegotiationRefused
from seckex.events.home_agent import RequestUnheard
from seckex.machine import Path
from seckex.sa import registration
from seckex.sa.offer import to_payload
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, own_offer, select
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.mobileip import decode_home_reply
from seckex.wire.numbers import Code, Kem, Keying, SaSubType
from seckex.wire.payloads import encode_sa
from tests.conversation import INDISPENSABLE, proposal
from tests.roaming.air import WALL
from tests.roaming.certificates import identity
from tests.roles.home_agent.parts import (
    AES,
    AGENT,
    CHACHA,
    KDC,
    NODE,
    OTHER,
    OTHER_AGENT,
    Agent,
    Node,
    Read,
    Request,
    Table,
)

BOTH = Policy((*AES.proposals, *CHACHA.proposals), INDISPENSABLE)


class AgentTests(Table):
    """What an agent is refused with, on the hop; the node hears nothing of it."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def refused(self, code: Code, cause: str, why: str, who: Identity | None = None, agent: str = AGENT) -> None:
        """Check a refusal of what ``who`` relays that was made to ``agent``."""
        request = self.request(agent=agent)
        relaying = Agent(who or identity(AGENT))
        relaying.policy = self.agent.policy
        said = self.unheard(relaying.relay(request.octets).octets, code, cause)
        event = self.told(RequestUnheard)[-1]
        self.assertEqual((event.cause, event.code, event.neighbour), (cause, code, AGENT))
        self.assertIn(why, event.why)
        self.assertIn(why, said.detail.text)
        # No index was spent: nobody has heard of the node.
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_an_expired_certificate(self) -> None:
        who = identity(AGENT, since=WALL - 100, until=WALL + 50)
        self.refused(Code.AGENT_FAILED_AUTHENTICATION, "agent-certificate-expired", "expired", who)

    def test_a_certificate_that_is_not_valid_yet(self) -> None:
        who = identity(AGENT, since=WALL + 5000)
        self.refused(Code.AGENT_FAILED_AUTHENTICATION, "agent-certificate-not-yet-valid", "begins at", who)

    def test_a_certificate_of_an_authority_that_nobody_trusts(self) -> None:
        who = identity(AGENT, by="somebody")
        self.refused(Code.AGENT_FAILED_AUTHENTICATION, "agent-certificate-unknown-issuer", "trusted", who)

    def test_an_agent_that_lies_about_itself(self) -> None:
        why = f"{OTHER_AGENT} relays a request that was made to {AGENT}"
        self.refused(Code.AGENT_FAILED_AUTHENTICATION, "agent-name", why, identity(OTHER_AGENT))

    def test_a_signature_that_is_not_the_agents(self) -> None:
        octets = self.agent.relay(self.request().octets).octets
        altered = octets[:-1] + bytes((octets[-1] ^ 1,))
        self.unheard(altered, Code.AGENT_FAILED_AUTHENTICATION, "agent-signature")

    def test_a_domain_that_is_not_allowed(self) -> None:
        self.start(domains=frozenset(("elsewhere.example",)))
        request = self.request()
        said = self.unheard(self.agent.relay(request.octets).octets, Code.UNKNOWN_DOMAIN, "domain")
        self.assertIn("agents of visited.example may not relay", said.detail.text)

    def test_an_agent_that_says_it_is_where_nobody_is_to_be_told(self) -> None:
        for where in ("127.0.0.1", "239.1.1.1", "255.255.255.255", "::", "fe80::1"):
            said = Agent(identity(AGENT), ip_address(where)).relay(self.request().octets)
            self.unheard(said.octets, Code.POORLY_FORMED, "agent-address")
        _, found = self.register()
        self.assertEqual(found.answer.code, 0)

    def test_agents_of_our_own_realm_need_no_leave(self) -> None:
        self.start(domains=frozenset(("elsewhere.example",)))
        _, found = self.register(Agent(identity("agent@example.org")))
        self.assertEqual(found.answer.code, 0)

    def test_an_agent_that_is_not_allowed(self) -> None:
        self.start(agents=frozenset((OTHER_AGENT,)))
        self.unheard(self.agent.relay(self.request().octets).octets, Code.AGENT_NOT_ALLOWED, "agent")
        _, found = self.register(Agent(identity(OTHER_AGENT)))
        self.assertEqual(found.answer.code, 0)

    def test_another_home_agent(self) -> None:
        request = self.request(home_agent="home2@example.org")
        self.unheard(self.agent.relay(request.octets).octets, Code.UNKNOWN_HOME_AGENT, "other-home-agent")

    def test_an_agent_whose_offer_will_not_do(self) -> None:
        self.agent.policy = CHACHA
        said = self.unheard(self.agent.relay(self.request().octets).octets, Code.NOTHING_ACCEPTABLE, "agent-offer")
        self.assertIn("chacha20-poly1305 is not in the policy", said.detail.text)

    def test_an_agent_whose_offer_makes_no_sense(self) -> None:
        good = registration.encode_offer
        self.patch(registration, "encode_offer", lambda *given: good(*given)[:4] + b"\xff" + good(*given)[5:])
        message = self.agent.relay(self.node_request()).octets
        self.unheard(message, Code.POORLY_FORMED, "agent-offer")

    def node_request(self) -> bytes:
        """Return the octets of a request."""
        offers = {"home_offer": SaSubType.MN_HA, "agent_offer": SaSubType.MN_FA}
        good = {
            name: encode_sa(to_payload(evolve(own_offer(registration.narrowed(AES, Kem.X25519)), sub_type=sub)))
            for name, sub in offers.items()
        }
        return self.request(**good).octets

    def test_rubbish(self) -> None:
        for octets in (b"", b"\1" * 24, self.agent.relay(self.request().octets).octets[:-1]):
            self.unheard(octets, Code.POORLY_FORMED, "malformed")


class NodeTests(Table):
    """What a node is refused with, sealed: the agent sees that it is, and not why."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def refused(self, code: Code, why: str, **changes: Any) -> Read:
        """Check a sealed refusal, of which nothing is to be seen from outside, and after which all goes on."""
        request = self.request(**changes)
        relayed = self.agent.relay(request.octets)
        heard = self.relay(relayed.octets)
        found = self.read(request, relayed, heard)
        self.code_of(found, code, why)
        message = self.answered(hop.Relayed, heard).message
        told, _, _ = self.agent.read(request.octets, relayed, message)
        self.assertEqual((told.code, told.lifetime, told.a, told.pseudonym), (128, 0, bytes(32), bytes(16)))
        self.assertEqual(decode_home_reply(message).header.code, 128)
        event = self.told(NegotiationRefused)[-1]
        self.assertEqual((event.peer, event.code, event.detail), (NODE, code, (f"through {AGENT}",)))
        self.assertIn(why, event.reason)
        shown = self.home.status(self.now())["nodes"][0]["refused"]
        self.assertEqual((shown["code"], shown["agent"]), (code, AGENT))
        self.assertIn(why, shown["why"])
        return found

    def test_one_that_is_disabled(self) -> None:
        self.register()
        association = self.adopted[0].association.spi_in
        self.centers[KDC].nodes[NODE] = self.node.entry(2, enabled=False)
        self.hear(KDC, hop.Changed(1))
        self.wait(3)
        self.assertEqual([each.spi_in for each in self.released], [association])
        self.refused(Code.DISABLED_NODE, "was disabled")
        self.centers[KDC].nodes[NODE] = self.node.entry(3)
        self.wait(31)
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_one_that_has_an_older_key(self) -> None:
        self.register()
        newer = Node.provisioned(kvno=2)
        self.centers[KDC].nodes[NODE] = newer.entry(2)
        self.wait(31)
        self.refused(Code.WRONG_KEY_VERSION, "version 2 of KEY 0 is in use, not 1")
        self.refused(Code.WRONG_KEY_VERSION, "version 2", fallback=True)
        older, self.node = self.node, newer
        self.assertEqual(self.register()[1].answer.code, 0)
        # By now nothing is known of the older one.
        self.node = older
        self.unheard(self.agent.relay(self.request().octets).octets, Code.FAILED_AUTHENTICATION)

    def test_one_that_speaks_of_another_version(self) -> None:
        self.refused(Code.WRONG_KEY_VERSION, "version 1 of KEY 0 is in use, not 7", kvno=7)

    def test_clocks_that_are_apart(self) -> None:
        for skew in (-301, 301):
            identification = int(self.now().wall + skew) << 32 | 5
            found = self.refused(Code.IDENTIFICATION_MISMATCH, f"{skew:+d} s apart", identification=identification)
            self.assertEqual(found.answer.clock, int(self.now().wall))
        identification = int(self.now().wall + 300) << 32 | 5
        self.assertEqual(self.register(identification=identification)[1].answer.code, 0)

    def test_lifetimes_that_there_are_not(self) -> None:
        for lifetime in (1, 61, 28801, 65535):
            self.refused(Code.BAD_LIFETIME, f"{lifetime} s is none of 0, 60", lifetime=lifetime)

    def test_a_lifetime_that_is_too_short(self) -> None:
        self.start(shortest=900)
        self.refused(Code.BAD_LIFETIME, "at least 900 s is wanted", lifetime=300)

    def test_to_end_what_there_is_not(self) -> None:
        self.refused(Code.BAD_LIFETIME, "there is no registration to end", lifetime=0)

    def test_another_agent_than_the_node_chose(self) -> None:
        self.refused(Code.AGENT_MISMATCH, f"{AGENT} has relayed it", digest=bytes(32))

    def test_a_round_that_nobody_remembers(self) -> None:
        self.refused(Code.UNKNOWN_EXCHANGE, "round 2 of a negotiation", round=2)
        self.refused(Code.UNKNOWN_EXCHANGE, "round 1 of a negotiation", previous=b"\1" * 32)

    def test_an_offer_that_makes_no_sense(self) -> None:
        payload = registration.encode_offer(AES, Kem.X25519, SaSubType.MN_HA)
        for name in ("home_offer", "agent_offer"):
            other = payload if name == "home_offer" else payload[:1] + b"\2" + payload[2:]
            self.refused(Code.POORLY_FORMED, "first proposal number is not 1", **{name: other[:8] + b"\7" + other[9:]})
        shared = encode_shared()
        self.refused(Code.UNKNOWN_PAYLOAD, "a key exchange inside a registration", home_offer=shared)

    def test_who_is_not_known_here(self) -> None:
        stranger = Node.provisioned(OTHER, bytes(32))
        for fallback, cause in ((False, "node-authentication"), (True, "unknown-node")):
            request = stranger.request(self.static(), self.now(), fallback=fallback)
            said = self.unheard(self.agent.relay(request.octets).octets, Code.FAILED_AUTHENTICATION, cause)
            # Names of nodes are in the log and nowhere else.
            self.assertEqual(said.detail.text, "no node has authenticated it")
        self.assertIn(OTHER, self.told(RequestUnheard)[-1].why)

    def test_who_is_not_known_yet_is_asked_for_at_once(self) -> None:
        self.node = Node.provisioned(OTHER)
        self.centers[KDC].nodes[OTHER] = self.node.entry(2)
        self.unheard(self.agent.relay(self.request(fallback=True).octets).octets, Code.FAILED_AUTHENTICATION)
        self.wait(3)
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_names_that_are_not_the_nodes_own(self) -> None:
        for fallback in (False, True):
            request = self.request(named=OTHER, fallback=fallback)
            self.unheard(self.agent.relay(request.octets).octets, Code.FAILED_AUTHENTICATION)

    def test_what_is_not_over_a_hop_is_not_heard(self) -> None:
        before = self.everything()
        self.assertEqual(self.home.received(self.request().octets, Path("192.0.2.9", 4434), self.now()), [])
        self.assertEqual(self.home.counters["dropped.not-over-a-hop"], 1)
        self.assertEqual(self.everything(), before)


def encode_shared() -> bytes:
    """Return an offer with a value of a key exchange."""
    own = own_offer(registration.narrowed(AES, Kem.X25519))
    shared = evolve(own, alternatives=(evolve(own.alternatives[0], shares={31: bytes(32)}),))
    return encode_sa(to_payload(evolve(shared, sub_type=SaSubType.MN_HA)))


class CounterTests(Table):
    """Counter-offers, and what they lead to."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def offers(self, policy: Policy) -> dict[str, Any]:
        """Return the offers of a policy."""
        home = registration.encode_offer(policy, Kem.X25519, SaSubType.MN_HA)
        return {"home_offer": home, "agent_offer": registration.encode_offer(policy, Kem.X25519, SaSubType.MN_FA)}

    def countered(self, **changes: Any) -> tuple[Request, Read]:
        request, found = self.register(**changes)
        self.code_of(found, Code.COUNTER_OFFER)
        return request, found

    def test_a_counter_offer_is_taken_up(self) -> None:
        _, found = self.countered(**self.offers(CHACHA))
        self.assertEqual(self.told(CounterSent)[0].peer, NODE)
        home, visit = found.answer.home_offer, found.answer.agent_offer
        assert home is not None
        assert visit is not None
        counter = registration.decode(home.payload, SaSubType.MN_HA)
        self.assertIsInstance(select(counter, registration.narrowed(BOTH, Kem.X25519), shares_needed=False), Chosen)
        _, found = self.register(round=2, previous=found.previous, home_offer=home.payload, agent_offer=visit.payload)
        self.assertEqual(found.answer.code, 0)
        self.assertEqual(self.home.counters["rounds"], 0)

    def test_one_of_two_that_will_not_do(self) -> None:
        good, bad = self.offers(AES), self.offers(CHACHA)
        _, found = self.countered(home_offer=good["home_offer"], agent_offer=bad["agent_offer"])
        detail, home = found.answer.detail, found.answer.home_offer
        assert detail is not None
        assert home is not None
        self.assertIn("with the agent: proposal 1", detail.text)
        self.assertNotIn("with the home agent", detail.text)
        # Of what will do there is the choice, for the node to offer again.
        self.assertEqual(str(registration.decode(home.payload, SaSubType.MN_HA)), str_of(good["home_offer"]))

    def test_three_rounds_and_no_more(self) -> None:
        previous, round_ = bytes(32), 1
        for _ in range(2):
            _, found = self.countered(round=round_, previous=previous, **self.offers(CHACHA))
            previous, round_ = found.previous, round_ + 1
        _, found = self.register(round=3, previous=previous, **self.offers(CHACHA))
        self.code_of(found, Code.TOO_MANY_ROUNDS)

    def test_another_previous_is_not_the_same_negotiation(self) -> None:
        for wrong in (bytes(32), b"\1" * 32):
            self.countered(**self.offers(CHACHA))
            _, found = self.register(round=2, previous=wrong)
            self.code_of(found, Code.UNKNOWN_EXCHANGE)
            # It is over with that.
            self.assertEqual(self.home.counters["rounds"], 0)

    def test_it_is_remembered_for_half_a_minute(self) -> None:
        _, found = self.countered(**self.offers(CHACHA))
        self.wait(31)
        _, found = self.register(round=2, previous=found.previous)
        self.code_of(found, Code.UNKNOWN_EXCHANGE)

    def test_what_there_is_for_another_kem(self) -> None:
        self.start(policy=Policy((proposal("aes-256-gcm prf-hmac-sha-256 x25519-ml-kem-768"),), INDISPENSABLE))
        _, found = self.countered()
        home = found.answer.home_offer
        assert home is not None
        self.assertIn("x25519-ml-kem-768", str(registration.decode(home.payload, SaSubType.MN_HA)))
        self.assertIsNone(found.answer.agent_offer)
        hybrid: dict[str, Any] = {"number": Kem.X25519_ML_KEM_768, "round": 2, "previous": found.previous}
        self.assertEqual(self.register(home_offer=home.payload, **hybrid)[1].answer.code, 0)

    def test_nobody_chooses_another_kem_than_there_is(self) -> None:
        other = registration.encode_offer(AES, Kem.X25519_ML_KEM_768, SaSubType.MN_HA)
        self.countered(home_offer=other)
        other = registration.encode_offer(AES, Kem.X25519_ML_KEM_768, SaSubType.MN_FA)
        self.countered(agent_offer=other)

    def test_a_center_refuses(self) -> None:
        self.start(keying=Keying.STATEFUL)
        self.centers[KDC].refuses = Detail(Code.DISABLED_NODE, 0, 0, "it was stolen")
        _, found = self.register()
        self.code_of(found, Code.DISABLED_NODE, f"{KDC}: it was stolen")


def str_of(payload: bytes) -> str:
    """Return an offer as it is shown."""
    return str(registration.decode(payload, SaSubType.MN_HA))
