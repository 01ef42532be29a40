"""What is sealed in registration messages, in the clear: docs/registration.md, sections 4 and 6.

Each has a size that does not depend on what it says: fields that are always
there, extensions in one order, of which none needs to be there unless said, then
zeros. Seals are the business of the crypto room.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import field, frozen

from seckex.errors import ApiMisuse, Unfeasible
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import READ, Detail, Layer2Extension, SaPayloadExtension, encode_extension
from seckex.wire.frames import (
    Address,
    checked_spi,
    general,
    ip_data,
    nai_data,
    offer_data,
    read_detail,
    read_ip,
    read_nai,
    read_offer,
    read_spi,
    sized,
)
from seckex.wire.keying import HomeKey, home_keys_data, read_home_keys
from seckex.wire.mobileip.reply import AGENT_ANSWER_SIZE
from seckex.wire.mobileip.request import OF_AGENT, OF_NODE, OF_VISIT
from seckex.wire.numbers import (
    EXTENSION_TYPE,
    MAX_NODE_NAI,
    Code,
    IpContent,
    Kem,
    Keying,
    NaiContent,
)
from seckex.wire.numbers import ExtensionSub as Sub
from seckex.wire.shares import KEM_OF_ANSWER, SIZES

BLOCK_SIZE: Final = 256
DIGEST_SIZE: Final = 32
KEY_SIZE: Final = 32
PSEUDONYM_SIZE: Final = 16
MAX_REASON: Final = 160

_EXTENSION: Final = struct.Struct(">BBH")
_BLOCK: Final = struct.Struct(">IIII")
_ANSWER: Final = struct.Struct(">HBBHBBQI")
_AGENT_ANSWER: Final = struct.Struct(">HBBHHII")
_RENEWED: Final = 0x1
_UNMIXED: Final = 0x1
_REASON_START: Final = 4  # a detail's numbers, before its text
_MODES: Final = frozenset(map(int, Keying))
_OUTSIDE: Final = (int(Code.REGISTERED), int(Code.UNSPECIFIED))


@frozen
class IdentityBlock:
    """Who the node is: what the home agent alone reads of a request.

    ``spi_home`` and ``spi_agent`` are the node's SPIs for the associations with each; ``agent_digest`` is the SHA-256
    of the NAI of the agent that it chose. Without ``home_address`` any will do.
    """

    index: int
    kvno: int
    spi_home: int
    spi_agent: int
    agent_digest: bytes
    node: str
    home_address: Address | None = None
    layer2: Layer2Extension | None = None


@frozen
class Answer:
    """What the node alone reads of a reply.

    ``code`` is the true one. ``renewed`` says that the request came under the root that was healed. ``proposal`` and
    ``transform`` are at fault, 0 where none is. ``a`` and ``b`` are a1 and k3, or S_mh and S_mf; zeros in a refusal, as
    ``spi_of_home`` is. ``home_offer`` is what was chosen between node and home agent or, in a refusal, what would be
    acceptable; ``agent_offer`` what was chosen between node and agent.
    """

    code: int
    renewed: bool
    mode: Keying
    lifetime: int
    proposal: int
    transform: int
    clock: int
    spi_of_home: int
    a: bytes = field(repr=False)
    b: bytes = field(repr=False)
    agent_digest: bytes
    home_offer: SaPayloadExtension | None = None
    agent_offer: SaPayloadExtension | None = None
    home_address: Address | None = None
    home_agent_address: Address | None = None
    home_keys: tuple[HomeKey, ...] = ()
    other_home_agent: str | None = None
    detail: Detail | None = None


@frozen
class AgentAnswer:
    """What the agent alone reads of a reply: eF. ``code`` is 0 or 128.

    ``a`` and ``b`` are k2 and k3, or S_hf and S_mf; ``pseudonym`` stands for the node. ``home_offer`` is what was
    chosen between home agent and agent, ``node_offer`` between node and agent. ``mixed``: KEY 2 has ss2 in it. ``port``
    is that of the home agent's address, 0 in a refusal and where a registration ends.
    """

    code: int
    mode: Keying
    lifetime: int
    spi_of_home: int
    spi_of_node: int
    a: bytes = field(repr=False)
    b: bytes = field(repr=False)
    pseudonym: bytes
    home_offer: SaPayloadExtension | None = None
    node_offer: SaPayloadExtension | None = None
    home_agent_address: Address | None = None
    mixed: bool = True
    port: int = 0


# -- extensions in an order, each at most once


@frozen
class _Slot:
    """A place for an extension: its sub-type, and which ``values`` octet ``at`` of its data may have, any if empty.

    ``read`` reads the data whole.
    """

    name: str
    sub: int
    read: Callable[[Reader], Any]
    at: int = 0
    values: tuple[int, ...] = ()


def _nai(name: str, content: NaiContent) -> _Slot:
    return _Slot(name, Sub.NAI, lambda data: read_nai(data, content), 0, (content,))


def _ip(name: str, content: IpContent) -> _Slot:
    return _Slot(name, Sub.IP, lambda data: read_ip(data, content), 0, (content,))


def _offer(name: str, subs: tuple[int, ...]) -> _Slot:
    return _Slot(name, Sub.SA_PAYLOAD, lambda data: read_offer(data, subs), 1, subs)


def _read_layer2(data: Reader) -> Layer2Extension:
    start = data.offset
    found = READ[Sub.LAYER2](data)
    if not isinstance(found, Layer2Extension):
        raise data.fail("layer 2", "sealed twice", start)
    return found


def _read_reason(data: Reader) -> Detail:
    start = data.offset
    detail = read_detail(data)
    if data.offset - start > _REASON_START + MAX_REASON:
        raise data.fail("text", f"more than {MAX_REASON} octets", start)
    return detail


_IN_BLOCK: Final = (
    _nai("node", NaiContent.MOBILE_NODE),
    _ip("home_address", IpContent.NODE),
    _Slot("layer2", Sub.LAYER2, _read_layer2),
)
_IN_ANSWER: Final = (
    _offer("home_offer", OF_NODE),
    _offer("agent_offer", OF_VISIT),
    _ip("home_address", IpContent.NODE),
    _ip("home_agent_address", IpContent.ROUTER),
    _Slot("home_keys", Sub.HOME_KEYS, read_home_keys),
    _nai("other_home_agent", NaiContent.HOME_AGENT),
    _Slot("detail", Sub.DETAIL, _read_reason),
)
_IN_AGENT_ANSWER: Final = (
    _offer("home_offer", OF_AGENT),
    _offer("node_offer", OF_VISIT),
    _ip("home_agent_address", IpContent.ROUTER),
)


def _read_parts(octets: bytes, reader: Reader, slots: Sequence[_Slot]) -> dict[str, Any]:
    """Read extensions up to the zeros, and those; ``octets`` are all that ``reader`` reads."""
    found: dict[str, Any] = {}
    free = iter(slots)
    while reader.remaining and octets[reader.offset] == EXTENSION_TYPE:
        start = reader.offset
        _kind, sub, length = reader.unpack(_EXTENSION, "extension")
        data = reader.sub(length, "Length")
        for slot in free:
            if slot.sub == sub and (
                not slot.values or (data.remaining > slot.at and octets[data.offset + slot.at] in slot.values)
            ):
                found[slot.name] = slot.read(data)
                break
        else:
            raise reader.fail("extension", f"{sub} does not stand here", start)
    reader.zeros(reader.remaining, "zeros")
    return found


def _filled(parts: Sequence[bytes], size: int) -> bytes:
    octets = b"".join(parts)
    if len(octets) > size:
        raise Unfeasible(f"{len(octets)} octets are to go into a seal that has room for {size}")
    return octets + bytes(size - len(octets))


def _ip_part(content: IpContent, address: Address | None) -> bytes:
    return b"" if address is None else general(Sub.IP, ip_data(content, address))


def _offer_part(offer: SaPayloadExtension | None, subs: tuple[int, ...]) -> bytes:
    return b"" if offer is None else general(Sub.SA_PAYLOAD, offer_data(offer.payload, subs))


# -- the three of them


def encode_block(block: IdentityBlock) -> bytes:
    """Return the 256 octets of an identity block, to be sealed; raises `ApiMisuse`."""
    if len(block.node.encode()) > MAX_NODE_NAI:
        raise ApiMisuse(f"a node's NAI has at most {MAX_NODE_NAI} octets")
    fields = (block.index, block.kvno, checked_spi(block.spi_home), checked_spi(block.spi_agent))
    start = Writer().pack(_BLOCK, *fields).raw(sized(block.agent_digest, DIGEST_SIZE, "a digest")).octets()
    parts = (
        start,
        general(Sub.NAI, nai_data(NaiContent.MOBILE_NODE, block.node)),
        _ip_part(IpContent.NODE, block.home_address),
        b"" if block.layer2 is None else encode_extension(block.layer2),
    )
    return _filled(parts, BLOCK_SIZE)


def decode_block(octets: bytes) -> IdentityBlock:
    """Return the identity block in ``octets``, as unsealed; raises `Malformed`, with offsets from their start."""
    reader = _sized_reader(octets, BLOCK_SIZE)
    index, kvno, spi_home, spi_agent = reader.unpack(_BLOCK, "identity block")
    read_spi(reader, spi_home, 8)
    read_spi(reader, spi_agent, 12)
    agent_digest = reader.take(DIGEST_SIZE, "digest")
    parts = _read_parts(octets, reader, _IN_BLOCK)
    node = parts.get("node")
    if node is None or len(node.encode()) > MAX_NODE_NAI:
        raise reader.fail("NAI", f"none, or of more than {MAX_NODE_NAI} octets", _BLOCK.size + DIGEST_SIZE)
    return IdentityBlock(index, kvno, spi_home, spi_agent, agent_digest, **parts)


def encode_answer(answer: Answer, kem: Kem) -> bytes:
    """Return an answer of the size that goes with ``kem``, to be sealed.

    Raises `Unfeasible` for more than there is room for, and `ApiMisuse`.
    """
    detail = b""
    if answer.detail is not None:
        detail = encode_extension(answer.detail)
        if len(answer.detail.text.encode()) > MAX_REASON:
            raise ApiMisuse(f"a reason of more than {MAX_REASON} octets")
    flags = _RENEWED if answer.renewed else 0
    numbers = (answer.proposal, answer.transform, answer.clock, _spi_or_none(answer.spi_of_home))
    start = Writer().pack(_ANSWER, answer.code, flags, answer.mode, answer.lifetime, *numbers)
    start.raw(sized(answer.a, KEY_SIZE, "A")).raw(sized(answer.b, KEY_SIZE, "B"))
    start.raw(sized(answer.agent_digest, DIGEST_SIZE, "a digest"))
    other = answer.other_home_agent
    parts = (
        start.octets(),
        _offer_part(answer.home_offer, OF_NODE),
        _offer_part(answer.agent_offer, OF_VISIT),
        _ip_part(IpContent.NODE, answer.home_address),
        _ip_part(IpContent.ROUTER, answer.home_agent_address),
        general(Sub.HOME_KEYS, home_keys_data(answer.home_keys)) if answer.home_keys else b"",
        b"" if other is None else general(Sub.NAI, nai_data(NaiContent.HOME_AGENT, other)),
        detail,
    )
    return _filled(parts, SIZES[kem].answer)


def decode_answer(octets: bytes) -> Answer:
    """Return the answer in ``octets``, as unsealed.

    Raises `Malformed`, with offsets from their start, and `PeerIncompatible` for a home key of an unknown KEM.
    """
    if len(octets) not in KEM_OF_ANSWER:
        raise Reader(octets).fail("answer", f"{len(octets)} octets are those of no KEM")
    reader = Reader(octets)
    code, flags, mode, lifetime, proposal, transform, clock, spi = reader.unpack(_ANSWER, "answer")
    if flags & ~_RENEWED:
        raise reader.fail("Flags", f"0x{flags:02x}, reserved bits are set", 2)
    if mode not in _MODES:
        raise reader.fail("Mode", f"{mode} does not exist", 3)
    if spi:
        read_spi(reader, spi, 16)
    a, b = reader.take(KEY_SIZE, "A"), reader.take(KEY_SIZE, "B")
    fields = (code, bool(flags), Keying(mode), lifetime, proposal, transform, clock, spi, a, b)
    agent_digest = reader.take(DIGEST_SIZE, "digest")
    return Answer(*fields, agent_digest, **_read_parts(octets, reader, _IN_ANSWER))


def encode_agent_answer(answer: AgentAnswer) -> bytes:
    """Return the octets of eF, to be sealed; raises `Unfeasible` for more than there is room for, and `ApiMisuse`."""
    if answer.code not in _OUTSIDE:
        raise ApiMisuse("an agent is told 0 or 128")
    spis = (_spi_or_none(answer.spi_of_home), _spi_or_none(answer.spi_of_node))
    flags = 0 if answer.mixed else _UNMIXED
    start = Writer().pack(_AGENT_ANSWER, answer.code, answer.mode, flags, answer.lifetime, answer.port, *spis)
    start.raw(sized(answer.a, KEY_SIZE, "A")).raw(sized(answer.b, KEY_SIZE, "B"))
    parts = (
        start.raw(sized(answer.pseudonym, PSEUDONYM_SIZE, "a pseudonym")).octets(),
        _offer_part(answer.home_offer, OF_AGENT),
        _offer_part(answer.node_offer, OF_VISIT),
        _ip_part(IpContent.ROUTER, answer.home_agent_address),
    )
    return _filled(parts, AGENT_ANSWER_SIZE)


def decode_agent_answer(octets: bytes) -> AgentAnswer:
    """Return what is in eF, as unsealed; raises `Malformed`, with offsets from its start."""
    reader = _sized_reader(octets, AGENT_ANSWER_SIZE)
    code, mode, flags, lifetime, port, spi_of_home, spi_of_node = reader.unpack(_AGENT_ANSWER, "eF")
    if code not in _OUTSIDE:
        raise reader.fail("Code", f"{code} where an agent is told 0 or 128", 0)
    if mode not in _MODES:
        raise reader.fail("Mode", f"{mode} does not exist", 2)
    if flags & ~_UNMIXED:
        raise reader.fail("Flags", f"0x{flags:02x}, reserved bits are set", 3)
    for offset, spi in ((8, spi_of_home), (12, spi_of_node)):
        if spi:
            read_spi(reader, spi, offset)
    a, b = reader.take(KEY_SIZE, "A"), reader.take(KEY_SIZE, "B")
    pseudonym = reader.take(PSEUDONYM_SIZE, "pseudonym")
    parts = _read_parts(octets, reader, _IN_AGENT_ANSWER)
    fields = (code, Keying(mode), lifetime, spi_of_home, spi_of_node, a, b, pseudonym)
    return AgentAnswer(*fields, **parts, mixed=not flags, port=port)


def _sized_reader(octets: bytes, size: int) -> Reader:
    reader = Reader(octets)
    if len(octets) != size:
        raise reader.fail("message", f"{len(octets)} octets where there must be {size}")
    return reader


def _spi_or_none(spi: int) -> int:
    return checked_spi(spi) if spi else 0
