"""The payloads of a negotiation: SA, proposal, transform, key exchange.

Octets become frozen values, and these become the same octets again. Only what
makes an offer readable is checked here: lengths, counts, limits and what stands
inside what (docs/protocol.md, sections 5 and 12). What an offer means (its
numbering, which transforms exist, whether a key exchange belongs to it) is the
business of the floor above, which can tell the peer. So an unknown protocol,
transform, attribute or group is kept as it came, and an unknown payload inside
an SA is kept whole. Nothing recurses: an SA holds proposals, which hold
transforms, which hold attributes.

Every payload, SA, proposal, transform or key exchange, starts with

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+---------------+-------------------------------+
    |     Type      |   Sub-type    |            Length             |
    +---------------+---------------+-------------------------------+

where Length counts the whole payload.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, TypeAlias

from attrs import frozen

from seckex.errors import ApiMisuse, PeerIncompatible
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import (
    ATTRIBUTE_KEY_LENGTH,
    ATTRIBUTE_MEBIOCTETS,
    MAX_ATTRIBUTES,
    MAX_PAYLOADS,
    MAX_TRANSFORMS,
    Code,
    KeyExchangeSub,
    PayloadType,
)
from seckex.wire.user_group import UserKeyExchange as UserKeyExchange
from seckex.wire.user_group import encode_user_key_exchange, read_user_key_exchange, value_of_user

_PAYLOAD: Final = struct.Struct(">BBH")
_PROPOSAL: Final = struct.Struct(">BBBBII")
_TRANSFORM: Final = struct.Struct(">BBH")
_ATTRIBUTE: Final = struct.Struct(">HH")
_KEY_EXCHANGE: Final = struct.Struct(">HH")

# The proposals that this principal writes again and again; a peer that makes it write others only empties this.
_REMEMBERED: Final = 256

_SHORT_FORM: Final = 0x8000
# 2^60 octets: what can be counted and stored in 63 bits.
_LONGEST_MEBIOCTETS: Final = 5

_USER_GROUP_SUB: Final = int(KeyExchangeSub.USER_GROUP)
_KEY_EXCHANGE_SUBS: Final = frozenset(int(sub) for sub in KeyExchangeSub)
_KNOWN: Final = frozenset(int(kind) for kind in PayloadType)
_NOT_IN_SA: Final = frozenset((int(PayloadType.SA), int(PayloadType.TRANSFORM)))

# Plain integers: comparing with a member of an enumeration costs a look-up for each payload.
_SA_TYPE: Final = int(PayloadType.SA)
_PROPOSAL_TYPE: Final = int(PayloadType.PROPOSAL)
_TRANSFORM_TYPE: Final = int(PayloadType.TRANSFORM)
_KEY_EXCHANGE_TYPE: Final = int(PayloadType.KEY_EXCHANGE)


@frozen
class Attribute:
    """What a transform is bounded or parametrised by: RFC 7296, section 3.3.5.

    ``type`` has 15 bits. ``value`` is an integer of 16 bits in the short form
    and octets in the long form.

    +-+-------------------------------+------------------------------+
    |1|            Type               |            Value             |
    +-+-------------------------------+------------------------------+
    |0|            Type               |            Length            |   followed by the value
    +-+-------------------------------+------------------------------+
    """

    type: int
    value: int | bytes


@frozen
class Transform:
    """One way to do what its proposal is for: Fig. 20.

    |   Type = 3    |   Sub = 0     |            Length             |
    |  Transform #  |    # Keys     |         Transform-ID          |
    |  attributes ...
    """

    number: int
    keys: int
    transform_id: int
    attributes: tuple[Attribute, ...] = ()

    @property
    def key_bits(self) -> int:
        """The length of the key in bits, 0 where the transform does not say."""
        return self._number(ATTRIBUTE_KEY_LENGTH)

    @property
    def mebioctets(self) -> int:
        """The bound on octets carried in units of 2^20, 0 where there is none."""
        return self._number(ATTRIBUTE_MEBIOCTETS)

    def _number(self, wanted: int) -> int:
        for attribute in self.attributes:
            if attribute.type == wanted:
                value = attribute.value
                return value if isinstance(value, int) else int.from_bytes(value, "big")
        return 0


@frozen
class Proposal:
    """Alternatives for one protocol of one proposal number: Fig. 19.

    ``lifetime`` in seconds; ``spi`` is 0 or the number of a predefined bundle.

    |   Type = 2    |   Sub = 0     |            Length             |
    |  Proposal #   |  Protocol #   |  Protocol-ID  | # Transforms  |
    |                 Lifetime in seconds (32)                      |
    |                           SPI (32)                            |
    |  transforms ...
    """

    number: int
    protocol_number: int
    protocol_id: int
    lifetime: int
    spi: int
    transforms: tuple[Transform, ...]


@frozen
class KeyExchange:
    """A public value for the proposal that stands before it: Fig. 21.

    |   Type = 4    |     Sub       |            Length             |
    |         Transform-ID          |           Reserved            |
    |  value ...
    """

    sub: int
    transform_id: int
    value: bytes


@frozen
class UnknownPayload:
    """A payload, or a kind of key exchange, that version 1 does not have.

    ``body`` is what stands behind the four octets of the payload's header.
    """

    type: int
    body: bytes
    sub_type: int = 0


Part: TypeAlias = Proposal | KeyExchange | UserKeyExchange | UnknownPayload


@frozen
class SaPayload:
    """An offer, a choice or a counter-offer: Fig. 18.

    |   Type = 1    |   Sub-type    |            Length             |
    |  proposals, each followed by the key exchanges that serve it ...
    """

    sub_type: int
    payloads: tuple[Part, ...]


def decode_sa(octets: bytes, base: int = 0) -> SaPayload:
    """Return the SA payload that is all of ``octets``.

    ``base`` is where they begin in the outermost message, for the offsets of
    errors. Raises `Malformed`, and `PeerIncompatible` for an unknown payload
    inside a proposal, which cannot be kept since it may change what the
    proposal means.
    """
    reader = Reader(octets, base=base)
    sub_type, inside = _open_only(reader, _SA_TYPE)
    payloads: list[Part] = []
    while inside.remaining:
        if len(payloads) == MAX_PAYLOADS:
            raise inside.fail("SA", f"more than {MAX_PAYLOADS} payloads")
        start = inside.offset
        kind, sub, body = _open(inside)
        if kind == _PROPOSAL_TYPE:
            payloads.append(_read_proposal(sub, body))
        elif kind == _KEY_EXCHANGE_TYPE and sub == _USER_GROUP_SUB:
            payloads.append(read_user_key_exchange(body))
        elif kind == _KEY_EXCHANGE_TYPE and sub in _KEY_EXCHANGE_SUBS:
            payloads.append(_read_key_exchange(sub, body))
        elif kind in _NOT_IN_SA:
            raise inside.fail("Type", f"a payload of type {kind} cannot stand directly in an SA", start)
        else:
            payloads.append(UnknownPayload(kind, body.rest(), sub))
    return SaPayload(sub_type, tuple(payloads))


def encode_sa(sa: SaPayload) -> bytes:
    """Return the octets of an SA payload; raises `ApiMisuse` for what `decode_sa` would refuse."""
    if len(sa.payloads) > MAX_PAYLOADS:
        raise ApiMisuse(f"{len(sa.payloads)} payloads in an SA, {MAX_PAYLOADS} are allowed")
    return _payload(_SA_TYPE, sa.sub_type, b"".join(map(_encode_in_sa, sa.payloads)))


def share_spans(octets: bytes) -> tuple[tuple[int, int], ...]:
    """Return where the values of the key exchanges stand in an SA payload, in their order.

    All else in an offer is the same each time that a principal makes it, so
    this is what is left to read of one that was read before. Never raises: of
    what is not an SA payload it returns what it takes for spans.
    """
    spans = []
    at = _PAYLOAD.size
    while at + _PAYLOAD.size <= len(octets):
        kind, sub, length = _PAYLOAD.unpack_from(octets, at)
        if length < _PAYLOAD.size:
            break
        if kind == _KEY_EXCHANGE_TYPE:
            value = at + _PAYLOAD.size + _KEY_EXCHANGE.size
            if sub == _USER_GROUP_SUB:
                value = value_of_user(octets, value, at + length)
            spans.append((value, max(at + length, value)))
        at += length
    return tuple(spans)


def decode_proposal(octets: bytes, base: int = 0) -> Proposal:
    """Return the proposal payload that is all of ``octets``; ``base`` and errors as in `decode_sa`."""
    sub, body = _open_only(Reader(octets, base=base), _PROPOSAL_TYPE)
    return _read_proposal(sub, body)


@lru_cache(maxsize=_REMEMBERED)
def encode_proposal(proposal: Proposal) -> bytes:
    """Return the octets of a proposal payload; raises `ApiMisuse`."""
    if len(proposal.transforms) > MAX_TRANSFORMS:
        raise ApiMisuse(f"{len(proposal.transforms)} transforms in a proposal, {MAX_TRANSFORMS} are allowed")
    writer = Writer().pack(
        _PROPOSAL,
        proposal.number,
        proposal.protocol_number,
        proposal.protocol_id,
        len(proposal.transforms),
        proposal.lifetime,
        proposal.spi,
    )
    for transform in proposal.transforms:
        writer.raw(_encode_transform(transform))
    return _payload(_PROPOSAL_TYPE, 0, writer.octets())


def _open(reader: Reader) -> tuple[int, int, Reader]:
    """Step over one payload and return its type, its sub-type and a reader over its body."""
    start = reader.offset
    kind, sub, length = reader.unpack(_PAYLOAD, "payload")
    if length < _PAYLOAD.size:
        raise reader.fail("Length", f"{length} is less than the payload's own header", start + 2)
    return kind, sub, reader.sub(length - _PAYLOAD.size, "Length")


def _open_only(reader: Reader, wanted: int) -> tuple[int, Reader]:
    """Open the one payload that a reader holds and insist on its type."""
    kind, sub, body = _open(reader)
    if kind != wanted:
        raise reader.fail("Type", f"a payload of type {kind} where {wanted} belongs", 0)
    reader.end("Length")
    return sub, body


def _payload(kind: int, sub: int, body: bytes) -> bytes:
    return Writer().pack(_PAYLOAD, kind, sub, _PAYLOAD.size + len(body)).raw(body).octets()


def _read_proposal(sub: int, body: Reader) -> Proposal:
    start = body.offset
    if sub:
        raise body.fail("Sub", "a proposal has sub-type 0", start - 3)
    number, protocol_number, protocol_id, count, lifetime, spi = body.unpack(_PROPOSAL, "proposal")
    if count > MAX_TRANSFORMS:
        raise body.fail("# Transforms", f"{count} where {MAX_TRANSFORMS} are allowed", start + 3)
    transforms: list[Transform] = []
    while body.remaining:
        if len(transforms) == count:
            raise body.fail("# Transforms", f"more than the {count} announced")
        transforms.append(_read_transform(body))
    if len(transforms) != count:
        raise body.fail("# Transforms", f"{len(transforms)} of the {count} announced", start + 3)
    return Proposal(number, protocol_number, protocol_id, lifetime, spi, tuple(transforms))


def _read_transform(proposal: Reader) -> Transform:
    start = proposal.offset
    kind, sub, body = _open(proposal)
    if kind != _TRANSFORM_TYPE:
        if kind > _KEY_EXCHANGE_TYPE:
            raise PeerIncompatible(Code.UNKNOWN_PAYLOAD, f"a payload of type {kind} inside a proposal")
        raise proposal.fail("Type", f"a payload of type {kind} inside a proposal", start)
    if sub:
        raise proposal.fail("Sub", "a transform has sub-type 0", start + 1)
    number, keys, transform_id = body.unpack(_TRANSFORM, "transform")
    attributes: dict[int, Attribute] = {}
    while body.remaining:
        if len(attributes) == MAX_ATTRIBUTES:
            raise body.fail("attribute", f"more than {MAX_ATTRIBUTES} in a transform")
        at = body.offset
        attribute = _read_attribute(body)
        if attribute.type in attributes:
            raise body.fail("attribute", f"type {attribute.type} twice in a transform", at)
        attributes[attribute.type] = attribute
    return Transform(number, keys, transform_id, tuple(attributes.values()))


def _read_attribute(transform: Reader) -> Attribute:
    start = transform.offset
    form, value = transform.unpack(_ATTRIBUTE, "attribute")
    if form & _SHORT_FORM:
        attribute = Attribute(form & ~_SHORT_FORM, value)
    else:
        attribute = Attribute(form, transform.take(value, "attribute length"))
    why = _refusal(attribute)
    if why:
        raise transform.fail("attribute", why, start)
    return attribute


def _refusal(attribute: Attribute) -> str:
    """Return why an attribute that version 1 knows makes no sense, or nothing.

    Zero would read as absent: a bound of nothing must not become no bound.
    """
    value = attribute.value
    if attribute.type == ATTRIBUTE_KEY_LENGTH:
        if not isinstance(value, int):
            return "a key length has the short form"
        if not value:
            return "a key length of 0 bits"
    elif attribute.type == ATTRIBUTE_MEBIOCTETS:
        if isinstance(value, bytes) and len(value) > _LONGEST_MEBIOCTETS:
            return f"a bound on octets of more than {8 * _LONGEST_MEBIOCTETS} bits"
        if not (value if isinstance(value, int) else any(value)):
            return "a bound of 0 octets"
    return ""


def _encode_transform(transform: Transform) -> bytes:
    types = {attribute.type for attribute in transform.attributes}
    if len(types) != len(transform.attributes) or len(types) > MAX_ATTRIBUTES:
        raise ApiMisuse(f"more than {MAX_ATTRIBUTES} attributes in a transform, or one type twice")
    writer = Writer().pack(_TRANSFORM, transform.number, transform.keys, transform.transform_id)
    for attribute in transform.attributes:
        why = _refusal(attribute)
        if why or not 0 <= attribute.type < _SHORT_FORM:
            raise ApiMisuse(why or f"{attribute.type} is not an attribute type of 15 bits")
        if isinstance(attribute.value, int):
            writer.pack(_ATTRIBUTE, _SHORT_FORM | attribute.type, attribute.value)
        else:
            writer.pack(_ATTRIBUTE, attribute.type, len(attribute.value)).raw(attribute.value)
    return _payload(_TRANSFORM_TYPE, 0, writer.octets())


def _read_key_exchange(sub: int, body: Reader) -> KeyExchange:
    start = body.offset
    transform_id, reserved = body.unpack(_KEY_EXCHANGE, "key exchange")
    if reserved:
        raise body.fail("Reserved", "reserved octets are not zero", start + 2)
    return KeyExchange(sub, transform_id, body.rest())


def _encode_in_sa(payload: Part) -> bytes:
    if isinstance(payload, Proposal):
        return encode_proposal(payload)
    if isinstance(payload, UserKeyExchange):
        return _payload(_KEY_EXCHANGE_TYPE, _USER_GROUP_SUB, encode_user_key_exchange(payload))
    if isinstance(payload, KeyExchange):
        if payload.sub not in _KEY_EXCHANGE_SUBS or payload.sub == _USER_GROUP_SUB:
            raise ApiMisuse(f"{payload.sub} is not a sub-type of the key exchange payload with a value alone")
        body = Writer().pack(_KEY_EXCHANGE, payload.transform_id, 0).raw(payload.value).octets()
        return _payload(_KEY_EXCHANGE_TYPE, payload.sub, body)
    if payload.type in _KNOWN and not (
        payload.type == _KEY_EXCHANGE_TYPE and payload.sub_type not in _KEY_EXCHANGE_SUBS
    ):
        raise ApiMisuse(f"a payload of type {payload.type} and sub-type {payload.sub_type} is not an unknown one")
    return _payload(payload.type, payload.sub_type, payload.body)
