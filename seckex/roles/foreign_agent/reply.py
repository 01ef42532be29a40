"""What a home agent replied: whether it did, and what the agent takes from it.

Three things are looked at in turn: that the certificate is the home agent's and
its signature over this very request and reply; that the secrets for the agent
were sealed to its share of this registration; and that what was chosen is
something that node and agent had offered. Only then are there keys.
"""

from __future__ import annotations

from attrs import field, frozen

from seckex.crypto.registration import equation5, key2, key3, transcript
from seckex.crypto.registration_seals import open_agent_secrets, verify_reply
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed, Malformed, PeerIncompatible
from seckex.machine import Now
from seckex.roles.foreign_agent.asked import Asked
from seckex.roles.foreign_agent.terms import AgentTerms, realm_of
from seckex.roles.foreign_agent.visitors import KIND, Visitor, name_of
from seckex.roles.places import may_be_at
from seckex.sa.association import Agreement
from seckex.sa.store import DeleteRecord, Unit
from seckex.wire.extensions import SaPayloadExtension
from seckex.wire.frames import Address
from seckex.wire.mobileip import decode_home_reply, encode_node_reply, encode_reply_header
from seckex.wire.numbers import Code, Keying, SaSubType
from seckex.wire.registration import AgentAnswer, decode_agent_answer


@frozen
class Verified:
    """A home agent's reply.

    ``octets`` are what the node gets. Of a registration there is a ``visitor`` and what was agreed with it, of the end
    of one the name of who ``left``; of a refusal neither.
    """

    octets: bytes
    visitor: Visitor | None = None
    agreement: Agreement | None = None
    left: bytes = b""
    unit: Unit = field(init=False, repr=False)

    @unit.default
    def _durable_first(self) -> Unit:
        """Return what has to be durable before the node hears of it; nothing for a refusal."""
        if self.visitor is not None:
            return (self.visitor.put,)
        return (DeleteRecord(KIND, self.left),) if self.left else ()


def verify(octets: bytes, asked: Asked, terms: AgentTerms, now: Now) -> Verified:
    """Return what was replied to ``asked``.

    Raises `BadCertificate` and `AuthenticationFailed` where it was not the home agent, `Malformed` and `PeerFault`
    where the reply makes no sense.
    """
    reply, request = decode_home_reply(octets), asked.request
    if reply.header.identification != request.header.identification:
        raise AuthenticationFailed("the reply is to another request")
    voucher = terms.trust.verify(reply.certificates, now.wall)
    if voucher.nai != request.home_agent:
        raise AuthenticationFailed(f"the reply is signed by {voucher.nai}, not by {request.home_agent}")
    verify_reply(voucher, reply.signature, terms.nai, asked.message, octets[: reply.signed])
    if reply.kem != request.kem:
        raise Malformed("home share", 0, f"of {reply.kem.name}, the request is of {request.kem.name}")
    ss2 = asked.key.open(reply.c2)
    tr = transcript(request.octets, asked.shares.data, reply.y)
    header = encode_reply_header(reply.header)
    answer = decode_agent_answer(open_agent_secrets(ss2, tr, header, reply.sealed_secrets))
    if (answer.code, answer.lifetime) != (reply.header.code, reply.header.lifetime):
        raise Malformed("eF", 0, "another code or lifetime than the header's")
    passed = encode_node_reply(reply.header, asked.shares, y=reply.y, sealed=reply.sealed)
    if reply.header.code != Code.REGISTERED:
        return Verified(passed)
    if not request.header.lifetime:
        return Verified(passed, left=name_of(request.home_agent, answer.pseudonym))
    if not 0 < answer.lifetime <= request.header.lifetime:
        raise Malformed("Lifetime", 2, f"{answer.lifetime} s granted where {request.header.lifetime} s were asked for")
    return _registered(passed, answer, asked, terms, _Secrets(ss2, tr), now)


@frozen
class _Secrets:
    ss2: Secret
    tr: bytes = field(repr=False)


def _registered(
    passed: bytes, answer: AgentAnswer, asked: Asked, terms: AgentTerms, secrets: _Secrets, now: Now
) -> Verified:
    request, shares = asked.request, asked.shares
    if not answer.spi_of_home or not answer.spi_of_node:
        raise Malformed("eF", 8, "a registration without SPIs")
    where = answer.home_agent_address
    if where is None or not answer.port:
        raise Malformed("eF", 6, "a registration without the home agent's address and port")
    if not may_be_at(where, terms.address):
        raise Malformed("eF", 6, f"{where} is no address of a home agent, seen from {terms.address}")
    home, node = SaSubType.HA_FA, SaSubType.MN_FA
    kem, said_home, said_node = request.kem, _said(answer.home_offer, home), _said(answer.node_offer, node)
    of_home = terms.choices.agreed(kem, home, said_home, terms.offers[kem][home])
    of_node = terms.choices.agreed(kem, node, said_node, request.offers[node].payload)
    k2, k3 = _drawn(answer, where, asked, terms, secrets.tr)
    if not answer.mixed and terms.mix:
        why = "KEY 2 would be without our own secret, which is not in the policy here"
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, why)
    ss2 = secrets.ss2 if answer.mixed else None
    with_home = terms.nai, request.home_agent
    with_node = "@" + realm_of(request.home_agent), terms.nai
    visitor = Visitor(
        home_agent=request.home_agent,
        home_address=where,
        home_port=answer.port,
        pseudonym=answer.pseudonym,
        kem=request.kem,
        mode=answer.mode,
        spi_home=shares.spi_home,
        spi_of_home=answer.spi_of_home,
        spi_node=shares.spi_node,
        spi_of_node=answer.spi_of_node,
        since=int(now.wall),
        until=int(now.wall) + answer.lifetime,
        home_choice=said_home,
        node_choice=said_node,
        key2=key2(of_home.prf, k2, ss2, secrets.tr, with_home, (shares.spi_home, answer.spi_of_home)),
        key3=key3(of_node.prf, k3, asked.ss3, secrets.tr, with_node, (answer.spi_of_node, shares.spi_node)),
    )
    return Verified(passed, visitor, of_node)


def _said(choice: SaPayloadExtension | None, sub_type: SaSubType) -> bytes:
    if choice is None:
        raise Malformed("eF", 0, f"a registration without a choice of sub-type {sub_type.value}")
    return choice.payload


def _drawn(answer: AgentAnswer, home: Address, asked: Asked, terms: AgentTerms, tr: bytes) -> tuple[Secret, Secret]:
    """Return k2 and k3, or what takes their place: section 7."""
    a, b = Secret(answer.a), Secret(answer.b)
    if answer.mode is not Keying.SEMI_STATEFUL:
        return a, b
    request = asked.request
    realm, care_of = "@" + realm_of(request.home_agent), request.care_of
    return (
        equation5(a, request.home_agent, terms.nai, home, terms.address, tr),
        equation5(b, terms.nai, realm, care_of, care_of, tr),
    )
