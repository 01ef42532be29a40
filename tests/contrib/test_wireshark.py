"""contrib/wireshark: captures of conversations, as tshark takes them apart with the dissector.

What is captured was said by nodes, agents, home agents and links of this
program, and stands in packets of the tests' own making, so that no privilege is
needed. Nothing that is captured makes the dissector fail, be it ours or rubbish.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import struct
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.crypto.keylog import link_line
from seckex.crypto.suites import new_aead
from seckex.wire import numbers
from seckex.wire.extensions import (
    Authenticator,
    Clock,
    Cookie,
    Detail,
    Exchange,
    IpExtension,
    Layer2Extension,
    NaiExtension,
    Padding,
    ProposalPayloadExtension,
    RequestDigest,
    SaPayloadExtension,
    SealedExtension,
    SealedIdentity,
)
from seckex.wire.general import Header, encode_message, encode_versions
from seckex.wire.hop import encode_hop
from seckex.wire.numbers import Code, ExtensionSub, Kem, Keying, Kind, Suite
from seckex.wire.payloads import (
    Attribute,
    KeyExchange,
    Proposal,
    SaPayload,
    Transform,
    UnknownPayload,
    UserKeyExchange,
    encode_proposal,
    encode_sa,
)
from tests.config.written import write_credentials
from tests.contrib.capture import LUA, PORT, TSHARK, Capture, Connection, dissected, run
from tests.conversation import CHACHA, ConversationCase, policy, sealing
from tests.dialog.parts import SALT_I, SALT_R, Pair, Program, Side, association, new_id, schedule
from tests.exchange.certified import CertifiedCase
from tests.pump import Network
from tests.roaming.world import Shape, World
from tests.wire import roaming

README: Final = LUA.parent / "README.md"
NOT_THERE: Final = "tshark is not installed"
ALPN: Final = "seckex1-hop"
CANNOT_OPEN: Final = "this tshark has no ciphers for Lua: Debian's lua-luaossl is not installed"

#: Fields that show numbers by names, and where the program has these.
NAMED: Final[Mapping[str, type[IntEnum]]] = {
    "seckex.kind": Kind,
    "seckex.ext.sub": ExtensionSub,
    "seckex.nai.content": numbers.NaiContent,
    "seckex.ip.content": numbers.IpContent,
    "seckex.layer2.content": numbers.Layer2Content,
    "seckex.sa_info.content": numbers.SaContent,
    "seckex.payload.type": numbers.PayloadType,
    "seckex.sa.sub": numbers.SaSubType,
    "seckex.key_exchange.sub": numbers.KeyExchangeSub,
    "seckex.proposal.protocol": numbers.ProtocolId,
    "seckex.registration.kem": Kem,
    "seckex.keying": Keying,
    "seckex.trace.security": numbers.Security,
    "seckex.record.suite": Suite,
    "seckex.dialog.type": numbers.RecordType,
    "seckex.passage.hop": numbers.Hop,
}

Element = ElementTree.Element


def shown(packet: Element, name: str) -> list[str]:
    """Return what is shown for each field of this name, in order."""
    return [field.get("show", "") for field in packet.iter("field") if field.get("name") == f"seckex.{name}"]


def values(packet: Element, name: str) -> list[bytes]:
    """Return the octets of each field of this name."""
    fields = (field for field in packet.iter("field") if field.get("name") == f"seckex.{name}")
    return [bytes.fromhex(field.get("value", "")) for field in fields]


def ours(packets: Iterable[Element]) -> list[Element]:
    """Return the packets in which something is ours."""
    return [packet for packet in packets if any(proto.get("name") == "seckex" for proto in packet.iter("proto"))]


def texts(packet: Element) -> list[str]:
    """Return all that is shown to people."""
    return [each.get("showname", "") for each in packet.iter()]


def of_ours(packet: Element) -> list[str]:
    """Return what is shown of our fields."""
    return [each.get("showname", "") for each in packet.iter("field") if each.get("name", "").startswith("seckex.")]


class WiresharkCase(SynchronousTestCase):
    if TSHARK is None:
        skip = NOT_THERE

    def file(self, octets: bytes) -> Path:
        """Return a new file with these octets."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        return path

    def read(self, capture: Capture, *options: str, **preferences: str) -> list[Element]:
        """Return the packets of a capture in which something is ours."""
        chosen = {f"seckex.{name}": value for name, value in preferences.items()}
        return ours(dissected(self.file(capture.octets()), *options, preferences=chosen))

    def assertSound(self, packets: Iterable[Element]) -> None:
        """Insist that nothing is malformed, and that nothing went wrong in Lua."""
        for packet in packets:
            for text in texts(packet):
                for trouble in ("alformed", "Lua Error", "Cut short", "Nothing begins"):
                    self.assertNotIn(trouble, text)


