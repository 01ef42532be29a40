"""A home agent on a table, between an agent that relays for its nodes and the centers that it asks.

Nodes, agents and centers are here what they have to be for that: each knows its own secrets and no others, and
checks what it is told. What the home agent asks for is done as the edge does it; `Table.hold` lets commits wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from typing import Any, Final, TypeVar

from attrs import Factory, define, evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.identity import Identity
from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration import (
    NO_PREVIOUS,
    Root,
    equation5,
    fallback_kid,
    key1,
    key2,
    mac,
    next_previous,
    provisioned,
    transcript,
)
from seckex.crypto.registration_seals import (
    open_agent_secrets,
    open_answer,
    seal_identity,
    sign_request,
    verify_reply,
)
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain
from seckex.crypto.suites import SHA256
from seckex.events import Event
from seckex.machine import Now, Report
from seckex.node.actions import Commit
from seckex.roles.faces import Adopt, Relay, Release, RoleAction
from seckex.roles.home_agent import HomeAgent, HomeTerms
from seckex.sa import registration
from seckex.sa.policy import Policy
from seckex.sa.proposal import accept
from seckex.sa.store import MemoryStore, Outcome
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.frames import Address
from seckex.wire.keying import HomeKey, KeyMaterial, KeyRequest, NodeEntries, NodeEntry
from seckex.wire.mobileip import (
    AgentShares,
    HomeReply,
    RequestParts,
    decode_home_reply,
    encode_agent_request,
    encode_node_request,
    encode_reply_header,
)
from seckex.wire.numbers import MOST_HOPS, Code, Kem, Keying, SaSubType
from seckex.wire.registration import (
    AgentAnswer,
    Answer,
    IdentityBlock,
    decode_agent_answer,
    decode_answer,
    encode_block,
)
from tests.conversation import INDISPENSABLE, proposal
from tests.roaming.air import WALL
from tests.roaming.certificates import identity, trust

HOME: Final = "home@example.org"
NODE: Final = "node@example.org"
OTHER: Final = "other@example.org"
AGENT: Final = "agent@visited.example"
OTHER_AGENT: Final = "agent2@visited.example"
KDC: Final = "kdc@example.org"
KDC2: Final = "kdc2@example.org"
CARE_OF: Final = IPv4Address("198.51.100.1")
PORT: Final = 4435
HOME_ADDRESS: Final = IPv4Address("192.0.2.1")
AES: Final = Policy((proposal("aes-256-gcm prf-hmac-sha-256 x25519 x25519-ml-kem-768"),), INDISPENSABLE)
CHACHA: Final = Policy((proposal("chacha20-poly1305 prf-hmac-sha-384 x25519"),), INDISPENSABLE)

E = TypeVar("E", bound=Event)
M = TypeVar("M", bound=hop.HopMessage)

_draw: Final = random.Random(11).randbytes  # noqa: S311  # has to repeat itself


@frozen
class Request:
    """A request and what its node keeps until there is a reply."""

    octets: bytes
    es: Secret
    share: KemKey
    root: Root
    parts: RequestParts
    block: IdentityBlock


@define
class Node:
    """A mobile node, as far as a home agent can tell: ``root`` and ``chain`` are what it shares with it."""

    nai: str
    root: Secret
    chain: Chain
    kvno: int = 1
    policy: Policy = AES

    @classmethod
    def provisioned(cls, nai: str = NODE, key0: bytes = bytes(range(32)), kvno: int = 1) -> Node:
        """Return a node that has just taken over KEY 0."""
        root, chain = provisioned(Secret(key0), (nai, HOME), kvno)
        return cls(nai, root, Chain.begin(chain), kvno)

    def entry(self, serial: int = 1, **changes: Any) -> NodeEntry:
        """Return what a center tells of a node that was just provisioned."""
        root, chain = provisioned(Secret(bytes(range(32))), (self.nai, HOME), self.kvno)
        entry = NodeEntry(serial, True, False, self.kvno, self.nai, root.octets, chain.octets)
        return evolve(entry, **changes)

    def request(
        self,
        static: HomeKey,
        now: Now,
        *,
        fallback: bool = False,
        wanted: Address | None = None,
        index: int | None = None,
        digest: bytes | None = None,
        kvno: int | None = None,
        named: str = "",
        **changes: Any,
    ) -> Request:
        """Return the next request, with ``changes`` to its parts, and go on along the chain."""
        way = kem(static.kem)
        share = way.keypair(_draw(way.seed_size))
        ciphertext, es = way.seal(static.public, _draw(way.randomness))
        agent = changes.get("agent", AGENT)
        parts = RequestParts(
            flags=0,
            lifetime=1800,
            identification=int(now.wall) << 32 | int.from_bytes(_draw(4), "big"),
            kem=static.kem,
            round=1,
            previous=NO_PREVIOUS,
            spi=0x5000_0000 + len(agent) if fallback else self.chain.spi,
            agent=agent,
            home_agent=HOME,
            care_of=CARE_OF,
            challenge=bytes(16),
            x=share.public,
            ciphertext=ciphertext,
            home_offer=registration.encode_offer(self.policy, static.kem, SaSubType.MN_HA),
            agent_offer=registration.encode_offer(self.policy, static.kem, SaSubType.MN_FA),
        )
        parts = evolve(parts, **changes)
        block = IdentityBlock(
            index=self.chain.index if index is None else index,
            kvno=self.kvno if kvno is None else kvno,
            spi_home=0x0100_0000 + self.chain.index,
            spi_agent=0x0200_0000 + self.chain.index,
            agent_digest=SHA256.digest(agent.encode()) if digest is None else digest,
            node=named or self.nai,
            home_address=wanted,
        )
        root = Root(self.root, (self.nai, HOME), self.kvno)
        held: list[Secret] = []

        def seal(hd: bytes) -> bytes:
            ka, kid = root.request_keys(es, hd)
            held.append(ka)
            return seal_identity(fallback_kid(es, hd) if fallback else kid, hd, encode_block(block))

        octets = encode_node_request(parts, seal, lambda covered: mac(held[0], covered))
        self.chain = self.chain.after()
        return Request(octets, es, share, root, parts, block)


@frozen
class Read:
    """What a node reads of a reply: the answer, the transcript, KEY 1's secret, and the Previous of a next round."""

    answer: Answer
    tr: bytes
    k: Secret
    previous: bytes
    healed: Secret

    def key1(self, request: Request, a1: Secret, prf: int) -> AgreedKeys:
        """Return KEY 1 as the node has it."""
        spis = request.block.spi_home, self.answer.spi_of_home
        return key1(prf, a1, self.k, self.tr, (request.block.node, HOME), spis)


