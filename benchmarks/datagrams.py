"""The load on `benchmarks.cookies` and its peer: ``python -m benchmarks.datagrams PORT SPI COUNT SIZE``.

Sends COUNT offers, each with an Identification of its own, with a window of them in flight, and prints how many
answers of SIZE octets came a second.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from typing import Final

from tests.soak.spoofing import template

WINDOW: Final = 128
_LOST: Final = 0.2


def main() -> None:
    """Run as the command line says."""
    port, spi, count, size = map(int, sys.argv[1:])
    octets = template(spi)
    start, tail, pack = octets[:4], octets[12:], struct.Struct(">Q").pack
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        udp.setblocking(False)
        send, receive = udp.send, udp.recv
        answered = sent = inflight = 0
        began = time.perf_counter()
        while answered < count:
            while inflight < WINDOW:
                send(start + pack(sent) + tail)
                sent += 1
                inflight += 1
            if not select.select((udp,), (), (), _LOST)[0]:
                # What the kernel has dropped is not answered, nor counted.
                inflight = 0
                continue
            while True:
                try:
                    answer = receive(2048)
                except BlockingIOError:
                    break
                if len(answer) != size:
                    raise SystemExit(f"an answer of {len(answer)} octets where {size} were expected")
                answered += 1
                inflight -= 1
        print(answered / (time.perf_counter() - began), flush=True)


main()