class DocumentTests(WiresharkCase):
    """Names of fields and numbers are those of the documents."""

    def test_every_field_is_in_the_readme_and_every_one_there_exists(self) -> None:
        listed = [line.split("\t") for line in run("-G", "fields").decode().splitlines()]
        there = {line[2] for line in listed if line[0] == "F" and line[2].startswith("seckex.")}
        lines = README.read_text(encoding="utf-8").partition("## Fields")[2].splitlines()
        told = {line.split("`")[1] for line in lines if line.startswith("| `seckex.")}
        self.assertEqual(there, told)

    def test_numbers_have_the_programs_names(self) -> None:
        found: dict[str, dict[int, str]] = {}
        for line in run("-G", "values").decode().splitlines():
            words = line.split("\t")
            if words[0] == "V" and words[1].startswith("seckex."):
                found.setdefault(words[1], {})[int(words[2])] = words[3]
        for field, names in NAMED.items():
            self.assertEqual(found[field], {each.value: each.name for each in names}, field)
        for field in ("detail.code", "notice.code", "passage.code"):
            self.assertEqual(found[f"seckex.{field}"], {code.value: code.label for code in Code})


def recorded(network: Network) -> Capture:
    """Return what was said, datagrams to the port of the one who answers, and one connection for all of TCP."""
    capture = Capture()
    connection: Connection | None = None
    first = next(iter(network.hosts))
    for datagram in network.sent:
        asks = datagram.source._replace(tcp=False) == first
        if not datagram.source.tcp:
            capture.datagram(datagram.octets, answers=not asks)
            continue
        connection = connection or capture.connection()
        framed = struct.pack(">H", len(datagram.octets)) + datagram.octets
        (connection.caller if asks else connection.callee)(framed)
    return capture


class NegotiationTests(WiresharkCase, ConversationCase):
    """General messages by UDP."""

    def test_a_negotiation_with_a_counter_offer(self) -> None:
        both = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1)
        self.established(*self.pair(both, CHACHA))
        packets = self.read(recorded(self.network))
        self.assertSound(packets)
        kinds = [Kind(int(shown(packet, "kind")[0])).name for packet in packets]
        self.assertEqual(kinds, ["OFFER", "COUNTER", "OFFER", "CHOICE", "CONFIRM", "CONFIRMED"])
        offer, counter, _, choice, confirm, _ = packets
        self.assertEqual(shown(offer, "nai.content"), ["0", "2"])
        self.assertEqual(shown(offer, "ext.sealed"), ["1", "1"])
        self.assertEqual(shown(offer, "proposal.protocol"), ["2", "1", "4", "3"])
        self.assertEqual(shown(offer, "transform.encryption"), ["20"])
        self.assertEqual((shown(offer, "attribute.type"), shown(offer, "attribute.value")), (["14"], ["256"]))
        self.assertEqual(shown(offer, "key_exchange.group"), ["31"])
        self.assertEqual(len(values(offer, "key_exchange.value")[0]), 32)
        self.assertEqual(shown(counter, "detail.code"), [str(int(Code.COUNTER_OFFER))])
        self.assertEqual(shown(choice, "transform.encryption"), ["28"])
        self.assertEqual(shown(choice, "transform.prf"), ["5"])
        self.assertEqual(shown(choice, "proposal.lifetime"), ["3600"] * 4)
        self.assertEqual(len(values(confirm, "authenticator.mac")[0]), 32)
        self.assertIn("Encryption: ChaCha20-Poly1305 (28)", texts(choice))
        self.assertEqual([int(shown(packet, "answer")[0]) for packet in packets], [0, 1, 0, 1, 0, 1])

    def test_on_another_port_it_is_known_by_its_looks_or_by_preference(self) -> None:
        self.established(*self.pair())
        said = [datagram.octets for datagram in self.network.sent]
        capture = Capture()
        for octets in said:
            capture.datagram(octets, port=45555)
        self.assertEqual(len(self.read(capture)), len(said))
        rubbish = Capture()
        rubbish.datagram(b"\xff\x00" + bytes(30), port=45555)
        self.assertEqual(self.read(rubbish), [])
        self.assertEqual(len(self.read(rubbish, ports="45000-46000")), 1)
        self.assertEqual(len(self.read(rubbish, "-d", "udp.port==45555,seckex")), 1)


