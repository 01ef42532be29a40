"""What is said over hops: octets by hand from docs/registration.md, sections 11 and 12, and values."""

from __future__ import annotations

from typing import Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from seckex.errors import ApiMisuse, Malformed, PeerIncompatible, UnsupportedVersion
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.general import Header, encode_header
from seckex.wire.keying import HomeKey, KeyMaterial, KeyRequest, NodeEntries, NodeEntry, NodeQuery
from seckex.wire.numbers import MAX_HOP_MESSAGE, ROAMING_KINDS, Kem, Keying, Kind, Security
from tests.wire import roaming
from tests.wire.roaming import AGENT, HOME, IDENTIFICATION, NODE, FormCase, pattern, with_octets
from tests.wire.samples import FEW, mutated

BY_UDP: Final = frozenset((Kind.SOLICITATION, Kind.ADVERTISEMENT, Kind.REVOCATION, Kind.REVOKED))
ROUTE_DATA: Final = b"\7\x11home@home.example\2\x15agent@visited.example\x13aaa@visited.example"
ROUTE: Final = b"\x7f\x29" + len(ROUTE_DATA).to_bytes(2, "big") + ROUTE_DATA


def header(kind: int, *, answer: bool) -> bytes:
    return bytes((255, 0x11 if answer else 0x10, 0, kind)) + bytes.fromhex("edd5a4000badcafe 00000000")


def general(sub: int, data: bytes) -> bytes:
    return bytes((127, sub)) + len(data).to_bytes(2, "big") + data


def detail(code: int, text: bytes) -> bytes:
    return general(19, code.to_bytes(2, "big") + b"\0\0" + text)


#: The samples of `roaming.HOP_MESSAGES`, by hand.
OCTETS: Final = (
    header(17, answer=False) + ROUTE + general(42, roaming.agent_request(Kem.X25519)),
    header(18, answer=True) + general(42, roaming.home_reply(Kem.X25519)),
    header(19, answer=True) + detail(278, b"this was here before") + ROUTE,
    header(20, answer=False)
    + general(
        44,
        bytes.fromhex("01 00 012c 00000001") + pattern(32, 9) + b"\x11node@home.example" + b"\x15agent@visited.example",
    ),
    header(21, answer=True) + general(45, b"\1\3" + pattern(32, 1) + pattern(32, 2) + pattern(32, 3)),
    header(22, answer=True) + detail(274, b""),
    header(23, answer=False)
    + general(46, bytes.fromhex("0000000000000011 0040") + b"\x11node@home.example")
    + general(49, b"\2\1" + bytes(7) + b"\x09" + pattern(32, 9) + b"\2" + bytes(7) + b"\x09" + pattern(1216, 9)),
    header(24, answer=True)
    + general(
        47,
        bytes.fromhex("0000000000000016 01 0003")
        + bytes.fromhex("0000000000000012 01 00000001 00000000edd5a400")
        + b"\x11node@home.example"
        + pattern(32, 1)
        + pattern(32, 2)
        + b"\0"
        + bytes.fromhex("0000000000000014 02 00000001 0000000000000000")
        + b"\x11gone@home.example"
        + bytes(64)
        + b"\x11home@home.example"
        + bytes.fromhex("0000000000000016 04 00000002 0000000000000000")
        + b"\x13stolen@home.example"
        + bytes(65),
    ),
    header(25, answer=False),
    header(26, answer=False) + ROUTE + general(48, b"\1\x10aaa@home.example\2\0\0\x04\xd2"),
    header(27, answer=True) + general(48, b"\2\x10aaa@home.example\2\0\0\x04\xd2\x11home@home.example\1\0\0\0\0"),
)
BY_KIND: Final = {message.kind: octets for message, octets in zip(roaming.HOP_MESSAGES, OCTETS, strict=True)}


