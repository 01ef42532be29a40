"""The worked example of docs/vectors.md, computed from docs/protocol.md alone.

This is a second, plain implementation of what one exchange and the beginning of
one link need. It imports nothing of seckex: where the two agree octet for
octet, which a test sees to, the document says enough to write a peer from. All
its inputs are fixed, and so is its output. ``python -m tests.vectors_of_docs``
writes the file.

Not covered: more than one round, refusals, transforms that are not chosen here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import define, field
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FILE: Final = Path(__file__).parent.parent / "docs" / "vectors.md"

INITIATOR, RESPONDER = "node@example.net", "home@example.org"
KEY0: Final = bytes(range(0x20))
KEY0_SPI, KVNO = 0x00001234, 1
SECONDS: Final = 1_790_000_000
LIFETIME_OFFERED, LIFETIME_TAKEN = 28_800, 3600
SPI_I, SPI_R = 0xA1A2A340, 0xB1B2B380
NONCE_I, NONCE_R = bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))
RANDOM_OF_OFFER, RANDOM_OF_CONFIRM = bytes.fromhex("01020304"), bytes.fromhex("05060708")
# RFC 7748, section 6.1.
PRIVATE_I: Final = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
PRIVATE_R: Final = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")

SALT_I, SALT_R = bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0))
MICROSECONDS: Final = 1_790_000_002_000_000
CREDIT, MOST_DIALOGS, LARGEST_BODY = 262_144, 256, 65_536
DIALOG_ID: Final = bytes(range(0xA0, 0xB0))
SERVICE: Final = "web"
DATA: Final = b"GET / HTTP/1.0\r\n\r\n"


def u8(value: int) -> bytes:
    """Return 8 bits."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Return 16 bits."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Return 32 bits."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Return 64 bits."""
    return value.to_bytes(8, "big")


def lp(octets: bytes) -> bytes:
    """Return ``octets`` behind their length in 32 bits."""
    return u32(len(octets)) + octets


def mac(key: bytes, octets: bytes) -> bytes:
    """HMAC-SHA-256, which is HKDF-Extract as well: the salt is the key."""
    return hmac.new(key, octets, hashlib.sha256).digest()


def expand(key: bytes, info: bytes, length: int = 32) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869, section 2.3)."""
    octets, block = b"", b""
    while len(octets) < length:
        block = mac(key, block + info + u8(len(octets) // 32 + 1))
        octets += block
    return octets[:length]


@define
class Layout:
    """Octets as a sequence of named fields."""

    fields: list[tuple[str, bytes]] = field(factory=list)

    def add(self, *fields: tuple[str, bytes]) -> Layout:
        """Append fields."""
        self.fields += fields
        return self

    @property
    def octets(self) -> bytes:
        """All fields joined."""
        return b"".join(octets for _, octets in self.fields)


@define
class Example:
    """All that happens: keys by name in the order in which they come about, and what is said."""

    keys: dict[str, bytes] = field(factory=dict)
    said: dict[str, Layout] = field(factory=dict)

    def key(self, name: str, octets: bytes) -> bytes:
        """Note a value under its name in the document."""
        self.keys[name] = octets
        return octets


def transforms(*listed: tuple[str, int, int, bytes]) -> list[tuple[str, bytes]]:
    """Return the fields of transforms: name, Transform-ID, # Keys and attributes of each."""
    fields = []
    for number, (name, identifier, keys, attributes) in enumerate(listed, start=1):
        head = u8(3) + u8(0) + u16(8 + len(attributes))
        fields.append((f"transform {name}", head + u8(number) + u8(keys) + u16(identifier) + attributes))
    return fields


def proposal(
    number: int, protocol: tuple[str, int], lifetime: int, listed: list[tuple[str, bytes]]
) -> list[tuple[str, bytes]]:
    """Return the fields of one proposal payload of proposal number 1."""
    size = 16 + sum(len(octets) for _, octets in listed)
    name, identifier = protocol
    head = u8(2) + u8(0) + u16(size) + u8(1) + u8(number) + u8(identifier) + u8(len(listed))
    return [(f"proposal, {name}", head + u32(lifetime) + u32(0)), *listed]


