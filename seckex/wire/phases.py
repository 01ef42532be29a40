"""The three messages of the three-phase exchange, and what is sealed in each.

    m1   | Version 8 | Suite 8 | Reserved 16 | nA (32) | X (32) | prekey id of B (16) |
         | lp(dialog id (16), and if it has keys: former KEK id (16) | lowest not acknowledged, out 64, back 64)
         | lp(sealed_A)
         sealed_A holds | certificate chain of A | prekey of A | kA (32)
    m2   | Suite 8 | Reserved 24 | nB (32) | Y (32) | lp(sealed)
         sealed holds | lp(chain of B) | lp(sB) | lp(Sig_B)
    m3   | lp(sealed)        sealed holds | lp(Sig_A)

Hashes are over parts of these: `phase1_head`, `phase2_head` and `phase2_shares`
return them. What is sealed is secret where it has kA: such values are not
shown. See docs/messages.md, section 11.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import field, frozen

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.wire.buffer import Reader, Writer
from seckex.wire.envelope_headers import DIALOG_ID_SIZE, KEK_ID_SIZE, PREKEY_ID_SIZE
from seckex.wire.frames import sized
from seckex.wire.identity import MAX_SIGNATURE, decode_chain, encode_chain, read_chain
from seckex.wire.numbers import MAX_CHAIN, MAX_UNIT, NONCE_SIZE, VERSION, Suite
from seckex.wire.prekey import read_prekey

SHARE_SIZE: Final = 32
KEY_SIZE: Final = 32
TAG_SIZE: Final = 16
# The count of certificates, and the length of each.
_MOST_CHAIN: Final = MAX_CHAIN + 9
_MOST_SEALED: Final = MAX_UNIT - 192

_FIRST: Final = struct.Struct(">BBH")
_MOVING: Final = struct.Struct(">16sQQ")
_DIALOG_SIZES: Final = (DIALOG_ID_SIZE, DIALOG_ID_SIZE + _MOVING.size)
_SUITES: Final = {int(suite): suite for suite in Suite}


@frozen
class Moving:
    """A dialog that has keys already: the former KEK, and the lowest number of each direction not acknowledged."""

    kek_id: bytes
    out: int
    back: int


@frozen
class Phase1:
    """m1; ``moving`` is None for a new dialog."""

    suite: Suite
    nonce: bytes
    share: bytes
    prekey_id: bytes
    dialog_id: bytes
    moving: Moving | None
    sealed: bytes


@frozen
class Phase2:
    """m2."""

    suite: Suite
    nonce: bytes
    share: bytes
    sealed: bytes


@frozen
class Phase3:
    """m3."""

    sealed: bytes


@frozen
class Introduction:
    """What sealed_A holds: who A is, A's prekey as octets, and kA."""

    chain: tuple[bytes, ...]
    prekey: bytes
    key: bytes = field(repr=False)


@frozen
class Reply:
    """What is sealed in m2: who B is, what is sealed to A's prekey, B's signature."""

    chain: tuple[bytes, ...]
    sealed: bytes
    signature: bytes


def phase1_head(first: Phase1) -> bytes:
    """Return m1 before lp(sealed_A); raises `ApiMisuse`."""
    dialog = sized(first.dialog_id, DIALOG_ID_SIZE, "a dialog id")
    if first.moving is not None:
        former = sized(first.moving.kek_id, KEK_ID_SIZE, "a KEK id")
        dialog += Writer().raw(former).u64(first.moving.out).u64(first.moving.back).octets()
    writer = Writer().pack(_FIRST, VERSION, first.suite, 0).raw(sized(first.nonce, NONCE_SIZE, "a nonce"))
    writer.raw(sized(first.share, SHARE_SIZE, "a share")).raw(sized(first.prekey_id, PREKEY_ID_SIZE, "a prekey id"))
    return writer.prefixed(dialog).octets()


def encode_phase1(first: Phase1) -> bytes:
    """Return m1; raises `ApiMisuse`."""
    return Writer().raw(phase1_head(first)).prefixed(_bounded(first.sealed)).octets()


def decode_phase1(octets: bytes) -> Phase1:
    """Read exactly m1; raises `Malformed` and `UnsupportedVersion`."""
    reader = Reader(octets)
    version, suite, reserved = reader.unpack(_FIRST, "m1")
    if version != VERSION:
        raise UnsupportedVersion(version)
    if reserved:
        raise Malformed("Reserved", 2, "reserved octets are not zero")
    known = _known_suite(suite, 1)
    nonce, share = reader.take(NONCE_SIZE, "nA"), reader.take(SHARE_SIZE, "X")
    prekey_id = reader.take(PREKEY_ID_SIZE, "prekey id")
    at = reader.offset
    size = reader.u32("dialog")
    if size not in _DIALOG_SIZES:
        raise reader.fail("dialog", f"{size} octets where {_DIALOG_SIZES} are allowed", at)
    dialog_id = reader.take(DIALOG_ID_SIZE, "dialog")
    moving = Moving(*reader.unpack(_MOVING, "dialog")) if size > DIALOG_ID_SIZE else None
    sealed = _sealed(reader, "sealed_A")
    reader.end("m1")
    return Phase1(known, nonce, share, prekey_id, dialog_id, moving, sealed)


