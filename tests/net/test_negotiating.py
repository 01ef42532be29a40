"""Negotiations over real sockets: cookies, TCP for what is long, names, and one port for links and messages."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

from seckex.dialog.faces import Cause
from seckex.events import LoadBegan, MessageDropped, PeerUnreachable
from seckex.machine import Path
from seckex.net.port import SILENT_FOR
from seckex.node.limits import Flood, Limits
from seckex.wire.numbers import Kind
from tests.conversation import HOME
from tests.dialog.parts import association
from tests.exchange.test_transports import LONG, use_tcp
from tests.net.loopback import reactor
from tests.net.principals import PrincipalCase
from tests.net.test_stream import Stranger
from tests.pump import KEY0_SPI


def offer(number: int, size: int = 768) -> bytes:
    """Return an offer that anybody can make up."""
    start = struct.pack(">BBHQI", 255, 0x10, Kind.OFFER, number, KEY0_SPI) + b"\x7f\x12\x00\x2c\x01" + bytes(43)
    padding = size - len(start) - 4 - 40
    return (
        start + struct.pack(">BBH", 127, 20, padding) + bytes(padding) + b"\x7f\x16\x00\x24" + start[12:16] + bytes(32)
    )


class UdpTests(PrincipalCase):
    async def test_over_ipv4(self) -> None:
        self.home()
        await self.agreed(self.node())

    async def test_over_ipv6(self) -> None:
        self.home(interface="::1")
        await self.agreed(self.node())

    async def test_by_name(self) -> None:
        self.home()
        await self.agreed(self.node(host="localhost"))

    async def test_with_a_cookie(self) -> None:
        home = self.home(limits=Limits(flood=Flood(cookies="always")))
        await self.agreed(self.node())
        counters = home.node.counters
        self.assertEqual((counters["gate.cookies-asked"], counters["gate.cookies-right"]), (1, 1))

    async def test_a_flood_is_answered_at_the_gate_and_told_of(self) -> None:
        home = self.home(limits=Limits(flood=Flood(threshold=20)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            for number in range(60):
                stranger.sendto(offer(number), (self.where.host, self.where.port))
            await self.until(lambda: home.node.counters["gate.cookies-asked"] == 40)
            answer = stranger.recv(2048)
            self.assertEqual((len(answer), answer[:4]), (41, b"\xff\x11\x00\x08"))
        self.assertEqual(len([e for e in self.log_of(home).events if isinstance(e, LoadBegan)]), 1)
        await self.agreed(self.node())

    async def test_what_is_too_long_is_dropped_with_the_reason(self) -> None:
        home = self.home()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (1233, 1300, 8000):
                stranger.sendto(offer(size, size), (self.where.host, self.where.port))
            await self.until(lambda: home.node.counters.get("dropped.too-long") == 3)
        (event, *_) = [e for e in self.log_of(home).events if isinstance(e, MessageDropped)]
        self.assertEqual(event.cause, "too-long")

    async def test_a_request_that_is_too_long_never_leaves(self) -> None:
        node = self.principal("node@example.net", HOME, LONG, Path("127.0.0.1", 9), None)
        troubles: list[str] = []
        node.datagrams._trouble = lambda _, why: troubles.append(why)
        node.datagrams.send(bytes(1233), Path("127.0.0.1", 9))
        self.assertEqual(troubles, ["1233 octets are too long for a datagram"])

    async def test_a_name_that_cannot_be_looked_up_is_told_of(self) -> None:
        self.home()
        node = self.node(host="no-such-host.invalid")
        node.want(HOME)
        await self.until(lambda: any(isinstance(e, PeerUnreachable) for e in self.log_of(node).events))
        (event,) = [e for e in self.log_of(node).events if isinstance(e, PeerUnreachable)]
        self.assertEqual(event.why, "the name no-such-host.invalid cannot be looked up, or has no address")


class TcpTests(PrincipalCase):
    async def test_what_is_long_goes_over_tcp(self) -> None:
        home = self.home()
        node = self.node(LONG)
        await self.agreed(node)
        self.assertEqual((len(node.messages), len(home.messages)), (1, 1))
        self.assertEqual(len(home.node.associations), 1)

    async def test_over_ipv6_and_by_name(self) -> None:
        self.home(interface="::1")
        await self.agreed(self.node(LONG))

    async def test_a_connection_that_is_lost_is_made_anew(self) -> None:
        home = self.home()
        # Each of the first connections is cut as soon as something has come over it.
        admitted = home.messages._received
        cut: list[Path] = []

        def cutting(octets: bytes, path: Path) -> None:
            if len(cut) < 2:
                cut.append(path)
                home.messages._accepted[path.via or 0].abort()
                return
            admitted(octets, path)

        home.messages._received = cutting
        await self.agreed(self.node(LONG))
        self.assertEqual(len({path.port for path in cut}), 2)

    async def test_nobody_there_is_told_of(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            node = self.node(LONG, "127.0.0.1", free.getsockname()[1])
            node.want(HOME)
            await self.until(lambda: any(isinstance(e, PeerUnreachable) for e in self.log_of(node).events))
        (event,) = [e for e in self.log_of(node).events if isinstance(e, PeerUnreachable)]
        self.assertIn("connecting over TCP", event.why)

    async def test_the_wrong_use_of_udp_costs_nothing_but_a_hint(self) -> None:
        home = self.home()
        node = self.node()
        # A responder whose answers are all too long for their requests: it asks for TCP, and gets it.
        send, hinted = home.datagrams.send, []

        def hinting(octets: bytes, path: Path) -> None:
            hinted.append(octets)
            asked = next(iter(node.node._asking._expecting.values())).state
            send(use_tcp(asked.retry.request), path)  # type: ignore[attr-defined]  # whatever it awaits has one

        home.datagrams.send = hinting  # type: ignore[method-assign]  # for this one
        await self.agreed(node)
        self.assertEqual([octets[3] for octets in hinted][:1], [Kind.CHOICE])
        self.assertEqual(len(home.messages), 1)


class PortTests(PrincipalCase):
    async def stranger(self, words: bytes = b"") -> Stranger:
        endpoint = HostnameEndpoint(reactor, self.where.host, self.where.port)
        stranger: Stranger = await connectProtocol(endpoint, Stranger(words))
        self.addCleanup(stranger.transport.abortConnection)
        return stranger

    async def test_links_and_messages_share_it(self) -> None:
        self.home()
        where = self.where
        links = self.links()
        links.use(association())
        await links.when_open(20)
        self.where = where
        await self.agreed(self.node(LONG))
        self.assertEqual(len(self.shared._links.links), 1)

    async def test_other_protocols_are_closed_and_counted(self) -> None:
        home = self.home()
        for count, words in enumerate((b"GET / HTTP/1.0\r\n\r\n", b"\x21\x00" + bytes(99), b"\xff" * 99), 1):
            stranger = await self.stranger(words)
            await stranger.gone
            self.assertEqual(stranger.heard, b"")
            self.assertEqual(self.shared._links.counts[Cause.FOREIGN], count)
        for count, words in enumerate((b"\x20\x01" + bytes(99), b"\x00\x0f" + bytes(99), bytes(99)), 1):
            stranger = await self.stranger(words)
            await stranger.gone
            self.assertEqual(stranger.heard, b"")
            await self.until(lambda count=count: home.messages.counts["foreign"] == count)  # type: ignore[misc]  # a lambda with a default

    async def test_a_connection_that_says_nothing_is_closed(self) -> None:
        self.home()
        stranger = await self.stranger()
        await self.until(lambda: len(self.shared._silent) == 1)
        await self.pass_time(SILENT_FOR - 1)
        self.assertEqual(len(self.shared._silent), 1)
        await self.pass_time(1.1)
        await stranger.gone
        await self.until(lambda: not self.shared._silent)

    async def test_one_that_goes_without_a_word_leaves_nothing(self) -> None:
        self.home()
        for way in ("loseConnection", "abortConnection"):
            stranger = await self.stranger()
            await self.until(lambda: len(self.shared._silent) == 1)
            getattr(stranger.transport, way)()
            await self.until(lambda: not self.shared._silent)

    async def test_of_those_that_say_nothing_the_oldest_gives_way(self) -> None:
        self.home()
        self.shared._most_silent = 2
        strangers = []
        for count in (1, 2):
            strangers.append(await self.stranger())
            await self.until(lambda count=count: len(self.shared._silent) == count)  # type: ignore[misc]  # the same
        await self.agreed(self.node(LONG))
        await strangers[0].gone
        self.assertEqual((self.shared.dropped, len(self.shared._silent)), (1, 1))

    async def test_an_answer_comes_back_over_the_connection(self) -> None:
        self.home(limits=Limits(flood=Flood(cookies="always")))
        # No cookie is asked for here: the address is proved. The request names nothing that is known.
        request = offer(7)
        request = request[:12] + b"\x77\x77\x77\x77" + request[16:-36] + b"\x77\x77\x77\x77" + request[-32:]
        stranger = await self.stranger(len(request).to_bytes(2, "big") + request)
        await self.until(lambda: len(stranger.heard) == 18)
        self.assertEqual(stranger.heard[2:6], b"\xff\x11\x00\x0e")


class SendingTests(PrincipalCase):
    async def test_what_the_kernel_refuses_is_told_of(self) -> None:
        node = self.node_to("255.255.255.255")
        node.want(HOME)
        await self.until(lambda: any(isinstance(e, PeerUnreachable) for e in self.log_of(node).events))
        (event,) = [e for e in self.log_of(node).events if isinstance(e, PeerUnreachable)]
        self.assertIn("sending to 255.255.255.255", event.why)

    def node_to(self, host: str) -> Any:
        self.where = type("Where", (), {"host": host, "port": 4434})()
        return self.node()
