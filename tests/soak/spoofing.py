"""Sends offers from addresses that are not the sender's: ``python -m tests.soak.spoofing PORT SPI COUNT RATE``.

Every address in 127.0.0.0/8 is this machine's, so the kernel sends from whichever a packet's ancillary data names.
Each offer comes from another address and has another Identification; its SPI is known, its MAC is not right. Prints
how many were sent, and how many a second.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from typing import Final

from seckex.wire.extensions import Exchange, Padding, SaPayloadExtension, encode_authenticator_start, encode_extension
from seckex.wire.general import Header, encode_message
from seckex.wire.numbers import REQUEST_SIZE, Kind

IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)
_PACKET_INFO: Final = struct.Struct("=i4s4s")
_ANY: Final = bytes(4)


def template(spi: int) -> bytes:
    """Return an offer such as anybody can make who has seen one."""
    header = Header(Kind.OFFER, answer=False, identification=0, spi=spi)
    octets = encode_message(header, (Exchange(1, 0x1000, 0, os.urandom(32)), SaPayloadExtension(os.urandom(144))))
    octets += encode_extension(Padding(REQUEST_SIZE - len(octets) - 4 - 40))
    return octets + encode_authenticator_start(spi, 32) + bytes(32)


def main() -> None:
    """Run as the command line says."""
    port, spi, count, rate = (int(argument, 0) for argument in sys.argv[1:])
    start, tail = (octets := template(spi))[:4], octets[12:]
    seconds = int(time.time())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        udp.bind(("0.0.0.0", 0))
        began = time.perf_counter()
        sent = 0
        while sent < count:
            due = min(int((time.perf_counter() - began) * rate) + 1, count)
            while sent < due:
                sent += 1
                # 127.1.0.0 and on: more than 390 parts of the net with 256 addresses each.
                source = struct.pack(">I", 0x7F010000 + sent)
                message = start + struct.pack(">II", seconds, sent) + tail
                info = _PACKET_INFO.pack(0, source, _ANY)
                udp.sendmsg((message,), ((socket.IPPROTO_IP, IP_PKTINFO, info),), 0, ("127.0.0.1", port))
            time.sleep(0.0005)
        print(sent, sent / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
