"""An agent on a table, between a node and a home agent of which there is no more than it needs.

The node's identity block, its MAC and the sealed answer are random octets here:
the agent can tell no difference, and that it cannot is what is shown elsewhere.
"""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from typing import Any, Final, TypeVar

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.policy import PolicySettings
from seckex.crypto.identity import Identity
from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration import equation5, key2, key3, sub_seeds, transcript
from seckex.crypto.registration_seals import seal_agent_secrets, sign_reply, verify_request
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.events import Event
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Commit
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.foreign_agent import AgentTerms, ForeignAgent
from seckex.sa import registration
from seckex.sa.algorithms import BY_NAME
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, select
from seckex.sa.store import MemoryStore, Outcome
from seckex.wire import hop
from seckex.wire.advertisement import Advertisement, decode_advertisement, encode_solicitation
from seckex.wire.extensions import Detail, SaPayloadExtension
from seckex.wire.mobileip import (
    SIZES,
    AgentRefusal,
    AgentRequest,
    NodeReply,
    ReplyHeader,
    RequestParts,
    decode_agent_request,
    decode_node_reply,
    encode_home_reply,
    encode_node_request,
    encode_reply_header,
)
from seckex.wire.numbers import Code, Kem, Keying, ProtocolId, SaSubType
from seckex.wire.registration import AgentAnswer, encode_agent_answer
from tests.roaming.certificates import identity, trust

AGENT: Final = "agent@visited.example"
HOME: Final = "home@example.org"
SERVER: Final = "aaa@visited.example"
OTHER_SERVER: Final = "aaa2@visited.example"
CARE_OF: Final = IPv4Address("192.0.2.2")
NODE_PATH: Final = Path("192.0.2.9", 50000, 0)
HOME_ADDRESS: Final = IPv4Address("198.51.100.1")
HOME_PORT: Final = 4434

_PROPOSAL: Final = PolicySettings().as_policy().proposals[0]
POLICY: Final = evolve(
    PolicySettings().as_policy(),
    proposals=(
        evolve(
            _PROPOSAL,
            algorithms={
                **_PROPOSAL.algorithms,
                ProtocolId.KEY_AGREEMENT: (BY_NAME["x25519"], BY_NAME["x25519-ml-kem-768"]),
            },
        ),
    ),
)

E = TypeVar("E", bound=Event)
_draw: Final = random.Random(7).randbytes  # noqa: S311  # has to repeat itself


@frozen
class Node:
    """A request, and what its node knows of it."""

    octets: bytes
    key: KemKey
    parts: RequestParts

    def key3(self, reply: NodeReply, k3: Secret, prf: int, spi: int) -> AgreedKeys:
        """Return KEY 3 as the node has it."""
        tr = transcript(self.octets, reply.shares_data, reply.y)
        names = "@example.org", AGENT
        ss3 = self.key.open(reply.shares.ct3)
        return key3(prf, k3, ss3, tr, names, (spi, reply.shares.spi_node))


def node_request(challenge: bytes, number: Kem = Kem.X25519, policy: Policy = POLICY, **changes: Any) -> Node:
    """Return a request as a node would make it, with changes to its parts."""
    method = kem(number)
    key = method.keypair(_draw(method.seed_size))
    parts = RequestParts(
        flags=0,
        lifetime=1800,
        identification=int.from_bytes(_draw(8), "big"),
        kem=number,
        round=1,
        previous=bytes(32),
        spi=0x1234_5678,
        agent=AGENT,
        home_agent=HOME,
        care_of=CARE_OF,
        challenge=challenge,
        x=key.public,
        ciphertext=_draw(SIZES[number].ciphertext),
        home_offer=registration.encode_offer(policy, number, SaSubType.MN_HA),
        agent_offer=registration.encode_offer(policy, number, SaSubType.MN_FA),
    )
    parts = evolve(parts, **changes)
    octets = encode_node_request(parts, lambda _hd: _draw(272), lambda _covered: _draw(16))
    return Node(octets, key, parts)


@frozen
class Replied:
    """A reply, and what the home agent knows of it."""

    octets: bytes
    request: AgentRequest
    key2: AgreedKeys
    k3: Secret
    tr: bytes
    prf: int
    spi_of_node: int


