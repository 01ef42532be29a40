"""Files of captured packets, made of octets that tests have recorded, and what tshark makes of them.

Each connection gets a handshake and segments as TCP has them, so that what reads
captures follows its streams as it follows those of a network.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.wire.test_tshark import RAW_IP, checksum, datagram

TSHARK: Final = shutil.which("tshark")
PORT: Final = 4434
LUA: Final = Path(__file__).parents[2] / "contrib" / "wireshark" / "seckex.lua"
SEGMENT: Final = 1400

_SYN, _PSH, _ACK = 2, 8, 16
_ADDRESSES: Final = (IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1"))


class Capture:
    """Packets in order, 10 ms after each other; ``packets`` came before, their connections from the same ports."""

    def __init__(self, packets: Iterable[bytes] = ()) -> None:
        self.packets = list(packets)
        self._ports = 40000

    def datagram(self, octets: bytes, port: int = PORT, *, answers: bool = False) -> None:
        """Add a datagram to ``port``, from the second host to the first where it ``answers``."""
        source, destination = reversed(_ADDRESSES) if answers else _ADDRESSES
        self.packets.append(datagram(octets, port, source, destination))

    def connection(self, port: int = PORT) -> Connection:
        """Add a TCP connection to ``port``, its handshake first."""
        self._ports += 1
        return Connection(self.packets, self._ports, port)

    def octets(self) -> bytes:
        """Return the file."""
        found = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
        for at, packet in enumerate(self.packets):
            seconds, rest = divmod(at, 100)
            found += struct.pack("<IIII", 1_700_000_000 + seconds, rest * 10_000, len(packet), len(packet)) + packet
        return found


class Connection:
    """One TCP connection of a capture."""

    def __init__(self, packets: list[bytes], source: int, port: int) -> None:
        self._packets = packets
        self._ports = (source, port)
        self._sent = [1000 * len(packets), 5000 * len(packets)]
        self._say(0, _SYN)
        self._say(1, _SYN | _ACK)

    def caller(self, octets: bytes, segment: int = SEGMENT) -> None:
        """Let who called send ``octets``."""
        self._send(0, octets, segment)

    def callee(self, octets: bytes, segment: int = SEGMENT) -> None:
        """Let who was called send ``octets``."""
        self._send(1, octets, segment)

    def _send(self, side: int, octets: bytes, segment: int) -> None:
        for at in range(0, len(octets), segment):
            self._say(side, _PSH | _ACK, octets[at : at + segment])

    def _say(self, side: int, flags: int, octets: bytes = b"") -> None:
        source, destination = _ADDRESSES[side], _ADDRESSES[1 - side]
        ports = (self._ports[side], self._ports[1 - side])
        acknowledged = self._sent[1 - side] if flags & _ACK else 0
        start = struct.pack(">HHIIBBH", *ports, self._sent[side], acknowledged, 5 << 4, flags, 65535)
        size = len(start) + 4 + len(octets)
        pseudo = source.packed + destination.packed + struct.pack(">HH", 6, size)
        segment = start + struct.pack(">HH", checksum(pseudo + start + bytes(4) + octets), 0) + octets
        head = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 1, 0, 64, 6)
        addresses = source.packed + destination.packed
        self._packets.append(head + struct.pack(">H", checksum(head + bytes(2) + addresses)) + addresses + segment)
        self._sent[side] += len(octets) + bool(flags & _SYN)


def dissected(file: Path, *options: str, preferences: Mapping[str, str] = {}) -> list[ElementTree.Element]:
    """Return the packets of a capture as tshark takes them apart with the dissector."""
    chosen = [f"-o{name}:{value}" for name, value in preferences.items()]
    done = run("-r", str(file), "-T", "pdml", *chosen, *options)
    return list(ElementTree.fromstring(done).iter("packet"))  # noqa: S314  # tshark's, about our own octets


def run(*options: str) -> bytes:
    """Return what tshark says, run with the dissector."""
    assert TSHARK is not None
    first = [option for option in options if option == "-G"]
    command = [TSHARK, *options] if first else [TSHARK, "-n", *options]
    return subprocess.run(  # tshark, on files of ours
        [*command, "-X", f"lua_script:{LUA}"], capture_output=True, timeout=120, check=True
    ).stdout
