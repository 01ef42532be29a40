"""One request and what its reply says: docs/registration.md, sections 4, 6 and 7.

`draft` makes a request of an index that is durable as used; `Request.judge` takes
a reply. A reply that does not verify raises `AuthenticationFailed` and nothing is known of who
sent it; one that does verify is the home agent's own word, and what is wrong with
it then is raised as `PeerFault`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.crypto.kem import KemKey, kem
from seckex.crypto.registration import (
    Root,
    equation5,
    fallback_kid,
    key1,
    key3,
    mac,
    next_previous,
    transcript,
)
from seckex.crypto.registration_seals import open_answer, seal_identity
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed, Malformed, PeerFault, PeerMisbehaved
from seckex.machine import Now
from seckex.roles.mobile_node.agents import Agent
from seckex.roles.mobile_node.plan import Offers, Plan
from seckex.roles.mobile_node.records import Home, Visit
from seckex.sa.association import Agreement
from seckex.sa.offer import Offer
from seckex.wire.extensions import SaPayloadExtension
from seckex.wire.mobileip import NodeReply, RequestParts, encode_node_request, encode_reply_header
from seckex.wire.numbers import LIFETIMES, LOWEST_SPI, SIMULTANEOUS_FLAG, Code, Keying, SaContent, SaSubType
from seckex.wire.registration import Answer, IdentityBlock, decode_answer, encode_block

Entropy: TypeAlias = Callable[[int], bytes]

_CONTENTS: Final = {SaSubType.MN_HA: SaContent.MN_HA, SaSubType.MN_SMM: SaContent.MN_SMM}


@frozen
class Wish:
    """What a round asks for: ``lifetime`` in seconds, 0 to deregister; ``spi_home`` and ``spi_agent`` are ours.

    ``shift`` corrects the Identification by the home agent's clock, in seconds.
    """

    lifetime: int
    round: int
    previous: bytes
    offers: Offers
    spi_home: int
    spi_agent: int
    shift: int = 0


@frozen
class Verdict:
    """A reply that the home agent has authenticated; ``plaintext`` is that of its answer."""

    answer: Answer
    previous: bytes
    tr: bytes
    root: Secret = field(repr=False)
    k: Secret = field(repr=False)
    ss3: Secret | None = field(repr=False)

    @property
    def accepted(self) -> bool:
        """Whether the home agent has accepted."""
        return self.answer.code == Code.REGISTERED


@frozen
class Agreed:
    """What came of a registration: keys and terms towards home agent and agent."""

    lifetime: int
    spi_out: int
    agreement: Agreement
    keys: AgreedKeys = field(repr=False)
    visit: Visit = field(repr=False)


@frozen
class Request:
    """A request that is out; ``root`` is the one that it came under, ``share`` opens what comes back."""

    plan: Plan
    agent: Agent
    wish: Wish
    home_key_until: int
    fallback: bool
    identification: int
    octets: bytes = field(repr=False)
    es: Secret = field(repr=False)
    share: KemKey = field(repr=False)
    root: Root = field(repr=False)

    def judge(self, reply: NodeReply) -> Verdict:
        """Return what a reply says; raises `AuthenticationFailed`, and `PeerFault` from where it has verified on."""
        offers = self.wish.offers
        if reply.header.identification != self.identification or reply.kem is not offers.kem:
            raise AuthenticationFailed("a reply to another request")
        try:
            ee = self.share.open(reply.y)
        except PeerFault as fault:
            raise AuthenticationFailed(f"the home agent's share is none: {fault}") from None
        tr = transcript(self.octets, reply.shares_data, reply.y)
        k = self.root.reply_key(self.es, ee, tr)
        header = encode_reply_header(reply.header)
        plaintext = open_answer(k, tr, header, reply.sealed)
        try:
            answer = decode_answer(plaintext)
        except Malformed as fault:
            raise PeerMisbehaved(Code.POORLY_FORMED, f"the home agent's answer cannot be read: {fault}") from None
        self._check(reply, answer)
        try:
            ss3 = self.share.open(reply.shares.ct3)
        except PeerFault:
            # The agent's own fault, which spoils nothing but what is between it and us.
            ss3 = None
        previous = next_previous(self.wish.previous, self.octets, plaintext)
        return Verdict(answer, previous, tr, self.root.healed(ee, tr), k, ss3)

    def _check(self, reply: NodeReply, answer: Answer) -> None:
        header = reply.header
        outside = header.code == Code.REGISTERED, header.lifetime
        if outside != (answer.code == Code.REGISTERED, answer.lifetime):
            raise PeerMisbehaved(Code.POORLY_FORMED, "the home agent says inside another thing than outside")
        if answer.agent_digest != SHA256.digest(self.agent.nai.encode()):
            raise PeerMisbehaved(Code.AGENT_MISMATCH, f"the home agent speaks of another agent than {self.agent.nai}")
        if answer.code == Code.REGISTERED:
            granted, wanted = answer.lifetime, self.wish.lifetime
            if granted not in LIFETIMES or granted > wanted or (wanted and not granted):
                why = f"the home agent grants {granted} s where {wanted} s were asked for"
                raise PeerMisbehaved(Code.BAD_LIFETIME, why)

    def agree(self, reply: NodeReply, verdict: Verdict) -> Agreed:
        """Return the keys that an accepted registration leads to; raises `PeerFault`."""
        plan, answer, offers = self.plan, verdict.answer, self.wish.offers
        if answer.spi_of_home < LOWEST_SPI:
            raise PeerMisbehaved(Code.POORLY_FORMED, "the home agent names no SPI")
        if verdict.ss3 is None:
            raise PeerMisbehaved(Code.BAD_KEY_SHARE, f"the share of the agent {self.agent.nai} is none")
        home = _accepted(answer.home_offer, offers.home, offers.home_payload, plan)
        visit = _accepted(answer.agent_offer, offers.visit, offers.visit_payload, plan)
        a, b = Secret(answer.a), Secret(answer.b)
        if answer.mode is Keying.SEMI_STATEFUL:
            there, ours = answer.home_agent_address, answer.home_address
            if there is None or ours is None:
                raise PeerMisbehaved(Code.POORLY_FORMED, "semi-stateful keys need the addresses of home agent and node")
            care_of = self.agent.care_of
            a = equation5(a, plan.home_agent, plan.local, there, ours, verdict.tr)
            b = equation5(b, self.agent.nai, plan.realm, care_of, care_of, verdict.tr)
        keys = key1(
            home.prf,
            a,
            verdict.k,
            verdict.tr,
            (plan.local, plan.home_agent),
            (self.wish.spi_home, answer.spi_of_home),
            _CONTENTS[plan.sub_type],
        )
        there_spi = reply.shares.spi_node
        names, spis = (plan.realm, self.agent.nai), (self.wish.spi_agent, there_spi)
        between = key3(visit.prf, b, verdict.ss3, verdict.tr, names, spis)
        kept = Visit(self.wish.spi_agent, there_spi, visit, between)
        return Agreed(answer.lifetime, answer.spi_of_home, home, keys, kept)


def _accepted(said: SaPayloadExtension | None, offer: Offer, offered: bytes, plan: Plan) -> Agreement:
    if said is None:
        raise PeerMisbehaved(Code.POORLY_FORMED, "the home agent says nothing of what was chosen")
    return plan.choices.agreed(said.payload, offer, offered)


def draft(plan: Plan, home: Home, agent: Agent, wish: Wish, entropy: Entropy, now: Now) -> Request:
    """Return the request of the index at which ``home`` is; raises `PeerFault` and `Unfeasible`.

    That index must be durable as used.
    """
    offers = wish.offers
    way = kem(offers.kem)
    static = home.key(offers.kem)
    if static is None:
        raise PeerMisbehaved(Code.BAD_KEY_SHARE, f"no {way.name} key of {home.home_agent} is known here")
    share = way.keypair(entropy(way.seed_size))
    ciphertext, es = way.seal(static.public, entropy(way.randomness))
    root, fallback = home.authentication, home.fallback
    spi = _random_spi(entropy) if fallback else home.chain.spi
    seconds = (int(now.wall) + wish.shift) & 0xFFFFFFFF
    identification = seconds << 32 | int.from_bytes(entropy(4), "big")
    parts = RequestParts(
        flags=SIMULTANEOUS_FLAG if plan.simultaneous and wish.lifetime else 0,
        lifetime=wish.lifetime,
        identification=identification,
        kem=offers.kem,
        round=wish.round,
        previous=wish.previous,
        spi=spi,
        agent=agent.nai,
        home_agent=plan.home_agent,
        care_of=agent.care_of,
        challenge=agent.challenge,
        x=share.public,
        ciphertext=ciphertext,
        home_offer=offers.home_payload,
        agent_offer=offers.visit_payload,
    )
    block = IdentityBlock(
        index=home.chain.index,
        kvno=home.kvno,
        spi_home=wish.spi_home,
        spi_agent=wish.spi_agent,
        agent_digest=SHA256.digest(agent.nai.encode()),
        node=plan.local,
        home_address=home.home_address,
        layer2=home.layer2,
    )
    keys: list[Secret] = []

    def seal(hd: bytes) -> bytes:
        ka, kid = root.request_keys(es, hd)
        keys.append(ka)
        return seal_identity(fallback_kid(es, hd) if fallback else kid, hd, encode_block(block))

    octets = encode_node_request(parts, seal, lambda covered: mac(keys[0], covered))
    return Request(plan, agent, wish, static.until, fallback, identification, octets, es, share, root)


def _random_spi(entropy: Entropy) -> int:
    while True:
        spi = int.from_bytes(entropy(4), "big")
        if spi >= LOWEST_SPI:
            return spi
