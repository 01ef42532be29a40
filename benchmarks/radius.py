"""A RADIUS server to measure against: FreeRADIUS, where it is installed, with one user in a file, and questions for it.

The server has threads of its own and as little configuration as it runs with.
Each question is another one (RFC 2865): a server answers repetitions from memory.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.daemons import free_port

USER, PASSWORD, SECRET = b"bob", b"hello", b"a secret of benchmarks"
_ACCEPT: Final = 2
_SOCKETS: Final = 4

CONFIGURATION: Final = """\
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = {folder}
run_dir = {folder}
logdir = {folder}
name = radiusd
max_request_time = 5
cleanup_delay = 0
max_requests = 65536
hostname_lookups = no
log {{
 destination = files
 file = {folder}/log
}}
security {{
 max_attributes = 200
 reject_delay = 0
 status_server = no
 allow_vulnerable_openssl = yes
}}
thread pool {{
 start_servers = 4
 max_servers = 8
 min_spare_servers = 1
 max_spare_servers = 8
 max_requests_per_server = 0
}}
client local {{
 ipaddr = 127.0.0.1
 secret = "{secret}"
}}
modules {{
 pap {{
 }}
 files {{
  filename = {folder}/users
 }}
}}
server default {{
 listen {{
  type = auth
  ipaddr = 127.0.0.1
  port = {port}
 }}
 authorize {{
  files
  pap
 }}
 authenticate {{
  Auth-Type PAP {{
   pap
  }}
 }}
}}
"""


def installed() -> str | None:
    """Return the path of the server's program, None where it is not installed."""
    return shutil.which("freeradius", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def server(path: Path) -> Iterator[int | None]:
    """Run a server within the folder ``path`` and give its port; None where it is not installed."""
    program = installed()
    if program is None:
        yield None
        return
    own, port = path / "radius", free_port()
    own.mkdir(mode=0o700)
    text = CONFIGURATION.format(folder=own, port=port, secret=SECRET.decode())
    (own / "radiusd.conf").write_text(text)
    (own / "users").write_text(f'{USER.decode()} Cleartext-Password := "{PASSWORD.decode()}"\n')
    with subprocess.Popen([program, "-d", str(own), "-n", "radiusd", "-f", "-l", str(own / "log")]) as child:
        try:
            authentications(port, 1, 1)
            yield port
        finally:
            child.terminate()


def _question(number: int) -> bytes:
    authenticator = os.urandom(16)
    pad = hashlib.md5(SECRET + authenticator).digest()  # noqa: S324  # RFC 2865, section 5.2
    hidden = bytes(a ^ b for a, b in zip(PASSWORD.ljust(16, b"\0"), pad, strict=True))
    attributes = bytes((1, 2 + len(USER))) + USER + bytes((2, 18)) + hidden
    return struct.pack(">BBH", 1, number % 256, 20 + len(attributes)) + authenticator + attributes


def authentications(port: int, window: int, count: int) -> float:
    """Return how many a second the server on ``port`` answers of ``count``, ``window`` under way."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(min(_SOCKETS, window))]
    for each in sockets:
        each.connect(("127.0.0.1", port))
        each.setblocking(False)
    waiting = {each: [_question(number) for number in range(count // len(sockets) + 1)] for each in sockets}
    for each in sockets:
        _ask(each, waiting[each], window // len(sockets))
    answered, began, last = 0, time.perf_counter(), 0.0
    until = began + 30
    while answered < count and time.perf_counter() < until:
        for each in select.select(sockets, [], [], 0.5)[0]:
            got = _answers(each)
            answered += got
            _ask(each, waiting[each], got)
        if not answered:
            # It is still starting.
            _ask(sockets[0], waiting[sockets[0]] or [_question(0)], 1)
        last = time.perf_counter()
    for each in sockets:
        each.close()
    if answered < count:
        raise RuntimeError(f"the RADIUS server has answered {answered} of {count}")
    return answered / (last - began)


def _ask(each: socket.socket, waiting: list[bytes], number: int) -> None:
    for _ in range(min(number, len(waiting))):
        try:
            each.send(waiting.pop())
        except ConnectionRefusedError:
            time.sleep(0.05)


def _answers(each: socket.socket) -> int:
    got = 0
    while True:
        try:
            got += each.recv(4096)[0] == _ACCEPT
        except (BlockingIOError, ConnectionRefusedError):
            return got