class CertifiedTests(WiresharkCase, CertifiedCase):
    """General messages over TCP."""

    def test_an_exchange_by_certificates(self) -> None:
        self.wanted(*self.certified())
        packets = self.read(recorded(self.network))
        self.assertSound(packets)
        said = [Kind(int(kind)).name for packet in packets for kind in shown(packet, "kind")]
        self.assertEqual(said, ["OFFER", "CHOICE", "CONFIRM", "CONFIRMED"])
        self.assertTrue(all(shown(packet, "length") for packet in packets))
        sealed = [values(packet, "identity") for packet in packets]
        self.assertEqual([len(each) for each in sealed], [0, 1, 1, 0])


class MessageTests(WiresharkCase):
    """Whatever a message can have."""

    def messages(self, *said: bytes) -> list[Element]:
        capture = Capture()
        for octets in said:
            capture.datagram(octets)
        packets = self.read(capture)
        self.assertSound(packets)
        self.assertEqual(len(packets), len(said))
        return packets

    def test_every_extension_and_payload_of_a_negotiation(self) -> None:
        (packet,) = self.messages(encode_message(HEADER, EVERYTHING))
        self.assertEqual(len(shown(packet, "ext.sub")), len(EVERYTHING))
        self.assertEqual(shown(packet, "identification"), [f"0x{roaming.IDENTIFICATION:016x}"])
        self.assertEqual((shown(packet, "ipv4"), shown(packet, "ipv6")), (["10.0.0.1"], ["2001:db8::1"]))
        self.assertEqual(values(packet, "layer2"), [b"\2abcde"])
        self.assertEqual(shown(packet, "transform.encryption"), ["20", "20"])
        self.assertEqual(shown(packet, "transform.group"), ["1025"])
        self.assertEqual(shown(packet, "proposal.bundle"), ["0", "9", "0"])
        self.assertEqual(shown(packet, "key_exchange.group"), ["1025", "31"])
        self.assertEqual(values(packet, "key_exchange.p"), [b"\xff\x03"])
        self.assertEqual(shown(packet, "payload.type").count("9"), 1)
        self.assertEqual(shown(packet, "detail.text"), ["why"])
        self.assertEqual(len(shown(packet, "clock")), 1)
        self.assertEqual(values(packet, "cookie"), [b"cookie"])

    def test_versions(self) -> None:
        (packet,) = self.messages(encode_versions(bytes((255, 0x20)) + bytes(62), (1, 3)) or b"")
        self.assertEqual((shown(packet, "kind"), shown(packet, "versions")), (["0"], ["1", "3"]))

    def test_what_centers_and_home_agents_say(self) -> None:
        said = {type(each).__name__: each for each in roaming.HOP_MESSAGES}
        names = ("Keys", "Issued", "Nodes", "Entries", "Traced")
        keys, issued, nodes, entries, traced = self.messages(*(encode_hop(said[name]) for name in names))
        self.assertEqual((shown(keys, "keying"), shown(keys, "agent")), (["1"], [roaming.AGENT]))
        self.assertEqual(len(values(issued, "secret")), 3)
        self.assertEqual([len(octets) for octets in values(nodes, "home_key")], [32, 1216])
        self.assertEqual(shown(entries, "entries.serial"), ["22", "18", "20", "22"])
        self.assertEqual(shown(entries, "entry.revoked"), ["0", "0", "1"])
        self.assertEqual(shown(entries, "home_agent"), [roaming.HOME])
        self.assertEqual(shown(traced, "trace.security"), ["2", "1"])
        self.assertEqual(shown(traced, "trace.microseconds"), ["1234", "0"])

    def test_revocations(self) -> None:
        revocation, revoked = self.messages(roaming.signed(roaming.REVOCATION), roaming.signed(roaming.REVOKED))
        self.assertEqual(shown(revocation, "revocation.reason"), [str(int(roaming.REVOCATION.reason))])
        self.assertEqual(shown(revocation, "revocation.spi"), ["0x00004000"])
        self.assertIn(".123456000", shown(revocation, "revocation.time")[0])
        self.assertEqual(values(revoked, "digest"), [roaming.REVOKED.digest])


