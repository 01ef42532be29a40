"""Envelopes, units, bodies, prekeys and messages of the three phases, to be written and read by tests and fuzzing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import evolve, frozen
from hypothesis import strategies as st

from seckex.wire import bodies, phases, units
from seckex.wire.envelope import Envelope, decode_envelope, encode_envelope
from seckex.wire.envelope_headers import DialogHeader, KekHeader, Routing, SessionKeyHeader
from seckex.wire.envelope_pair import AnonymousPair, ServicePair, decode_anonymous, encode_anonymous
from seckex.wire.numbers import (
    MOST_JOINED,
    FrameType,
    Kem,
    MessageKek,
    MessageKind,
    NoticeWhat,
    PairAlgorithm,
    Suite,
    UnitKind,
)
from seckex.wire.prekey import Prekey, decode_prekey, encode_prekey
from seckex.wire.shares import SIZES
from tests.wire.samples import nais, u8, u16, u32, u64

ID: Final = bytes(range(0xA0, 0xB0))
MIC: Final = bytes(range(0xC0, 0xD0))
SALT: Final = bytes(range(0x80, 0x90))
BODY: Final = b"thirty-two octets of ciphertext."
A, B = "node@example.net", "home@example.org"
SIGNATURE: Final = bytes.fromhex("3006020101020102")

MESSAGES: Final = DialogHeader(ID, MessageKind.MESSAGES, count=3, sequence=7, acknowledged=2)
FRAGMENT: Final = DialogHeader(ID, MessageKind.FRAGMENT, count=1, fragment=1, fragments=2, sequence=9)
STATE: Final = DialogHeader(ID, MessageKind.STATE, acknowledged=9)

PAIR: Final = ServicePair(
    PairAlgorithm.ECDSA,
    A,
    1_790_000_000,
    b"a" * 32,
    B,
    1_780_000_000,
    b"b" * 32,
    "",
    "orders",
    4,
    (b"certificate", b"issuer"),
    SIGNATURE,
)
MAC_PAIR: Final = ServicePair(
    PairAlgorithm.MAC, A, 0, b"a" * 32, B, 0, b"b" * 32, "shop", "orders", 0, (), bytes(range(32))
)
KEK: Final = KekHeader(MessageKek.PREKEY, Kem.X25519, b"k" * 16, 1_790_086_400, b"p" * 16, b"h" * 80)
HYBRID: Final = evolve(KEK, kem=Kem.X25519_ML_KEM_768, sealed=b"h" * 1168)
ANONYMOUS: Final = evolve(KEK, sealed=b"h" * 120)
OF_ASSOCIATION: Final = KekHeader(MessageKek.ASSOCIATION, None, b"k" * 16, 1_790_086_400, b"spis", b"n" * 32)
OF_KDC: Final = evolve(OF_ASSOCIATION, source=MessageKek.KDC)
THREE_PHASE: Final = KekHeader(MessageKek.THREE_PHASE, None, b"k" * 16, 1_790_086_400, b"e" * 16, b"")
KEY: Final = SessionKeyHeader(1, b"dsk--id.", b"k" * 16, b"s" * 48)
NAMED: Final = evolve(KEY, sealed=b"")

SHORT_ENVELOPE: Final = Envelope(Suite.AES_256_GCM, False, 1_790_000_002_000_000, 5, MESSAGES, BODY, MIC, context=7)
SALTED: Final = evolve(SHORT_ENVELOPE, context=0, salt=SALT)
ENVELOPES: Final = {
    "short": SHORT_ENVELOPE,
    "short_back": evolve(SHORT_ENVELOPE, back=True, dialog=STATE, suite=Suite.CHACHA20_POLY1305),
    "short_fragment": evolve(SHORT_ENVELOPE, dialog=FRAGMENT),
    "whole": evolve(SALTED, pair=PAIR, kek=KEK, key=KEY),
    "whole_hybrid": evolve(SALTED, pair=PAIR, kek=HYBRID, key=KEY, dialog=FRAGMENT),
    "whole_association": evolve(SALTED, pair=MAC_PAIR, kek=OF_ASSOCIATION, key=KEY),
    "whole_kdc": evolve(SALTED, pair=MAC_PAIR, kek=OF_KDC, key=KEY, routing=Routing(8, B)),
    "whole_three_phase": evolve(SALTED, pair=PAIR, kek=THREE_PHASE, key=KEY),
    "anonymous": evolve(SALTED, kek=ANONYMOUS, key=KEY),
    "new_key": evolve(SALTED, key=KEY, routing=Routing(3, B, A)),
    "named": evolve(SALTED, key=NAMED),
    "named_back": evolve(SALTED, key=NAMED, back=True, dialog=STATE),
}

PREKEY: Final = Prekey(Kem.X25519, 1_790_000_000, 1_790_600_000, B, b"p" * 16, b"x" * 32, (b"certificate",), SIGNATURE)
HYBRID_PREKEY: Final = evolve(PREKEY, kem=Kem.X25519_ML_KEM_768, public=b"x" * 1216)

UNITS: Final[dict[str, units.Unit]] = {
    "hello": units.Hello(b"N" * 16, B, A),
    "hello_nobody": units.Hello(b"N" * 16, B),
    "prekeys": units.Prekeys((encode_prekey(PREKEY), encode_prekey(HYBRID_PREKEY))),
    "prekeys_none": units.Prekeys(),
    "missing": units.Notice(NoticeWhat.MISSING, 0, ID, b"D" * 16, SIGNATURE),
    "refused": units.Notice(NoticeWhat.REFUSED, 129, ID, b"D" * 16, b"M" * 16),
    "unkept": units.Notice(NoticeWhat.UNKEPT, 130, digest=b"D" * 16),
    "prove": units.Prove((b"certificate", b"another"), SIGNATURE),
    "kept": units.Notice(NoticeWhat.KEPT, 0, ID, b"D" * 16),
    "phase1": units.Phase(UnitKind.PHASE1, b"m1", b"P" * 16),
    "phase2": units.Phase(UnitKind.PHASE2, b"m2"),
    "phase3": units.Phase(UnitKind.PHASE3, b"m3"),
    "ping": units.Ping(b"8 octets"),
    "pong": units.Pong(b"8 octets"),
    "gone": units.Gone(301, "nobody of this name"),
}

FRAMES: Final[tuple[bodies.Frame, ...]] = (
    bodies.Received(((3, 3), (5, 9))),
    bodies.Processed(2),
    bodies.Dead(1, 134, "cannot be read"),
    bodies.Credit(1 << 22),
    bodies.Held(b"H" * 16),
    bodies.Fragments(4, 17),
    bodies.Skip(9, 12),
    bodies.Ask(),
    bodies.End(30),
    bodies.Ended(30),
    bodies.Shift(),
    bodies.Restored(1_790_000_000),
    bodies.Where(2),
)

FIRST: Final = phases.Phase1(
    Suite.AES_256_GCM, b"n" * 32, b"X" * 32, b"p" * 16, ID, phases.Moving(b"k" * 16, 7, 3), b"sealed by A" * 9
)
SECOND: Final = phases.Phase2(Suite.AES_256_GCM, b"n" * 32, b"Y" * 32, b"sealed by B" * 9)
THIRD: Final = phases.Phase3(b"sealed signature" * 5)
INTRODUCTION: Final = phases.Introduction((b"certificate",), encode_prekey(PREKEY), b"K" * 32)
REPLY: Final = phases.Reply((b"certificate", b"issuer"), b"s" * 80, SIGNATURE)


@frozen
class Codec:
    """How values of a kind are read and written: there is one way to write each."""

    name: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    values: dict[str, Any]

    @property
    def samples(self) -> Iterator[tuple[str, bytes]]:
        """Yield names and octets."""
        return ((name, self.encode(value)) for name, value in self.values.items())


def _start(octets: bytes) -> tuple[int, int, str, bytes]:
    size, expires, name, length = bodies.unpack_start(octets)
    return size, expires, name, octets[length:]


CODECS: Final = (
    Codec("envelope", decode_envelope, encode_envelope, ENVELOPES),
    Codec("unit", units.decode_unit, units.encode_unit, UNITS),
    Codec("prekey", decode_prekey, encode_prekey, {"x25519": PREKEY, "hybrid": HYBRID_PREKEY}),
    Codec("fragment-start", _start, lambda it: bodies.pack_start(*it[:3]) + it[3], {"start": (99_999, 5, "t", b"p")}),
    Codec("anonymous", decode_anonymous, encode_anonymous, {"anonymous": AnonymousPair(B, "", "orders", 4)}),
    Codec("phase1", phases.decode_phase1, phases.encode_phase1, {"moving": FIRST, "new": evolve(FIRST, moving=None)}),
    Codec("phase2", phases.decode_phase2, phases.encode_phase2, {"reply": SECOND}),
    Codec("phase3", phases.decode_phase3, phases.encode_phase3, {"end": THIRD}),
    Codec("introduction", phases.decode_introduction, phases.encode_introduction, {"of-a": INTRODUCTION}),
    Codec("reply", phases.decode_reply, phases.encode_reply, {"of-b": REPLY}),
    Codec("signature", phases.decode_signature, phases.encode_signature, {"of-a": SIGNATURE}),
)


# -- any of them


def exactly(size: int) -> st.SearchStrategy[bytes]:
    """Draw so many octets."""
    return st.binary(min_size=size, max_size=size)


services = st.text(min_size=1, max_size=60)
chains = st.lists(st.binary(max_size=60), min_size=1, max_size=4).map(tuple)
signatures = st.binary(min_size=1, max_size=72)
sequences = st.integers(1, 2**64 - 1 - MOST_JOINED)
headers = st.one_of(
    st.builds(
        DialogHeader,
        exactly(16),
        st.just(MessageKind.MESSAGES),
        count=st.integers(1, MOST_JOINED),
        sequence=sequences,
        acknowledged=u64,
    ),
    st.integers(2, 65_535).flatmap(
        lambda fragments: st.builds(
            DialogHeader,
            exactly(16),
            st.just(MessageKind.FRAGMENT),
            count=st.just(1),
            fragment=st.integers(0, fragments - 1),
            fragments=st.just(fragments),
            sequence=sequences,
            acknowledged=u64,
        )
    ),
    st.builds(DialogHeader, exactly(16), st.just(MessageKind.STATE), acknowledged=u64),
)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Draw an envelope of any shape."""
    found = draw(st.sampled_from(list(ENVELOPES.values())))
    found = evolve(
        found,
        dialog=draw(headers),
        created=draw(u64),
        counter=draw(u64),
        body=draw(st.binary(min_size=32, max_size=60)),
        mic=draw(exactly(16)),
        routing=draw(st.none() | st.builds(Routing, u8, nais, st.just("") | nais)),
    )
    if found.pair is not None:
        found = evolve(
            found,
            pair=evolve(
                found.pair,
                initiator=draw(nais),
                target=draw(nais),
                own=draw(st.just("") | services),
                service=draw(services),
                priority=draw(st.integers(0, 7)),
            ),
        )
        if found.pair is not None and found.pair.algorithm is PairAlgorithm.ECDSA:
            dated = evolve(found.pair, initiator_issued=draw(u64), target_issued=draw(u64))
            found = evolve(found, pair=evolve(dated, chain=draw(chains), proof=draw(signatures)))
    if found.salt:
        return evolve(found, salt=draw(exactly(16)))
    return evolve(found, context=draw(u32))


