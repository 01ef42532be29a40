"""Both ends of what `benchmarks.aaa` measures: an agent that asks and a home agent that answers.

``python -m benchmarks.aaa_ends FOLDER HOME_PORT ASK_PORT WINDOW COUNT`` listens
as the home agent on HOME_PORT and prints a line; told to go, it asks, as the
agent, whoever listens on ASK_PORT, COUNT times with WINDOW questions under way, and prints answers a second
and the median of how long one took, in milliseconds. Both are made of the
standard library's TLS and as little else as possible, so that they are not the limit.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

from seckex.wire.hop import Relay, Relayed, Route, encode_hop
from seckex.wire.numbers import MOST_HOPS

AGENT: Final = "agent@visited.example"
HOME: Final = "home@home.example"
#: What is relayed of a registration by X25519, with one certificate each way.
REQUEST, REPLY = bytes(2600), bytes(1900)
_ALPN: Final = "seckex1-hop"


def context(folder: Path, name: str, *, server: bool) -> ssl.SSLContext:
    """Return what one end makes connections from."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_verify_locations(folder / "ca.pem")
    made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    made.set_alpn_protocols([_ALPN])
    return made


def framed(octets: bytes) -> bytes:
    """Return a message behind its length."""
    return struct.pack(">H", len(octets)) + octets


def identifications(buffer: bytearray) -> list[bytes]:
    """Take the messages that are whole, and return their Identifications."""
    found, at = [], 0
    while at + 2 <= len(buffer):
        size = buffer[at] << 8 | buffer[at + 1]
        if at + 2 + size > len(buffer):
            break
        if size:
            found.append(bytes(buffer[at + 6 : at + 14]))
        at += 2 + size
    del buffer[:at]
    return found


def answer(listening: socket.socket, made: ssl.SSLContext) -> None:
    """Be the home agent."""
    start, end = _around(encode_hop(Relayed(0, REPLY)))
    while True:
        plain, _ = listening.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with made.wrap_socket(plain, server_side=True) as connection:
            connection.sendall(bytes(2))
            buffer = bytearray()
            while octets := connection.recv(1 << 16):
                buffer += octets
                asked = identifications(buffer)
                if asked:
                    connection.sendall(b"".join(start + each + end for each in asked))


def ask(made: ssl.SSLContext, port: int, window: int, count: int) -> tuple[float, float]:
    """Be the agent; return answers a second and the median time in milliseconds."""
    start, end = _around(encode_hop(Relay(0, Route(MOST_HOPS, HOME, (AGENT,)), REQUEST)))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        made.wrap_socket(plain) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connection.recv(2) != bytes(2):
            raise SystemExit("no welcome")
        began: dict[bytes, float] = {}
        took: list[float] = []
        buffer = bytearray()
        asked = 0
        warm, rate_from = count // 10, 0.0

        def more(number: int) -> None:
            nonlocal asked
            names = [each.to_bytes(8, "big") for each in range(asked + 1, asked + 1 + min(number, count - asked))]
            asked += len(names)
            now = time.perf_counter()
            began.update(dict.fromkeys(names, now))
            if names:
                connection.sendall(b"".join(start + each + end for each in names))

        more(window)
        while len(took) < count:
            buffer += connection.recv(1 << 16)
            answered = identifications(buffer)
            now = time.perf_counter()
            took += [now - began.pop(each) for each in answered]
            if not rate_from and len(took) >= warm:
                rate_from, warm = now, len(took)
            more(len(answered))
        return (count - warm) / (time.perf_counter() - rate_from), 1000 * statistics.median(took[warm:])


def _around(octets: bytes) -> tuple[bytes, bytes]:
    """Return what is before and after the Identification of a message, behind its length."""
    whole = framed(octets)
    return whole[:6], whole[14:]


def main() -> None:
    """Run as the command line says."""
    folder, home_port, port, window, count = Path(sys.argv[1]), *map(int, sys.argv[2:])
    with socket.create_server(("127.0.0.1", home_port)) as listening:
        home = context(folder, "home", server=True)
        threading.Thread(target=answer, args=(listening, home), daemon=True).start()
        print("ready", flush=True)
        sys.stdin.readline()
        print(*ask(context(folder, "agent", server=False), port, window, count), flush=True)


main()