class Home:
    """A home agent that accepts everything that its own certificate lets it answer."""

    def __init__(self, who: Identity | None = None) -> None:
        self.identity = who or identity(HOME)
        self.pseudonym = _draw(16)

    def reply(
        self,
        message: bytes,
        *,
        code: int = 0,
        lifetime: int | None = None,
        mode: Keying = Keying.STATEFUL,
        agent: str = AGENT,
        header: dict[str, Any] | None = None,
        **secrets: Any,
    ) -> Replied:
        """Return a reply to what an agent passed on; changes to what its header and the agent's secrets say."""
        request = decode_agent_request(message)
        voucher = trust().verify(request.certificates, 1_790_000_000.0)
        assert voucher.nai == agent
        verify_request(voucher, request.signature, message[: request.signed], request.request.home_agent)
        method, number = kem(request.request.kem), request.request.kem
        granted = request.request.header.lifetime if lifetime is None else lifetime
        granted = 0 if code else granted
        y, _ee = method.seal(request.request.x, _draw(32))
        c2, ss2 = method.seal(request.shares.z, _draw(32))
        tr = transcript(request.request.octets, request.shares_data, y)
        said = ReplyHeader(code, granted, request.request.header.identification)
        said = evolve(said, **(header or {}))
        a, b = Secret(_draw(32)), Secret(_draw(32))
        if mode is Keying.SEMI_STATEFUL:
            seeds = sub_seeds(Secret(_draw(32)))
            a, b = seeds.hf, seeds.mf
        of_home, prf = _choice(request.offers[SaSubType.HA_FA], SaSubType.HA_FA, number)
        of_node, _ = _choice(request.request.offers[SaSubType.MN_FA], SaSubType.MN_FA, number)
        spi_of_home, spi_of_node = 0x2222_2222, 0x3333_3333
        answer = AgentAnswer(
            code=code,
            mode=mode,
            lifetime=granted,
            spi_of_home=spi_of_home,
            spi_of_node=spi_of_node,
            a=a.octets,
            b=b.octets,
            pseudonym=self.pseudonym,
            home_offer=SaPayloadExtension(of_home),
            node_offer=SaPayloadExtension(of_node),
            home_agent_address=HOME_ADDRESS,
            port=HOME_PORT,
        )
        answer = evolve(answer, **secrets)
        sealed = seal_agent_secrets(ss2, tr, encode_reply_header(said), encode_agent_answer(answer))
        octets = encode_home_reply(
            said,
            number,
            y=y,
            sealed=_draw(SIZES[number].answer + 16),
            c2=c2,
            sealed_secrets=sealed,
            certificates=self.identity.chain,
            sign=lambda covered: sign_reply(self.identity, agent, message, covered),
        )
        k2, k3 = a, b
        if mode is Keying.SEMI_STATEFUL:
            care_of = request.request.care_of
            k2 = equation5(a, HOME, AGENT, HOME_ADDRESS, request.address, tr)
            k3 = equation5(b, AGENT, "@example.org", care_of, care_of, tr)
        keys = key2(prf, k2, ss2 if answer.mixed else None, tr, (AGENT, HOME), (request.shares.spi_home, spi_of_home))
        return Replied(octets, request, keys, k3, tr, prf, spi_of_node)


def _choice(offered: SaPayloadExtension, sub_type: SaSubType, number: Kem) -> tuple[bytes, int]:
    offer = registration.decode(offered.payload, sub_type)
    verdict = select(offer, registration.narrowed(POLICY, number), shares_needed=False)
    assert isinstance(verdict, Chosen)
    return registration.encode(evolve(offer, alternatives=(verdict.alternative,)), sub_type), verdict.agreement.prf


