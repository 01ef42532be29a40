"""Messages of registrations, advertisements and hops: values, and how what was read of them is written again."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from attrs import frozen
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import Malformed, PeerIncompatible, UnsupportedVersion
from seckex.wire import hop
from seckex.wire.advertisement import (
    MAX_CARE_OF,
    Advertisement,
    AdvertisementFlag,
    decode_advertisement,
    decode_solicitation,
    encode_advertisement,
    encode_solicitation,
)
from seckex.wire.extensions import Detail, Layer2Extension, SaPayloadExtension
from seckex.wire.keying import HomeKey, KeyMaterial, KeyRequest, NodeEntries, NodeEntry, NodeQuery
from seckex.wire.mobileip import (
    SIZES,
    AgentRefusal,
    AgentRequest,
    AgentShares,
    HomeReply,
    NodeReply,
    NodeRequest,
    ReplyHeader,
    RequestParts,
    decode_agent_request,
    decode_home_reply,
    decode_node_reply,
    decode_node_request,
    encode_agent_refusal,
    encode_agent_request,
    encode_home_reply,
    encode_node_reply,
    encode_node_request,
    with_cookie,
)
from seckex.wire.numbers import Code, Kem, Keying, Reason, SaSubType, Security
from seckex.wire.registration import (
    AgentAnswer,
    Answer,
    IdentityBlock,
    decode_agent_answer,
    decode_answer,
    decode_block,
    encode_agent_answer,
    encode_answer,
    encode_block,
)
from seckex.wire.revocation import Revocation, Revoked, Signed, decode_signed, encode_signed, encode_start
from seckex.wire.shares import KEM_OF_ANSWER
from tests.wire.samples import nais, texts, u8, u16, u32, u64

IDENTIFICATION: Final = 0xEDD5_A400_0BAD_CAFE
AGENT: Final = "agent@visited.example"
HOME: Final = "home@home.example"
NODE: Final = "node@home.example"
FAULTS: Final = (Malformed, PeerIncompatible, UnsupportedVersion)

Decode = Callable[[bytes], object]
Again = Callable[[bytes], bytes]


def sa(sub: int, octets: bytes = b"proposals") -> bytes:
    """Return an SA payload whose inside is any octets."""
    return bytes((1, sub)) + (4 + len(octets)).to_bytes(2, "big") + octets


def pattern(size: int, start: int = 1) -> bytes:
    """Return octets that differ from their neighbours."""
    return bytes((start + 7 * at) % 251 for at in range(size))


def parts_of(kem: Kem) -> RequestParts:
    """Return what a node may say."""
    sizes = SIZES[kem]
    return RequestParts(
        flags=0,
        lifetime=300,
        identification=IDENTIFICATION,
        kem=kem,
        round=1,
        previous=bytes(32),
        spi=0x12345678,
        agent=AGENT,
        home_agent=HOME,
        care_of=IPv4Address("192.0.2.1"),
        challenge=pattern(16, 2),
        x=pattern(sizes.public, 3),
        ciphertext=pattern(sizes.ciphertext, 4),
        home_offer=sa(SaSubType.MN_HA),
        agent_offer=sa(SaSubType.MN_FA),
    )


def request(kem: Kem) -> bytes:
    """Return a request as a node says it."""
    return encode_node_request(parts_of(kem), lambda _hd: pattern(272, 5), lambda _covered: pattern(16, 6))


def shares_of(kem: Kem) -> AgentShares:
    """Return shares of an agent."""
    sizes = SIZES[kem]
    return AgentShares(kem, 0x1000, 0x2000, pattern(sizes.public, 7), pattern(sizes.ciphertext, 8))


def agent_request(kem: Kem) -> bytes:
    """Return a request as an agent passes it on."""
    offers = {SaSubType.HA_FA: sa(SaSubType.HA_FA), SaSubType.MN_FA: sa(SaSubType.MN_FA, b"policy")}
    certificates = (pattern(300, 9), pattern(200, 10))
    address = IPv6Address("2001:db8::1")
    return encode_agent_request(
        request(kem), shares_of(kem), address, 4434, offers, certificates, lambda _covered: pattern(70, 11)
    )


def home_reply(kem: Kem, code: int = 0) -> bytes:
    """Return a reply as a home agent says it."""
    sizes = SIZES[kem]
    return encode_home_reply(
        ReplyHeader(code, 0 if code else 300, IDENTIFICATION),
        kem,
        y=pattern(sizes.ciphertext, 12),
        sealed=pattern(sizes.answer + 16, 13),
        c2=pattern(sizes.ciphertext, 14),
        sealed_secrets=pattern(528, 15),
        certificates=(pattern(300, 16),),
        sign=lambda _covered: pattern(71, 17),
    )


def node_reply(kem: Kem, code: int = 0) -> bytes:
    """Return a reply as an agent passes it on."""
    sizes = SIZES[kem]
    header = ReplyHeader(code, 0 if code else 300, IDENTIFICATION)
    return encode_node_reply(
        header, shares_of(kem), y=pattern(sizes.ciphertext, 12), sealed=pattern(sizes.answer + 16, 13)
    )


def refusal() -> bytes:
    """Return an agent's own refusal."""
    detail = Detail(Code.STALE_CHALLENGE, 0, 0, "that challenge is 90 s old")
    return encode_agent_refusal(Code.STALE_CHALLENGE, IDENTIFICATION, detail)


