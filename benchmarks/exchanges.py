"""Whole exchanges a second with both ends in one process, against Noise IK handshakes in the same process.

One exchange is OFFER, CHOICE, CONFIRM and CONFIRMED between the machines of
both roles, X25519 under KEY 0: encoded, decoded, sealed and verified as on the
wire, each transition checked, without sockets and with a store that says yes.
A Noise IK handshake is two messages with static and ephemeral X25519 keys,
AES-256-GCM and SHA-256, in Python over the same `cryptography` package.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

from benchmarks.rows import Row, alternate
from seckex.config.policy import PolicySettings
from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.exchange import initiator, responder
from seckex.exchange.attempt import Answer
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.machine import Deliver, Now, Path, Persisted, Send, State, Step, Transitions, Work, Worked, advance
from seckex.sa.algorithms import BY_NAME
from seckex.sa.association import Association
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.general import decode_message

HOME: Final = "home@example.org"
NODE: Final = "node@example.net"
WALL: Final = 1_790_000_000.0
_PATH: Final = Path("192.0.2.1", 4434)


def single() -> Policy:
    """Return a policy that leaves nothing to choose, as a Noise handshake has nothing to choose."""
    algorithms = {BY_NAME[name].protocol: (BY_NAME[name],) for name in ("aes-256-gcm", "prf-hmac-sha-256", "x25519")}
    return Policy((PolicyProposal(algorithms, 28800),), frozenset(algorithms))


def terms(policy: Policy) -> tuple[Terms, Terms]:
    """Return the terms of an initiator and its responder, under one KEY 0."""
    key0 = Key0(Secret(bytes(range(32))), 0x1234, 1, (NODE, HOME))
    return Terms(NODE, HOME, key0, policy, os.urandom), Terms(HOME, NODE, key0, policy, os.urandom)


def sent(step: Step) -> Received:
    """Return the message of a step, as its receiver reads it."""
    octets = next(action.octets for action in step.actions if isinstance(action, Send))
    return Received(decode_message(octets), octets)


def agreed(step: Step) -> Association:
    """Return the association that a step delivers."""
    found: Association = next(
        action.result.association
        for action in step.actions
        if isinstance(action, Deliver) and hasattr(action.result, "association")
    )
    return found


def _worked(transitions: Transitions, step: Step, now: Now) -> Step:
    """Do what a step wants done aside, here."""
    while work := next((action for action in step.actions if isinstance(action, Work)), None):
        step = advance(transitions, step.state, Worked(work.call()), now)
    return step


class Pair:
    """Both ends; `set_up` is one exchange."""

    def __init__(self, policy: Policy) -> None:
        self.ours, self.theirs = terms(policy)
        self.binding = Transcript.between(NODE, HOME, self.theirs.authority.binding)

    def set_up(self) -> tuple[Association, Association]:
        """Return one association, as the initiator and as the responder hold it."""
        now = Now(time.monotonic(), WALL)
        there: State = responder.ExpectOffer(self.theirs, self.binding)

        def initiating(state: State, event: object) -> Step:
            return _worked(initiator.TRANSITIONS, advance(initiator.TRANSITIONS, state, event, now), now)

        def responding(state: State, event: object) -> Step:
            return _worked(responder.TRANSITIONS, advance(responder.TRANSITIONS, state, event, now), now)

        here = initiator.begin(self.ours, _PATH, now)
        offer = sent(here)
        stored = responding(there, responder.Offered(offer, _PATH, sha256(offer.octets).digest()))
        chosen = responding(stored.state, Persisted())
        theirs = agreed(chosen)
        here = initiating(here.state, Answer(sent(chosen)))
        here = initiating(here.state, Persisted())
        ours = agreed(here)
        marked = responding(chosen.state, responder.Confirmed(sent(here), _PATH))
        done = responding(marked.state, Persisted())
        here = initiating(here.state, Answer(sent(done)))
        initiating(here.state, Persisted())
        return ours, theirs


def noise() -> Callable[[], object] | None:
    """Return what does one Noise IK handshake, None where no implementation is installed."""
    try:
        from noise.connection import Keypair, NoiseConnection
    except ImportError:
        return None
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    here, there = os.urandom(32), os.urandom(32)
    public = X25519PrivateKey.from_private_bytes(there).public_key().public_bytes_raw()

    def handshake() -> None:
        ends: list[Any] = [NoiseConnection.from_name(b"Noise_IK_25519_AESGCM_SHA256") for _ in range(2)]
        initiating, responding = ends
        initiating.set_as_initiator()
        responding.set_as_responder()
        initiating.set_keypair_from_private_bytes(Keypair.STATIC, here)
        initiating.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public)
        responding.set_keypair_from_private_bytes(Keypair.STATIC, there)
        initiating.start_handshake()
        responding.start_handshake()
        responding.read_message(initiating.write_message())
        initiating.read_message(responding.write_message())
        if not (initiating.handshake_finished and responding.handshake_finished):
            raise SystemExit("a Noise handshake did not come to an end")

    return handshake


def rate(count: int, act: Callable[[], object]) -> float:
    """Return how often a second of the processor's time ``act`` is done: nothing here waits for anything."""
    began = time.process_time()
    for _ in range(count):
        act()
    return count / (time.process_time() - began)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 300) if quick else (7, 1000)
    pairs = [Pair(policy) for policy in (single(), PolicySettings().as_policy())]
    for pair in pairs:
        ours, theirs = pair.set_up()
        if ours.keys.octets() != theirs.keys.octets() or ours.spi_in != theirs.spi_out:
            raise SystemExit("the two ends do not hold the same association")
    handshake = noise()
    acts: list[Callable[[], object]] = [pair.set_up for pair in pairs]
    rates = alternate(runs, *(partial(rate, count, act) for act in (*acts, *((handshake,) if handshake else ()))))
    peer, name = (rates[2], "Noise IK in Python") if handshake else (None, "Noise IK (not installed)")
    return [
        Row("set-ups, X25519 under KEY 0", "1/s", rates[0], peer, name, 1.5),
        Row("set-ups, all that a default policy offers", "1/s", rates[1], peer, name, None),
    ]
