"""The second part of docs/vectors.md: a durable dialog, computed from docs/messages.md alone.

As the first part, this is a plain implementation that imports nothing of seckex, of what one dialog by a prekey needs:
an envelope in the whole shape, the answer that holds its headers, an envelope in the short shape. HPKE is written
out after RFC 9180, with an ephemeral key that is given, and signatures are deterministic (RFC 6979).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.vectors_of_docs import (
    DIALOG_ID,
    INITIATOR,
    MICROSECONDS,
    PRIVATE_I,
    PRIVATE_R,
    RESPONDER,
    SALT_I,
    SALT_R,
    SECONDS,
    Example,
    Layout,
    expand,
    lp,
    mac,
    u8,
    u16,
    u32,
    u64,
)

SIGNING_A, SIGNING_B = 0xA11CE, 0xB0B
KEK: Final = bytes(range(0xC0, 0xE0))
DSK: Final = bytes(range(0x20, 0x40))
HELLO_A, HELLO_B = b"A" * 16, b"B" * 16
EXPIRY: Final = SECONDS + 86_400
SERVICE, TYPE = "orders", "order"
MESSAGES: Final = (b"three of them, please", b"and one more")
PROCESSED: Final = 1

FULL, PAIR, KEK_FLAG, KEY, BACK = 0x0001, 0x0002, 0x0004, 0x0008, 0x0010


def sha(*octets: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(b"".join(octets)).digest()


def lp8(octets: bytes) -> bytes:
    """Return ``octets`` behind their length in 8 bits."""
    return u8(len(octets)) + octets


def lp16(octets: bytes) -> bytes:
    """Return ``octets`` behind their length in 16 bits."""
    return u16(len(octets)) + octets


def certificate(nai: str, number: int) -> bytes:
    """Return a certificate that ``nai`` has signed itself, with a serial number and a key that are ``number``."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, nai)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(number).not_valid_before(datetime.fromtimestamp(SECONDS, UTC))
    builder = builder.not_valid_after(datetime.fromtimestamp(SECONDS + 365 * 86_400, UTC))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(nai)]), critical=False)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    made = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER)


def sign(number: int, label: bytes, octets: bytes) -> bytes:
    """Section 4: sign a hash behind a label and a zero octet."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    return key.sign(label + b"\0" + sha(octets), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def public(private: bytes) -> bytes:
    """Return the value of an X25519 key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def hpke(ephemeral: bytes, receiver: bytes, info: bytes, plaintext: bytes) -> bytes:
    """RFC 9180, sections 4 and 5: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode, one message."""
    kem, suite = b"KEM" + u16(0x20), b"HPKE" + u16(0x20) + u16(1) + u16(2)

    def extract(of: bytes, salt: bytes, label: bytes, octets: bytes) -> bytes:
        return mac(salt, b"HPKE-v1" + of + label + octets)

    def labeled(of: bytes, key: bytes, label: bytes, octets: bytes, size: int) -> bytes:
        return expand(key, u16(size) + b"HPKE-v1" + of + label + octets, size)

    enc = public(ephemeral)
    dh = X25519PrivateKey.from_private_bytes(ephemeral).exchange(X25519PublicKey.from_public_bytes(receiver))
    shared = labeled(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + receiver, 32)
    context = u8(0) + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    key, nonce = labeled(suite, secret, b"key", context, 32), labeled(suite, secret, b"base_nonce", context, 12)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


def body_key(example: Example, name: str, salt: bytes, direction: int, fingerprint: bytes) -> tuple[bytes, bytes]:
    """Section 5: 32 octets of key with 4 of prefix, and the context."""
    prk = mac(salt + example.keys["path"], DSK)
    info = u8(1) + u8(direction) + fingerprint + DIALOG_ID
    keys = example.key(f"body {name}", expand(prk, b"seckex1 body" + info, 36))
    context = expand(prk, b"seckex1 context" + u8(direction) + DIALOG_ID, 4)
    return keys, example.key(f"context {name}", context)


def dialog_header(kind: int, count: int, sequence: int, acknowledged: int) -> bytes:
    """Section 4: whole messages, or frames."""
    numbers = u8(kind) + u8(0) + u16(count) + u32(0)
    return DIALOG_ID + numbers + u64(sequence) + u64(acknowledged)


def preamble(flags: int, names: bytes, headers: int, body: bytes, counter: int) -> list[tuple[str, bytes]]:
    """Section 3: up to the MIC; ``names`` is a salt or a context."""
    start = u16(0x534B) + u8(1) + u8(1) + u16(flags) + u16(headers) + u32(len(body))
    return [
        ("preamble to body length", start),
        ("  creation time", u64(MICROSECONDS)),
        ("  salt" if flags & FULL else "  context", names),
        ("  counter", u64(counter)),
    ]


def sealed(
    keys: bytes, before: list[tuple[str, bytes]], headers: list[tuple[str, bytes]], body: bytes, counter: int
) -> Layout:
    """Return an envelope."""
    covered = b"".join(octets for _, octets in (*before, *headers))
    out = AESGCM(keys[:32]).encrypt(keys[32:] + u64(counter), body, covered)
    return Layout().add(*before, ("  MIC", out[-16:]), *headers, ("body, sealed", out[:-16]))