def read(request: Request, reply: HomeReply, shares: bytes) -> Read:
    """Return what the node reads; raises where it is not the home agent's."""
    ee = request.share.open(reply.y)
    tr = transcript(request.octets, shares, reply.y)
    k = request.root.reply_key(request.es, ee, tr)
    plaintext = open_answer(k, tr, encode_reply_header(reply.header), reply.sealed)
    previous = next_previous(request.parts.previous, request.octets, plaintext)
    return Read(decode_answer(plaintext), tr, k, previous, request.root.healed(ee, tr))


@frozen
class Relayed:
    """What an agent makes of a request; ``key`` opens what is sealed to the agent."""

    octets: bytes
    key: KemKey
    shares: AgentShares


@define
class Agent:
    """A foreign agent, or whoever says that it is one."""

    who: Identity
    address: Address = CARE_OF
    policy: Policy = AES
    spi: int = 0x0300_0000

    def relay(self, request: bytes, number: Kem = Kem.X25519, **changes: Any) -> Relayed:
        """Return the message to the home agent; each has shares of its own."""
        way = kem(number)
        key = way.keypair(_draw(way.seed_size))
        self.spi += 1
        shares = AgentShares(number, self.spi, self.spi + 0x1000, key.public, _draw(way.ciphertext_size))
        shares = evolve(shares, **changes)
        offers = {
            sub: registration.encode_offer(self.policy, number, sub) for sub in (SaSubType.HA_FA, SaSubType.MN_FA)
        }
        message = encode_agent_request(
            request,
            shares,
            self.address,
            PORT,
            offers,
            self.who.chain,
            lambda covered: sign_request(self.who, covered, HOME),
        )
        return Relayed(message, key, shares)

    def read(self, request: bytes, relayed: Relayed, octets: bytes) -> tuple[AgentAnswer, Secret, bytes]:
        """Return what the agent reads of a reply, ss2 and tr; raises where it is not the home agent's."""
        reply = decode_home_reply(octets)
        voucher = trust().verify(reply.certificates, WALL)
        verify_reply(voucher, reply.signature, self.who.nai, relayed.octets, octets[: reply.signed])
        ss2 = relayed.key.open(reply.c2)
        tr = transcript(request, relayed.shares.data, reply.y)
        header = encode_reply_header(reply.header)
        return decode_agent_answer(open_agent_secrets(ss2, tr, header, reply.sealed_secrets)), ss2, tr

    def key2(
        self, relayed: Relayed, answer: AgentAnswer, k2: Secret, ss2: Secret | None, tr: bytes, prf: int
    ) -> AgreedKeys:
        """Return KEY 2 as the agent has it."""
        spis = relayed.shares.spi_home, answer.spi_of_home
        return key2(prf, k2, ss2, tr, (self.who.nai, HOME), spis)


