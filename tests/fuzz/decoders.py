"""Targets that read octets and nothing else: the wire, files and rows.

What can be read can be written and read again, and is the same then.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from seckex.config.initiator import InitiatorSettings
from seckex.config.key0 import MAX_FILE, parse_key0
from seckex.config.load import load
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderSettings
from seckex.crypto.atrest import Wrapping
from seckex.crypto.identity import TrustAnchors
from seckex.crypto.revocation import RevocationLists, read_list
from seckex.errors import BadCertificate, Malformed, PeerFault, PeerIncompatible, SeckexError, UnsupportedVersion
from seckex.sa.offer import Offer, from_payload, to_payload
from seckex.storage.rows import Damaged, association_row, read_association, read_replay, replay_row
from seckex.wire import dialog as link
from seckex.wire.extensions import decode_info, encode_info
from seckex.wire.general import (
    Message,
    Versions,
    decode_message,
    decode_versions,
    encode_message,
    encode_versions,
)
from seckex.wire.identity import SignedIdentity, decode_identity, encode_chain, encode_identity
from seckex.wire.numbers import HEADER_SIZE, MAX_COOKIE, VERSIONS_SPOKEN, ExtensionSub, RecordType, Role
from seckex.wire.payloads import decode_proposal, decode_sa, encode_proposal, encode_sa, share_spans
from seckex.wire.stem import encode_cookie, encode_use_tcp, stem_of
from tests.attacks.scenes import SCENES
from tests.attacks.wires import conversation
from tests.config.written import INITIATOR, RESPONDER, key0_text, write_private
from tests.crypto.certified import NOW, Maker, der, pem, trust
from tests.dialog.test_violations import BODIES
from tests.exchange.parts import parts, sa_of
from tests.fuzz.mutate import lines, message, payload, records, scramble, structured, tree
from tests.fuzz.target import Function, Target
from tests.storage.samples import association, master, replay

T = TypeVar("T")
Made = Iterator[tuple[str, bytes]]

WIRE_FAULTS: Final = (Malformed, UnsupportedVersion, PeerIncompatible)


def stable(decode: Callable[[bytes], T], encode: Callable[[T], bytes]) -> Callable[[bytes], None]:
    """Return what reads octets, and insists that what was read survives being written."""

    def run(octets: bytes) -> None:
        value = decode(octets)
        written = encode(value)
        again = decode(written)
        if again != value or encode(again) != written:
            raise AssertionError(f"{value!r} becomes {again!r}")

    return run


# -- general messages and what is in them


@cache
def said() -> dict[str, bytes]:
    """Return a message of each kind of each scene, and a refusal for the clock's sake."""
    found: dict[str, bytes] = {}
    for scene in SCENES:
        stage = scene.play()
        found[str(scene)] = stage.datagram.octets
    stage = SCENES[0].play()
    stage.host.skew = 5000.0
    stage.network.deliver(stage.datagram)
    stage.network.run(0.015)
    return found | {"REFUSAL_for_the_clock": stage.network.last("REFUSAL").octets}


def _messages() -> Made:
    yield from said().items()


def _encode(read: Message) -> bytes:
    return encode_message(read.header, read.extensions)


def _sas() -> Made:
    for name, octets in said().items():
        if any(part[1] == ExtensionSub.SA_PAYLOAD for part in parts(octets)[1:]):
            yield name, sa_of(octets)


def _proposals() -> Made:
    for name, octets in _sas():
        yield name, octets[4 : 4 + int.from_bytes(octets[6:8], "big")]


def _read_offer(octets: bytes) -> Offer:
    share_spans(octets)
    return from_payload(decode_sa(octets))


def _write_offer(offer: Offer) -> bytes:
    return encode_sa(to_payload(offer))


def _info(octets: bytes) -> None:
    if len(octets) > 1:
        sub, content = octets[0] % 6, octets[1]
        stable(lambda info: decode_info(sub, content, info), encode_info)(octets[2:])


