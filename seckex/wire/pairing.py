"""What two machines exchange to be paired: cards, and the four messages of pairing over a connection.

    card      | Version 8 | Reserved 8 | lp8(NAI) | lp8(address) | lp16(chain) | Count 8 |
              | Count x (Length 16 | prekey) | lp8(signature)
    message   | Length 16, of what follows | Kind 8 | ...
    COMMIT    | Version 8 | Commitment (32)
    REVEAL    | Nonce (32) | card
    CONFIRM   | lp8(signature)
    REFUSE    |

An address is ``host:port``, or empty. In a file a card is armoured: base64
between two lines that name it. See docs/operations.md, Pairing.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import lp8, lp8_nai, read_lp8_nai, sized
from seckex.wire.identity import MAX_SIGNATURE, encode_chain, read_chain
from seckex.wire.numbers import SHA256_SIZE, VERSION
from seckex.wire.prekey import decode_prekey
from seckex.wire.units import MOST_PREKEYS

NONCE_SIZE: Final = 32
MAX_CARD: Final = 16_000
MAX_PAIRING: Final = 16_384
#: What a file with a card is at most.
MAX_CARD_FILE: Final = 32_768
LENGTH_SIZE: Final = 2

_START: Final = struct.Struct(">BB")
_BEGIN: Final = "-----BEGIN SECKEX PAIR-----"
_END: Final = "-----END SECKEX PAIR-----"
_LINE: Final = 64


@frozen
class Card:
    """Who somebody is and where; ``chain`` has DER certificates, its own first, ``prekeys`` octets.

    ``unsigned`` comes of reading: all before lp8(signature).
    """

    nai: str
    address: str
    chain: tuple[bytes, ...]
    prekeys: tuple[bytes, ...] = ()
    signature: bytes = b""
    unsigned: bytes = field(default=b"", eq=False, repr=False)


def encode_card_unsigned(card: Card) -> bytes:
    """Return a card up to its lp8(signature), which need not be there yet; raises `ApiMisuse`."""
    if len(card.prekeys) > MOST_PREKEYS or not card.address.isprintable():
        raise ApiMisuse(f"a card has {MOST_PREKEYS} prekeys at most, and an address that can be printed")
    chain = encode_chain(card.chain)
    writer = Writer().pack(_START, VERSION, 0).raw(lp8_nai(card.nai)).raw(lp8(card.address.encode()))
    writer.u16(len(chain)).raw(chain).u8(len(card.prekeys))
    for each in card.prekeys:
        writer.u16(len(each)).raw(each)
    return writer.octets()


def encode_card(card: Card) -> bytes:
    """Return the octets of a card; raises `ApiMisuse`."""
    octets = encode_card_unsigned(card) + lp8(card.signature)
    if not 0 < len(card.signature) <= MAX_SIGNATURE or len(octets) > MAX_CARD:
        raise ApiMisuse(f"a card is signed, and has {MAX_CARD} octets at most")
    return octets


def decode_card(octets: bytes) -> Card:
    """Read exactly one card; raises `Malformed` and `UnsupportedVersion`."""
    if len(octets) > MAX_CARD:
        raise Malformed("card", 0, f"{len(octets)} octets, {MAX_CARD} are allowed")
    reader = Reader(octets)
    version, reserved = reader.unpack(_START, "card")
    if version != VERSION:
        raise UnsupportedVersion(version)
    if reserved:
        raise Malformed("Reserved", 1, "reserved octets are not zero")
    nai = read_lp8_nai(reader, "NAI")
    at = reader.offset
    address = reader.sub(reader.u8("address"), "address").text("address")
    if not address.isprintable():
        raise reader.fail("address", "cannot be printed", at)
    certificates = reader.sub(reader.u16("chain"), "chain")
    chain = read_chain(certificates)
    certificates.end("chain")
    prekeys = _read_prekeys(reader)
    unsigned, at = reader.since(0), reader.offset
    signature = reader.take(reader.u8("signature"), "signature")
    if not 0 < len(signature) <= MAX_SIGNATURE:
        raise reader.fail("signature", f"{len(signature)} octets where 1 to {MAX_SIGNATURE} are allowed", at)
    reader.end("card")
    return Card(nai, address, chain, prekeys, signature, unsigned)


def _read_prekeys(reader: Reader) -> tuple[bytes, ...]:
    at = reader.offset
    count = reader.u8("Count")
    if count > MOST_PREKEYS:
        raise reader.fail("Count", f"{count} prekeys, {MOST_PREKEYS} are allowed", at)
    found = []
    for _ in range(count):
        at, each = reader.offset, reader.take(reader.u16("Length"), "prekey")
        try:
            decode_prekey(each)
        except Malformed as error:
            raise reader.fail("prekey", str(error), at) from None
        found.append(each)
    return tuple(found)


def armour(card: bytes) -> str:
    """Return a card as the text of a file."""
    text = base64.b64encode(card).decode()
    lines = (text[at : at + _LINE] for at in range(0, len(text), _LINE))
    return "\n".join((_BEGIN, *lines, _END, ""))


def unarmour(octets: bytes) -> bytes:
    """Return the card in the text of a file, around which other text may stand; raises `Malformed`."""
    text = octets[:MAX_CARD_FILE].decode("ascii", errors="replace")
    _, begun, rest = text.partition(_BEGIN)
    inside, ended, _ = rest.partition(_END)
    if not begun or not ended:
        raise Malformed("card", 0, f"nothing between {_BEGIN} and {_END}")
    try:
        return base64.b64decode("".join(inside.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("card", 0, "not base64") from None


# -- the messages


class _Kind(IntEnum):
    COMMIT = 1
    REVEAL = 2
    CONFIRM = 3
    REFUSE = 4


@frozen
class Commit:
    """What the caller will reveal, as a hash."""

    commitment: bytes


@frozen
class Reveal:
    """A nonce and the octets of a card."""

    nonce: bytes
    card: bytes


@frozen
class Confirm:
    """The person at the sender has found the codes equal; signed with the key of its certificate."""

    signature: bytes


@frozen
class Refuse:
    """The person at the sender has not."""


PairingMessage: TypeAlias = Commit | Reveal | Confirm | Refuse


def encode_pairing(message: PairingMessage) -> bytes:
    """Return a message with its length in front; raises `ApiMisuse`."""
    match message:
        case Commit(commitment):
            said = _Kind.COMMIT, bytes((VERSION,)) + sized(commitment, SHA256_SIZE, "a commitment")
        case Reveal(nonce, card):
            said = _Kind.REVEAL, sized(nonce, NONCE_SIZE, "a nonce") + card
        case Confirm(signature):
            said = _Kind.CONFIRM, lp8(signature)
        case Refuse():
            said = _Kind.REFUSE, b""
    octets = bytes((said[0],)) + said[1]
    if len(octets) > MAX_PAIRING:
        raise ApiMisuse(f"a message of {len(octets)} octets, {MAX_PAIRING} are allowed")
    return Writer().u16(len(octets)).raw(octets).octets()


def decode_pairing(octets: bytes) -> PairingMessage:
    """Read a message behind its length; raises `Malformed` and `UnsupportedVersion`."""
    if len(octets) > MAX_PAIRING:
        raise Malformed("message", 0, f"{len(octets)} octets, {MAX_PAIRING} are allowed")
    reader = Reader(octets)
    read = _READ.get(reader.u8("Kind"))
    if read is None:
        raise Malformed("Kind", 0, f"{octets[0]} is not known")
    message = read(reader)
    reader.end("message")
    return message


def _read_commit(reader: Reader) -> Commit:
    version = reader.u8("Version")
    if version != VERSION:
        raise UnsupportedVersion(version)
    return Commit(reader.take(SHA256_SIZE, "Commitment"))


_READ: Final[Mapping[int, Callable[[Reader], PairingMessage]]] = {
    _Kind.COMMIT: _read_commit,
    _Kind.REVEAL: lambda reader: Reveal(reader.take(NONCE_SIZE, "Nonce"), reader.rest()),
    _Kind.CONFIRM: lambda reader: Confirm(reader.take(reader.u8("signature"), "signature")),
    _Kind.REFUSE: lambda _: Refuse(),
}