def phase2_shares(second: Phase2) -> bytes:
    """Return nB and Y, as they follow m1 in hashes; raises `ApiMisuse`."""
    return sized(second.nonce, NONCE_SIZE, "a nonce") + sized(second.share, SHARE_SIZE, "a share")


def phase2_head(second: Phase2) -> bytes:
    """Return m2 before what is sealed in it, and before its length; raises `ApiMisuse`."""
    return Writer().u32(second.suite << 24).raw(phase2_shares(second)).octets()


def encode_phase2(second: Phase2) -> bytes:
    """Return m2; raises `ApiMisuse`."""
    return Writer().raw(phase2_head(second)).prefixed(_bounded(second.sealed)).octets()


def decode_phase2(octets: bytes) -> Phase2:
    """Read exactly m2; raises `Malformed`."""
    reader = Reader(octets)
    word = reader.u32("m2")
    if word & 0xFFFFFF:
        raise Malformed("Reserved", 1, "reserved octets are not zero")
    suite = _known_suite(word >> 24, 0)
    nonce, share = reader.take(NONCE_SIZE, "nB"), reader.take(SHARE_SIZE, "Y")
    sealed = _sealed(reader, "sealed part")
    reader.end("m2")
    return Phase2(suite, nonce, share, sealed)


def encode_phase3(third: Phase3) -> bytes:
    """Return m3; raises `ApiMisuse`."""
    return Writer().prefixed(_bounded(third.sealed)).octets()


def decode_phase3(octets: bytes) -> Phase3:
    """Read exactly m3; raises `Malformed`."""
    reader = Reader(octets)
    sealed = _sealed(reader, "sealed part")
    reader.end("m3")
    return Phase3(sealed)


# -- what is sealed


def encode_introduction(introduction: Introduction) -> bytes:
    """Return what sealed_A holds; raises `ApiMisuse`."""
    key = sized(introduction.key, KEY_SIZE, "kA")
    return encode_chain(introduction.chain) + introduction.prekey + key


def decode_introduction(octets: bytes) -> Introduction:
    """Read what sealed_A holds; raises `Malformed`."""
    reader = Reader(octets)
    chain = read_chain(reader)
    at = reader.offset
    read_prekey(reader)
    prekey = reader.since(at)
    key = reader.take(KEY_SIZE, "kA")
    reader.end("sealed_A")
    return Introduction(chain, prekey, key)


def encode_reply(reply: Reply) -> bytes:
    """Return what is sealed in m2; raises `ApiMisuse`."""
    writer = Writer().prefixed(encode_chain(reply.chain)).prefixed(_bounded(reply.sealed))
    return writer.prefixed(_signature(reply.signature)).octets()


def decode_reply(octets: bytes) -> Reply:
    """Read what is sealed in m2; raises `Malformed`."""
    reader = Reader(octets)
    chain = decode_chain(_taken(reader, _MOST_CHAIN, "chain"))
    sealed = _sealed(reader, "sB")
    signature = _taken(reader, MAX_SIGNATURE, "Sig_B")
    reader.end("sealed part")
    return Reply(chain, sealed, signature)


def encode_signature(signature: bytes) -> bytes:
    """Return what is sealed in m3; raises `ApiMisuse`."""
    return Writer().prefixed(_signature(signature)).octets()


def decode_signature(octets: bytes) -> bytes:
    """Read what is sealed in m3; raises `Malformed`."""
    reader = Reader(octets)
    signature = _taken(reader, MAX_SIGNATURE, "Sig_A")
    reader.end("sealed part")
    return signature


def _taken(reader: Reader, most: int, name: str, least: int = 1) -> bytes:
    at = reader.offset
    size = reader.u32(name)
    if not least <= size <= most:
        raise reader.fail(name, f"{size} octets where {least} to {most} are allowed", at)
    return reader.take(size, name)


def _sealed(reader: Reader, name: str) -> bytes:
    return _taken(reader, _MOST_SEALED, name, TAG_SIZE + 1)


def _bounded(sealed: bytes) -> bytes:
    if not TAG_SIZE < len(sealed) <= _MOST_SEALED:
        raise ApiMisuse(f"{len(sealed)} sealed octets where {TAG_SIZE + 1} to {_MOST_SEALED} are allowed")
    return sealed


def _signature(signature: bytes) -> bytes:
    if not 0 < len(signature) <= MAX_SIGNATURE:
        raise ApiMisuse(f"a signature has 1 to {MAX_SIGNATURE} octets")
    return signature


def _known_suite(number: int, at: int) -> Suite:
    suite = _SUITES.get(number)
    if suite is None:
        raise Malformed("Suite", at, f"{number} is not a suite of version {VERSION}")
    return suite