def sa(lifetime: int, encryptions: list[tuple[str, int, int, bytes]], value: bytes) -> list[tuple[str, bytes]]:
    """Return the fields of an SA payload with one proposal number and one key exchange."""
    inside = [
        *proposal(1, ("encryption", 2), lifetime, transforms(*encryptions)),
        *proposal(2, ("authentication", 1), lifetime, transforms(("HMAC-SHA-256-128", 12, 2, b""))),
        *proposal(3, ("PRF", 4), lifetime, transforms(("HMAC-SHA-256", 5, 1, b""))),
        *proposal(4, ("key agreement", 3), lifetime, transforms(("X25519", 31, 0, b""))),
        ("key exchange, X25519", u8(4) + u8(4) + u16(8 + len(value)) + u16(31) + u16(0) + value),
    ]
    size = 4 + sum(len(octets) for _, octets in inside)
    return [("SA payload", u8(1) + u8(7) + u16(size)), *inside]


def header(kind: int, identification: bytes, spi: int, *, answer: bool) -> tuple[str, bytes]:
    """Return a general message's header."""
    return "header", u8(255) + u8(0x11 if answer else 0x10) + u16(kind) + identification + u32(spi)


def extension(sub: int, size: int) -> bytes:
    """Return the four octets before an extension's data."""
    return u8(127) + u8(sub) + u16(size)


def exchange(spi_i: int, spi_r: int, nonce: bytes) -> tuple[str, bytes]:
    """Return the exchange extension of round 1."""
    return "exchange", extension(18, 44) + u8(1) + bytes(3) + u32(spi_i) + u32(spi_r) + nonce


