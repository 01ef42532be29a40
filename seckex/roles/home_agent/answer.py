"""What a home agent replies, and what that leaves: docs/registration.md, sections 6 and 7.

Acceptance and refusal have the same parts and the same sizes, and both spend the
index of the request. Nothing is sent from here: a `Said` has first to be durable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.authority import registration_root
from seckex.crypto.kem import kem
from seckex.crypto.registration import Root, equation5, key1, key2, next_previous, sub_seeds, transcript
from seckex.crypto.registration_seals import seal_agent_secrets, seal_answer, sign_reply
from seckex.crypto.secrets import Secret
from seckex.errors import PeerFault, Unfeasible
from seckex.machine import Now
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.ended import Ended, left, replaced
from seckex.roles.home_agent.judgement import NO_ADDRESS, Granted
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.pseudonyms import NO_PSEUDONYM
from seckex.roles.home_agent.recognition import Recognized
from seckex.roles.home_agent.records import KeptReply, ended_record, node_record, reply_record
from seckex.roles.home_agent.refusals import Sealed, Unheard
from seckex.roles.home_agent.terms import HomeTerms
from seckex.sa import registration
from seckex.sa.association import Agreement, Association
from seckex.sa.offer import Offer
from seckex.sa.store import DeleteAssociation, PutAssociation, PutRecord, Unit
from seckex.wire.extensions import Detail, SaPayloadExtension
from seckex.wire.frames import Address
from seckex.wire.keying import HomeKey
from seckex.wire.mobileip import AgentRequest, ReplyHeader, encode_home_reply, encode_reply_header
from seckex.wire.numbers import MAX_PAYLOADS, Code, Keying, Role, SaSubType
from seckex.wire.registration import (
    AgentAnswer,
    Answer,
    encode_agent_answer,
    encode_answer,
)

#: How long a reply is kept for repetitions of its request.
REPLY_KEPT: Final = 300.0

_KEY: Final = 32
_NO_KEY: Final = bytes(_KEY)
# A clock before 1970 is as good as any.
_MOST_CLOCK: Final = 0xFFFFFFFFFFFFFFFF


@frozen
class ForAgent:
    """``c2``, which gives ``ss2`` to an agent."""

    c2: bytes
    ss2: Secret = field(repr=False)


def seal_to_agent(asked: AgentRequest, terms: HomeTerms) -> ForAgent:
    """Return a secret for the agent; raises `Unheard` where nothing can be sealed to its share.

    That comes before the node is looked for: an agent could else ask over and over, with a share that is none,
    whether a request that it holds back would still be taken, and see when its node registers elsewhere.
    """
    way = kem(asked.request.kem)
    try:
        return ForAgent(*way.seal(asked.shares.z, terms.entropy(way.randomness)))
    except PeerFault as fault:
        raise Unheard(Code.BAD_KEY_SHARE, "share", f"the agent's: {fault}") from None


@frozen
class Heard:
    """A request whose agent and node are authentic; ``digest`` is the SHA-256 of the whole message, ``req`` of req."""

    asked: AgentRequest
    found: Recognized
    digest: bytes
    req: bytes
    for_agent: ForAgent

    @property
    def nai(self) -> str:
        """The node's name."""
        return self.found.node.nai


@frozen
class Shared:
    """The secrets that a reply gives to node (ee) and agent (ss2), and what comes of them."""

    y: bytes
    c2: bytes
    tr: bytes
    ee: Secret = field(repr=False)
    k: Secret = field(repr=False)
    ss2: Secret = field(repr=False)


@frozen
class Said:
    """A reply, and the node after it.

    ``association`` is new, those in ``gone`` are no more. ``ended`` are the bindings that the registration has ended,
    with what is kept of each. ``previous`` is what the node's next round must have, after a counter-offer. ``refusal``
    is why, of a refusal, and ``granted`` what, of an acceptance.
    """

    reply: KeptReply
    node: KnownNode
    until: float
    association: Association | None = None
    gone: tuple[int, ...] = ()
    ended: tuple[tuple[Binding, Ended], ...] = ()
    previous: bytes | None = None
    refusal: Sealed | None = None
    granted: Granted | None = None

    def unit(self, digest: bytes) -> Unit:
        """Return what has to be durable before the reply leaves."""
        kept = PutRecord(reply_record(digest, self.reply, self.until), fresh=True)
        own = () if self.association is None else (PutAssociation(self.association),)
        ended = (PutRecord(ended_record(each)) for _, each in self.ended)
        return (kept, PutRecord(node_record(self.node)), *map(DeleteAssociation, self.gone), *own, *ended)


