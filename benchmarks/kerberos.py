"""Asks an MIT Kerberos KDC for tickets over UDP, many requests in flight, and prints how many exchanges a second.

``python -m benchmarks.kerberos PORT COUNT WINDOW``: AS exchanges without
pre-authentication (RFC 4120, section 5.4), each with a nonce of its own, encoded here by
hand. A request whose answer does not come within a second is sent again.

`realm` makes a realm in a folder and runs its KDC, with its own configuration files and a free port.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REALM: Final = "BENCH.TEST"
CLIENT: Final = "node"
_PROGRAMS: Final = ("krb5kdc", "kdb5_util", "kadmin.local")
_AS_REP: Final = 0x6B
_ETYPES: Final = (18, 17)  # AES-256 and AES-128 with HMAC-SHA-1


def missing() -> str:
    """Return what keeps a KDC from running here, empty where nothing does."""
    absent = [name for name in _PROGRAMS if _program(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


@contextmanager
def realm(path: Path, port: int) -> Iterator[None]:
    """Run the KDC of a new realm."""
    (path / "krb5.conf").write_text(
        f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\n"
        f"[realms]\n{REALM} = {{\nkdc = 127.0.0.1:{port}\n}}\n[logging]\nkdc = FILE:/dev/null\n"
    )
    (path / "kdc.conf").write_text(
        f'[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = ""\n'
        f"[realms]\n{REALM} = {{\ndatabase_name = {path}/principal\nkey_stash_file = {path}/stash\n"
        f"acl_file = {path}/acl\nsupported_enctypes = aes256-cts:normal\n}}\n[logging]\nkdc = FILE:/dev/null\n"
    )
    environment = os.environ | {"KRB5_CONFIG": f"{path}/krb5.conf", "KRB5_KDC_PROFILE": f"{path}/kdc.conf"}

    def run(name: str, *arguments: str) -> None:
        subprocess.run([str(_program(name)), *arguments], env=environment, check=True, capture_output=True)

    run("kdb5_util", "create", "-s", "-r", REALM, "-P", "of no importance")
    run("kadmin.local", "-r", REALM, "-q", f"addprinc -pw other {CLIENT}")
    command = [str(_program("krb5kdc")), "-n", "-r", REALM, "-P", f"{path}/pid"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as kdc:
        try:
            _await(port)
            yield
        finally:
            kdc.terminate()


def _await(port: int) -> None:
    until = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        while time.monotonic() < until:
            try:
                probe.send(as_request(1))
                probe.recv(65536)
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError("krb5kdc does not answer")


# -- an AS-REQ in DER


def _der(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    size = len(content).to_bytes(2, "big").lstrip(b"\0")
    return bytes((tag, 0x80 | len(size))) + size + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _text(text: str) -> bytes:
    return _der(0x1B, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return _der(0xA0 + number, content)


def _name(kind: int, *parts: str) -> bytes:
    return _sequence(_field(0, _integer(kind)), _field(1, _sequence(*map(_text, parts))))


def as_request(nonce: int) -> bytes:
    """Return the request of a ticket for the realm itself."""
    body = _sequence(
        _field(0, _der(3, bytes(5))),
        _field(1, _name(1, CLIENT)),
        _field(2, _text(REALM)),
        _field(3, _name(2, "krbtgt", REALM)),
        _field(5, _der(0x18, b"20370101000000Z")),
        _field(7, _integer(nonce)),
        _field(8, _sequence(*map(_integer, _ETYPES))),
    )
    return _der(0x6A, _sequence(_field(1, _integer(5)), _field(2, _integer(10)), _field(4, body)))


# -- the load


def drive(port: int, made: list[bytes], window: int) -> float:
    """Have all answered, ``window`` in flight; return how many a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        sending.connect(("127.0.0.1", port))
        begun = time.perf_counter()
        answered = sent = 0
        while answered < len(made):
            while sent < len(made) and sent - answered < window:
                sending.send(made[sent])
                sent += 1
            if not select.select([sending], [], [], 1.0)[0]:
                # Answers have no mark to tell them apart: as many as are missing are asked for anew.
                for octets in made[:sent][answered - sent :]:
                    sending.send(octets)
                continue
            if sending.recv(65536)[0] != _AS_REP:
                raise RuntimeError("refused")
            answered += 1
        return len(made) / (time.perf_counter() - begun)


def main(port: str, count: str, window: str) -> None:
    """Run."""
    made = [as_request(nonce) for nonce in range(1 << 20, (1 << 20) + int(count))]
    print("ready", flush=True)
    sys.stdin.readline()
    print(drive(int(port), made, int(window)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