def _infos() -> Made:
    yield "nai", b"\1\0node@example.net"
    yield "nai_responder", b"\1\2" + "hömé@example.org".encode()
    yield "ipv4", b"\2\0\xc0\0\2\1"
    yield "ipv6", b"\2\1" + bytes(range(16))
    yield "ethernet", b"\3\0abcdef"
    yield "imsi", b"\3\1" + bytes(8)
    yield "sa", b"\4\2" + bytes.fromhex("00001234 0014 0020") + bytes(range(32))


def _write_versions(read: Versions) -> bytes:
    request = b"\xff\x20\0\1" + read.identification.to_bytes(8, "big") + bytes(300)
    written = encode_versions(request, read.versions)
    if written is None:
        raise AssertionError("a request of version 2 is not answered")
    return written


def _versions(octets: bytes) -> None:
    answer = encode_versions(octets, VERSIONS_SPOKEN)
    if answer is not None:
        decode_versions(answer)
        if len(answer) > len(octets):
            raise AssertionError("an answer longer than its request")
    stable(decode_versions, _write_versions)(octets)


def _versions_said() -> Made:
    for other in (0x20, 0xF0):
        request = b"\xff" + bytes((other,)) + b"\0\1" + bytes(range(8)) + bytes(20)
        yield f"request_{other:02x}", request
        yield f"answer_{other:02x}", encode_versions(request, VERSIONS_SPOKEN) or b""
    yield "answer_many", encode_versions(b"\xff\x20\0\1" + bytes(60), (1, 2, 3)) or b""


def _stem(octets: bytes) -> None:
    size, cookie = stem_of(octets)
    if not 0 <= size <= len(octets) or len(cookie) > MAX_COOKIE:
        raise AssertionError(f"a stem of {size} octets and a cookie of {len(cookie)}")
    for answer in (encode_cookie(octets, bytes(21)), encode_use_tcp(octets, bytes(32))):
        if answer is not None and len(octets) >= HEADER_SIZE:
            decode_message(answer)
            if len(answer) > len(octets):
                raise AssertionError("an answer longer than its request")


# -- records and their bodies


def _records() -> Made:
    for role in Role:
        for passing in conversation(role):
            yield str(passing).replace(" ", "_"), passing.octets


def _record(octets: bytes) -> None:
    size = link.record_size(octets)
    stable(link.decode_record, link.encode_record)(octets)
    if size != len(octets):
        raise AssertionError("record_size and decode_record disagree")


def _body(kind: RecordType) -> Callable[[], Made]:
    return lambda: iter([(kind.name, BODIES[kind])])


def _notice(octets: bytes) -> None:
    notice = link.decode_notice(octets)
    if link.decode_notice(link.encode_notice(notice)) != notice:
        raise AssertionError("a notice changes")


# -- files


@cache
def _folder() -> Path:
    found = Path(tempfile.mkdtemp(prefix="seckex-fuzz-"))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    write_private(found / "key0.toml", key0_text())
    return found


def _settings(cls: type[Any]) -> Callable[[bytes], None]:
    def run(octets: bytes) -> None:
        file = _folder() / "seckex.toml"
        file.write_bytes(octets)
        load(file, cls)

    return run


def _samples(name: str, small: str) -> Callable[[], Made]:
    def made() -> Made:
        yield "small", small.encode()
        yield "sample", (Path(__file__).parents[2] / "conf" / f"{name}.toml").read_bytes()

    return made


def _key0(octets: bytes) -> None:
    parse_key0(octets[:MAX_FILE], Path("key0.toml"))


# -- what databases hold


@cache
def _wrapping() -> Wrapping:
    return Wrapping(master, b"fuzz", bytes(16))


def _plain(row: tuple[Any, ...]) -> bytes:
    return json.dumps([{"hex": value.hex()} if isinstance(value, bytes) else value for value in row]).encode()


def _row(octets: bytes) -> tuple[Any, ...] | None:
    """Return the row that JSON describes, as SQLite could hold it; None for what it could not."""
    try:
        values = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or not values:
        return None
    row: list[Any] = []
    for value in values:
        match value:
            case {"hex": str(digits)}:
                try:
                    row.append(bytes.fromhex(digits))
                except ValueError:
                    return None
            case dict() | list():
                return None
            case bool():
                row.append(int(value))
            case int() if not -(2**63) <= value < 2**63:
                row.append(float(value % 2**64))
            case str():
                row.append(value.encode(errors="replace").decode())
            case _:
                row.append(value)
    return tuple(row)