def share(heard: Heard, terms: HomeTerms) -> Shared:
    """Return the secrets of a reply; raises `Unheard` where nothing can be sealed to the node's share."""
    request, for_agent = heard.asked.request, heard.for_agent
    way = kem(request.kem)
    try:
        y, ee = way.seal(request.x, terms.entropy(way.randomness))
    except PeerFault as fault:
        raise Unheard(Code.BAD_KEY_SHARE, "share", str(fault)) from None
    tr = transcript(request.octets, heard.asked.shares_data, y)
    k = heard.found.root.reply_key(heard.found.es, ee, tr)
    return Shared(y, for_agent.c2, tr, ee, k, for_agent.ss2)


def accept(
    heard: Heard,
    shared: Shared,
    granted: Granted,
    drawn: tuple[bytes, ...],
    pseudonym: bytes,
    keys: tuple[HomeKey, ...],
    terms: HomeTerms,
    now: Now,
) -> Said:
    """Return an acceptance; ``drawn`` are a1, k2 and k3, or the seed, and nothing for a deregistration.

    ``pseudonym`` is what the agent is told to call the node.
    """
    if granted.choices is None:
        return _ended(heard, shared, granted, pseudonym, keys, terms, now)
    asked, found, choices = heard.asked, heard.found, granted.choices
    block, node, agent, tr = found.block, found.node, asked.request.agent, shared.tr
    of_node, of_agent, a1, k2 = _handed_out(heard, granted, drawn, tr, terms)
    spi = terms.new_spi(block.spi_home)
    spi_of_agent = terms.new_spi(asked.shares.spi_home, spi)
    answer = Answer(
        code=Code.REGISTERED,
        renewed=found.renewed,
        mode=terms.keying,
        lifetime=granted.lifetime,
        proposal=0,
        transform=0,
        clock=int(now.wall) & _MOST_CLOCK,
        spi_of_home=spi,
        a=of_node[0],
        b=of_node[1],
        agent_digest=block.agent_digest,
        home_offer=choices.home.said,
        agent_offer=choices.visit.said,
        home_address=granted.home_address,
        home_agent_address=terms.address,
        home_keys=keys,
    )
    secrets = AgentAnswer(
        code=Code.REGISTERED,
        mode=terms.keying,
        lifetime=granted.lifetime,
        spi_of_home=spi_of_agent,
        spi_of_node=block.spi_agent,
        a=of_agent[0],
        b=of_agent[1],
        pseudonym=pseudonym,
        home_offer=choices.agent.said,
        node_offer=choices.visit.said,
        home_agent_address=terms.address,
        mixed=terms.mix,
        port=terms.port,
    )
    reply = _reply(heard, shared, encode_answer(answer, asked.request.kem), secrets, terms)
    ss2 = shared.ss2 if terms.mix else None
    between = (agent, terms.nai), (asked.shares.spi_home, spi_of_agent)
    binding = Binding(
        agent=agent,
        care_of=asked.request.care_of,
        address=asked.address,
        port=asked.port,
        lifetime=granted.lifetime,
        until=now.wall + granted.lifetime,
        pseudonym=pseudonym,
        spi_in=spi_of_agent,
        spi_out=asked.shares.spi_home,
        spi_of_node=block.spi_agent,
        choice=choices.agent.said.payload,
        keys=key2(choices.agent.agreement.prf, k2, ss2, tr, *between),
        link=spi,
        layer2=block.layer2,
    )
    agreement = choices.home.agreement
    association = Association(
        role=Role.RESPONDER,
        local=terms.nai,
        peer=node.nai,
        spi_in=spi,
        spi_out=block.spi_home,
        agreement=_within(agreement, granted.lifetime),
        created=now.wall,
        transcript=tr,
        keys=key1(agreement.prf, a1, shared.k, tr, (node.nai, terms.nai), (block.spi_home, spi), terms.content),
        confirmed=True,
        root=registration_root(found.credentials.kvno),
        replaces=node.association,
    )
    address = None if granted.home_address == NO_ADDRESS else granted.home_address
    after = _after(heard, shared, terms, (*granted.kept, binding), spi, address)
    gone = (node.association,) if node.association else ()
    ended = tuple(
        (each, replaced(node.nai, each, by=agent, entropy=terms.entropy, now=now))
        for each in _ended_by(node, granted, now)
    )
    return Said(reply, after, now.wall + REPLY_KEPT, association, gone, ended, granted=granted)


