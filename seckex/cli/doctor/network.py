"""What can be seen of the network: ports of ours, names and programs of peers.

A peer's program is asked over UDP in a version of the protocol that does not
exist: it answers which ones it speaks, without any key and whatever it thinks of us
(docs/protocol.md, section 3). Over TCP a connection is made and closed.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import OK, HTTPConnection, HTTPException
from typing import Final

from seckex.cli.doctor.finding import Finding, bad, doubtful, good
from seckex.config.endpoints import tcp_listener
from seckex.config.hops import HopSettings
from seckex.config.initiator import InitiatorPeer, InitiatorSettings
from seckex.config.listen import ListeningSettings
from seckex.config.load import AnySettings
from seckex.config.metrics import Metrics
from seckex.errors import Malformed, UnsupportedVersion
from seckex.wire.general import decode_versions
from seckex.wire.numbers import HEADER_SIZE, MESSAGE_TYPE, VERSION

MOST_PEERS: Final = 32
TRIES: Final = 3
WAIT: Final = 1.0
TCP_WAIT: Final = 3.0
_AT_ONCE: Final = 8
# A version that is far from coming, and room for an answer that is no longer than this.
_NO_VERSION: Final = 15
_PROBE_SIZE: Final = 64
_MOST_READY: Final = 65536


def ports(settings: AnySettings, live: bool) -> Iterator[Finding]:
    """Look at whether the ports that the daemon needs are free, or taken as they should be by a ``live`` one."""
    wanted: list[tuple[str, int, tuple[socket.SocketKind, ...]]] = []
    if isinstance(settings, InitiatorSettings):
        listeners = [tcp_listener(forward.listen) for forward in settings.forwards]
        wanted = [(address, port, (socket.SOCK_STREAM,)) for address, port in filter(None, listeners) if port]
    elif isinstance(settings, ListeningSettings):
        both = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        wanted = [(address, settings.listen.port, both) for address in settings.listen.addresses]
    if isinstance(settings, HopSettings):
        listen = settings.hops_listen
        wanted += [(address, listen.port, (socket.SOCK_STREAM,)) for address in listen.addresses]
    wanted += [(address, port, (socket.SOCK_STREAM,)) for address, port in settings.metrics.places]
    for address, port, kinds in wanted:
        for kind in kinds:
            yield _port(address, port, kind, live)


def _port(address: str, port: int, kind: socket.SocketKind, live: bool) -> Finding:
    name = "TCP" if kind is socket.SOCK_STREAM else "UDP"
    where = f"{name} port {port} of {address}"
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # As the daemon does: a connection that was just closed is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return _unbindable(where, port, error, live)
    if live:
        advice = "see that it runs with this configuration: `seckex status` tells where it listens"
        return bad("ports", f"{where} is free, though the daemon runs", advice)
    return good("ports", f"{where} is free")


def _unbindable(where: str, port: int, error: OSError, live: bool) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if live:
            return good("ports", f"{where} is taken, and the daemon runs")
        return bad("ports", f"{where} is taken by another program", f"see which: ss -lntup sport = :{port}")
    if error.errno == errno.EACCES:
        advice = "start the daemon as root and let it drop to its user, or choose a port above 1023"
        return bad("ports", f"{where} needs privileges", advice)
    if error.errno == errno.EADDRNOTAVAIL:
        return bad(
            "ports", f"{where}: this machine does not have that address", "see `ip address`, and listen.addresses"
        )
    return bad("ports", f"{where} cannot be had: {error.strerror}", "see the system's log")


def reach(peers: Iterable[InitiatorPeer]) -> Iterator[Finding]:
    """Look up the peers of an initiator and see whether their programs answer, the first 32 of them."""
    some = tuple(peers)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(_reach, some[:MOST_PEERS]):
            yield from found
    if len(some) > MOST_PEERS:
        what = f"{len(some) - MOST_PEERS} further peers were not tried"
        yield doubtful("peers", what, f"ask the daemon: seckex explain {some[MOST_PEERS].nai}")


def _reach(peer: InitiatorPeer) -> list[Finding]:
    try:
        found = socket.getaddrinfo(peer.address, peer.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        advice = "see the name in the configuration, and this machine's resolver (getent hosts)"
        return [bad("peers", f"{peer.nai}: {peer.address} cannot be looked up: {error.strerror}", advice)]
    family, _, _, _, address = found[0]
    return [_udp(peer, family, address), _tcp(peer, family, address)]


def _udp(peer: InitiatorPeer, family: int, address: tuple[object, ...]) -> Finding:
    where = f"{peer.nai} at {address[0]} port {peer.port} over UDP"
    firewall = f"see that its daemon runs and listens there, and that nothing between drops UDP to port {peer.port}"
    probe = _probe(os.urandom(8))
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(WAIT)
        for _ in range(TRIES):
            try:
                connection.connect(address)
                connection.send(probe)
                answer = connection.recv(2048)
                versions = _versions(answer, probe)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                return bad("peers", f"{where}: nothing listens there", firewall)
            except OSError as error:
                return bad("peers", f"{where}: {error.strerror}", "see this machine's routes (ip route get)")
            if not versions:
                return bad("peers", f"{where}: what answers is not this protocol", "see address and port of the peer")
            if VERSION not in versions:
                spoken = ", ".join(map(str, versions))
                return bad("peers", f"{where} speaks version {spoken}, not {VERSION}", "bring both to one version")
            return good("peers", f"{where} speaks version {', '.join(map(str, versions))}")
    return bad("peers", f"{where}: no answer within {TRIES * WAIT:.0f} s", firewall)


def _tcp(peer: InitiatorPeer, family: int, address: tuple[object, ...]) -> Finding:
    where = f"{peer.nai} at {address[0]} port {peer.port} over TCP"
    firewall = f"see that nothing between drops TCP to port {peer.port}: links need it"
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(TCP_WAIT)
        try:
            connection.connect(address)
        except TimeoutError:
            return bad("peers", f"{where}: no connection within {TCP_WAIT:.0f} s", firewall)
        except OSError as error:
            return bad("peers", f"{where}: {error.strerror}", firewall)
    return good("peers", f"{where} takes connections")


def _probe(identification: bytes) -> bytes:
    head = bytes([MESSAGE_TYPE, _NO_VERSION << 4, 0, 1]) + identification
    return head + bytes(_PROBE_SIZE - len(head))


def _versions(answer: bytes, probe: bytes) -> tuple[int, ...]:
    """Return the versions that an answer to ``probe`` names, none for anything else."""
    if len(answer) < HEADER_SIZE or answer[4:12] != probe[4:12]:
        return ()
    try:
        return decode_versions(answer).versions
    except (Malformed, UnsupportedVersion):
        return ()


def metrics(settings: Metrics, live: bool) -> Iterator[Finding]:
    """Ask the daemon's own /readyz, and look at who may read metrics."""
    for text in settings.open_to_others:
        advice = (
            "listen on 127.0.0.1, or keep others away from it: what is there has no names, and tells how much goes on"
        )
        yield doubtful("metrics", f"{text} is open to other machines", advice)
    for text, (host, port) in zip(settings.listen, settings.places, strict=True):
        if live:
            yield _readiness(text, host, port)


def _readiness(text: str, host: str, port: int) -> Finding:
    connection = HTTPConnection(host, port, timeout=TCP_WAIT)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        told = json.loads(answer.read(_MOST_READY))
        lacks = [f"{check['check']}: {check['why']}" for check in told["checks"] if not check["ready"]]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        return bad("metrics", f"{text} does not answer as it should: {error}", "see the daemon's log; restart it")
    finally:
        connection.close()
    if answer.status == OK:
        return good("metrics", f"{text} says that the daemon is ready")
    return doubtful("metrics", f"{text} says that the daemon is not ready: {'; '.join(lacks)}", "see to what it says")