prekeys = st.sampled_from(Kem).flatmap(
    lambda kem: st.builds(
        Prekey,
        st.just(kem),
        st.integers(0, 2**63),
        st.integers(2**63 + 1, 2**64 - 1),
        nais,
        exactly(16),
        exactly(SIZES[kem].public),
        chains,
        signatures,
    )
)
any_frames = st.lists(
    st.one_of(
        st.lists(u32, max_size=64, unique=True)
        .map(sorted)
        .map(lambda found: bodies.Received(tuple(zip([one + 1 for one in found[::2]], found[1::2], strict=False)))),
        st.builds(bodies.Processed, u64),
        st.builds(bodies.Dead, u64, u16, st.text(max_size=100)),
        st.builds(bodies.Credit, u32),
        st.builds(bodies.Held, exactly(16)),
        st.builds(bodies.Fragments, u64, u16),
        st.builds(bodies.Skip, st.integers(0, 2**63), st.integers(2**63 + 1, 2**64 - 1)),
        st.builds(bodies.Ask),
        st.builds(bodies.End, u64, u16, st.text(max_size=100)),
        st.builds(bodies.Ended, u64),
        st.builds(bodies.Shift),
        st.builds(bodies.Restored, u64),
        st.builds(bodies.Where, u64),
    ),
    max_size=12,
).map(tuple)
types = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=64)
joined = st.lists(st.tuples(types, u64, st.binary(max_size=100)), min_size=1, max_size=12)
UNKNOWN_FRAME: Final = max(FrameType) + 1