BLOCK: Final = IdentityBlock(
    5, 1, 0x1001, 0x1002, pattern(32), NODE, IPv4Address("10.0.0.1"), Layer2Extension(0, b"\2abcde")
)
ADVERTISEMENT: Final = Advertisement(
    flags=AdvertisementFlag.REGISTRATION_REQUIRED | AdvertisementFlag.TCP,
    lifetime=30,
    longest=3600,
    sequence=258,
    port=4434,
    challenge=pattern(16),
    nai=AGENT,
    domain="visited.example",
    care_of=(IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")),
)


def answer_of(kem: Kem) -> Answer:
    """Return what a node is told."""
    return Answer(
        code=0,
        renewed=True,
        mode=Keying.STATEFUL,
        lifetime=300,
        proposal=0,
        transform=0,
        clock=1_700_000_000,
        spi_of_home=0x3000,
        a=pattern(32, 1),
        b=pattern(32, 2),
        agent_digest=pattern(32, 3),
        home_offer=SaPayloadExtension(sa(SaSubType.MN_SMM)),
        agent_offer=SaPayloadExtension(sa(SaSubType.MN_FA)),
        home_address=IPv4Address("10.0.0.1"),
        home_agent_address=IPv6Address("2001:db8::2"),
        home_keys=(HomeKey(kem, 1_700_600_000, pattern(SIZES[kem].public, 4)),),
        other_home_agent="other@home.example",
        detail=Detail(0, 0, 0, "welcome"),
    )


AGENT_ANSWER: Final = AgentAnswer(
    code=0,
    mode=Keying.SEMI_STATEFUL,
    lifetime=300,
    spi_of_home=0x3000,
    spi_of_node=0x4000,
    a=pattern(32, 1),
    b=pattern(32, 2),
    pseudonym=pattern(16, 3),
    home_offer=SaPayloadExtension(sa(SaSubType.HA_FA)),
    node_offer=SaPayloadExtension(sa(SaSubType.MN_FA)),
    home_agent_address=IPv4Address("192.0.2.2"),
    port=4434,
)
_ROUTE: Final = hop.Route(7, HOME, (AGENT, "aaa@visited.example"))
_WAY: Final = (hop.TracedHop("aaa@home.example", Security.ASSOCIATION, 1234), hop.TracedHop(HOME, Security.TLS, 0))
_QUERY: Final = NodeQuery(17, 64, NODE)
HOP_MESSAGES: Final[tuple[hop.HopMessage, ...]] = (
    hop.Relay(IDENTIFICATION, _ROUTE, agent_request(Kem.X25519)),
    hop.Relayed(IDENTIFICATION, home_reply(Kem.X25519)),
    hop.NotRelayed(IDENTIFICATION, Detail(Code.ROUTING_LOOP, 0, 0, "this was here before"), _ROUTE),
    hop.Keys(IDENTIFICATION, KeyRequest(Keying.STATEFUL, 300, 1, pattern(32, 9), NODE, AGENT)),
    hop.Issued(IDENTIFICATION, KeyMaterial(Keying.STATEFUL, (pattern(32, 1), pattern(32, 2), pattern(32, 3)))),
    hop.NotIssued(IDENTIFICATION, Detail(Code.DISABLED_NODE, 0, 0, "")),
    hop.Nodes(IDENTIFICATION, _QUERY, tuple(HomeKey(kem, 9, pattern(SIZES[kem].public, 9)) for kem in Kem)),
    hop.Entries(
        IDENTIFICATION,
        NodeEntries(
            22,
            True,
            (
                NodeEntry(18, True, False, 1, NODE, pattern(32, 1), pattern(32, 2), until=IDENTIFICATION >> 32),
                NodeEntry(20, False, True, 1, "gone@home.example", bytes(32), bytes(32), HOME),
                NodeEntry(22, False, False, 2, "stolen@home.example", bytes(32), bytes(32), revoked=True),
            ),
        ),
    ),
    hop.Changed(IDENTIFICATION),
    hop.Trace(IDENTIFICATION, _ROUTE, _WAY[:1]),
    hop.Traced(IDENTIFICATION, _WAY),
)


REVOCATION: Final = Revocation(IDENTIFICATION, 0x2000, Reason.MOVED, 0x4000, 1_800_000_000_123_456)
REVOKED: Final = Revoked(IDENTIFICATION, 0x3000, pattern(32, 4))


def signed(said: Revocation | Revoked) -> bytes:
    """Return a message with a MAC that nobody has made."""
    return encode_signed(Signed(said, encode_start(said), pattern(32, 7)))


# -- written again from what was read: nothing that was read may be lost


def request_again(octets: bytes) -> bytes:
    """Read a node's request and write it."""
    return _request(decode_node_request(octets))


def _request(read: NodeRequest) -> bytes:
    header = read.header
    (home_sub, home_offer), (_, agent_offer) = read.offers.items()
    if home_sub not in (SaSubType.MN_HA, SaSubType.MN_SMM):
        raise AssertionError("the offer to the home agent comes first")
    parts = RequestParts(
        header.flags,
        header.lifetime,
        header.identification,
        read.kem,
        read.round,
        read.previous,
        read.spi,
        read.agent,
        read.home_agent,
        read.care_of,
        read.challenge,
        read.x,
        read.ciphertext,
        home_offer.payload,
        agent_offer.payload,
    )
    covers: list[bytes] = []

    def seal(hd: bytes) -> bytes:
        covers.append(hd)
        return read.sealed

    def mac(covered: bytes) -> bytes:
        covers.append(covered)
        return read.mac

    written = encode_node_request(parts, seal, mac)
    if covers != [read.octets[: read.hd_end], read.octets[: read.covered]]:
        raise AssertionError("what is covered is something else at the other end")
    return written if read.cookie is None else with_cookie(written, read.cookie)


def agent_request_again(octets: bytes) -> bytes:
    """Read an agent's request and write it."""
    read: AgentRequest = decode_agent_request(octets)
    offers = {sub: offer.payload for sub, offer in read.offers.items()}
    if read.shares_data != read.shares.data:
        raise AssertionError("the transcript has other shares")
    return encode_agent_request(
        _request(read.request), read.shares, read.address, read.port, offers, read.certificates, _signs(read)
    )


def _signs(read: AgentRequest | HomeReply) -> Callable[[bytes], bytes]:
    def sign(covered: bytes) -> bytes:
        if covered != read.octets[: read.signed]:
            raise AssertionError("something else is signed at the other end")
        return read.signature

    return sign


def home_reply_again(octets: bytes) -> bytes:
    """Read a home agent's reply and write it."""
    read: HomeReply = decode_home_reply(octets)
    return encode_home_reply(
        read.header,
        read.kem,
        y=read.y,
        sealed=read.sealed,
        c2=read.c2,
        sealed_secrets=read.sealed_secrets,
        certificates=read.certificates,
        sign=_signs(read),
    )


def node_reply_again(octets: bytes) -> bytes:
    """Read an agent's reply and write it."""
    read: NodeReply | AgentRefusal = decode_node_reply(octets)
    if isinstance(read, AgentRefusal):
        return encode_agent_refusal(read.header.code, read.header.identification, read.detail)
    if read.shares_data != read.shares.data:
        raise AssertionError("the transcript has other shares")
    return encode_node_reply(read.header, read.shares, y=read.y, sealed=read.sealed)


def block_again(octets: bytes) -> bytes:
    """Read an identity block and write it."""
    return encode_block(decode_block(octets))


def answer_again(octets: bytes) -> bytes:
    """Read an answer and write it."""
    return encode_answer(decode_answer(octets), KEM_OF_ANSWER[len(octets)])


def agent_answer_again(octets: bytes) -> bytes:
    """Read an agent's answer and write it."""
    return encode_agent_answer(decode_agent_answer(octets))


def advertisement_again(octets: bytes) -> bytes:
    """Read an advertisement and write it."""
    return encode_advertisement(*decode_advertisement(octets))


def solicitation_again(octets: bytes) -> bytes:
    """Read a solicitation and write it."""
    return encode_solicitation(decode_solicitation(octets))


def hop_again(octets: bytes) -> bytes:
    """Read what was said over a hop and write it."""
    return hop.encode_hop(hop.decode_hop(octets))


def signed_again(octets: bytes) -> bytes:
    """Read REVOCATION or REVOKED and write it."""
    return encode_signed(decode_signed(octets))


@frozen
class Form:
    """A form of message: how it is written again, and samples by name."""

    name: str
    again: Again
    samples: tuple[tuple[str, bytes], ...]


def forms() -> Iterator[Form]:
    """Yield every form there is."""
    kems = tuple(Kem)
    requests = [(kem.name.lower(), request(kem)) for kem in kems]
    requests.append(("cookie", with_cookie(request(Kem.X25519), pattern(37))))
    yield Form("node-request", request_again, tuple(requests))
    yield Form("agent-request", agent_request_again, tuple((kem.name.lower(), agent_request(kem)) for kem in kems))
    replies = [(f"{kem.name.lower()}_{code}", kem, code) for kem in kems for code in (0, 128)]
    yield Form("home-reply", home_reply_again, tuple((name, home_reply(kem, code)) for name, kem, code in replies))
    passed = [(name, node_reply(kem, code)) for name, kem, code in replies]
    yield Form("node-reply", node_reply_again, (*passed, ("refusal", refusal())))
    yield Form("identity-block", block_again, (("block", encode_block(BLOCK)),))
    yield Form("answer", answer_again, tuple((kem.name.lower(), encode_answer(answer_of(kem), kem)) for kem in kems))
    yield Form("agent-answer", agent_answer_again, (("answer", encode_agent_answer(AGENT_ANSWER)),))
    advertised = encode_advertisement(IDENTIFICATION, ADVERTISEMENT)
    yield Form("advertisement", advertisement_again, (("advertisement", advertised),))
    yield Form("solicitation", solicitation_again, (("solicitation", encode_solicitation(IDENTIFICATION)),))
    yield Form("hop", hop_again, tuple((said.kind.name.lower(), hop.encode_hop(said)) for said in HOP_MESSAGES))
    ends = (("revocation", signed(REVOCATION)), ("revoked", signed(REVOKED)))
    yield Form("revocation", signed_again, ends)


class FormCase(SynchronousTestCase):
    """What every decoder of whole messages owes its caller."""

    def read_whole_or_not_at_all(self, again: Again, octets: bytes, *prefixes: int) -> None:
        """Cut ``octets`` everywhere, and let something follow; what has the size of one of ``prefixes`` may be read."""
        self.assertEqual(again(octets).hex(), octets.hex())
        for size in range(len(octets)):
            if size not in prefixes:
                with self.assertRaises(Malformed) as caught:
                    again(octets[:size])
                self.assertLessEqual(caught.exception.offset, size)
        for more in (b"\0", b"\x7f", b"\x26", bytes(10), bytes(1000)):
            self.assertRaises((Malformed, PeerIncompatible), again, octets + more)

    def bits_flipped(self, again: Again, octets: bytes, step: int = 1) -> None:
        """Flip each ``step``-th bit: that is refused, or means exactly that."""
        for bit in range(0, 8 * len(octets), step):
            changed = bytearray(octets)
            changed[bit // 8] ^= 1 << bit % 8
            self.refused_or_exact(again, bytes(changed))

    def refused_or_exact(self, again: Again, octets: bytes) -> None:
        """Read ``octets``: they are refused, or what they mean is written with the same octets."""
        try:
            written = again(octets)
        except FAULTS:
            return
        self.assertEqual(written.hex(), octets.hex())

    def broken(self, decode: Decode, octets: bytes, field: str, offset: int) -> None:
        """Read what is malformed at this field and offset."""
        error = self.assertRaises(Malformed, decode, octets)
        self.assertEqual((error.field, error.offset), (field, offset), str(error))


def with_octets(octets: bytes, at: int, changed: bytes) -> bytes:
    """Return ``octets`` with others at ``at``."""
    return octets[:at] + changed + octets[at + len(changed) :]


# -- strategies

kems = st.sampled_from(Kem)
addresses = st.ip_addresses(v=4) | st.binary(min_size=16, max_size=16).map(ipaddress.IPv6Address)
short_names = nais.filter(lambda nai: len(nai.encode()) <= 128)
spis = st.integers(256, 2**32 - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    """Make octets of this size, quickly."""
    return u8.map(lambda start: pattern(size, start))


def sas(*subs: int) -> st.SearchStrategy[bytes]:
    """Make SA payloads of these sub-types, with any inside."""
    return st.builds(sa, st.sampled_from(subs), st.binary(max_size=40))


request_parts = kems.flatmap(
    lambda kem: st.builds(
        RequestParts,
        flags=st.sampled_from((0, 0x80)),
        lifetime=u16,
        identification=u64,
        kem=st.just(kem),
        round=st.integers(1, 3),
        previous=exactly(32),
        spi=spis,
        agent=short_names,
        home_agent=short_names,
        care_of=addresses,
        challenge=exactly(16),
        x=exactly(SIZES[kem].public),
        ciphertext=exactly(SIZES[kem].ciphertext),
        home_offer=sas(SaSubType.MN_HA, SaSubType.MN_SMM),
        agent_offer=sas(SaSubType.MN_FA),
    )
)
shares = kems.flatmap(
    lambda kem: st.builds(
        AgentShares, st.just(kem), spis, spis, exactly(SIZES[kem].public), exactly(SIZES[kem].ciphertext)
    )
)
layer2s = st.builds(Layer2Extension, st.just(0), exactly(6)) | st.builds(
    Layer2Extension, st.integers(1, 2), st.binary(min_size=1, max_size=16)
)
blocks = st.builds(
    IdentityBlock,
    u32,
    u32,
    spis,
    spis,
    exactly(32),
    short_names,
    st.none() | addresses,
    st.none() | layer2s,
)
home_keys = kems.flatmap(lambda kem: st.builds(HomeKey, st.just(kem), u64, exactly(SIZES[kem].public)))
details = st.builds(Detail, u16, u8, u8, texts.filter(lambda text: len(text.encode()) <= 160))


def offers(*subs: int) -> st.SearchStrategy[SaPayloadExtension | None]:
    """Make SA payload extensions of these sub-types, or none."""
    return st.none() | sas(*subs).map(SaPayloadExtension)


answers = st.builds(
    Answer,
    code=u16,
    renewed=st.booleans(),
    mode=st.sampled_from(Keying),
    lifetime=u16,
    proposal=u8,
    transform=u8,
    clock=u64,
    spi_of_home=st.just(0) | spis,
    a=exactly(32),
    b=exactly(32),
    agent_digest=exactly(32),
    home_offer=offers(SaSubType.MN_HA, SaSubType.MN_SMM),
    agent_offer=offers(SaSubType.MN_FA),
    home_address=st.none() | addresses,
    home_agent_address=st.none() | addresses,
    home_keys=st.lists(home_keys, max_size=1).map(tuple),
    other_home_agent=st.none() | short_names,
    detail=st.none() | details,
)
agent_answers = st.builds(
    AgentAnswer,
    code=st.sampled_from((0, 128)),
    mode=st.sampled_from(Keying),
    lifetime=u16,
    spi_of_home=st.just(0) | spis,
    spi_of_node=st.just(0) | spis,
    a=exactly(32),
    b=exactly(32),
    pseudonym=exactly(16),
    home_offer=offers(SaSubType.HA_FA),
    node_offer=offers(SaSubType.MN_FA),
    home_agent_address=st.none() | addresses,
    port=u16,
)
domains = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="@"), min_size=1, max_size=40
)
advertisements = st.builds(
    Advertisement,
    flags=st.integers(0, 63).map(AdvertisementFlag),
    lifetime=u16,
    longest=u16,
    sequence=u16,
    port=u16,
    challenge=exactly(16),
    nai=short_names,
    domain=domains,
    care_of=st.lists(addresses, min_size=1, max_size=MAX_CARE_OF // 2).map(tuple),
)
routes = st.builds(hop.Route, st.integers(0, 8), nais, st.lists(nais, max_size=4).map(tuple))
ways = st.lists(st.builds(hop.TracedHop, nais, st.sampled_from(Security), u32), max_size=4).map(tuple)
materials = st.builds(
    KeyMaterial, st.just(Keying.STATEFUL), st.tuples(exactly(32), exactly(32), exactly(32))
) | st.builds(KeyMaterial, st.just(Keying.SEMI_STATEFUL), st.tuples(exactly(32)))
entries = st.sampled_from(((1, 0, 0), (0, 1, 0), (0, 0, 0), (0, 0, 1))).flatmap(
    lambda standing: st.builds(
        NodeEntry,
        u64,
        st.just(bool(standing[0])),
        st.just(bool(standing[1])),
        u32,
        short_names,
        st.just(bytes(32)) if standing[2] else exactly(32),
        st.just(bytes(32)) if standing[2] else exactly(32),
        st.just("") | nais,
        st.just(bool(standing[2])),
        u64,
    )
)
revocations = st.builds(Revocation, u64, spis, st.sampled_from(Reason), spis, u64) | st.builds(
    Revoked, u64, spis, exactly(32)
)
key_requests = st.builds(
    KeyRequest, st.sampled_from((Keying.STATEFUL, Keying.SEMI_STATEFUL)), u16, u32, exactly(32), short_names, nais
)
hop_messages = st.one_of(
    st.builds(hop.Relay, u64, routes, st.binary(max_size=60)),
    st.builds(hop.Relayed, u64, st.binary(max_size=60)),
    st.builds(hop.NotRelayed, u64, details, routes),
    st.builds(hop.Keys, u64, key_requests),
    st.builds(hop.Issued, u64, materials),
    st.builds(hop.NotIssued, u64, details),
    st.builds(
        hop.Nodes,
        u64,
        st.builds(NodeQuery, u64, st.integers(1, 64), st.just("") | short_names),
        st.lists(home_keys, max_size=3).map(tuple),
    ),
    st.builds(hop.Entries, u64, st.builds(NodeEntries, u64, st.booleans(), st.lists(entries, max_size=4).map(tuple))),
    st.builds(hop.Changed, u64),
    st.builds(hop.Trace, u64, routes, ways),
    st.builds(hop.Traced, u64, ways),
)
