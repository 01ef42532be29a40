"""What Fig. 8 to 11 say: a NAI, an address, a layer 2 address, a key.

The four extensions share a frame (content type, flags, SPI) around INFO, which
is either in the clear or sealed. Only the crypto room can open a seal, so
decoding gives a `SealedExtension` for what is sealed, `decode_info` turns its
plaintext into the clear class, and on the way out `encode_info` gives the
plaintext to seal. A key is only ever sent sealed: an `SaExtension` in the clear
is neither read nor written (docs/protocol.md, section 4).

    +---------------+---------------+-------------------------------+
    |   Type = 127  |   Sub 1 to 4  |            Length             |
    +---------------+---------------+-------------------------------+
    | Content-Type  |  Flags (E)    |           Reserved            |
    +---------------+---------------+-------------------------------+
    |                  SPI, 0 where nothing is sealed               |
    +---------------------------------------------------------------+
    |  INFO ...
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.errors import ApiMisuse
from seckex.wire.buffer import Reader, Writer
from seckex.wire.numbers import (
    E_FLAG,
    MAX_NAI,
    ExtensionSub,
    IpContent,
    Layer2Content,
    NaiContent,
    SaContent,
)

LONGEST_LAYER2: Final = 16
ETHERNET_SIZE: Final = 6
SEAL_TAG_SIZE: Final = 16

_FRAME: Final = struct.Struct(">BBHI")
_SA_INFO: Final = struct.Struct(">IHH")
_NAI: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f@]+@[^\s\x00-\x1f\x7f-\x9f@]+")


@frozen
class NaiExtension:
    """Fig. 8: a network access identifier. INFO is the NAI in UTF-8."""

    content: int
    nai: str


@frozen
class IpExtension:
    """Fig. 9: an address. INFO is its 4 or 16 octets."""

    content: int
    address: IPv4Address | IPv6Address


@frozen
class Layer2Extension:
    """Fig. 10: a layer 2 address. INFO is 6 octets for Ethernet, otherwise 1 to 16."""

    content: int
    address: bytes


@frozen
class SaExtension:
    """Fig. 11: a key and what it is for. INFO is ``SPI 32 | Transform-ID 16 | Key length 16 | key``.

    The length is in octets on the wire.
    """

    content: int
    spi: int
    transform_id: int
    key: bytes = field(repr=False)

    @property
    def key_bits(self) -> int:
        """The length of the key in bits."""
        return 8 * len(self.key)


@frozen
class SealedExtension:
    """One of Fig. 8-11 whose INFO is sealed.

    ``spi`` names the key; ``sealed`` is the ciphertext and its tag. ``offset``
    is where INFO begins in the message, so that ``message[:offset]`` is the
    associated data; it says where the extension stood, not what it is, and is
    not compared.
    """

    sub: ExtensionSub
    content: int
    spi: int
    sealed: bytes
    offset: int = field(default=0, eq=False)


ClearExtension: TypeAlias = NaiExtension | IpExtension | Layer2Extension | SaExtension

_CONTENTS: Final[Mapping[int, frozenset[int]]] = {
    ExtensionSub.NAI: frozenset(map(int, NaiContent)),
    ExtensionSub.IP: frozenset(map(int, IpContent)),
    ExtensionSub.LAYER2: frozenset(map(int, Layer2Content)),
    ExtensionSub.SA: frozenset(map(int, SaContent)),
}

_SUBS: Final[Mapping[type[ClearExtension], ExtensionSub]] = {
    NaiExtension: ExtensionSub.NAI,
    IpExtension: ExtensionSub.IP,
    Layer2Extension: ExtensionSub.LAYER2,
    SaExtension: ExtensionSub.SA,
}


def is_nai(text: str) -> bool:
    """Tell whether ``text`` is ``name@realm``: one "@", no white space or controls, at most 253 octets of UTF-8."""
    if not _NAI.fullmatch(text):
        return False
    try:
        return len(text.encode()) <= MAX_NAI
    except UnicodeEncodeError:
        return False


def decode_info(sub: int, content: int, info: bytes, base: int = 0) -> ClearExtension:
    """Return the extension whose INFO in the clear is ``info``, as unsealed.

    ``base`` is where INFO begins in the message, for the offset of `Malformed`.
    """
    reader = Reader(info, base=base)
    extension = _read_info(sub, content, reader)
    reader.end("INFO")
    return extension


def encode_info(extension: ClearExtension) -> bytes:
    """Return INFO in the clear, to be sealed; raises `ApiMisuse` for what `decode_info` would refuse."""
    if extension.content not in _CONTENTS[_SUBS[type(extension)]]:
        raise ApiMisuse(f"content type {extension.content} does not exist for {type(extension).__name__}")
    match extension:
        case NaiExtension():
            if not is_nai(extension.nai):
                raise ApiMisuse("a NAI is name@realm, of at most 253 octets")
            return extension.nai.encode()
        case IpExtension():
            return extension.address.packed
        case Layer2Extension():
            why = _layer2_refusal(extension.content, len(extension.address))
            if why:
                raise ApiMisuse(why)
            return extension.address
        case _:
            writer = Writer().pack(_SA_INFO, extension.spi, extension.transform_id, len(extension.key))
            return writer.raw(extension.key).octets()


def frame_clear(extension: ClearExtension) -> tuple[ExtensionSub, bytes]:
    """Return the sub-type and data of an extension in the clear; raises `ApiMisuse`."""
    if isinstance(extension, SaExtension):
        raise ApiMisuse("an SA extension holds a key and is only ever sent sealed")
    info = encode_info(extension)
    return _SUBS[type(extension)], Writer().pack(_FRAME, extension.content, 0, 0, 0).raw(info).octets()


def frame_sealed(sub: int, content: int, spi: int, size: int) -> bytes:
    """Return the data of a sealed extension up to its INFO, of which there will be ``size`` octets."""
    if content not in _CONTENTS.get(sub, ()):
        raise ApiMisuse(f"content type {content} does not exist for extension sub-type {sub}")
    if size < SEAL_TAG_SIZE:
        raise ApiMisuse(f"{size} octets are less than the tag of a seal")
    return Writer().pack(_FRAME, content, E_FLAG, 0, spi).octets()


def framed(sub: ExtensionSub) -> Callable[[Reader], ClearExtension | SealedExtension]:
    """Return what reads the data of extension ``sub``, in the clear or sealed."""
    contents = _CONTENTS[sub]

    def read(data: Reader) -> ClearExtension | SealedExtension:
        start = data.offset
        content, flags, reserved, spi = data.unpack(_FRAME, "extension")
        if content not in contents:
            raise data.fail("Content-Type", f"{content} does not exist for extension sub-type {sub}", start)
        if reserved:
            raise data.fail("Reserved", "reserved octets are not zero", start + 2)
        if flags == E_FLAG:
            if data.remaining < SEAL_TAG_SIZE:
                raise data.fail("INFO", "shorter than the tag of a seal")
            offset = data.base + data.offset
            return SealedExtension(sub, content, spi, data.rest(), offset)
        if flags:
            raise data.fail("Flags", f"0x{flags:02x}, reserved bits are set", start + 1)
        if spi:
            raise data.fail("SPI", "not zero though nothing is sealed", start + 4)
        if sub is ExtensionSub.SA:
            raise data.fail("Flags", "a key in the clear, it is only ever sent sealed", start + 1)
        return _read_info(sub, content, data)

    return read


def _read_info(sub: int, content: int, info: Reader) -> ClearExtension:
    if content not in _CONTENTS.get(sub, ()):
        raise info.fail("Content-Type", f"{content} does not exist for extension sub-type {sub}")
    start = info.offset
    match sub:
        case ExtensionSub.NAI:
            text = info.text("INFO")
            if not is_nai(text):
                raise info.fail("INFO", "not a NAI of at most 253 octets", start)
            return NaiExtension(content, text)
        case ExtensionSub.IP:
            octets = info.rest()
            if len(octets) == 4:
                return IpExtension(content, IPv4Address(octets))
            if len(octets) == 16:
                return IpExtension(content, IPv6Address(octets))
            raise info.fail("INFO", f"an address of {len(octets)} octets", start)
        case ExtensionSub.LAYER2:
            octets = info.rest()
            why = _layer2_refusal(content, len(octets))
            if why:
                raise info.fail("INFO", why, start)
            return Layer2Extension(content, octets)
        case _:
            spi, transform_id, size = info.unpack(_SA_INFO, "SA-INFO")
            return SaExtension(content, spi, transform_id, info.take(size, "key"))


def _layer2_refusal(content: int, size: int) -> str:
    if content == Layer2Content.ETHERNET:
        return "" if size == ETHERNET_SIZE else f"an Ethernet address of {size} octets"
    return "" if 1 <= size <= LONGEST_LAYER2 else f"a layer 2 address of {size} octets"
