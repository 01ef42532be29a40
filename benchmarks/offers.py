"""The load on a responder: ``python -m benchmarks.offers KEY0 PORT COUNT``.

Makes COUNT offers, says "ready", waits for a line, sends them with a window in
flight, and prints how many CHOICEs came a second. Every answer is checked to be
one, and the first and last to have the right MAC.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Final

from seckex.config.key0 import Key0 as FileKey0
from seckex.config.load import read_key0
from seckex.config.policy import PolicySettings
from seckex.crypto.authority import Key0
from seckex.exchange import initiator
from seckex.exchange.attempt import Answer
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import Now, Send, State
from seckex.machine import Path as Address
from seckex.wire.general import decode_message
from seckex.wire.numbers import Kind

WINDOW: Final = 256
_LOST: Final = 1.0


def terms_of(key: FileKey0, *, responder: bool = False) -> Terms:
    """Return the terms of the initiator that a key file names, or those of the responder."""
    key0 = Key0(key.key, key.spi, key.kvno, (key.initiator, key.responder))
    local, peer = (key.responder, key.initiator) if responder else (key.initiator, key.responder)
    return Terms(local, peer, key0, PolicySettings().as_policy(), os.urandom)


def offer_at(terms: Terms, wall: float) -> tuple[bytes, State]:
    """Return an offer made at that time, and the state that awaits its answer."""
    step = initiator.begin(terms, Address("127.0.0.1", 1), Now(time.monotonic(), wall))
    return next(action.octets for action in step.actions if isinstance(action, Send)), step.state


def make(file: Path, count: int) -> list[tuple[bytes, State]]:
    """Return ``count`` offers and the states that await their answers."""
    terms = terms_of(read_key0(file))
    return [offer_at(terms, time.time()) for _ in range(count)]


def main() -> None:
    """Run as the command line says."""
    file, port, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    offers = make(file, count)
    wire = [octets for octets, _ in offers]
    by_identification = {octets[4:12]: state for octets, state in offers}
    print("ready", flush=True)
    sys.stdin.readline()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        udp.setblocking(False)
        answers: dict[bytes, bytes] = {}
        waiting: dict[bytes, int] = {}
        began = time.perf_counter()
        sent = 0
        while len(answers) < count:
            while sent < count and len(waiting) < WINDOW:
                udp.send(wire[sent])
                waiting[wire[sent][4:12]] = sent
                sent += 1
            if not select.select((udp,), (), (), _LOST)[0]:
                for number in waiting.values():
                    udp.send(wire[number])
                continue
            while True:
                try:
                    answer = udp.recv(2048)
                except BlockingIOError:
                    break
                if waiting.pop(answer[4:12], None) is not None:
                    answers[answer[4:12]] = answer
        took = time.perf_counter() - began
    for name, answer in (*list(answers.items())[:8], *list(answers.items())[-8:]):
        received = Received(decode_message(answer), answer)
        now = Now(time.monotonic(), time.time())
        step = by_identification[name].receive(Answer(received), now)
        if not isinstance(step.state, initiator.ExpectStored):
            raise SystemExit("an answer does not establish an association")
    if any(int.from_bytes(answer[2:4], "big") != Kind.CHOICE for answer in answers.values()):
        raise SystemExit("an answer is not a CHOICE")
    print(count / took, flush=True)


if __name__ == "__main__":
    main()