def _association(octets: bytes) -> None:
    row = _row(octets)
    if row is None or len(row) != 13:
        return
    try:
        found = read_association(row, _wrapping())
    except Damaged:
        return
    if read_association(association_row(found, _wrapping()), _wrapping()) != found:
        raise AssertionError("an association changes")


def _replay(octets: bytes) -> None:
    row = _row(octets)
    if row is None or len(row) != 5:
        return
    try:
        found = read_replay(row)
    except Damaged:
        return
    if replay_row(found) != row:
        raise AssertionError("a replay record changes")


def _rows(of: str) -> Callable[[], Made]:
    def made() -> Made:
        if of == "association":
            yield of, _plain(association_row(association(0x1240), Wrapping(master, b"fuzz", bytes(16))))
        else:
            yield of, _plain(replay_row(replay(77, answer=b"answer")))

    return made


def _write_identity(read: SignedIdentity) -> bytes:
    return encode_identity(encode_chain(read.chain), read.signature)


def _identities() -> Made:
    chain = Maker.root().under("site").identity("node@example.net").chain
    yield "two_certificates", encode_identity(encode_chain(chain), bytes(range(70)))
    yield "nothing_in_it", encode_identity(encode_chain([b""]), b"")


@cache
def _trust() -> TrustAnchors:
    return trust(Maker.root())


def _certificate(octets: bytes) -> None:
    _trust().verify([octets], NOW)


def _certificates() -> Made:
    root = Maker.root()
    yield "principal", der(root.certify("node@example.net"))[0]
    yield "authority", der(root.certificate)[0]


def _revocation(octets: bytes) -> None:
    RevocationLists([read_list(octets)]).check([], NOW)


def _lists() -> Made:
    root = Maker.root()
    yield "one_revoked", pem(root.revoked(root.certify("node@example.net")))


def targets() -> list[Target]:
    """Return the targets of this module."""
    of_negotiation: tuple[type[SeckexError], ...] = (*WIRE_FAULTS, PeerFault)
    hello, opening = RecordType.HELLO, RecordType.OPEN
    return [
        Function("message", stable(decode_message, _encode), structured(message), _messages, *WIRE_FAULTS),
        Function("sa", stable(decode_sa, encode_sa), structured(payload), _sas, *WIRE_FAULTS),
        Function("proposal", stable(decode_proposal, encode_proposal), structured(payload), _proposals, *WIRE_FAULTS),
        Function("offer", stable(_read_offer, _write_offer), structured(payload), _sas, *of_negotiation),
        Function("info", _info, scramble, _infos, *WIRE_FAULTS),
        Function("identity", stable(decode_identity, _write_identity), scramble, _identities, Malformed),
        Function("certificate", _certificate, scramble, _certificates, BadCertificate),
        Function("revocation-list", _revocation, scramble, _lists, BadCertificate),
        Function("versions", _versions, scramble, _versions_said, *WIRE_FAULTS),
        Function("stem", _stem, structured(message), _messages),
        Function("record", _record, structured(records), _records, *WIRE_FAULTS),
        Function("hello", stable(link.decode_hello, link.encode_hello), scramble, _body(hello), Malformed),
        Function("opening", stable(link.decode_opening, link.encode_opening), scramble, _body(opening), Malformed),
        Function("notice", _notice, scramble, _body(RecordType.CLOSE), Malformed),
        Function(
            "credit", stable(link.decode_credit, link.encode_credit), scramble, _body(RecordType.CREDIT), Malformed
        ),
        Function(
            "initiator", _settings(InitiatorSettings), lines, _samples("initiator", INITIATOR), ConfigInvalid, short=50
        ),
        Function(
            "responder", _settings(ResponderSettings), lines, _samples("responder", RESPONDER), ConfigInvalid, short=50
        ),
        Function("key0", _key0, lines, lambda: iter([("key0", key0_text().encode())]), ConfigInvalid),
        Function("association-row", _association, tree, _rows("association")),
        Function("replay-row", _replay, tree, _rows("replay")),
    ]