class RegistrationTests(WiresharkCase):
    """A roaming network: what goes by radio, and what is said over hops, once it is out of TLS."""

    def world(self, **how: object) -> World:
        world = World(Shape(**how)).start()  # type: ignore[arg-type]  # the fields of a shape
        world.network.run(20)
        return world

    def read_radio(self, world: World) -> list[Element]:
        capture = Capture()
        connections: dict[object, Connection] = {}
        for each in world.network.sent:
            asks = each.octets[0] == numbers.REGISTRATION_REQUEST or each.octets[1] == 0x10
            if not each.source.tcp:
                capture.datagram(each.octets, answers=not asks)
                continue
            pair = frozenset((each.source.host, each.destination.host))
            connection = connections.setdefault(pair, capture.connection())
            framed = struct.pack(">H", len(each.octets)) + each.octets
            (connection.caller if asks else connection.callee)(framed)
        packets = self.read(capture)
        self.assertSound(packets)
        return packets

    def registered(self, kem: Kem) -> None:
        packets = self.read_radio(self.world(kem=kem))
        requests = [packet for packet in packets if ExtensionSub.NODE_SHARES in self.subs(packet)]
        replies = [packet for packet in packets if ExtensionSub.SEALED_ANSWER in self.subs(packet)]
        self.assertTrue(requests and replies)
        for packet in (*requests, *replies):
            self.assertIn("mip", [proto.get("name") for proto in packet.iter("proto")])
        request, reply = requests[0], replies[0]
        self.assertEqual(shown(request, "registration.kem"), [str(int(kem))])
        self.assertEqual(shown(request, "nai"), ["north@visited.example", "ha@home.example"])
        self.assertEqual(shown(request, "ipv4"), ["198.51.100.1"])
        self.assertEqual(len(set(shown(request, "registration.spi"))), 1)
        self.assertEqual(len(shown(request, "registration.spi")), 3)
        self.assertEqual(shown(request, "sa.sub"), ["1", "2"])
        self.assertEqual(len(values(request, "share.x")[0]), 32 if kem is Kem.X25519 else 1216)
        self.assertEqual(len(values(request, "challenge")[0]), 16)
        self.assertEqual(len(values(reply, "sealed_answer")[0]), 656 if kem is Kem.X25519 else 2064)
        self.assertEqual(len(values(reply, "share.y")[0]), 32 if kem is Kem.X25519 else 1120)

    def subs(self, packet: Element) -> list[int]:
        return [int(sub) for sub in shown(packet, "ext.sub")]

    def test_by_udp(self) -> None:
        self.registered(Kem.X25519)

    def test_the_hybrid_over_tcp(self) -> None:
        self.registered(Kem.X25519_ML_KEM_768)

    def test_advertisements(self) -> None:
        packets = self.read_radio(self.world())
        (first, *_) = [packet for packet in packets if shown(packet, "advertisement.nai")]
        self.assertEqual(shown(first, "advertisement.nai"), ["north@visited.example"])
        self.assertEqual(shown(first, "advertisement.domain"), ["visited.example"])
        self.assertEqual(shown(first, "advertisement.registration_required"), ["1"])
        self.assertEqual(shown(first, "ipv4"), ["198.51.100.1"])

    def test_over_hops(self) -> None:
        world = self.world(topology="aaa", keying=Keying.STATEFUL)
        capture = Capture()
        connections: dict[frozenset[str], tuple[Connection, str]] = {}
        for each in world.network.told:
            pair = frozenset((each.sender, each.receiver))
            if pair not in connections:
                connections[pair] = capture.connection(), each.sender
                connections[pair][0].callee(b"\0\0")
            connection, caller = connections[pair]
            framed = struct.pack(">H", len(each.octets)) + each.octets
            (connection.caller if each.sender == caller else connection.callee)(framed, 700)
        packets = self.read(capture)
        self.assertSound(packets)
        said = [int(kind) for packet in packets for kind in shown(packet, "kind")]
        self.assertEqual(len(said), len(world.network.told))
        kinds = {"RELAY", "RELAYED", "KEYS", "ISSUED", "NODES", "ENTRIES"}
        self.assertEqual({Kind(kind).name for kind in said} & kinds, kinds)
        relays = [packet for packet in packets if str(int(Kind.RELAY)) in shown(packet, "kind")]
        self.assertEqual(shown(relays[-1], "route.home_agent"), ["ha@home.example"])
        self.assertEqual(shown(relays[-1], "route.relayed")[0], "north@visited.example")
        self.assertIn(str(int(ExtensionSub.NODE_SHARES)), shown(relays[-1], "ext.sub"))
        self.assertTrue(values(relays[-1], "certificate"))
        self.assertTrue(any(shown(packet, "node") == ["wanderer-one@home.example"] for packet in packets))