def _ended_by(node: KnownNode, granted: Granted, now: Now) -> Iterator[Binding]:
    """Yield the bindings that what was granted leaves nothing of."""
    return (each for each in node.bindings if each.until > now.wall and each not in granted.kept)


def _handed_out(
    heard: Heard, granted: Granted, drawn: tuple[bytes, ...], tr: bytes, terms: HomeTerms
) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes], Secret, Secret]:
    """Return A and B of the node, those of the agent, and what goes into KEY 1 and into KEY 2."""
    if terms.keying is not Keying.SEMI_STATEFUL:
        a1, k2, k3 = drawn
        return (a1, k3), (k2, k3), Secret(a1), Secret(k2)
    (seed,) = drawn
    mh, hf, mf = sub_seeds(Secret(seed))
    asked, here = heard.asked, terms.address
    own = equation5(mh, terms.nai, heard.nai, here, granted.home_address, tr)
    agents = equation5(hf, terms.nai, asked.request.agent, here, asked.address, tr)
    return (mh.octets, mf.octets), (hf.octets, mf.octets), own, agents


def _ended(
    heard: Heard,
    shared: Shared,
    granted: Granted,
    pseudonym: bytes,
    keys: tuple[HomeKey, ...],
    terms: HomeTerms,
    now: Now,
) -> Said:
    """Return the reply to a deregistration: it has no keys.

    What it ended is told to the agent by its pseudonym, where that is the visit's; and all agents where the node was
    are told by REVOCATION, each of the registration that has ended there.
    """
    node = heard.found.node
    answer = _without_keys(heard, Code.REGISTERED, terms, now)
    plaintext = encode_answer(evolve(answer, home_keys=keys), heard.asked.request.kem)
    reply = _reply(heard, shared, plaintext, _nothing(Code.REGISTERED, pseudonym, terms), terms)
    after = _after(heard, shared, terms, granted.kept, node.association, node.home_address)
    after = after if granted.kept else after.left()
    gone = (node.association,) if node.association and not granted.kept else ()
    ended = tuple(
        (each, left(node.nai, each, heard.asked.request.agent, terms.entropy, now))
        for each in _ended_by(node, granted, now)
    )
    return Said(reply, after, now.wall + REPLY_KEPT, gone=gone, ended=ended, granted=granted)


def refuse(
    heard: Heard, shared: Shared, refusal: Sealed, keys: tuple[HomeKey, ...], terms: HomeTerms, now: Now
) -> Said:
    """Return a refusal, which only the node can tell why.

    It tells static keys as well, where there is room: a node that begins with a KEM that is always countered would
    else never hear of the new ones of that KEM.
    """
    request, found = heard.asked.request, heard.found
    bare = evolve(
        _without_keys(heard, refusal.code, terms, now), proposal=refusal.proposal, transform=refusal.transform
    )
    if refusal.clock is not None:
        bare = evolve(bare, clock=refusal.clock & _MOST_CLOCK)
    plaintext = b""
    for told, home, visit in _shed(refusal, keys):
        detail = Detail(refusal.code, refusal.proposal, refusal.transform, refusal.text)
        answer = evolve(bare, detail=detail, home_offer=_offer(home), agent_offer=_offer(visit), home_keys=told)
        try:
            plaintext = encode_answer(answer, request.kem)
            break
        except Unfeasible:
            continue
    reply = _reply(heard, shared, plaintext, _nothing(Code.UNSPECIFIED, NO_PSEUDONYM, terms), terms)
    previous = None
    if refusal.code == Code.COUNTER_OFFER:
        previous = next_previous(request.previous, request.octets, plaintext)
    spent = found.credentials.used(found.block.index, found.root)
    after = found.node.with_credentials(found.credentials, spent)
    return Said(reply, after, now.wall + REPLY_KEPT, previous=previous, refusal=refusal)