def sa_extension(fields: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the fields of an SA payload behind the extension that holds it."""
    return [("extension, SA payload", extension(16, sum(len(octets) for _, octets in fields))), *fields]


def authenticator(spi: int, size: int = 32) -> tuple[str, bytes]:
    """Return what stands before a MAC."""
    return "authenticator", extension(22, 4 + size) + u32(spi)


AES_256_GCM: Final = ("AES-256-GCM", 20, 2, u16(0x8000 | 14) + u16(256))
CHACHA20_POLY1305: Final = ("ChaCha20-Poly1305", 28, 2, b"")


def negotiate(example: Example) -> None:
    """Sections 1 and 3 to 7: one round, and its confirmation."""
    key, said = example.key, example.said
    names = [name.encode() for name in (INITIATOR, RESPONDER)]
    low, high = sorted(names)
    prk0 = key("prk0", mac(b"seckex1 key 0", KEY0))
    context0 = lp(low) + lp(high) + u32(KVNO)
    auth = key("auth", expand(prk0, b"seckex1 key0 authentication" + context0))
    identity = key("identity", expand(prk0, b"seckex1 key0 identity" + context0))
    mix = key("mix", expand(prk0, b"seckex1 key0 mix" + context0))
    auth_i = key("auth_i", expand(auth, b"seckex1 initiator"))
    key("auth_r", expand(auth, b"seckex1 responder"))

    private_i, private_r = map(X25519PrivateKey.from_private_bytes, (PRIVATE_I, PRIVATE_R))
    value_i = key("KE_i", private_i.public_key().public_bytes_raw())
    value_r = key("KE_r", private_r.public_key().public_bytes_raw())
    identification = u32(SECONDS) + RANDOM_OF_OFFER

    offer = said["OFFER"] = Layout()
    offer.add(header(1, identification, KEY0_SPI, answer=False), exchange(SPI_I, 0, NONCE_I))
    seal = AESGCM(key("extension key", expand(mac(identification + NONCE_I, identity), b"seckex1 extensions" + u8(1))))
    for ordinal, (content, whose, name) in enumerate(((0, "initiator", names[0]), (2, "responder", names[1])), 1):
        start = extension(1, 8 + len(name) + 16) + u8(content) + u8(0x80) + u16(0) + u32(KEY0_SPI)
        offer.add((f"NAI of the {whose}, sealed", start))
        offer.add(("  INFO and tag", seal.encrypt(bytes(11) + u8(ordinal), name, offer.octets)))
    offer.add(*sa_extension(sa(LIFETIME_OFFERED, [AES_256_GCM, CHACHA20_POLY1305], value_i)))
    zeros = 768 - len(offer.octets) - 4 - 40
    offer.add(("padding", extension(20, zeros) + bytes(zeros)), authenticator(KEY0_SPI))
    t_0 = key("T_0", hashlib.sha384(b"seckex1 transcript" + lp(names[0]) + lp(names[1])).digest())
    t_1 = key("T_1", hashlib.sha384(t_0 + u8(1) + u8(1) + lp(offer.octets)).digest())
    offer.add(("  MAC", mac(auth_i, b"seckex1 offer" + t_1)))

    choice = said["CHOICE"] = Layout()
    choice.add(header(2, identification, KEY0_SPI, answer=True), exchange(SPI_I, SPI_R, NONCE_R))
    choice.add(*sa_extension(sa(LIFETIME_TAKEN, [AES_256_GCM], value_r)), authenticator(KEY0_SPI))
    t_2 = key("T_2", hashlib.sha384(t_1 + u8(1) + u8(2) + lp(choice.octets)).digest())
    dh = key("dh", private_i.exchange(X25519PublicKey.from_public_bytes(value_r)))
    prk = key("prk", mac(t_2, lp(mix) + lp(dh)))
    context = u8(7) + lp(names[0]) + lp(names[1]) + u32(SPI_I) + u32(SPI_R)
    for label in ("confirm i", "confirm r", "auth i", "auth r", "dialog", "exporter", "rekey"):
        called = f"{label[:4]} key{label[4:]}" if label.startswith("auth") else label.replace(" ", "_")
        key(called, expand(prk, b"seckex1 " + label.encode() + context))
    choice.add(("  MAC", mac(example.keys["confirm_r"], b"seckex1 choice" + t_2)))

    identification = u32(SECONDS) + RANDOM_OF_CONFIRM
    for kind, side, word in ((5, "i", "confirm"), (6, "r", "confirmed")):
        layout = said[word.upper()] = Layout()
        layout.add(header(kind, identification, SPI_R, answer=side == "r"))
        proof = mac(example.keys[f"confirm_{side}"], b"seckex1 " + word.encode() + t_2 + layout.octets)
        layout.add(authenticator(SPI_R), ("  MAC", proof))


def record(
    keys: bytes, flags: int, kind: int, body: bytes, *, counter: int, context: bytes = b"", salt: bytes = b"",
    dialog: int = 0, sequence: int = 0,
) -> Layout:  # fmt: skip  # the arguments by the parts of a record
    """Section 10: seal one record of suite 1 under 32 octets of key and 4 of nonce prefix."""
    kek = u8(1) + u8(0) + u16(4) + u32(SPI_R) if salt else b""
    numbers = u32(dialog) + u8(kind) + bytes(3) + u64(sequence)
    start = u16(0x534B) + u8(1) + u8(1) + u16(flags) + u16(len(kek + numbers)) + u32(len(body))
    preamble = [
        ("preamble to body length", start),
        ("  creation time", u64(MICROSECONDS)),
        ("  salt" if salt else "  context", salt or context),
        ("  counter", u64(counter)),
    ]
    covered = b"".join(octets for _, octets in preamble) + kek + numbers
    sealed = AESGCM(keys[:32]).encrypt(keys[32:] + u64(counter), body, covered)
    layout = Layout().add(*preamble, ("  MIC", sealed[-16:]))
    if kek:
        layout.add(("KEK header", kek))
    layout.add(("dialog header", numbers))
    return layout.add(("body, sealed", sealed[:-16])) if body else layout


FULL, KEK, FROM_RESPONDER, STREAM = 0x0001, 0x0004, 0x0010, 0x0080


def link(example: Example) -> None:
    """Section 10: both HELLOs, the initiator's proof, a dialog and its first data."""
    key, said, dialog = example.key, example.said, example.keys["dialog"]
    both = SALT_I + SALT_R
    hello_i = key("hello_i", expand(mac(SALT_I, dialog), b"seckex1 hello i", 36))
    hello_r = key("hello_r", expand(mac(both, dialog), b"seckex1 hello r", 36))
    dsk = key("dsk", mac(both, dialog))
    body_i = key("body_i", expand(dsk, b"seckex1 body i", 36))
    body_r = key("body_r", expand(dsk, b"seckex1 body r", 36))
    context = key("context", expand(dsk, b"seckex1 context", 4))
    limits = u32(CREDIT) + u32(MOST_DIALOGS) + u32(LARGEST_BODY)
    full = FULL | KEK | STREAM
    said["HELLO of the initiator"] = record(hello_i, full, 0, limits, counter=0, salt=SALT_I)
    said["HELLO of the responder"] = record(hello_r, full | FROM_RESPONDER, 0, limits, counter=0, salt=SALT_R)
    said["PING"] = record(body_i, STREAM, 8, b"", counter=0, context=context)
    said["PONG"] = record(body_r, STREAM | FROM_RESPONDER, 9, b"", counter=0, context=context)
    opening = DIALOG_ID + SERVICE.encode()
    said["OPEN"] = record(body_i, STREAM, 1, opening, counter=1, context=context, dialog=1)
    said["ACCEPT"] = record(body_r, STREAM | FROM_RESPONDER, 2, b"", counter=1, context=context, dialog=1)
    said["DATA"] = record(body_i, STREAM, 4, DATA, counter=2, context=context, dialog=1)


def compute() -> Example:
    """Return the example."""
    example = Example()
    negotiate(example)
    link(example)
    return example


_INPUTS: Final = (
    ("NAI of the initiator", INITIATOR),
    ("NAI of the responder", RESPONDER),
    ("KEY 0", KEY0.hex()),
    ("SPI of KEY 0, kvno", f"{KEY0_SPI:08x}, {KVNO}"),
    ("clock of both, seconds since 1970", f"{SECONDS} ({SECONDS:08x})"),
    ("low half of Identification: OFFER, CONFIRM", f"{RANDOM_OF_OFFER.hex()}, {RANDOM_OF_CONFIRM.hex()}"),
    ("SPI_i, SPI_r", f"{SPI_I:08x}, {SPI_R:08x}"),
    ("N_i", NONCE_I.hex()),
    ("N_r", NONCE_R.hex()),
    ("private key of the initiator (RFC 7748, section 6.1, Alice)", PRIVATE_I.hex()),
    ("private key of the responder (the same, Bob)", PRIVATE_R.hex()),
    ("lifetime: offered, taken", f"{LIFETIME_OFFERED}, {LIFETIME_TAKEN}"),
    ("S_i, S_r", f"{SALT_I.hex()}, {SALT_R.hex()}"),
    ("clock of both on the link, microseconds", f"{MICROSECONDS} ({MICROSECONDS:016x})"),
    ("HELLO of both: credit, most dialogs, largest body", f"{CREDIT}, {MOST_DIALOGS}, {LARGEST_BODY}"),
    ("dialog id", DIALOG_ID.hex()),
    ("service, data", f"{SERVICE!r}, {DATA.decode()!r}"),
)

_TITLE: Final = """\
# A worked example, octet for octet

One exchange without counter-offer and the beginning of one link, as [protocol.md](protocol.md) describes them. The
initiator offers AES-256-GCM or ChaCha20-Poly1305 with HMAC-SHA-256, PRF HMAC-SHA-256 and X25519; the responder takes
the first and shortens the lifetime. Everything is hexadecimal unless it is marked. This page is written by
`python -m tests.vectors_of_docs`, which follows the document and shares no code with the daemons; a test holds both
to these octets.
"""

_MESSAGES: Final = """
# A durable dialog, octet for octet

The beginning of a dialog as [messages.md](messages.md) describes it, by an X25519 prekey: a message with all headers,
the answer that tells that these are held, and a message in the short shape. Certificates are signed by themselves, and
all signatures are deterministic (RFC 6979).
"""


def _hex(name: str, octets: bytes, width: int) -> str:
    if name == "padding":
        return f"{name:<{width}}  {octets[:4].hex()} and {len(octets) - 4} zeros"
    text = octets.hex()
    names = (name, *[""] * (len(text) // 64))
    return "\n".join(f"{called:<{width}}  {text[64 * line :][:64]}" for line, called in enumerate(names)).rstrip()


def render() -> str:
    """Return the page."""
    # It is made of this module's parts.
    from tests import vectors_of_messages as messages

    derived = "`hello_i`, `hello_r`, `body_i` and `body_r` are 32 octets of key and 4 octets of nonce prefix.\n"
    parts = [_TITLE, *_part("", _INPUTS, derived, compute()), _MESSAGES]
    derived = "`body out` and `body back` are 32 octets of key and 4 octets of nonce prefix.\n"
    parts += _part(" of messages", messages.INPUTS, derived, messages.compute())
    return "\n".join(parts) + "\n"


def _part(of: str, inputs: Sequence[tuple[str, str]], derived: str, example: Example) -> list[str]:
    parts = [f"## What is given{of}\n", "| what | value |", "| --- | --- |"]
    parts += [f"| {what} | `{value}` |" for what, value in inputs]
    parts += [f"\n## What is derived{of}\n", derived, "```"]
    parts += [_hex(name, octets, 13) for name, octets in example.keys.items()]
    parts += ["```\n", f"## What is said{of}"]
    for name, layout in example.said.items():
        digest = hashlib.sha256(layout.octets).hexdigest()
        parts += [f"\n### {name}\n", f"{len(layout.octets)} octets, SHA-256 `{digest}`\n", "```"]
        parts += [_hex(part, octets, 28) for part, octets in layout.fields]
        parts += ["```"]
    return parts


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
