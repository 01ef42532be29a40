"""What anybody can send to the port of hops: each is dropped, counted and told of, and neighbours are served on."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from seckex.config.hops import Hop
from seckex.events.hops import HopClosed, HopRefused
from seckex.net.hops import connection, incoming
from seckex.wire.numbers import Code
from tests.crypto.certified import Maker, key, key_pem, pem
from tests.net.hops.parts import AGENT, RELAY, ROOT, HopsCase, Party, request

#: The standard library judges by the clock of this machine.
LONG: Final[dict[str, Any]] = {"since": 0.0, "until": 4_000_000_000.0}


class Stranger:
    """A client of the standard library; what it does runs in a thread, since it waits."""

    def __init__(self, party: Party, **how: Any) -> None:
        self.party = party
        folder = Path(how["folder"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = how.get("version", ssl.TLSVersion.TLSv1_3)
        if how.get("alpn", "seckex1-hop"):
            context.set_alpn_protocols([how.get("alpn", "seckex1-hop")])
        if how.get("shows", True):
            (folder / "own.pem").write_bytes(pem(ROOT.certify(AGENT, **LONG)))
            (folder / "own.key").write_bytes(key_pem(key(f"principal {AGENT}")))
            context.load_cert_chain(folder / "own.pem", folder / "own.key")
        self.context = context

    def does(self, what: Callable[[ssl.SSLSocket], Any]) -> Deferred[Any]:
        """Connect and do something; fires with what comes of it, or with the error."""

        def run() -> Any:
            try:
                with (
                    socket.create_connection(("127.0.0.1", self.party.port), timeout=60) as plain,
                    self.context.wrap_socket(plain) as wrapped,
                ):
                    return what(wrapped)
            except (OSError, ssl.SSLError) as error:
                return error

        return deferToThread(run)


def rest(wrapped: socket.socket) -> bytes:
    """Return all that comes until the end."""
    found = b""
    try:
        while octets := wrapped.recv(4096):
            found += octets
    except (ConnectionError, ssl.SSLError):
        return found
    return found


def saying(*pieces: bytes, welcome: bool = True) -> Callable[[socket.socket], bytes]:
    """Say something, behind the welcome unless it is not awaited; return what comes then."""

    def act(wrapped: socket.socket) -> bytes:
        if welcome and wrapped.recv(2) != bytes(2):
            return b"no welcome"
        for piece in pieces:
            wrapped.sendall(piece)
        return rest(wrapped)

    return act


def framed(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets


class StrangerCase(HopsCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.folder = folder
        self.relay = Party(self, RELAY, accept=(AGENT,)).listen()

    def stranger(self, **how: Any) -> Stranger:
        return Stranger(self.relay, folder=self.folder, **how)

    async def dropped(self, what: Callable[[], Deferred[Any]]) -> tuple[Any, str]:
        """Return what comes of it there, and what is told of it here; neighbours are served after it."""
        before = len(self.relay.told(HopRefused)) + len(self.relay.told(HopClosed))
        came = await what()
        await self.until(lambda: len(self.relay.told(HopRefused)) + len(self.relay.told(HopClosed)) > before)
        told = [event for event in self.relay.events if isinstance(event, HopRefused | HopClosed)][-1]
        heard = len(self.relay.heard)
        agent = Party(self, AGENT, self.relay.hop())
        await self.said(agent, self.relay, 77)
        self.assertEqual(len(self.relay.heard), heard + 1)
        await agent.stopped()
        await self.until(lambda: self.relay.hops.counters["hops.accepted"] == 0)
        return came, told.why


class HandshakeTests(StrangerCase):
    async def test_a_neighbour_may_be_made_of_anything_that_speaks_tls(self) -> None:
        def act(wrapped: ssl.SSLSocket) -> str | None:
            if wrapped.recv(2) != bytes(2):
                return "no welcome"
            wrapped.sendall(framed(request(1)))
            return wrapped.version()

        self.assertEqual(await self.stranger().does(act), "TLSv1.3")
        await self.until(lambda: self.relay.heard)
        self.assertEqual(self.relay.heard, [(AGENT, request(1))])

    async def test_an_older_tls(self) -> None:
        came, why = await self.dropped(lambda: self.stranger(version=ssl.TLSVersion.TLSv1_2).does(rest))
        self.assertIsInstance(came, ssl.SSLError)
        self.assertEqual(why, "TLS: unsupported protocol")

    async def test_no_certificate(self) -> None:
        came, why = await self.dropped(
            lambda: self.stranger(shows=False).does(saying(framed(request(1)), welcome=False))
        )
        self.assertEqual(came, b"")
        self.assertEqual(why, "TLS: peer did not return a certificate")
        self.assertNotIn((AGENT, request(1)), self.relay.heard)

    async def test_another_protocol_over_tls(self) -> None:
        for alpn in ("h2", ""):
            came, why = await self.dropped(partial(self.stranger(alpn=alpn).does, rest))
            self.assertEqual((came, why), (b"", "the neighbour does not speak the protocol of hops"))

    async def test_no_tls_at_all(self) -> None:
        def plainly(octets: bytes) -> Callable[[], Deferred[Any]]:
            def run() -> bytes:
                with socket.create_connection(("127.0.0.1", self.relay.port), timeout=60) as plain:
                    plain.sendall(octets)
                    plain.shutdown(socket.SHUT_WR)
                    return rest(plain)

            return lambda: deferToThread(run)

        for octets in (b"GET / HTTP/1.1\r\n\r\n", framed(request(1)), bytes(500), b"\x16\x03\x01\x00\x05hello", b""):
            came, _ = await self.dropped(plainly(octets))
            self.assertLess(len(came), 32, octets)
        self.assertNotIn((AGENT, request(1)), self.relay.heard)

    async def test_who_says_nothing_has_little_time(self) -> None:
        self.patch(connection, "PROVE_WITHIN", 0.05)

        def wait() -> bytes:
            with socket.create_connection(("127.0.0.1", self.relay.port), timeout=60) as plain:
                return rest(plain)

        came, why = await self.silenced(wait)
        self.assertEqual((came, why), (b"", "nothing was settled within 0 s"))

    async def silenced(self, wait: Callable[[], bytes]) -> tuple[bytes, str]:
        came: bytes = await deferToThread(wait)
        await self.until(lambda: self.relay.told(HopRefused))
        return came, self.relay.told(HopRefused)[0].why

    async def test_those_who_say_nothing_give_way_to_others(self) -> None:
        self.patch(incoming, "MOST_UNPROVED", 4)
        held = [socket.create_connection(("127.0.0.1", self.relay.port)) for _ in range(12)]
        for each in held:
            self.addCleanup(each.close)
        await self.until(lambda: self.relay.hops.counters["hops.refused"] == 8)
        self.assertEqual(self.relay.hops._incoming.unproved, 4)
        await self.said(Party(self, AGENT, self.relay.hop()), self.relay)

    async def test_of_many_some_are_told_of(self) -> None:
        for _ in range(40):
            socket.create_connection(("127.0.0.1", self.relay.port)).close()
        await self.until(lambda: self.relay.hops.counters["hops.refused"] == 40)
        self.assertLess(len(self.relay.told(HopRefused)), 15)


class MessageTests(StrangerCase):
    """From a neighbour that has proved its name."""

    async def test_what_is_no_message(self) -> None:
        for octets, said in (
            (b"\xff\xff", "a message of 65535 octets came, 16384 are allowed"),
            (struct.pack(">H", 16385) + bytes(20), "a message of 16385 octets came, 16384 are allowed"),
            (framed(b""), "something else than a general message came"),
            (framed(bytes(15)), "something else than a general message came"),
            (framed(b"\x01" + bytes(23)), "something else than a general message came"),
        ):
            came, why = await self.dropped(partial(self.stranger().does, saying(octets)))
            self.assertEqual((came, why), (b"", said))

    async def test_what_came_before_counts_and_what_comes_after_does_not(self) -> None:
        said = framed(request(1)) + framed(bytes(3)) + framed(request(2))
        await self.dropped(lambda: self.stranger().does(saying(said)))
        heard = [octets for _, octets in self.relay.heard]
        self.assertIn(request(1), heard)
        self.assertNotIn(request(2), heard)

    async def test_messages_in_pieces(self) -> None:
        said = b"".join(framed(request(number, size=number)) for number in range(1, 30))
        pieces = [said[at : at + 7] for at in range(0, len(said), 7)]

        def act(wrapped: ssl.SSLSocket) -> None:
            wrapped.recv(2)
            for piece in pieces:
                wrapped.sendall(piece)

        await self.stranger().does(act)
        await self.until(lambda: len(self.relay.heard) == 29)
        self.assertEqual([octets for _, octets in self.relay.heard], [request(n, size=n) for n in range(1, 30)])

    async def test_half_a_message_and_then_the_end(self) -> None:
        def act(wrapped: ssl.SSLSocket) -> None:
            wrapped.recv(2)
            wrapped.sendall(framed(request(1))[:-1])

        await self.dropped(lambda: self.stranger().does(act))
        self.assertNotIn((AGENT, request(1)), self.relay.heard)


class CalledTests(HopsCase):
    """Whom we call may be anybody as well."""

    def answering(self, act: Callable[[socket.socket], object]) -> int:
        """Listen, and do something with the first who comes; return the port."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(60)
        port: int = listening.getsockname()[1]

        def run() -> None:
            with listening, listening.accept()[0] as plain:
                plain.settimeout(60)
                act(plain)

        done = deferToThread(run)
        self.addCleanup(lambda: done)
        return port

    async def called(self, act: Callable[[socket.socket], object]) -> tuple[int, str]:
        """Return what a caller makes of whoever acts like that."""
        agent = Party(self, AGENT, Hop(nai=RELAY, address="127.0.0.1", port=self.answering(act)))
        return await self.refused(agent, RELAY)

    async def test_one_who_hangs_up(self) -> None:
        code, _ = await self.called(lambda plain: plain.close())
        self.assertIn(code, (Code.NO_SECURE_HOP, Code.NEXT_HOP_UNREACHABLE))

    async def test_one_who_speaks_no_tls(self) -> None:
        code, why = await self.called(lambda plain: plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        self.assertEqual((code, why), (Code.NO_SECURE_HOP, "TLS: wrong version number"))

    async def test_one_who_says_nothing(self) -> None:
        self.patch(connection, "PROVE_WITHIN", 0.05)
        code, why = await self.called(rest)
        self.assertEqual((code, why), (Code.NEXT_HOP_UNREACHABLE, "nothing was settled within 0 s"))

    def server(self, **how: Any) -> ssl.SSLContext:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "own.pem").write_bytes(pem(how.get("maker", ROOT).certify(RELAY, **LONG)))
        (folder / "own.key").write_bytes(key_pem(key(f"principal {RELAY}")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "own.pem", folder / "own.key")
        context.maximum_version = how.get("version", ssl.TLSVersion.TLSv1_3)
        if how.get("alpn", True):
            context.set_alpn_protocols(["seckex1-hop"])
        return context

    def over_tls(self, act: Callable[[ssl.SSLSocket], object], **how: Any) -> Callable[[socket.socket], object]:
        context = self.server(**how)

        def run(plain: socket.socket) -> None:
            try:
                with context.wrap_socket(plain, server_side=True) as wrapped:
                    act(wrapped)
            except (OSError, ssl.SSLError):
                return

        return run

    async def test_one_who_gives_no_welcome(self) -> None:
        self.patch(connection, "PROVE_WITHIN", 0.3)
        heard: list[bytes] = []
        code, why = await self.called(self.over_tls(lambda wrapped: heard.append(rest(wrapped))))
        self.assertEqual((code, why), (Code.NEXT_HOP_UNREACHABLE, "nothing was settled within 0 s"))
        await self.until(lambda: heard)
        self.assertEqual(heard, [b""])

    async def test_one_who_says_something_before(self) -> None:
        def act(wrapped: ssl.SSLSocket) -> None:
            wrapped.sendall(framed(request(1)))
            rest(wrapped)

        _, why = await self.called(self.over_tls(act))
        self.assertEqual(why, "it said something before both sides were settled")

    async def test_one_with_an_older_tls_and_one_without_the_protocol(self) -> None:
        code, why = await self.called(self.over_tls(rest, version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual((code, why), (Code.NO_SECURE_HOP, "TLS: tlsv1 alert protocol version"))
        code, why = await self.called(self.over_tls(rest, alpn=False))
        self.assertEqual((code, why), (Code.NO_SECURE_HOP, "the neighbour does not speak the protocol of hops"))

    async def test_one_certified_by_somebody_else_gets_no_certificate_of_ours(self) -> None:
        heard: list[bytes] = []
        code, _ = await self.called(
            self.over_tls(lambda wrapped: heard.append(rest(wrapped)), maker=Maker.root("of nobody"))
        )
        self.assertEqual((code, heard), (Code.NO_SECURE_HOP, []))
