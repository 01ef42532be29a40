"""Targets that read certificates: what a peer shows of itself, and what an operator's files hold.

Certificates are DER, whose lengths the mutator keeps right. What a signature
would catch first is asked for by itself as well: a peer may have had anything
certified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from cryptography.x509 import Certificate

from seckex.crypto import certificates
from seckex.crypto.identity import TrustAnchors, read_private_key
from seckex.crypto.revocation import RevocationLists, next_update, read_list
from seckex.errors import BadCertificate, Malformed
from seckex.wire.identity import SignedIdentity, decode_chain, decode_identity, encode_chain, encode_identity
from tests.conversation import NODE
from tests.crypto.certified import NOW, Maker, der, key, key_pem, pem, trust
from tests.fuzz.mutate import Part, lines, split, structured
from tests.fuzz.target import Function, Target

_CONSTRUCTED, _LONG = 0x20, 0x80
_STRING_OF_OCTETS = 4


def _element(octets: bytes) -> Part | None:
    """Take one element of DER off the front of ``octets``, and apart where it holds others."""
    if len(octets) < 2:
        return None
    width = octets[1] & 0x7F if octets[1] & _LONG else 0
    at = 2 + width
    size = int.from_bytes(octets[2:at], "big") if width else octets[1]
    body = octets[at : at + size]
    if len(body) != size or width > 3:
        return None
    inside = split(body, _element) if octets[0] & _CONSTRUCTED or octets[0] == _STRING_OF_OCTETS else body
    if isinstance(inside, list) and b"".join(part.octets() for part in inside) != body:
        inside = body
    return Part(octets[:2] if width else octets[:1], width or 1, 0, b"", inside)


def _certificate(octets: bytes) -> Part | None:
    found = _element(octets)
    return found if found is not None and found.octets() == octets else None


@cache
def _chain() -> tuple[bytes, ...]:
    maker = Maker.root().under("between", path=1)
    return tuple(der(maker.certify(NODE), *maker.above))


@cache
def _revoked() -> RevocationLists:
    return RevocationLists([Maker.root().revoked()])


@cache
def _held() -> tuple[Certificate, Certificate]:
    return Maker.root().certify(NODE), Maker.root().certificate


@cache
def _trust() -> TrustAnchors:
    root = Maker.root()
    return trust(root, lists=[root.revoked()])


def _write(read: SignedIdentity) -> bytes:
    return encode_identity(encode_chain(read.chain), read.signature)


def _identity(octets: bytes) -> None:
    read = decode_identity(octets)
    if _write(read) != octets:
        raise AssertionError("an identity changes")


def _verify(octets: bytes) -> None:
    _trust().verify(decode_chain(octets), NOW)
    # Of all that certifies anybody here nothing can be changed.
    if decode_chain(octets)[0] != _chain()[0]:
        raise AssertionError("a chain that nobody has signed verifies")


def _look(octets: bytes) -> None:
    found = certificates.read_certificate(octets)
    _, root = _held()
    asked: tuple[Callable[[], object], ...] = (
        lambda: certificates.check_principal(found),
        lambda: certificates.check_authority(found),
        lambda: certificates.may_sign_lists(found),
        lambda: certificates.check_dates(found, NOW),
        lambda: certificates.public_key(found),
        lambda: certificates.subject_of(found),
        lambda: certificates.not_after(found) - certificates.not_before(found),
        lambda: _revoked().check([found, root], NOW),
        lambda: TrustAnchors([found]),
    )
    for ask in asked:
        try:
            ask()
        except BadCertificate:
            continue


def _list(octets: bytes) -> None:
    found = read_list(octets)
    next_update(found)
    RevocationLists([found]).check(_held(), NOW)


def _made(name: str, *found: Callable[[], bytes]) -> Callable[[], Iterator[tuple[str, bytes]]]:
    return lambda: iter([(f"{name}_{number}", one()) for number, one in enumerate(found)])


def targets() -> list[Target]:
    """Return the targets of this module."""
    identity = _made("identity", lambda: encode_identity(encode_chain(_chain()), bytes(70)))
    chain = _made("chain", lambda: encode_chain(_chain()), lambda: encode_chain(_chain()[:1]))
    each = _made("certificate", lambda: _chain()[0], lambda: _chain()[1], lambda: der(Maker.root().certificate)[0])
    lists = _made("list", lambda: pem(Maker.root().revoked(Maker.root().certify(NODE))))
    held = _made("key", lambda: key_pem(key("a key")))
    of_files = _made("file", lambda: pem(Maker.root().certificate, Maker.root().certify(NODE)))
    der_parts = structured(_certificate)
    return [
        Function("identity", _identity, structured(lambda _: None), identity, Malformed),
        Function("chain", _verify, structured(lambda _: None), chain, Malformed, BadCertificate, short=200),
        Function("certificate", _look, der_parts, each, BadCertificate, short=200),
        Function("certificates-file", certificates.read_certificates, lines, of_files, BadCertificate),
        Function("revocation-list", _list, lines, lists, BadCertificate, short=200),
        Function("private-key", read_private_key, lines, held, BadCertificate, short=200),
    ]