class HopTests(FormCase):
    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(hop.decode_hop, octets, field, offset)

    def test_every_kind_has_the_octets_of_the_document(self) -> None:
        for message, octets in zip(roaming.HOP_MESSAGES, OCTETS, strict=True):
            self.assertEqual(hop.encode_hop(message).hex(), octets.hex(), message.kind.name)
            self.assertEqual(hop.decode_hop(octets), message)
            self.assertEqual(hop.decode_hop(octets).identification, IDENTIFICATION)
        self.assertEqual(BY_KIND.keys(), ROAMING_KINDS - BY_UDP)

    def test_read_whole_or_not_at_all(self) -> None:
        for octets in OCTETS:
            self.read_whole_or_not_at_all(roaming.hop_again, octets)

    def test_every_bit_flipped(self) -> None:
        for octets in OCTETS:
            self.bits_flipped(roaming.hop_again, octets, 5 if len(octets) > 400 else 1)

    def test_any_message_comes_back(self) -> None:
        @FEW
        @given(roaming.hop_messages)
        def comes_back(message: hop.HopMessage) -> None:
            self.assertEqual(hop.decode_hop(hop.encode_hop(message)), message)

        comes_back()

    def test_rubbish(self) -> None:
        @FEW
        @given(mutated(st.sampled_from(OCTETS)) | st.binary(max_size=60))
        def rubbish(octets: bytes) -> None:
            self.refused_or_exact(roaming.hop_again, octets)

        rubbish()

    def test_each_extension_is_there_once_and_in_its_place(self) -> None:
        for octets in OCTETS:
            parts = self.extensions(octets)
            for one in range(len(parts)):
                for order in (
                    [*parts[:one], *parts[one + 1 :]],
                    [*parts[:one], parts[one], *parts[one:]],
                    [*parts[:one], *parts[one + 1 : one + 2], parts[one], *parts[one + 2 :]],
                ):
                    if order != parts:
                        self.assertRaises(Malformed, hop.decode_hop, octets[:16] + b"".join(order))

    def extensions(self, octets: bytes) -> list[bytes]:
        found, at = [], 16
        while at < len(octets):
            end = at + 4 + int.from_bytes(octets[at + 2 : at + 4], "big")
            found.append(octets[at:end])
            at = end
        return found

    def test_kinds_that_are_not_said_over_hops(self) -> None:
        for kind in Kind:
            if kind is not Kind.VERSIONS and kind not in BY_KIND:
                octets = encode_header(Header(kind, answer_of(kind), 1, 0))
                self.refused(octets, "Kind", 2)

    def test_headers(self) -> None:
        for octets in OCTETS:
            self.refused(with_octets(octets, 1, bytes((octets[1] ^ 1,))), "Flags", 1)
            self.refused(with_octets(octets, 15, b"\1"), "SPI", 12)
            self.refused(with_octets(octets, 0, b"\1"), "Type", 0)
            self.assertRaises(UnsupportedVersion, hop.decode_hop, with_octets(octets, 1, b"\x20"))

    def test_sizes(self) -> None:
        room = MAX_HOP_MESSAGE - 20
        full = hop.Relayed(1, bytes(room))
        self.assertEqual(len(hop.encode_hop(full)), 16384)
        self.assertEqual(hop.decode_hop(hop.encode_hop(full)), full)
        self.assertRaises(ApiMisuse, hop.encode_hop, hop.Relayed(1, bytes(room + 1)))
        self.refused(header(18, answer=True) + general(42, bytes(room + 1)), "message", 0)
        for size in range(16):
            self.refused(OCTETS[0][:size], "message", 0)

    def test_unknown_extensions(self) -> None:
        for octets in OCTETS:
            if len(octets) > 16:
                self.assertRaises(PeerIncompatible, hop.decode_hop, with_octets(octets, 17, b"\xc8"))
                self.refused(with_octets(octets, 16, b"\x7e"), "Type", 16)

    def test_routes(self) -> None:
        octets = BY_KIND[Kind.TRACE]
        self.refused(with_octets(octets, 20, b"\x09"), "Hops", 20)
        self.refused(with_octets(octets, 39, b"\x0b"), "Count", 39)
        self.refused(with_octets(octets, 26, b"x"), "Home agent", 21)
        self.refused(with_octets(octets, 46, b"x"), "NAI", 40)
        names = ("a@b",) * 10
        longest = hop.Trace(1, hop.Route(8, HOME, names), ())
        self.assertEqual(hop.decode_hop(hop.encode_hop(longest)), longest)
        for wrong in (hop.Route(9, HOME, ()), hop.Route(-1, HOME, ()), hop.Route(8, HOME, (*names, "a@b"))):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Trace(1, wrong, ()))
        for wrong in (hop.Route(8, "home", ()), hop.Route(8, HOME, ("a@b@c",))):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Trace(1, wrong, ()))

    def test_traces(self) -> None:
        octets = BY_KIND[Kind.TRACED]
        self.refused(with_octets(octets, 20, b"\x0b"), "Count", 20)
        self.refused(with_octets(octets, 38, b"\3"), "Security", 38)
        for security in Security:
            read = hop.decode_hop(with_octets(octets, 38, bytes((security,))))
            assert isinstance(read, hop.Traced)
            self.assertEqual(read.hops[0].security, security)
        one = hop.TracedHop("a@b", Security.NONE, 0)
        for wrong in ((one,) * 11, (evolve(one, microseconds=1 << 32),), (evolve(one, nai=""),)):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Traced(1, wrong))

    def test_the_largest_registration_fits_with_the_longest_route(self) -> None:
        name = "n" * 126 + "@" + "r" * 126
        route = hop.Route(8, name, (name,) * 10)
        # Request, shares and certificates at their longest, two offers of 400 octets each.
        message = bytes(4096 + 2354 + 34 + 2 * 410 + 10 + 6144 + 9 + 82)
        relay = hop.Relay(1, route, message)
        self.assertEqual(hop.decode_hop(hop.encode_hop(relay)), relay)


