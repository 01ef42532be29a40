"""A reply, as a home agent says it and as the foreign agent passes it on: docs/registration.md, section 6.

Also what an agent says of itself where it cannot do that, which nobody
authenticates: a header with a code from 64 to 109, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader
from seckex.wire.extensions import Detail
from seckex.wire.frames import data_of, next_vendor, read_detail, sized, vendor
from seckex.wire.mobileip.headers import ReplyHeader, encode_reply_header, is_agents, read_reply_header
from seckex.wire.mobileip.signed import read_signed, signed_by
from seckex.wire.numbers import ExtensionSub as Sub
from seckex.wire.numbers import Kem
from seckex.wire.shares import KEM_OF_CIPHERTEXT, SIZES, AgentShares, read_agent_shares

TAG_SIZE: Final = 16
AGENT_ANSWER_SIZE: Final = 512


@frozen
class HomeReply:
    """A reply as the home agent said it.

    ``y`` is the home share, ``sealed`` the answer to the node, ``c2`` gives ss2 to the agent and ``sealed_secrets`` is
    eF. The signature is over ``octets[:signed]``.
    """

    header: ReplyHeader
    kem: Kem
    y: bytes
    sealed: bytes
    c2: bytes
    sealed_secrets: bytes
    certificates: tuple[bytes, ...]
    signature: bytes
    signed: int
    octets: bytes


@frozen
class NodeReply:
    """A reply as the agent passed it on; ``shares_data`` are the octets of ``shares`` that the transcript has."""

    header: ReplyHeader
    kem: Kem
    shares: AgentShares
    shares_data: bytes
    y: bytes
    sealed: bytes
    octets: bytes


@frozen
class AgentRefusal:
    """An agent's own reply, codes 64 to 109: a hint."""

    header: ReplyHeader
    detail: Detail


def decode_home_reply(octets: bytes) -> HomeReply:
    """Return what a home agent said; raises `Malformed`, and `PeerIncompatible` for what version 1 does not have."""
    reader = Reader(octets)
    header = read_reply_header(reader)
    if is_agents(header):
        raise reader.fail("Code", f"{header.code} is not said by home agents", 1)
    kem, y = _read_home_share(reader)
    sealed = _read_sealed(reader, kem)
    data = next_vendor(reader, Sub.AGENT_SECRETS)
    c2 = data.take(SIZES[kem].ciphertext, "c2")
    sealed_secrets = data.take(AGENT_ANSWER_SIZE + TAG_SIZE, "eF")
    data.end("agent secrets")
    certificates, signature, signed = read_signed(reader)
    return HomeReply(header, kem, y, sealed, c2, sealed_secrets, certificates, signature, signed, octets)


def encode_home_reply(
    header: ReplyHeader,
    kem: Kem,
    *,
    y: bytes,
    sealed: bytes,
    c2: bytes,
    sealed_secrets: bytes,
    certificates: Sequence[bytes],
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Return a home agent's reply; ``sign`` is given what the signature covers. Raises `ApiMisuse`."""
    secrets = sized(c2, SIZES[kem].ciphertext, "c2") + sized(sealed_secrets, AGENT_ANSWER_SIZE + TAG_SIZE, "eF")
    start = b"".join((_start(header), *_answer(kem, y, sealed), vendor(Sub.AGENT_SECRETS, secrets)))
    return signed_by(start, certificates, sign)


def decode_node_reply(octets: bytes) -> NodeReply | AgentRefusal:
    """Return what an agent said to a node; raises as `decode_home_reply`."""
    reader = Reader(octets)
    header = read_reply_header(reader)
    if is_agents(header):
        detail = read_detail(next_vendor(reader, Sub.DETAIL))
        reader.end("reply")
        return AgentRefusal(header, detail)
    data = next_vendor(reader, Sub.AGENT_SHARES)
    at, size = data.offset, data.remaining
    shares = read_agent_shares(data)
    kem, y = _read_home_share(reader)
    if kem != shares.kem:
        raise reader.fail("agent shares", "of another KEM than the home share", at)
    sealed = _read_sealed(reader, kem)
    reader.end("reply")
    return NodeReply(header, kem, shares, octets[at : at + size], y, sealed, octets)


def encode_node_reply(header: ReplyHeader, shares: AgentShares, *, y: bytes, sealed: bytes) -> bytes:
    """Return a home agent's reply as the agent passes it on; raises `ApiMisuse`."""
    return b"".join((_start(header), vendor(Sub.AGENT_SHARES, shares.data), *_answer(shares.kem, y, sealed)))


def encode_agent_refusal(code: int, identification: int, detail: Detail) -> bytes:
    """Return an agent's own refusal; raises `ApiMisuse`."""
    header = ReplyHeader(code, 0, identification)
    if not is_agents(header):
        raise ApiMisuse(f"the code {code} is not an agent's own")
    return encode_reply_header(header) + vendor(Sub.DETAIL, data_of(detail))


def _start(header: ReplyHeader) -> bytes:
    if is_agents(header):
        raise ApiMisuse(f"the code {header.code} is not a home agent's")
    return encode_reply_header(header)


def _answer(kem: Kem, y: bytes, sealed: bytes) -> tuple[bytes, bytes]:
    sizes = SIZES[kem]
    return (
        vendor(Sub.HOME_SHARE, sized(y, sizes.ciphertext, "Y")),
        vendor(Sub.SEALED_ANSWER, sized(sealed, sizes.answer + TAG_SIZE, "a sealed answer")),
    )


def _read_home_share(reader: Reader) -> tuple[Kem, bytes]:
    data = next_vendor(reader, Sub.HOME_SHARE)
    kem = KEM_OF_CIPHERTEXT.get(data.remaining)
    if kem is None:
        raise data.fail("Y", f"{data.remaining} octets are those of no KEM")
    return kem, data.rest()


def _read_sealed(reader: Reader, kem: Kem) -> bytes:
    data = next_vendor(reader, Sub.SEALED_ANSWER)
    sealed = data.take(SIZES[kem].answer + TAG_SIZE, "sealed")
    data.end("sealed answer")
    return sealed
