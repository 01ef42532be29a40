"""Associations set up per second with each group, both ends in one process and nothing between them.

The responder is a node with its tables and the store's twin in memory, the
initiator the machine of exchanges; no sockets, no disk. What it costs to agree on keys is the
difference between the rows. Work that a daemon does aside is done at once.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.rows import Row, alternate
from benchmarks.setups import HOME, NODE
from seckex.crypto.authority import Key0
from seckex.crypto.groups.modp import prime_from_pi
from seckex.crypto.groups.user import Parameters
from seckex.crypto.secrets import Secret
from seckex.exchange import initiator
from seckex.exchange.attempt import Answer
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import Now, Path, Persist, Persisted, Send, State, Step, Work, Worked
from seckex.node.actions import Commit
from seckex.node.actions import Work as NodeWork
from seckex.node.limits import Limits, Peer
from seckex.node.node import Node
from seckex.sa.algorithms import BY_NAME, Algorithm, user_group
from seckex.sa.policy import Policy, PolicyProposal
from seckex.sa.store import MemoryStore
from seckex.wire.general import decode_message
from seckex.wire.numbers import ProtocolId

SPI: Final = 0x5EC0DE
LIFETIME: Final = 8 * 3600
# Far enough apart that no ration is in the way.
APART: Final = 0.1
#: RFC 3526, section 7, as a group of users: the largest that may be.
LARGEST: Final = Parameters.of(prime_from_pi(8192, 4743158), 2)

_PRF: Final = BY_NAME["prf-hmac-sha-256"]
_NUMBERED: Final = ("x25519", "p-256", "x25519-ml-kem-768", "modp-2048", "modp-3072")


def policy(group: Algorithm) -> Policy:
    """Return a policy with one group."""
    algorithms = {
        ProtocolId.ENCRYPTION: (BY_NAME["aes-256-gcm"],),
        ProtocolId.PRF: (_PRF,),
        ProtocolId.KEY_AGREEMENT: (group,),
    }
    groups = {LARGEST.fingerprint: LARGEST}
    return Policy((PolicyProposal(algorithms, LIFETIME),), frozenset(algorithms), groups=groups)


class Ends:
    """Both ends; `set_up` makes one association after the other."""

    def __init__(self, group: Algorithm) -> None:
        key0 = Key0(Secret(os.urandom(32)), SPI, 1, (NODE, HOME))
        self._ours = Terms(NODE, HOME, key0, policy(group), os.urandom)
        limits = Limits(associations=1_000_000, replay_records=1_000_000)
        theirs = Terms(HOME, NODE, key0, policy(group), os.urandom)
        self._home = Node(HOME, [Peer(theirs, None)], os.urandom, limits)
        self._store = MemoryStore()
        self._now = Now(0.0, time.time())
        self._home.start(self._store.load(0, self._now.wall), self._now)

    def set_up(self) -> None:
        """Set up one association, which both ends have confirmed."""
        self._now = now = Now(self._now.monotonic + APART, self._now.wall + APART)
        step = initiator.begin(self._ours, Path("192.0.2.2", 4434), now)
        todo = deque(step.actions)
        state: State = step.state
        agreed = False

        def take(step: Step) -> State:
            todo.extend(step.actions)
            return step.state

        while todo:
            action = todo.popleft()
            if isinstance(action, Persist):
                self._store.commit([action.unit])
                state = take(state.receive(Persisted(), now))
            elif isinstance(action, Work):
                state = take(state.receive(Worked(action.call()), now))
            elif isinstance(action, Send):
                for octets in self._ask(action):
                    agreed = agreed or isinstance(state, initiator.ExpectConfirmed)
                    state = take(state.receive(Answer(Received(decode_message(octets), octets)), now))
        if not agreed or not isinstance(state, initiator.Finished):
            raise SystemExit("no association came about")

    def _ask(self, sent: Send) -> list[bytes]:
        """Return what the responder answers."""
        path = Path("192.0.2.1", 4434, tcp=sent.path.tcp)
        answers: list[bytes] = []
        todo: deque[Any] = deque(self._home.receive(sent.octets, path, self._now))
        while todo:
            action = todo.popleft()
            if isinstance(action, Send):
                answers.append(action.octets)
            elif isinstance(action, Commit):
                (outcome,) = self._store.commit([action.unit])
                todo.extend(self._home.committed(action.token, outcome, self._now))
            elif isinstance(action, NodeWork):
                todo.extend(self._home.worked(action.token, action.call(), self._now))
        return answers


def _rate(group: Algorithm, seconds: float) -> Callable[[], float]:
    def measure() -> float:
        ends = Ends(group)
        ends.set_up()
        done, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            ends.set_up()
            done += 1
        return done / took

    return measure


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, seconds = (1, 0.3) if quick else (5, 2.0)
    groups = {name: BY_NAME[name] for name in _NUMBERED}
    groups["8192 bits, user-defined"] = user_group(LARGEST.fingerprint)
    rates = alternate(runs, *(_rate(group, seconds) for group in groups.values()))
    return [Row(f"set-ups, {name}", "1/s", rate, None, "", None) for name, rate in zip(groups, rates, strict=True)]
