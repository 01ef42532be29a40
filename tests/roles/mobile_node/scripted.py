"""A foreign agent and a home agent in one, who do what the docs say unless a test has them do something else.

What they make of a request is a `Move`: by default the home agent accepts. The
home agent keeps what it has to (base, roots), and what it would have as KEY 1 and
KEY 3, so that a test can compare these with what the node has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, TypeAlias

from attrs import Factory, define, evolve, field, frozen

from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration import (
    Root,
    equation5,
    fallback_kid,
    key1,
    key3,
    provisioned,
    sub_seeds,
    transcript,
    verify_mac,
)
from seckex.crypto.registration_seals import open_identity, seal_answer
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain, Window
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed
from seckex.machine import Now, Path, Send
from seckex.roles.faces import RoleAction
from seckex.sa.offer import Offer
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, Countered, select
from seckex.sa.registration import decode, encode, narrowed
from seckex.sa.store import Snapshot
from seckex.wire.advertisement import Advertisement, AdvertisementFlag, decode_solicitation, encode_advertisement
from seckex.wire.extensions import Detail, SaPayloadExtension
from seckex.wire.general import decode_header
from seckex.wire.keying import HomeKey
from seckex.wire.mobileip import (
    AgentShares,
    NodeRequest,
    ReplyHeader,
    decode_node_request,
    encode_agent_refusal,
    encode_node_reply,
    encode_reply_header,
)
from seckex.wire.numbers import REGISTRATION_REQUEST, Code, Kem, Keying, Kind, SaContent, SaSubType
from seckex.wire.registration import Answer, IdentityBlock, decode_block, encode_answer
from tests.roaming.host import Host

KEY0 = Secret(bytes(range(32)))
AGENT = "fa1@visited.example"
HOME_ADDRESS = ip_address("10.0.0.7")
HOME_AGENT_ADDRESS = ip_address("192.0.2.99")


@frozen
class Opened:
    """A request whose node is known."""

    request: NodeRequest
    block: IdentityBlock
    es: Secret
    root: Root
    fallback: bool


@define
class Home:
    """The home agent, for one node."""

    node: str
    nai: str
    policy: Policy
    entropy: Callable[[int], bytes]
    kvno: int = 1
    lifetime: int = 28800
    keying: Keying = Keying.STATELESS
    manager: bool = False
    home_keys: tuple[HomeKey, ...] = ()
    roots: list[Secret] = Factory(list)
    window: Window = field(init=False)
    static: dict[Kem, KemKey] = field(init=False)
    key1: list[AgreedKeys] = Factory(list)
    key3: list[AgreedKeys] = Factory(list)
    _k3: tuple[int, Secret, bytes, int] | None = None
    opened: list[Opened] = Factory(list)

    def __attrs_post_init__(self) -> None:
        shared = provisioned(KEY0, (self.node, self.nai), self.kvno)
        self.roots = [shared.root]
        self.window = Window.of(Chain.begin(shared.chain))
        self.static = {number: kem(number).keypair(self.entropy(kem(number).seed_size)) for number in Kem}

    @property
    def sub_type(self) -> SaSubType:
        return SaSubType.MN_SMM if self.manager else SaSubType.MN_HA

    def keys(self) -> tuple[HomeKey, ...]:
        return tuple(HomeKey(number, 1_800_000_000, key.public) for number, key in self.static.items())

    def open(self, request: NodeRequest) -> Opened:
        """Find out who asks; raises `AuthenticationFailed`."""
        es = self.static[request.kem].open(request.ciphertext)
        hd = request.octets[: request.hd_end]
        for fallback in (False, True):
            if not fallback and request.spi not in self.window.spis:
                continue
            for secret in self.roots:
                root = Root(secret, (self.node, self.nai), self.kvno)
                ka, kid = root.request_keys(es, hd)
                try:
                    verify_mac(ka, request.octets[: request.covered], request.mac)
                    opened = open_identity(fallback_kid(es, hd) if fallback else kid, hd, request.sealed)
                except AuthenticationFailed:
                    continue
                block = decode_block(opened)
                if block.index < self.window.base:
                    raise AuthenticationFailed("a replay")
                self.window = self.window.advance(block.index + 1)
                found = Opened(request, block, es, root, fallback)
                self.opened.append(found)
                return found
        raise AuthenticationFailed("nobody's")

    def choose(self, request: NodeRequest, sub_type: SaSubType) -> Chosen | Countered:
        offer = decode(request.offers[sub_type].payload, sub_type)
        verdict = select(offer, narrowed(self.policy, request.kem), shares_needed=False)
        if not isinstance(verdict, Chosen):
            # What it would take, with whatever KEM.
            verdict = select(offer, self.policy, shares_needed=False)
        if not isinstance(verdict, Chosen | Countered):
            raise AssertionError(verdict)
        return verdict

    def reply(self, opened: Opened, shares: AgentShares, now: Now, **said: Any) -> tuple[ReplyHeader, bytes, bytes]:
        """Return header, Y and sealed answer; ``said`` is in place of what it would say."""
        request, way = opened.request, kem(opened.request.kem)
        y, ee = way.seal(request.x, self.entropy(way.randomness))
        tr = transcript(request.octets, shares.data, y)
        k = opened.root.reply_key(opened.es, ee, tr)
        answer = self._answer(opened, tr, k, now) if "code" not in said else self._refusal(request, now)
        answer = evolve(answer, **said)
        accepted = answer.code == Code.REGISTERED
        if accepted:
            healed = opened.root.healed(ee, tr)
            self.roots = (
                [opened.root.secret, healed] if opened.root.secret == self.roots[0] else [self.roots[1], healed]
            )
        code = Code.REGISTERED if accepted else Code.UNSPECIFIED
        header = ReplyHeader(code, answer.lifetime, request.header.identification)
        plaintext = encode_answer(answer, request.kem)
        return header, y, seal_answer(k, tr, encode_reply_header(header), plaintext)

    def _refusal(self, request: NodeRequest, now: Now) -> Answer:
        return Answer(
            code=Code.UNSPECIFIED,
            renewed=False,
            mode=self.keying,
            lifetime=0,
            proposal=0,
            transform=0,
            clock=int(now.wall),
            spi_of_home=0,
            a=bytes(32),
            b=bytes(32),
            agent_digest=SHA256.digest(request.agent.encode()),
        )

    def counter(self, request: NodeRequest) -> dict[str, Any]:
        """Return what a counter-offer says."""
        said: dict[str, Any] = {"code": Code.COUNTER_OFFER, "detail": Detail(Code.COUNTER_OFFER, 1, 0, "rather this")}
        for name, sub_type in (("home_offer", self.sub_type), ("agent_offer", SaSubType.MN_FA)):
            verdict = self.choose(request, sub_type)
            if isinstance(verdict, Countered):
                said[name] = SaPayloadExtension(encode(verdict.counter, sub_type))
        return said

    def _answer(self, opened: Opened, tr: bytes, k: Secret, now: Now) -> Answer:
        request, block = opened.request, opened.block
        home, visit = self.choose(request, self.sub_type), self.choose(request, SaSubType.MN_FA)
        if not isinstance(home, Chosen) or not isinstance(visit, Chosen):
            raise AssertionError("a counter-offer would be right")
        spi = 0x4000 + 64 * len(self.key1)
        a, b = Secret(self.entropy(32)), Secret(self.entropy(32))
        a1, k3 = a, b
        if self.keying is Keying.SEMI_STATEFUL:
            seeds = sub_seeds(Secret(self.entropy(32)))
            a, b = seeds.mh, seeds.mf
            a1 = equation5(a, self.nai, self.node, HOME_AGENT_ADDRESS, HOME_ADDRESS, tr)
            realm = "@" + self.nai.partition("@")[2]
            k3 = equation5(b, request.agent, realm, request.care_of, request.care_of, tr)
        content = SaContent.MN_SMM if self.manager else SaContent.MN_HA
        names = (self.node, self.nai)
        if request.header.lifetime:
            self.key1.append(key1(home.agreement.prf, a1, k, tr, names, (block.spi_home, spi), content))
        self._k3 = visit.agreement.prf, k3, tr, block.spi_agent
        return Answer(
            code=Code.REGISTERED,
            renewed=opened.root.secret != self.roots[0],
            mode=self.keying,
            lifetime=min(request.header.lifetime, self.lifetime),
            proposal=0,
            transform=0,
            clock=int(now.wall),
            spi_of_home=spi,
            a=a.octets,
            b=b.octets,
            agent_digest=SHA256.digest(request.agent.encode()),
            home_offer=SaPayloadExtension(encode(_offer(home), self.sub_type)),
            agent_offer=SaPayloadExtension(encode(_offer(visit), SaSubType.MN_FA)),
            home_address=HOME_ADDRESS,
            home_agent_address=HOME_AGENT_ADDRESS,
            home_keys=self.home_keys,
        )

    def visited(self, request: NodeRequest, shares: AgentShares, ss3: Secret) -> None:
        """Take note of what the agent would have as KEY 3."""
        if self._k3 is not None:
            prf, k3, tr, spi = self._k3
            realm = "@" + self.nai.partition("@")[2]
            self.key3.append(key3(prf, k3, ss3, tr, (realm, request.agent), (spi, shares.spi_node)))


def _offer(chosen: Chosen) -> Offer:
    return Offer((chosen.alternative,))


Move: TypeAlias = Callable[["Agent", NodeRequest, Path, Now], list[RoleAction]]


@define
class Agent:
    """The foreign agent, which hands requests to ``home``; ``moves`` are for the next ones, `accept` after that."""

    host: Host
    home: Home
    nai: str = AGENT
    flags: AdvertisementFlag = AdvertisementFlag.REGISTRATION_REQUIRED
    lifetime: int = 30
    longest: int = 28800
    sequence: int = 0
    challenge: bytes = bytes(16)
    port: int = 4434
    quiet: bool = False
    moves: list[Move] = Factory(list)
    requests: list[tuple[float, NodeRequest, Path]] = Factory(list)
    solicited: list[float] = Factory(list)
    counters: Mapping[str, int] = Factory(dict)
    kinds: frozenset[int] = frozenset((int(Kind.SOLICITATION), REGISTRATION_REQUEST))

    def status(self, now: Now) -> dict[str, Any]:
        return {"now": now.monotonic}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:  # noqa: ARG002  # it remembers nothing
        return []

    def said(self) -> Advertisement:
        address = ip_address(self.host.addresses[0])
        return Advertisement(
            self.flags,
            self.lifetime,
            self.longest,
            self.sequence,
            self.port,
            self.challenge,
            self.nai,
            "visited.example",
            (address,),
        )

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        if octets[0] != REGISTRATION_REQUEST:
            if decode_header(octets).kind is Kind.SOLICITATION and not self.quiet:
                self.solicited.append(now.monotonic)
                return [Send(encode_advertisement(decode_solicitation(octets), self.said()), path)]
            return []
        request = decode_node_request(octets)
        self.requests.append((now.monotonic, request, path))
        move = self.moves.pop(0) if self.moves else accept
        return move(self, request, path, now)

    def shares(self, request: NodeRequest) -> tuple[AgentShares, Secret]:
        way = kem(request.kem)
        z = way.keypair(self.host.entropy(way.seed_size)).public
        ct3, ss3 = way.seal(request.x, self.host.entropy(way.randomness))
        return AgentShares(request.kem, 0x7000, 0x7040, z, ct3), ss3

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        raise NotImplementedError

    def awaits(self, identification: int) -> bool:
        raise NotImplementedError

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        raise NotImplementedError

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:  # noqa: ARG002  # it does not mind
        return []

    def committed(self, token: int, outcome: object, now: Now) -> list[RoleAction]:
        raise NotImplementedError

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        raise NotImplementedError

    def tick(self, now: Now) -> list[RoleAction]:
        raise NotImplementedError

    def next_deadline(self, now: Now) -> float | None:  # noqa: ARG002  # nothing is due
        return None


def accept(agent: Agent, request: NodeRequest, path: Path, now: Now) -> list[RoleAction]:
    """Register the node, or counter what is not acceptable."""
    try:
        opened = agent.home.open(request)
    except AuthenticationFailed:
        return []
    shares, ss3 = agent.shares(request)
    said: dict[str, Any] = {}
    verdicts = [agent.home.choose(request, sub) for sub in (agent.home.sub_type, SaSubType.MN_FA)]
    if not all(isinstance(verdict, Chosen) for verdict in verdicts):
        said = agent.home.counter(request)
    header, y, sealed = agent.home.reply(opened, shares, now, **said)
    if not said:
        agent.home.visited(request, shares, ss3)
    return [Send(encode_node_reply(header, shares, y=y, sealed=sealed), path)]


def silence(agent: Agent, request: NodeRequest, path: Path, now: Now) -> list[RoleAction]:  # noqa: ARG001  # a `Move`
    """Say nothing."""
    return []


def says(**said: Any) -> Move:
    """Return the move of a home agent that says something else."""

    def move(agent: Agent, request: NodeRequest, path: Path, now: Now) -> list[RoleAction]:
        shares, _ = agent.shares(request)
        header, y, sealed = agent.home.reply(agent.home.open(request), shares, now, **said)
        return [Send(encode_node_reply(header, shares, y=y, sealed=sealed), path)]

    return move


def turns_away(code: int, why: str = "no") -> Move:
    """Return the move of an agent that refuses by itself."""

    def move(_agent: Agent, request: NodeRequest, path: Path, _now: Now) -> list[RoleAction]:
        return [Send(encode_agent_refusal(code, request.header.identification, Detail(code, 0, 0, why)), path)]

    return move


def spoilt(agent: Agent, request: NodeRequest, path: Path, now: Now) -> list[RoleAction]:
    """Answer with a reply of which one octet is wrong."""
    (sent,) = accept(agent, request, path, now)
    if not isinstance(sent, Send):
        raise TypeError(sent)
    return [Send(sent.octets[:-1] + bytes((sent.octets[-1] ^ 1,)), path)]
