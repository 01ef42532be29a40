"""What the tests of this room share: values to encode, and what every decoder owes its caller."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from seckex.errors import Malformed, PeerIncompatible, UnsupportedVersion
from seckex.wire.extensions import (
    Authenticator,
    Clock,
    Cookie,
    Detail,
    Exchange,
    Extension,
    IpExtension,
    Layer2Extension,
    NaiExtension,
    Padding,
    ProposalPayloadExtension,
    RequestDigest,
    SaExtension,
    SaPayloadExtension,
    SealedExtension,
    SealedIdentity,
)
from seckex.wire.general import Header
from seckex.wire.numbers import ROAMING_KINDS, ExtensionSub, Kind, Layer2Content
from seckex.wire.payloads import (
    Attribute,
    KeyExchange,
    Proposal,
    SaPayload,
    Transform,
    UnknownPayload,
    UserKeyExchange,
)

T = TypeVar("T")

#: Few enough that the whole room is tested in seconds.
FEW = settings(max_examples=60, deadline=None)

#: What octets from outside may make a decoder raise.
FAULTS = (Malformed, UnsupportedVersion, PeerIncompatible)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)

attributes = st.one_of(
    st.builds(Attribute, st.just(14), st.integers(1, 0xFFFF)),
    st.builds(Attribute, st.just(16384), st.integers(1, 0xFFFF)),
    st.builds(Attribute, st.just(16384), st.integers(1, 2**40 - 1).map(lambda bound: bound.to_bytes(5, "big"))),
    st.builds(Attribute, st.integers(15, 16383), u16 | st.binary(max_size=20)),
    st.builds(Attribute, st.integers(16385, 0x7FFF), u16 | st.binary(max_size=20)),
)
transforms = st.builds(
    Transform,
    number=u8,
    keys=u8,
    transform_id=u16,
    attributes=st.lists(attributes, max_size=8, unique_by=lambda attribute: attribute.type).map(tuple),
)
proposals = st.builds(Proposal, u8, u8, u8, u32, u32, st.lists(transforms, max_size=4).map(tuple))
_numbers = st.integers(1, 2**64).map(lambda number: number.to_bytes((number.bit_length() + 7) // 8, "big"))
user_key_exchanges = st.builds(
    lambda number, prime, generator, fill: UserKeyExchange(number, prime, generator, bytes([fill]) * len(prime)),
    u16,
    _numbers,
    _numbers,
    u8,
)
key_exchanges = st.builds(KeyExchange, st.integers(1, 4), u16, st.binary(max_size=40)) | user_key_exchanges
unknown_payloads = st.builds(UnknownPayload, st.integers(5, 255), st.binary(max_size=20), u8) | st.builds(
    UnknownPayload, st.just(4), st.binary(max_size=20), st.integers(6, 255)
)
sas = st.builds(SaPayload, u8, st.lists(proposals | key_exchanges | unknown_payloads, max_size=6).map(tuple))

name_characters = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="@")
name_parts = st.text(name_characters, min_size=1, max_size=31)
nais = st.builds(lambda name, realm: f"{name}@{realm}", name_parts, name_parts)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)

infos = st.one_of(
    st.builds(NaiExtension, st.integers(0, 2), nais),
    st.builds(IpExtension, st.integers(0, 1), st.ip_addresses(v=4)),
    st.builds(IpExtension, st.integers(0, 1), st.binary(min_size=16, max_size=16).map(ipaddress.IPv6Address)),
    st.builds(Layer2Extension, st.just(int(Layer2Content.ETHERNET)), st.binary(min_size=6, max_size=6)),
    st.builds(Layer2Extension, st.integers(1, 2), st.binary(min_size=1, max_size=16)),
)
keys = st.builds(SaExtension, st.integers(0, 7), u32, u16, st.binary(max_size=64))
macs = st.builds(Authenticator, u32, st.binary(min_size=32, max_size=48))
plain = st.one_of(
    infos,
    st.builds(SaPayloadExtension, st.binary(max_size=60)),
    st.builds(ProposalPayloadExtension, st.binary(max_size=60)),
    st.builds(Exchange, u8, u32, u32, st.binary(min_size=32, max_size=32)),
    st.builds(Detail, u16, u8, u8, texts),
    st.builds(Padding, st.integers(0, 200)),
    st.builds(Clock, u64),
    st.builds(Cookie, st.binary(min_size=1, max_size=64)),
    st.builds(RequestDigest, st.binary(min_size=32, max_size=32)),
    st.builds(SealedIdentity, st.binary(min_size=17, max_size=60)),
)


def sealed(spi: st.SearchStrategy[int]) -> st.SearchStrategy[SealedExtension]:
    """Make sealed extensions under one SPI; the seal is any octets, for nobody here can open it."""
    contents = {ExtensionSub.NAI: 2, ExtensionSub.IP: 1, ExtensionSub.LAYER2: 2, ExtensionSub.SA: 7}
    return st.sampled_from(sorted(contents)).flatmap(
        lambda sub: st.builds(
            SealedExtension,
            st.just(sub),
            st.integers(0, contents[sub]),
            spi,
            st.binary(min_size=16, max_size=60),
        )
    )


@st.composite
def messages(draw: st.DrawFn) -> tuple[Header, tuple[Extension, ...]]:
    """Draw a header and extensions that can stand together in a message."""
    kind = draw(st.sampled_from([kind for kind in Kind if kind is not Kind.VERSIONS and kind not in ROAMING_KINDS]))
    header = Header(
        kind, kind not in (Kind.OFFER, Kind.CONFIRM, Kind.ABANDON, Kind.PROBE, Kind.DELETE), draw(u64), draw(u32)
    )
    extensions = draw(st.lists(plain | sealed(st.just(header.spi)), max_size=6))
    mac = st.builds(Authenticator, st.just(header.spi), st.binary(min_size=32, max_size=48))
    return header, (*extensions, *draw(st.lists(mac, max_size=1)))


@st.composite
def mutated(draw: st.DrawFn, octets: st.SearchStrategy[bytes]) -> bytes:
    """Draw octets of which one to four were changed, dropped or repeated."""
    result = bytearray(draw(octets))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result)))
        change = draw(st.sampled_from(["set", "drop", "insert", "repeat"]))
        if change == "set":
            result[at : at + 1] = bytes([draw(u8)])
        elif change == "drop":
            del result[at : at + draw(st.integers(1, 8))]
        elif change == "insert":
            result[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            result[at:at] = result[at : at + draw(st.integers(1, 32))]
    return bytes(result)


def faults_of(decode: Callable[[bytes], T], octets: bytes) -> T | None:
    """Decode what may be rubbish: None for a fault of the kinds that are allowed, all others get through."""
    try:
        return decode(octets)
    except FAULTS:
        return None