@define
class Center:
    """A key distribution center; ``refuses`` is why it issues no keys, ``errs`` what it says in place of an answer."""

    nodes: dict[str, NodeEntry] = Factory(dict)
    refuses: Detail | None = None
    silent: bool = False
    unreachable: bool = False
    requests: list[KeyRequest] = Factory(list)
    home_keys: tuple[HomeKey, ...] = ()
    part: int = 64
    errs: Callable[[hop.HopMessage], hop.HopMessage] | None = None

    def answer(self, message: hop.HopMessage) -> hop.HopMessage | None:
        """Return the answer."""
        if self.silent:
            return None
        if self.errs is not None:
            return self.errs(message)
        if isinstance(message, hop.Nodes):
            self.home_keys = message.home_keys
            found = sorted((e for e in self.nodes.values() if e.serial > message.query.since), key=lambda e: e.serial)
            told = tuple(found[: self.part])
            serial = told[-1].serial if told else message.query.since
            return hop.Entries(message.identification, NodeEntries(serial, len(found) > len(told), told))
        if isinstance(message, hop.Keys):
            self.requests.append(message.request)
            if self.refuses is not None:
                return hop.NotIssued(message.identification, self.refuses)
            count = 3 if message.request.mode is Keying.STATEFUL else 1
            keys = tuple(bytes((number,)) * 32 for number in range(1, count + 1))
            return hop.Issued(message.identification, KeyMaterial(message.request.mode, keys))
        return None


