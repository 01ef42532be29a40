"""Envelopes of messages, sealed and opened in one process, against transport messages of Noise in Python.

Both have AES-256-GCM over 1 KiB. An envelope has headers of 88 octets besides, which its MIC covers, and the time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count as numbers
from typing import Any

from benchmarks.exchanges import rate
from benchmarks.rows import Row, alternate
from seckex.crypto.envelope import NOBODY, body_key
from seckex.crypto.secrets import Secret
from seckex.delivery.record import BodyOpener, BodySealer
from seckex.wire.numbers import MessageKind, Suite

SIZE = 1024


def envelopes(body: bytes) -> Callable[[], object]:
    """Return what seals one envelope of the short shape and opens it."""
    dialog_id = os.urandom(16)
    key = body_key(Suite.AES_256_GCM, Secret(os.urandom(32)), os.urandom(16), os.urandom(16), 0, NOBODY, dialog_id)
    seal = BodySealer(key, dialog_id, False, time.time_ns).seal
    take = BodyOpener(key, dialog_id, False).open
    sequence = numbers(1)
    kind = int(MessageKind.MESSAGES)
    if take(seal(kind, 1, 0, 0, next(sequence), 0, body)) != body:
        raise SystemExit("an envelope does not hold what was sealed in it")
    return lambda: take(seal(kind, 1, 0, 0, next(sequence), 0, body))


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


def measure(quick: bool) -> Sequence[Row]:
    """Return the row."""
    runs, count = (1, 5_000) if quick else (15, 20_000)
    body = os.urandom(SIZE)
    ours, theirs = envelopes(body), noise(body)
    rates = alternate(runs, *(partial(rate, count, act) for act in (ours, *((theirs,) if theirs else ()))))
    peer, name = (rates[1], "Noise in Python") if theirs else (None, "Noise (not installed)")
    return [Row("envelopes of 1 KiB, sealed and opened", "1/s", rates[0], peer, name, 0.75)]