def _shed(
    refusal: Sealed, keys: tuple[HomeKey, ...]
) -> Iterator[tuple[tuple[HomeKey, ...], Offer | None, Offer | None]]:
    """Yield ever shorter ways to say it, the last of which always has room."""
    home, visit = _bounded(refusal.home), _bounded(refusal.visit)
    yield keys, home, visit
    longest = max((len(offer.alternatives) for offer in (home, visit) if offer is not None), default=0)
    for count in range(longest, 0, -1):
        yield (), _first(home, count), _first(visit, count)
    yield (), None, None


def _bounded(offer: Offer | None) -> Offer | None:
    """Return as much of an offer as one SA payload may hold."""
    if offer is None:
        return None
    held = 0
    for count, alternative in enumerate(offer.alternatives):
        held += len(alternative.protocols)
        if held > MAX_PAYLOADS:
            return _first(offer, count)
    return offer


def _first(offer: Offer | None, count: int) -> Offer | None:
    return None if offer is None else evolve(offer, alternatives=offer.alternatives[:count])


def _offer(offer: Offer | None) -> SaPayloadExtension | None:
    if offer is None or not offer.alternatives:
        return None
    return SaPayloadExtension(registration.encode(offer, SaSubType(offer.sub_type)))


def _within(agreement: Agreement, lifetime: int) -> Agreement:
    # What comes of a registration does not outlive it.
    return agreement if agreement.lifetime <= lifetime else evolve(agreement, lifetime=lifetime)


def _after(
    heard: Heard,
    shared: Shared,
    terms: HomeTerms,
    bindings: tuple[Binding, ...],
    association: int,
    address: Address | None,
) -> KnownNode:
    """Return the node after what was accepted: its root has healed, and nothing is kept of an older KEY 0."""
    found = heard.found
    node, credentials = found.node, found.credentials
    healed = Root(found.root.healed(shared.ee, shared.tr), (node.nai, terms.nai), credentials.kvno)
    after = node.with_credentials(credentials, credentials.used(found.block.index, found.root, healed))
    if credentials is node.current:
        after = evolve(after, former=None, grace=0.0)
    return evolve(after, bindings=bindings, association=association, home_address=address)


def _without_keys(heard: Heard, code: Code, terms: HomeTerms, now: Now) -> Answer:
    return Answer(
        code=code,
        renewed=heard.found.renewed,
        mode=terms.keying,
        lifetime=0,
        proposal=0,
        transform=0,
        clock=int(now.wall) & _MOST_CLOCK,
        spi_of_home=0,
        a=_NO_KEY,
        b=_NO_KEY,
        agent_digest=heard.found.block.agent_digest,
    )


def _nothing(code: Code, pseudonym: bytes, terms: HomeTerms) -> AgentAnswer:
    return AgentAnswer(code, terms.keying, 0, 0, 0, _NO_KEY, _NO_KEY, pseudonym)


def _reply(heard: Heard, shared: Shared, plaintext: bytes, secrets: AgentAnswer, terms: HomeTerms) -> KeptReply:
    asked = heard.asked
    request = asked.request
    header = ReplyHeader(secrets.code, secrets.lifetime, request.header.identification)
    start = encode_reply_header(header)
    octets = encode_home_reply(
        header,
        request.kem,
        y=shared.y,
        sealed=seal_answer(shared.k, shared.tr, start, plaintext),
        c2=shared.c2,
        sealed_secrets=seal_agent_secrets(shared.ss2, shared.tr, start, encode_agent_answer(secrets)),
        certificates=terms.identity.chain,
        sign=lambda covered: sign_reply(terms.identity, request.agent, asked.octets, covered),
    )
    return KeptReply(heard.req, octets)
