"""A capture of registrations, as tshark's own Mobile IP dissector reads it.

It names every extension, finds each field where docs/registration.md has it,
and nothing malformed. General messages are of an experimental type that it does
not know, so advertisements go to a port of their own here, as plain data.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.wire.advertisement import encode_advertisement, encode_solicitation
from seckex.wire.frames import Address
from seckex.wire.mobileip import decode_home_reply, decode_node_request, encode_node_request, with_cookie
from seckex.wire.numbers import (
    CHALLENGE_EXTENSION,
    ENTERPRISE,
    MN_HA_AUTHENTICATION,
    VENDOR_EXTENSION,
    ExtensionSub,
    Kem,
)
from tests.wire import roaming

TSHARK: Final = shutil.which("tshark")
MOBILE_IP: Final = 434
OTHER: Final = 4434
RAW_IP: Final = 101  # LINKTYPE_RAW

Sub = ExtensionSub
OF_REQUEST: Final = (
    *(Sub.REGISTRATION, Sub.NAI, Sub.NAI, Sub.IP, Sub.NODE_SHARES),
    *(Sub.SA_PAYLOAD, Sub.SA_PAYLOAD, Sub.PADDING, Sub.IDENTITY_BLOCK),
)
OF_AGENT: Final = (
    *(Sub.AGENT_SHARES, Sub.IP, Sub.AGENT_PORT, Sub.SA_PAYLOAD, Sub.SA_PAYLOAD, Sub.CERTIFICATES, Sub.SIGNATURE),
)
OF_HOME: Final = (Sub.HOME_SHARE, Sub.SEALED_ANSWER, Sub.AGENT_SECRETS, Sub.CERTIFICATES, Sub.SIGNATURE)
OF_REPLY: Final = (Sub.AGENT_SHARES, Sub.HOME_SHARE, Sub.SEALED_ANSWER)


def checksum(octets: bytes) -> int:
    """Return the checksum of the Internet (RFC 1071)."""
    total: int = sum(struct.unpack(f">{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(payload: bytes, port: int, source: Address, destination: Address) -> bytes:
    """Return an IP packet with a UDP datagram."""
    size = 8 + len(payload)
    addresses = source.packed + destination.packed
    udp = struct.pack(">HHHH", 40000, port, size, 0)
    summed = checksum(addresses + struct.pack(">IHH", size, 0, 17) + udp + payload) or 0xFFFF
    body = udp[:6] + struct.pack(">H", summed) + payload
    if isinstance(source, IPv6Address):
        return struct.pack(">IHBB", 6 << 28, size, 17, 64) + addresses + body
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 1, 0, 64, 17)
    return start + struct.pack(">H", checksum(start + bytes(2) + addresses)) + addresses + body


def capture(messages: list[tuple[bytes, int]], source: Address, destination: Address) -> bytes:
    """Return a file of captured packets, one second after the other."""
    found = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
    for second, (payload, port) in enumerate(messages, start=1_700_000_000):
        packet = datagram(payload, port, source, destination)
        found += struct.pack("<IIII", second, 0, len(packet), len(packet)) + packet
    return found


class TsharkTests(SynchronousTestCase):
    if TSHARK is None:
        skip = "tshark is not installed"

    IPV4 = (IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"))
    IPV6 = (IPv6Address("2001:db8::10"), IPv6Address("2001:db8::1"))

    def read(
        self, *messages: bytes, port: int = MOBILE_IP, addresses: tuple[Address, Address] = IPV4
    ) -> list[ElementTree.Element]:
        """Have tshark read a capture of ``messages``; return the packets as it takes them apart."""
        assert TSHARK is not None
        file = Path(self.mktemp())
        file.write_bytes(capture([(octets, port) for octets in messages], *addresses))
        command = [TSHARK, "-n", "-r", str(file), "-d", f"udp.port=={MOBILE_IP},mip", "-T", "pdml"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        packets = list(ElementTree.fromstring(done.stdout).iter("packet"))  # noqa: S314  # tshark's, about our own octets
        self.assertEqual(len(packets), len(messages))
        return packets

    def sound(self, packets: list[ElementTree.Element]) -> None:
        """Insist that every packet is Mobile IP, with nothing malformed, doubtful or unknown."""
        for packet in packets:
            self.assertEqual([proto.get("name") for proto in packet.iter("proto")][-1], "mip")
            for element in packet.iter():
                self.assertNotIn("_ws.", element.get("name", ""))
                self.assertNotIn("nknown", element.get("showname", ""))

    def shown(self, packet: ElementTree.Element, name: str) -> list[str]:
        """Return what tshark shows for each field of this name."""
        return [field.get("show", "") for field in packet.iter("field") if field.get("name") == name]

    def octets(self, packet: ElementTree.Element, name: str) -> list[bytes]:
        """Return the octets of each field of this name."""
        return [bytes.fromhex(field.get("value", "")) for field in packet.iter("field") if field.get("name") == name]

    def subs(self, packet: ElementTree.Element) -> list[int]:
        """Return the sub-types of all vendor extensions, which are all ours."""
        self.assertEqual(set(self.shown(packet, "mip.ext.cvse.vendor_id")), {str(ENTERPRISE)})
        return [int(show, 16) for show in self.shown(packet, "mip.ext.cvse.vendor_type")]

    def test_requests(self) -> None:
        requests = [roaming.request(kem) for kem in Kem]
        packets = self.read(*requests, with_cookie(requests[0], roaming.pattern(37)))
        self.sound(packets)
        kinds = [VENDOR_EXTENSION] * 10 + [MN_HA_AUTHENTICATION]
        kinds[4] = CHALLENGE_EXTENSION
        for packet, more in zip(packets, ([], [], [VENDOR_EXTENSION]), strict=True):
            said = [self.shown(packet, f"mip.{name}") for name in ("type", "life", "homeaddr", "haaddr", "coa")]
            self.assertEqual(said, [["1"], ["300"], ["0.0.0.0"], ["0.0.0.0"], ["192.0.2.1"]])
            self.assertEqual(list(map(int, self.shown(packet, "mip.ext.type"))), kinds + more)
            self.assertEqual(self.subs(packet), [*OF_REQUEST, *([Sub.COOKIE] if more else [])])

    def test_where_fields_are(self) -> None:
        octets = roaming.request(Kem.X25519)
        read = decode_node_request(octets)
        (packet,) = self.read(octets)
        data = self.octets(packet, "mip.ext.cvse.vendor_value")
        self.assertEqual((data[1][8:], data[2][8:]), (read.agent.encode(), read.home_agent.encode()))
        self.assertEqual(data[4], read.x + read.ciphertext)
        self.assertEqual(data[8][8:], read.sealed)
        self.assertEqual(self.octets(packet, "mip.extension"), [read.challenge])
        self.assertEqual(self.octets(packet, "mip.auth.spi"), [read.spi.to_bytes(4, "big")])
        self.assertEqual(self.octets(packet, "mip.auth.auth"), [read.mac])
        self.assertEqual(self.octets(packet, "mip.ident"), [read.header.identification.to_bytes(8, "big")])
        kinds, sizes = (list(map(int, self.shown(packet, f"mip.ext.{name}"))) for name in ("type", "len"))
        whole = [size + (4 if kind == VENDOR_EXTENSION else 2) for kind, size in zip(kinds, sizes, strict=True)]
        self.assertEqual(24 + sum(whole), 1152)

    def test_replies_of_home_agents_and_what_agents_pass_on(self) -> None:
        ways = [(kem, code) for kem in Kem for code in (0, 128)]
        replies = [*(roaming.home_reply(*way) for way in ways), *(roaming.node_reply(*way) for way in ways)]
        packets = self.read(*replies)
        self.sound(packets)
        for at, packet in enumerate(packets):
            said = [self.shown(packet, f"mip.{name}") for name in ("type", "code", "life", "homeaddr", "haaddr")]
            expected = ["3", "128", "0"] if at % 2 else ["3", "0", "300"]
            self.assertEqual(said, [[one] for one in (*expected, "0.0.0.0", "0.0.0.0")])
            self.assertEqual(self.subs(packet), list(OF_HOME if at < len(ways) else OF_REPLY))
        sealed = decode_home_reply(replies[0]).sealed
        self.assertEqual(self.octets(packets[0], "mip.ext.cvse.vendor_value")[1], sealed)
        self.assertEqual(self.octets(packets[4], "mip.ext.cvse.vendor_value")[2], sealed)

    def test_an_agents_own_refusal(self) -> None:
        packets = self.read(roaming.refusal())
        self.sound(packets)
        self.assertEqual((self.shown(packets[0], "mip.code"), self.subs(packets[0])), (["106"], [Sub.DETAIL]))
        names = [field.get("showname", "") for field in packets[0].iter("field") if field.get("name") == "mip.code"]
        self.assertIn("Stale Challenge", names[0])

    def test_what_an_agent_adds(self) -> None:
        packets = self.read(*(roaming.agent_request(kem) for kem in Kem))
        self.sound(packets)
        for packet in packets:
            self.assertEqual(self.subs(packet), [*OF_REQUEST, *OF_AGENT])

    def test_over_ipv6(self) -> None:
        parts = evolve(roaming.parts_of(Kem.X25519), care_of=self.IPV6[1], flags=0x80)
        octets = encode_node_request(parts, lambda _: bytes(272), lambda _: bytes(16))
        packets = self.read(octets, roaming.node_reply(Kem.X25519), addresses=self.IPV6)
        self.sound(packets)
        self.assertIn(self.shown(packets[0], "mip.s"), (["1"], ["True"]))
        self.assertEqual(self.shown(packets[0], "mip.coa"), ["0.0.0.0"])

    def test_advertisements_are_data_to_it(self) -> None:
        said = (encode_solicitation(1), encode_advertisement(1, roaming.ADVERTISEMENT))
        for packet, octets in zip(self.read(*said, port=OTHER), said, strict=True):
            self.assertEqual(self.octets(packet, "data.data"), [octets])
            self.assertEqual([one for one in packet.iter() if "_ws." in one.get("name", "")], [])

    def test_what_is_malformed_would_be_found(self) -> None:
        packets = self.read(roaming.request(Kem.X25519)[:-8])
        self.assertRaises(self.failureException, self.sound, packets)