def answer_of(kind: Kind) -> bool:
    requests = (Kind.OFFER, Kind.CONFIRM, Kind.ABANDON, Kind.PROBE, Kind.DELETE, Kind.SOLICITATION, Kind.REVOCATION)
    return kind not in requests


class KeyingTests(FormCase):
    """What passes between home agents and key distribution centers."""

    def refused(self, octets: bytes, field: str, offset: int) -> None:
        self.broken(hop.decode_hop, octets, field, offset)

    def test_key_requests(self) -> None:
        octets = BY_KIND[Kind.KEYS]
        for mode in range(4):
            changed = with_octets(octets, 20, bytes((mode,)))
            if mode in (1, 2):
                read = hop.decode_hop(changed)
                assert isinstance(read, hop.Keys)
                self.assertEqual(read.request.mode, mode)
            else:
                self.refused(changed, "Mode", 20)
        self.refused(with_octets(octets, 21, b"\1"), "Reserved", 21)
        self.refused(with_octets(octets, 65, b"x"), "node", 60)
        good = KeyRequest(Keying.STATEFUL, 300, 1, bytes(32), NODE, AGENT)
        for wrong in (
            evolve(good, mode=Keying.STATELESS),
            evolve(good, digest=bytes(31)),
            evolve(good, node="n" * 120 + "@" + "r" * 8),
            evolve(good, agent="agent"),
            evolve(good, lifetime=1 << 16),
        ):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Keys(1, wrong))

    def test_a_nodes_name_has_its_own_limit(self) -> None:
        name = b"n" * 120 + b"@" + b"r" * 8
        data = bytes.fromhex("01 00 012c 00000001") + bytes(32) + bytes((len(name),)) + name + b"\3a@b"
        self.refused(header(20, answer=False) + general(44, data), "node", 60)

    def test_key_material(self) -> None:
        octets = BY_KIND[Kind.ISSUED]
        for mode, count in ((0, 3), (1, 1), (2, 3), (3, 3), (1, 0), (1, 255)):
            self.refused(with_octets(octets, 20, bytes((mode, count))), "Count", 20)
        seed = hop.Issued(1, KeyMaterial(Keying.SEMI_STATEFUL, (pattern(32),)))
        self.assertEqual(hop.decode_hop(hop.encode_hop(seed)), seed)
        for wrong in (
            KeyMaterial(Keying.SEMI_STATEFUL, (bytes(32),) * 3),
            KeyMaterial(Keying.STATEFUL, (bytes(32),)),
            KeyMaterial(Keying.STATELESS, ()),
            KeyMaterial(Keying.SEMI_STATEFUL, (bytes(31),)),
        ):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Issued(1, wrong))

    def test_node_requests(self) -> None:
        octets = BY_KIND[Kind.NODES]
        for most in (0, 65, 0xFFFF):
            self.refused(with_octets(octets, 28, most.to_bytes(2, "big")), "Most", 28)
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Nodes(1, NodeQuery(0, most), ()))
        every = hop.Nodes(1, NodeQuery(0, 1), ())
        self.assertEqual(hop.decode_hop(hop.encode_hop(every)), every)
        self.refused(header(23, answer=False) + general(46, bytes(8) + b"\0\1\1"), "node", 30)

    def test_home_keys(self) -> None:
        keys = tuple(HomeKey(Kem.X25519_ML_KEM_768, at, bytes(1216)) for at in range(8))
        most = hop.Nodes(1, NodeQuery(0, 1), keys)
        self.assertEqual(hop.decode_hop(hop.encode_hop(most)), most)
        self.assertRaises(ApiMisuse, hop.encode_hop, hop.Nodes(1, NodeQuery(0, 1), (*keys, keys[0])))

    def test_node_entries(self) -> None:
        octets = BY_KIND[Kind.ENTRIES]
        self.refused(with_octets(octets, 28, b"\2"), "More", 28)
        self.refused(with_octets(octets, 29, bytes((0, 65))), "Count", 29)
        for flags in range(256):
            changed = with_octets(octets, 39, bytes((flags,)))
            if flags < 3:
                read = hop.decode_hop(changed)
                assert isinstance(read, hop.Entries)
                entry = read.entries.entries[0]
                self.assertEqual((entry.enabled, entry.deleted, entry.revoked), (flags == 1, flags == 2, False))
            elif flags == 4:
                self.refused(changed, "root_0", 70)
            else:
                self.refused(changed, "Flags", 39)
        longest = "n" * 120 + "@" + "r" * 7
        entry = NodeEntry(1, False, False, 1, longest, bytes(32), bytes(32))
        most = hop.Entries(1, NodeEntries(1, False, (entry,) * 64))
        self.assertEqual(hop.decode_hop(hop.encode_hop(most)), most)
        for wrong in (
            (entry,) * 65,
            (evolve(entry, enabled=True, deleted=True),),
            (evolve(entry, enabled=True, revoked=True),),
            (evolve(entry, deleted=True, revoked=True),),
            (evolve(entry, revoked=True, chain=pattern(32)),),
            (evolve(entry, until=1 << 64),),
            (evolve(entry, node=longest + "r"),),
            (evolve(entry, root=bytes(31)),),
            (evolve(entry, chain=bytes(33)),),
            (evolve(entry, kvno=1 << 32),),
            (evolve(entry, home_agent="home"),),
        ):
            self.assertRaises(ApiMisuse, hop.encode_hop, hop.Entries(1, NodeEntries(1, False, wrong)))

    def test_where_a_node_is_at_home(self) -> None:
        octets = BY_KIND[Kind.ENTRIES]
        read = hop.decode_hop(octets)
        assert isinstance(read, hop.Entries)
        self.assertEqual([entry.home_agent for entry in read.entries.entries], ["", HOME, ""])
        at = octets.index(HOME.encode())
        self.refused(with_octets(octets, at + 4, b"x"), "home agent", at - 1)

    def test_keys_are_issued_as_they_were_kept(self) -> None:
        octets = BY_KIND[Kind.ISSUED]
        self.assertEqual(hop.encode_issued(IDENTIFICATION, octets[20:]), octets)

    def test_keys_and_messages_are_not_shown(self) -> None:
        for message in roaming.HOP_MESSAGES:
            for secret in (pattern(32, 1), pattern(32, 2), pattern(32, 3), roaming.agent_request(Kem.X25519)):
                self.assertNotIn(repr(secret), repr(message))

    def test_reasons(self) -> None:
        octets = header(22, answer=True) + detail(273, b"a\x07b")
        self.refused(octets, "text", 24)
        self.assertRaises(ApiMisuse, hop.encode_hop, hop.NotIssued(1, Detail(1, 0, 0, "x" * 513)))
        self.assertRaises(Malformed, hop.decode_hop, header(22, answer=True) + detail(1, b"x" * 513))