class TlsTests(WiresharkCase):
    """Hops as they are on the wire, where Wireshark is given what opens their TLS."""

    def test_messages_inside_of_tls(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        write_credentials(folder, "agent", "agent@visited.example")
        said = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for context in said:
            context.set_alpn_protocols([ALPN])
        calling, called = said
        calling.check_hostname, calling.verify_mode = False, ssl.CERT_NONE
        calling.keylog_filename = str(folder / "tls.keys")
        called.load_cert_chain(folder / "agent.pem", folder / "agent.key")
        buffers = [ssl.MemoryBIO() for _ in range(4)]
        client = calling.wrap_bio(buffers[0], buffers[1])
        server = called.wrap_bio(buffers[2], buffers[3], server_side=True)
        capture = Capture()
        connection = capture.connection()

        def settle() -> None:
            for step in (client.do_handshake, server.do_handshake):
                with contextlib.suppress(ssl.SSLWantReadError):
                    step()
            while octets := buffers[1].read():
                connection.caller(octets)
                buffers[2].write(octets)
            while octets := buffers[3].read():
                connection.callee(octets)
                buffers[0].write(octets)

        for _ in range(4):
            settle()
        messages = [encode_hop(each) for each in roaming.HOP_MESSAGES]
        server.write(b"\0\0")
        client.write(b"".join(struct.pack(">H", len(octets)) + octets for octets in messages))
        settle()
        file = self.file(capture.octets())
        keys = {"tls.keylog_file": str(folder / "tls.keys")}
        # Known by the name that TLS has of it, on whatever port.
        packets = dissected(file, "-d", f"tcp.port=={PORT},tls", preferences=keys)
        kinds = [int(kind) for packet in packets for kind in shown(packet, "kind")]
        self.assertEqual(kinds, [int(each.kind) for each in roaming.HOP_MESSAGES])


class Recorded(Pair):
    """A link that is captured; ``say`` and ``answer`` are what carries it."""

    def __init__(self, say: Callable[[bytes], None], answer: Callable[[bytes], None], **how: object) -> None:
        self._say, self._answer = say, answer
        super().__init__(**how)  # type: ignore[arg-type]  # those of a pair

    def move(self, side: Side, most: int | None = None) -> int:
        octets = bytes(side.sent[:most])
        if octets:
            (self._say if side is self.i else self._answer)(octets)
        return super().move(side, most)

    def talk(self) -> None:
        """Ask for something and get it."""
        self.settle()
        dialog = self.i.link.open("web", new_id(), Program())
        self.settle()
        dialog.write(QUESTION)
        self.settle()
        self.r.offers[-1][0].write(ANSWER)
        self.settle()
        dialog.end()
        self.settle()
        self.i.link.close(text="done")
        self.settle()


def salt_of(suite: Suite, salt: bytes = SALT_I) -> bytes:
    """Return the salt of one end of a link of this suite: of who opens it unless said otherwise."""
    return bytes((suite,)) + salt[1:]


QUESTION: Final = b"GET /secret HTTP/1.1\r\n\r\n"
ANSWER: Final = b"the secret is in here\n" * 500


class LinkTests(WiresharkCase):
    """Links, sealed and opened."""

    def capture(self, suites: Iterable[Suite] = (Suite.AES_256_GCM,)) -> Capture:
        """Return a capture of one link of each of ``suites``, one after the other."""
        capture = Capture()
        for suite in suites:
            self.link(capture.connection(), suite)
        return capture

    def link(self, connection: Connection, suite: Suite) -> None:
        """Have one link talk over ``connection``."""
        Recorded(
            connection.caller,
            connection.callee,
            ours=association(suite),
            salt_i=salt_of(suite),
            salt_r=salt_of(suite, SALT_R),
        ).talk()

    def key_log(self, *suites: Suite) -> str:
        """Return the path of a key log of the links of ``suites``."""
        lines = (link_line(schedule(suite), salt_of(suite), salt_of(suite, SALT_R)) for suite in suites)
        return str(self.file("\n".join(("# keys", *lines, "")).encode()))

    def opened(self, capture: Capture, *options: str, **preferences: str) -> list[Element]:
        """Return the packets in which records end."""
        packets = self.read(capture, *options, **preferences)
        packets = [packet for packet in packets if shown(packet, "dialog.type")]
        if any("no ciphers for Lua" in text for packet in packets for text in texts(packet)):
            raise SkipTest(CANNOT_OPEN)
        return packets

    def test_sealed(self) -> None:
        packets = self.read(self.capture())
        self.assertSound(packets)
        packets = [packet for packet in packets if shown(packet, "dialog.type")]
        kinds = [numbers.RecordType(int(kind)).name for packet in packets for kind in shown(packet, "dialog.type")]
        self.assertEqual(kinds[:5], ["HELLO", "HELLO", "PING", "PONG", "OPEN"])
        self.assertEqual((kinds.count("DATA"), kinds[-1]), (2, "CLOSE"))
        first = packets[0]
        self.assertEqual(values(first, "record.salt"), [salt_of(Suite.AES_256_GCM)])
        self.assertEqual(shown(first, "kek.spi"), ["0x00001234"])
        self.assertEqual([shown(packets[1], "record.flags.from_responder"), shown(first, "hello.credit")], [["1"], []])
        self.assertTrue(any("no key log is configured" in text for text in texts(first)))
        self.assertEqual([text for packet in packets for text in shown(packet, "dialog.data")], [])

    def test_opened_with_the_key_log(self) -> None:
        packets = self.opened(self.capture(Suite), keylog=self.key_log(*Suite))
        self.assertSound(packets)
        each = len(packets) // len(Suite)
        for at, suite in enumerate(Suite):
            link = packets[at * each : (at + 1) * each]
            self.assertEqual(shown(link[0], "hello.credit"), ["65536"], suite)
            self.assertEqual([service for packet in link for service in shown(packet, "dialog.service")], ["web"])
            data = [octets for packet in link for octets in values(packet, "dialog.data")]
            self.assertEqual(data, [QUESTION, ANSWER])
            self.assertEqual(shown(link[-1], "notice.text"), ["done"])
            self.assertEqual(shown(link[-1], "notice.code"), [str(int(Code.SHUTTING_DOWN))])

    def test_read_twice_it_is_the_same(self) -> None:
        capture, keys = self.capture(), self.key_log(Suite.AES_256_GCM)
        once, twice = self.opened(capture, keylog=keys), self.opened(capture, "-2", keylog=keys)
        self.assertEqual(list(map(of_ours, once)), list(map(of_ours, twice)))

    def test_another_connection_between_the_same_ports(self) -> None:
        capture = Capture(self.capture().packets)
        self.link(capture.connection(), Suite.CHACHA20_POLY1305)
        packets = self.opened(capture, "-2", keylog=self.key_log(Suite.CHACHA20_POLY1305))
        self.assertSound(packets)
        data = [octets for packet in packets for octets in values(packet, "dialog.data")]
        self.assertEqual(data, [QUESTION, ANSWER])

    def test_with_the_keys_of_another_link(self) -> None:
        packets = self.opened(self.capture(), keylog=self.key_log(Suite.AES_128_GCM))
        self.assertSound(packets)
        self.assertTrue(any("does not have the keys of this link" in text for text in texts(packets[0])))

    def test_what_wiresharks_own_ciphers_are_asked(self) -> None:
        """A later Wireshark has ciphers of its own, which verify: they get what the MIC is over, and are heard."""
        capture, asked = self.capture(Suite), Path(self.mktemp())
        script = self.file(GCRYPT.replace("FILE", str(asked)).encode())
        packets = self.read(capture, "-X", f"lua_script:{script}", keylog=self.key_log(*Suite))
        packets = [packet for packet in packets if shown(packet, "dialog.type")]
        self.assertEqual({tuple(shown(packet, "record.verified")) for packet in packets}, {("0",)})
        self.assertTrue(all(any("does not verify" in text for text in texts(packet)) for packet in packets))
        lines = asked.read_text().splitlines()
        self.assertEqual(len(lines), sum(len(shown(packet, "dialog.type")) for packet in packets))
        for line in lines:
            words = line.split(";")
            key, nonce, associated, sealed, mic = map(bytes.fromhex, words[2:])
            self.assertEqual(words[:2], list(map(str, ASKED_OF[Suite(associated[3])])))
            new_aead(Suite(associated[3]), key).decrypt(nonce, sealed + mic, associated)


#: What libgcrypt calls the algorithms and modes.
ASKED_OF: Final = {Suite.AES_256_GCM: (9, 9), Suite.AES_128_GCM: (7, 9), Suite.CHACHA20_POLY1305: (316, 10)}

#: Poses as the ciphers of a later Wireshark: writes down what they are asked, and has nothing verify.
GCRYPT: Final = """
_G.GCRY_CIPHER_AES128, _G.GCRY_CIPHER_AES256, _G.GCRY_CIPHER_CHACHA20 = 7, 9, 316
_G.GCRY_CIPHER_MODE_GCM, _G.GCRY_CIPHER_MODE_POLY1305 = 9, 10
local Posing = {}
Posing.__index = Posing
_G.GcryptCipher = {}
function GcryptCipher.open(algorithm, mode)
    return setmetatable({ algorithm = algorithm, mode = mode, sealed = "" }, Posing)
end
function Posing:setkey(octets) self.key = octets:tohex() end
function Posing:setiv(octets) self.nonce = octets:tohex() end
function Posing:authenticate(octets) self.associated = octets:tohex() end
function Posing:decrypt(_, octets) self.sealed = octets:tohex() return octets end
function Posing:checktag(octets)
    local file = io.open("FILE", "a")
    local asked = { self.algorithm, self.mode, self.key, self.nonce, self.associated, self.sealed, octets:tohex() }
    file:write(table.concat(asked, ";"), "\\n")
    file:close()
    return 1
end
"""


class PassageTests(LinkTests):
    """Links inside of passages: all that holds of a link in a connection of its own."""

    def link(self, connection: Connection, suite: Suite) -> None:
        opening = struct.pack(">HBBIQ16s32s", 0x5053, 1, 0, 0x12345678, 1_700_000_000_000_000, b"N" * 16, b"M" * 32)
        connection.caller(opening)
        connection.callee(struct.pack(">BBH16s32s", 1, 0, 48, b"n" * 16, b"m" * 32))
        connection.caller(struct.pack(">IQQ16s", 3 << 24 | 32, 0, 0, b"P" * 16))
        pieces = random.Random(1)  # noqa: S311  # has to repeat itself

        def through(say: Callable[[bytes], None]) -> Callable[[bytes], None]:
            def send(octets: bytes) -> None:
                framed = b""
                while octets:
                    size = pieces.randint(1, 4000)
                    piece, octets = octets[:size], octets[size:]
                    framed += struct.pack(">I", 2 << 24 | len(piece)) + piece
                say(framed)

            return send

        say, answer = through(connection.caller), through(connection.callee)
        Recorded(say, answer, ours=association(suite), salt_i=salt_of(suite), salt_r=salt_of(suite, SALT_R)).talk()
        connection.callee(struct.pack(">BBHH32s", 4, 0, 34, Code.UNKNOWN_ASSOCIATION, b"R" * 32))

    def test_frames(self) -> None:
        packets = self.read(self.capture())
        self.assertEqual(shown(packets[0], "passage.hop"), ["0"])
        self.assertEqual(shown(packets[0], "passage.spi"), ["0x12345678"])
        self.assertEqual(values(packets[1], "passage.nonce"), [b"n" * 16])
        self.assertEqual(shown(packets[2], "passage.sent"), ["0"])
        self.assertEqual(shown(packets[-1], "passage.code"), [str(int(Code.UNKNOWN_ASSOCIATION))])


class RubbishTests(WiresharkCase):
    """Nothing that comes makes the dissector fail."""

    def setUp(self) -> None:
        self.random = random.Random("rubbish")  # noqa: S311  # has to repeat itself

    def spoilt(self, octets: bytes) -> bytes:
        """Return octets with a fault or several."""
        spoilt = bytearray(octets)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            at = self.random.randrange(len(spoilt) + 1)
            match self.random.randrange(5):
                case 0:
                    del spoilt[at:]
                case 1:
                    spoilt[at : at + 1] = self.random.randbytes(1)
                case 2:
                    spoilt[at:at] = self.random.randbytes(self.random.randrange(9))
                case 3:
                    spoilt[at : at + 2] = self.random.choice((b"\0\0", b"\xff\xff", b"\0\1", b"\x7f\xff"))
                case _:
                    del spoilt[at : at + self.random.randrange(9)]
        return bytes(spoilt)

    def assertHolds(self, capture: Capture, *options: str) -> None:
        """Insist that all is read, once and twice, without an error of Lua."""
        file = self.file(capture.octets())
        for passes in ((), ("-2",)):
            told = run("-r", str(file), "-V", *passes, *options).decode(errors="replace")
            self.assertEqual(told.count("\nFrame ") + 1, len(capture.packets))
            self.assertNotIn("Lua Error", told)
            self.assertIn("Seckex", told)

    def test_datagrams(self) -> None:
        said = [*messages(), *(roaming.request(kem) for kem in Kem), roaming.agent_request(Kem.X25519)]
        said += [roaming.home_reply(Kem.X25519), roaming.node_reply(Kem.X25519), roaming.refusal()]
        capture = Capture()
        for _ in range(15):
            for octets in said:
                capture.datagram(self.spoilt(octets))
        for size in range(60):
            for first in (1, 3, 255):
                capture.datagram(bytes((first,)) + self.random.randbytes(size))
        self.assertHolds(capture)

    def test_connections(self) -> None:
        streams = []
        for case in (LinkTests("link"), PassageTests("link")):
            into = Streams()
            case.link(into, Suite.AES_256_GCM)
            streams.append(into.said)
        framed = [struct.pack(">H", len(octets)) + octets for octets in messages()]
        streams.append([(at % 2, octets) for at, octets in enumerate(framed)])
        capture = Capture()
        for _ in range(8):
            for said in streams:
                connection = capture.connection()
                for side, octets in said:
                    octets = self.spoilt(octets) if self.random.random() < 0.2 else octets
                    (connection.callee if side else connection.caller)(octets, self.random.randint(40, 1400))
        for _ in range(30):
            capture.connection().caller(self.random.choice((b"SK\1", b"PS\1", b"\0", b"")) + self.random.randbytes(200))
        line = link_line(schedule(), salt_of(Suite.AES_256_GCM), salt_of(Suite.AES_256_GCM, SALT_R))
        self.assertHolds(capture, f"-oseckex.keylog:{self.file(line.encode() + bytes(1))}")


class Streams(Connection):
    """Takes note of what is said, in place of capturing it."""

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []

    def caller(self, octets: bytes, segment: int = 0) -> None:  # noqa: ARG002  # nothing is captured
        self.said.append((0, octets))

    def callee(self, octets: bytes, segment: int = 0) -> None:  # noqa: ARG002  # as above
        self.said.append((1, octets))


def messages() -> list[bytes]:
    """Return messages with every extension there is."""
    spoken = [form for form in roaming.forms() if form.name not in ("identity-block", "answer", "agent-answer")]
    return [octets for form in spoken for _, octets in form.samples] + [encode_message(HEADER, EVERYTHING)]


HEADER: Final = Header(Kind.OFFER, False, roaming.IDENTIFICATION, 0x1234)
PROPOSAL: Final = Proposal(1, 1, 2, 3600, 0, (Transform(1, 2, 20, (Attribute(14, 256), Attribute(16384, b"\1\0\0"))),))
OFFERED: Final = SaPayload(
    7,
    (
        PROPOSAL,
        Proposal(1, 2, 3, 3600, 9, (Transform(1, 0, 1025, (Attribute(16385, bytes(16)),)),)),
        UserKeyExchange(1025, b"\xff\x03", b"\x02", b"\x12\x34"),
        KeyExchange(4, 31, bytes(32)),
        UnknownPayload(9, b"what", 1),
    ),
)
EVERYTHING: Final = (
    Exchange(1, 0x1001, 0, bytes(32)),
    NaiExtension(0, "node@home.example"),
    IpExtension(0, IPv4Address("10.0.0.1")),
    IpExtension(1, IPv6Address("2001:db8::1")),
    Layer2Extension(0, b"\2abcde"),
    SealedExtension(ExtensionSub.SA, 7, 0x1234, bytes(40)),
    SealedExtension(ExtensionSub.NAI, 2, 0x1234, bytes(40)),
    SaPayloadExtension(encode_sa(OFFERED)),
    ProposalPayloadExtension(encode_proposal(PROPOSAL)),
    Detail(263, 1, 1, "why"),
    Clock(1_700_000_000),
    Clock(2**64 - 1),
    RequestDigest(bytes(32)),
    SealedIdentity(bytes(60)),
    Cookie(b"cookie"),
    Padding(20),
    Authenticator(0x1234, bytes(32)),
)
