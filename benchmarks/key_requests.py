"""Asks a key distribution center for keys over one hop, many requests in flight: prints how many it issues a second.

``python -m benchmarks.key_requests FOLDER PORT COUNT WINDOW NODES``: requests are made
before the clock starts, which is when a line comes in. It is a client of a few
lines, so that most of the processor is the center's.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Final

from seckex.wire import hop
from seckex.wire.keying import KeyRequest
from seckex.wire.numbers import Keying, Kind

# Prime, so that neighbours in the list of nodes are not asked for one after the other.
_STRIDE: Final = 7919
HOME: Final = "home@example.org"
_KIND: Final = slice(2, 4)


def node(number: int, nodes: int) -> str:
    """Return the name of a node."""
    return f"node{number * _STRIDE % nodes}@example.org"


def connect(path: Path, port: int) -> ssl.SSLSocket:
    """Return a hop to the center, which has said that it hears us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Who measures trusts what it has started.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(path / "home.pem", path / "home.key")
    context.set_alpn_protocols(["seckex1-hop"])
    hop_ = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    hop_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hop_.recv(2) != b"\0\0":
        raise RuntimeError("the center does not take this home agent")
    return hop_


def requests(count: int, nodes: int) -> list[bytes]:
    """Return so many different requests for so many nodes, as they go over a hop."""
    made = []
    for number in range(1, count + 1):
        request = KeyRequest(Keying.STATEFUL, 3600, 1, os.urandom(32), node(number, nodes), "agent@example.net")
        octets = hop.encode_hop(hop.Keys(number, request))
        made.append(len(octets).to_bytes(2, "big") + octets)
    return made


def drive(hop_: ssl.SSLSocket, made: list[bytes], window: int) -> float:
    """Have all answered, ``window`` in flight; return how many a second."""
    begun = time.perf_counter()
    sent = min(window, len(made))
    hop_.sendall(b"".join(made[:sent]))
    answered = 0
    buffer = b""
    while answered < len(made):
        chunk = hop_.recv(65536)
        if not chunk:
            raise RuntimeError("the center has closed the hop")
        buffer += chunk
        at = 0
        before = answered
        while len(buffer) - at >= 2:
            end = at + 2 + int.from_bytes(buffer[at : at + 2], "big")
            if len(buffer) < end:
                break
            if int.from_bytes(buffer[at + 2 :][_KIND], "big") != Kind.ISSUED:
                raise RuntimeError(f"refused: {hop.decode_hop(buffer[at + 2 : end])}")
            answered += 1
            at = end
        buffer = buffer[at:]
        more = made[sent : sent + answered - before]
        if more:
            sent += len(more)
            hop_.sendall(b"".join(more))
    return len(made) / (time.perf_counter() - begun)


def main(path: str, port: str, count: str, window: str, nodes: str) -> None:
    """Run."""
    made = requests(int(count), int(nodes))
    hop_ = connect(Path(path), int(port))
    print("ready", flush=True)
    sys.stdin.readline()
    print(drive(hop_, made, int(window)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