def message(payload: bytes) -> bytes:
    """Section 7: one message that never expires."""
    return (u32(len(payload)) + u64(0) + lp8(TYPE.encode()) + payload).ljust(32, b"\0")


def compute() -> Example:
    """Return the example: keys, and three envelopes."""
    example = Example()
    key = example.key
    chain = key("certificate A", certificate(INITIATOR, SIGNING_A))
    fingerprint_a = key("fingerprint A", sha(chain))
    fingerprint_b = key("fingerprint B", sha(certificate(RESPONDER, SIGNING_B)))
    key("path", sha(b"seckex1 message path", HELLO_A, HELLO_B)[:16])
    prekey = public(PRIVATE_R)
    prekey_id = key("prekey id", sha(b"seckex1 prekey id", lp(prekey))[:16])
    names = lp(INITIATOR.encode()) + fingerprint_a + lp(RESPONDER.encode()) + fingerprint_b
    sealed_kek = hpke(PRIVATE_I, prekey, b"seckex1 kek" + names + prekey_id + DIALOG_ID, KEK)
    kek_id = key("kek_id", expand(KEK, b"seckex1 kek id", 16))
    dsk_id = key("dsk_id", expand(DSK, b"seckex1 dsk id", 8))
    wrap = key("wrap", expand(KEK, b"seckex1 wrap dsk" + u32(1)))

    said = kek_id + u64(EXPIRY) + lp8(prekey_id) + lp16(sealed_kek)
    kek = u16(len(said)) + u8(1) + u8(1) + said
    sealed_dsk = AESGCM(wrap).encrypt(bytes(12), DSK, DIALOG_ID + kek)
    session = u16(28 + 48) + u16(0) + u32(1) + dsk_id + kek_id + sealed_dsk
    said = lp8(INITIATOR.encode()) + u64(SECONDS) + fingerprint_a + lp8(RESPONDER.encode()) + u64(SECONDS)
    said += fingerprint_b + lp8(b"") + lp8(SERVICE.encode()) + u8(4) + lp16(u8(1) + lp16(chain))
    pair = u16(len(said) + 73) + u8(1) + u8(0) + said
    chain_hash = key("chain hash", sha(b"seckex1 header chain", pair, kek, session)[:16])

    out, context = body_key(example, "out", SALT_I, 0, fingerprint_a)
    back, _ = body_key(example, "back", SALT_R, 1, fingerprint_b)

    body, numbers = message(MESSAGES[0]), dialog_header(1, 1, 1, 0)
    size = len(numbers + pair + kek + session) + 73
    before = preamble(FULL | PAIR | KEK_FLAG | KEY, SALT_I, size, body, 0)
    covered = b"".join(octets for _, octets in before) + numbers + pair + kek + session
    signature = lp8(sign(SIGNING_A, b"seckex1 service pair signature", covered))
    headers = [
        ("dialog header", numbers),
        ("service pair to signature", pair),
        ("  signature and zeros", signature.ljust(73, b"\0")),
        ("KEK header", kek),
        ("session key header", session),
    ]
    example.said["Message 1, with all headers"] = sealed(out, before, headers, body, 0)

    frames = u8(2) + u16(8) + u64(PROCESSED) + u8(5) + u16(16) + chain_hash + u8(0) + u16(0)
    numbers, named = dialog_header(3, 0, 0, 1), u16(28) + u16(0) + u32(1) + dsk_id + kek_id
    before = preamble(FULL | KEY | BACK, SALT_R, len(numbers + named), frames, 0)
    headers = [("dialog header", numbers), ("session key header", named)]
    example.said["STATE: processed, and headers held"] = sealed(back, before, headers, frames, 0)

    body, numbers = message(MESSAGES[1]), dialog_header(1, 1, 2, 0)
    before = preamble(0, context, len(numbers), body, 1)
    example.said["Message 2, in the short shape"] = sealed(out, before, [("dialog header", numbers)], body, 1)
    return example


INPUTS: Final = (
    ("NAI of the initiator A, of the target B", f"{INITIATOR}, {RESPONDER}"),
    ("signing keys of A and B (the scalars, and their certificates' serial numbers)", f"{SIGNING_A:x}, {SIGNING_B:x}"),
    ("notBefore of both certificates, seconds since 1970", f"{SECONDS} ({SECONDS:08x})"),
    ("nonces of HELLO, of A (the caller) and B", f"{HELLO_A.hex()}, {HELLO_B.hex()}"),
    ("private key of B's prekey (X25519)", PRIVATE_R.hex()),
    ("ephemeral private key of HPKE", PRIVATE_I.hex()),
    ("KEK", KEK.hex()),
    ("Expiry of the KEK", f"{EXPIRY} ({EXPIRY:08x})"),
    ("DSK, generation 1", DSK.hex()),
    ("salts of A and B", f"{SALT_I.hex()}, {SALT_R.hex()}"),
    ("clock of both, microseconds", f"{MICROSECONDS} ({MICROSECONDS:016x})"),
    ("dialog id", DIALOG_ID.hex()),
    ("service, type", f"{SERVICE!r}, {TYPE!r}"),
    ("messages", ", ".join(repr(each.decode()) for each in MESSAGES)),
)