class Table(SynchronousTestCase):
    """See the module; ``network`` is as `parts` says."""

    def setUp(self) -> None:
        self.monotonic = 100.0
        self.store = MemoryStore()
        self.terms: dict[str, Any] = {}
        self.node = Node.provisioned()
        self.agent = Agent(identity(AGENT))
        self.centers = {KDC: Center({NODE: self.node.entry()})}
        self.said: list[Relay] = []
        self.adopted: list[Adopt] = []
        self.released: list[Release] = []
        self.reports: list[Event] = []
        self.held: list[Commit] | None = None
        self.units: list[Any] = []
        self.outcome: Callable[[Commit], Outcome | str] = lambda commit: self.store.commit([commit.unit])[0]
        self.asked = 0

    # -- its life

    def now(self) -> Now:
        return Now(self.monotonic, WALL + self.monotonic)

    def start(self, **terms: Any) -> None:
        """Start the home agent, or start it again, by ``terms``; run what it does by itself."""
        self.terms |= terms
        given: dict[str, Any] = {
            "identity": identity(HOME),
            "trust": trust(),
            "policy": AES,
            "entropy": _draw,
            "address": HOME_ADDRESS,
            "centers": tuple(self.centers),
        }
        self.home = HomeAgent(HomeTerms(**(given | self.terms)), self.now())
        self.run_(self.home.start(self.store.load(0, self.now().wall), self.now()))
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let time go by, and do what is due."""
        until = self.monotonic + seconds
        while True:
            deadline = self.home.next_deadline(self.now())
            if deadline is None or deadline > until:
                break
            self.monotonic = max(self.monotonic, deadline)
            self.run_(self.home.tick(self.now()))
        self.monotonic = until

    def later(self, seconds: float) -> None:
        """Go on after a time in which nothing was done."""
        self.monotonic += seconds
        self.wait(3)

    def hold(self) -> None:
        """Let commits wait for `let_go`."""
        self.held = []

    def let_go(self) -> None:
        """Let them become durable."""
        held, self.held = self.held or [], None
        for commit in held:
            self.commit(commit)

    def commit(self, commit: Commit) -> None:
        self.run_(self.home.committed(commit.token, self.outcome(commit), self.now()))

    def run_(self, actions: list[RoleAction]) -> None:
        for action in actions:
            match action:
                case Commit():
                    self.units.append(action.unit)
                    if self.held is None:
                        self.commit(action)
                    else:
                        self.held.append(action)
                case Relay(neighbour, octets):
                    self.said.append(action)
                    if neighbour in self.centers:
                        self.ask_center(neighbour, octets)
                case Report(event):
                    self.assertTrue(str(event))
                    self.reports.append(event)
                case Adopt(association):
                    self.assertEqual(self.store.associations[association.spi_in], association)
                    self.adopted.append(action)
                case Release():
                    self.released.append(action)

    def ask_center(self, nai: str, octets: bytes) -> None:
        center, message = self.centers[nai], hop.decode_hop(octets)
        if center.unreachable:
            number = message.identification
            self.run_(self.home.unreachable(nai, number, "nobody is there", Code.NEXT_HOP_UNREACHABLE, self.now()))
            return
        answer = center.answer(message)
        if answer is not None:
            self.hear(nai, answer)

    def hear(self, neighbour: str, message: hop.HopMessage) -> None:
        """Have the home agent hear something over a hop."""
        if message.kind in (hop.Issued.kind, hop.NotIssued.kind, hop.Entries.kind):
            self.assertIsInstance(self.home.awaits(message.identification), bool)
        self.run_(self.home.heard(neighbour, hop.encode_hop(message), self.now()))

    # -- conversations

    def static(self, number: Kem = Kem.X25519) -> HomeKey:
        """Return the static key that nodes are provisioned with."""
        return self.home.home.statics.of(number)[0].told

    def request(self, **changes: Any) -> Request:
        """Return the node's next request."""
        static = changes.pop("static", None) or self.static(changes.pop("number", Kem.X25519))
        return self.node.request(static, self.now(), **changes)

    def relay(self, message: bytes, neighbour: str = AGENT) -> list[hop.HopMessage]:
        """Have an agent's message come over the hop of a neighbour; return what that hears at once."""
        self.asked += 1
        before = len(self.said)
        route = hop.Route(MOST_HOPS, HOME, (AGENT,))
        self.hear(neighbour, hop.Relay(self.asked, route, message))
        return [hop.decode_hop(each.octets) for each in self.said[before:] if each.neighbour == neighbour]

    def answered(self, kind: type[M], heard: list[hop.HopMessage]) -> M:
        """Return the one answer that was heard, of that kind."""
        self.assertEqual([type(each) for each in heard], [kind], heard)
        answer = heard[0]
        assert isinstance(answer, kind)
        return answer

    def register(self, agent: Agent | None = None, **changes: Any) -> tuple[Request, Read]:
        """Have the node's next request answered; return it and what the node reads."""
        agent = agent or self.agent
        request = self.request(agent=agent.who.nai, **changes)
        relayed = agent.relay(request.octets, request.parts.kem)
        heard = self.relay(relayed.octets)
        return request, self.read(request, relayed, heard)

    def read(self, request: Request, relayed: Relayed, heard: list[hop.HopMessage]) -> Read:
        """Return what the node reads of what its agent has heard; the node goes on by it."""
        reply = decode_home_reply(self.answered(hop.Relayed, heard).message)
        found = read(request, reply, relayed.shares.data)
        if found.answer.code == Code.REGISTERED:
            self.node.root = found.healed
        self.assertEqual(reply.header.code, 0 if found.answer.code == 0 else 128)
        self.assertEqual(reply.header.lifetime, found.answer.lifetime)
        return found

    def unheard(self, message: bytes, code: Code, cause: str = "") -> hop.NotRelayed:
        """Check that a message has no reply, gets ``code`` on the hop, and changes nothing."""
        before = self.everything()
        said = self.answered(hop.NotRelayed, self.relay(message))
        self.assertEqual(Code(said.detail.code), code, said.detail.text)
        if cause:
            self.assertIn(f"dropped.{cause}", self.home.counters)
        self.assertEqual(self.everything(), before)
        return said

    def everything(self) -> tuple[object, ...]:
        """Return all that lasts, and who is known."""
        return dict(self.store.records), dict(self.store.associations), len(self.units), list(self.home.home.nodes)

    def told(self, kind: type[E]) -> list[E]:
        """Return the reports of one kind."""
        return [event for event in self.reports if isinstance(event, kind)]

    def code_of(self, found: Read, code: Code, why: str = "") -> None:
        """Check a sealed refusal."""
        self.assertEqual(Code(found.answer.code), code)
        detail = found.answer.detail
        assert detail is not None
        self.assertEqual(detail.code, code)
        self.assertIn(why, detail.text)
        self.assertEqual((found.answer.a, found.answer.b, found.answer.spi_of_home), (bytes(32), bytes(32), 0))


def agreed(said: Any, offer: bytes, sub_type: SaSubType, policy: Policy = AES) -> int:
    """Return the PRF of a choice, which must lie within the offer."""
    choice = registration.decode(said.payload, sub_type, choice=True)
    return accept(choice, registration.decode(offer, sub_type), policy).prf


def semi_stateful(sub_seed: bytes, responder: str, initiator: str, addresses: tuple[str, str], tr: bytes) -> Secret:
    """Return K of a sub-seed."""
    there, ours = map(ip_address, addresses)
    return equation5(Secret(sub_seed), responder, initiator, there, ours, tr)