class AgentCase(SynchronousTestCase):
    """An agent, its store, and everything that it has asked for."""

    servers: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.home = Home()
        self.store = MemoryStore()
        self.monotonic, self.skew = 0.0, 0.0
        self.stored: Outcome | str | None = None
        self.actions: list[RoleAction] = []
        self.waiting: list[Commit] = []
        self.began = self.terms()
        self.start(self.began)

    def terms(self, **changes: Any) -> AgentTerms:
        """Return what the agent goes by."""
        known: dict[str, Any] = {
            "identity": identity(AGENT),
            "trust": trust(),
            "policy": POLICY,
            "entropy": random.Random(1).randbytes,  # noqa: S311  # has to repeat itself
            "address": CARE_OF,
            "care_of": (CARE_OF,),
            "domain": "visited.example",
            "servers": self.servers,
            "groups": ("239.255.67.34",),
        }
        return AgentTerms(**(known | changes))

    @property
    def now(self) -> Now:
        return Now(self.monotonic, 1_790_000_000.0 + self.monotonic + self.skew)

    # -- what happens

    def start(self, terms: AgentTerms) -> None:
        """Start, or start again, from what is stored."""
        self.agent = ForeignAgent(terms)
        self.run_all(self.agent.start(self.store.load(0, self.now.wall), self.now))

    def run_all(self, asked: list[RoleAction]) -> list[RoleAction]:
        """Do what the agent asks for: commits have their outcomes at once unless a test holds them."""
        self.actions += asked
        for action in asked:
            if isinstance(action, Commit):
                if self.holding:
                    self.waiting.append(action)
                else:
                    self.commit(action)
        return asked

    holding = False

    def commit(self, action: Commit) -> None:
        outcome = self.stored or self.store.commit([action.unit])[0]
        self.run_all(self.agent.committed(action.token, outcome, self.now))

    def say(self, octets: bytes, path: Path = NODE_PATH) -> bytes:
        """Say something to the agent, and return what it says to that at once, empty for nothing."""
        before = len(self.actions)
        self.run_all(self.agent.received(octets, path, self.now))
        return self.answered(before, path)

    def answered(self, since: int, path: Path = NODE_PATH) -> bytes:
        """Return what was said to a node since, which must be one message at most."""
        said = [a.octets for a in self.actions[since:] if isinstance(a, Send) and a.path == path]
        self.assertLessEqual(len(said), 1)
        return said[0] if said else b""

    def hear(self, message: hop.HopMessage | bytes, neighbour: str = HOME) -> bytes:
        """Have a neighbour say something, and return what the node gets."""
        before = len(self.actions)
        octets = message if isinstance(message, bytes) else hop.encode_hop(message)
        self.run_all(self.agent.heard(neighbour, octets, self.now))
        return self.answered(before)

    def pass_time(self, seconds: float) -> bytes:
        """Let time go by, and return what the node gets meanwhile."""
        before, end = len(self.actions), self.monotonic + seconds
        while True:
            due = self.agent.next_deadline(self.now)
            if due is None or due > end:
                break
            self.monotonic = max(self.monotonic, due)
            self.run_all(self.agent.tick(self.now))
        self.monotonic = end
        return self.answered(before)

    def next_advertisement(self) -> None:
        """Let time go by until there is another one to everybody."""
        before = self.advertised.sequence
        while self.advertised.sequence == before:
            self.pass_time(0.5)

    # -- what is to be seen

    @property
    def advertised(self) -> Advertisement:
        """What the agent answers to a solicitation."""
        path = Path("192.0.2.77", 40000, 0)
        return decode_advertisement(self.say(encode_solicitation(7), path))[1]

    @property
    def relays(self) -> list[tuple[str, hop.Relay]]:
        """To whom requests were relayed, and as what."""
        found = []
        for action in self.actions:
            if isinstance(action, Relay):
                message = hop.decode_hop(action.octets)
                assert isinstance(message, hop.Relay)
                found.append((action.neighbour, message))
        return found

    def told(self, kind: type[E]) -> list[E]:
        """Return the reports of one kind."""
        return [a.event for a in self.actions if isinstance(a, Report) and isinstance(a.event, kind)]

    # -- conversations

    def request(self, number: Kem = Kem.X25519, **changes: Any) -> Node:
        """Return a request under a challenge that is good."""
        return node_request(changes.pop("challenge", self.advertised.challenge), number, **changes)

    def relayed(self, request: Node, path: Path = NODE_PATH) -> hop.Relay:
        """Say a request, and return how it goes on."""
        before = len(self.relays)
        self.assertEqual(self.say(request.octets, path), b"")
        self.assertEqual(len(self.relays), before + 1)
        return self.relays[-1][1]

    def registered(self, request: Node, **how: Any) -> tuple[Replied, NodeReply]:
        """Register a node, and return what home agent and node know."""
        relay = self.relayed(request)
        replied = self.home.reply(relay.message, **how)
        octets = self.hear(hop.Relayed(relay.identification, replied.octets), self.relays[-1][0])
        reply = decode_node_reply(octets)
        assert isinstance(reply, NodeReply)
        return replied, reply

    def refusal(self, octets: bytes) -> Detail:
        """Return what a node is told, which must be a refusal of the agent's own."""
        reply = decode_node_reply(octets)
        assert isinstance(reply, AgentRefusal), reply
        self.assertEqual(reply.header.code, reply.detail.code)
        return reply.detail

    def assertRefused(self, octets: bytes, code: Code, why: str) -> None:
        detail = self.refusal(octets)
        self.assertEqual(Code(detail.code), code)
        self.assertIn(why, detail.text)


def not_relayed(relay: hop.Relay, code: Code, text: str, by: str) -> hop.NotRelayed:
    """Return how somebody on the way refuses."""
    route = evolve(relay.route, relayed=(*relay.route.relayed, by))
    return hop.NotRelayed(relay.identification, Detail(code, 0, 0, text), route)
