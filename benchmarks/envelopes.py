"""Envelopes of messages, sealed and opened in one process by what seals and opens them in a daemon.

With cached headers against transport messages of Noise in Python: both have AES-256-GCM over 1 KiB, an envelope has
headers of 88 octets besides, which its MIC covers, and the time. With all headers each envelope is the first of a
dialog, and takes one signature, one seal to a prekey, one opening and one verification; these alone are its peer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count as numbers
from typing import Any, Final

from attrs import evolve

from benchmarks.exchanges import rate
from benchmarks.rows import Row, alternate
from benchmarks.vaults import HOME, vaults
from seckex.crypto.kek import open_kek, seal_kek
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.doorkeeper import Doorkeeper
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.sources import PrekeySource
from seckex.machine import Now
from seckex.net.delivery.vault import MessageVault
from seckex.net.principal import Clock
from seckex.wire.bodies import pack_messages
from seckex.wire.numbers import Kem, MessageKind

SIZE: Final = 1024
#: Of `docs/messages.md`, section 3.
MOST_OVERHEAD: Final = 128
_KIND: Final = int(MessageKind.MESSAGES)
_PATH: Final = bytes(range(16))
_INFO: Final = b"what a benchmark binds a seal to"


def initiating(vault: MessageVault, now: Now) -> Initiating:
    """Return the initiator's end of a new dialog."""
    found = Initiating(vault, Terms(os.urandom(16), HOME, "orders"), PrekeySource(vault))
    found.connection(_PATH, now)
    return found


def cached(node: MessageVault, home: MessageVault, body: bytes) -> tuple[Callable[[], object], int]:
    """Return what seals an envelope and opens it while both ends have all keys, and the octets of its overhead."""
    now = Clock().now()
    ours, door, sequence = initiating(node, now), Doorkeeper(home), numbers(1)
    opened = door.open(ours.seal(_KIND, 1, 0, 0, next(sequence), 0, body, now), _PATH, now)
    ours.held(opened.chain, now)
    octets = ours.seal(_KIND, 1, 0, 0, next(sequence), 0, body, now)
    if door.open(octets, _PATH, now).body != body:
        raise SystemExit("an envelope does not hold what was sealed in it")
    seal, take = ours.seal, door.open
    return lambda: take(seal(_KIND, 1, 0, 0, next(sequence), 0, body, now), _PATH, now), len(octets) - SIZE


def first(node: MessageVault, home: MessageVault, body: bytes) -> Callable[[], object]:
    """Return what seals the first envelope of a dialog, with all headers, and opens it."""
    now, door = Clock().now(), Doorkeeper(home)
    return lambda: door.open(initiating(node, now).seal(_KIND, 1, 0, 0, 1, 0, body, now), _PATH, now)


def bare(node: MessageVault, home: MessageVault) -> Callable[[], object]:
    """Return what signs, seals a key to a prekey, opens it and verifies, and nothing else."""
    wall = Clock().wall()
    identity, prekey = node.identity, node.prekey(HOME, wall)
    private = None if prekey is None else home.private_prekey(prekey.id)
    if identity is None or home.trust is None or prekey is None or private is None:
        raise SystemExit("the principals do not know each other")
    voucher = home.trust.verify(identity.chain, wall)
    kek, covered = Secret(bytes(32)), bytes(32)

    def act() -> None:
        opened = open_kek(private, _INFO, seal_kek(prekey, _INFO, kek))
        voucher.verify(identity.sign(b"benchmark", covered), b"benchmark", opened.octets)

    return act


def noise(body: bytes) -> Callable[[], object] | None:
    """Return what does the same with a Noise session, None where no implementation is installed."""
    try:
        from noise.connection import NoiseConnection
    except ImportError:
        return None
    ends: list[Any] = [NoiseConnection.from_name(b"Noise_NN_25519_AESGCM_SHA256") for _ in range(2)]
    ends[0].set_as_initiator()
    ends[1].set_as_responder()
    for end in ends:
        end.start_handshake()
    ends[1].read_message(ends[0].write_message())
    ends[0].read_message(ends[1].write_message())
    encrypt, decrypt = ends[0].encrypt, ends[1].decrypt
    return lambda: decrypt(encrypt(body))


def _of_first(kem: Kem, runs: int, count: int, body: bytes) -> list[float]:
    node, home = vaults(kem)
    return alternate(runs, *(partial(rate, count, act) for act in (first(node, home, body), bare(node, home))))


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 5_000) if quick else (15, 20_000)
    body = pack_messages([("", 0, os.urandom(SIZE))])
    (act, overhead), theirs = cached(*vaults(Kem.X25519), body), noise(body)
    rates = alternate(runs, *(partial(rate, count, each) for each in (act, *((theirs,) if theirs else ()))))
    peer, name = (rates[1], "Noise in Python") if theirs else (None, "Noise (not installed)")
    short = Row("envelopes of 1 KiB, headers cached, sealed and opened", "1/s", rates[0], peer, name, 0.75)
    rows = [short, evolve(short, peer=None, peer_name="", target=150_000)]
    rows.append(Row("the overhead of such an envelope", "octets", overhead, None, "", MOST_OVERHEAD, lower=True))
    for kem, target in ((Kem.X25519, 3_500), (Kem.X25519_ML_KEM_768, None)):
        ours, limit = _of_first(kem, runs, count // 20, body)
        what = f"the same with all headers, {kem.name.replace('_', '-')}"
        rows.append(Row(what, "1/s", ours, limit, "its public-key operations alone", None))
        if target is not None:
            rows.append(Row(what, "1/s", ours, None, "", target))
    return rows
