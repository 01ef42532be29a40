"""The three-phase exchange as a conversation at either end: docs/messages.md, section 11.

The initiator of a dialog begins (`begin`) and then awaits m2; the target answers m1 and then awaits m3. Copies do no
harm: of m1, since the target has drawn anew and takes nothing before m3; of m2 and m3, since they are awaited once.
What does not verify changes nothing and raises, so nobody who can only add octets ends an exchange; that is what the
deadline does. Randomness, prekeys and whom to trust are in the first state.

Secrets of an exchange are in the state that awaits, and are gone when it is left: `Agreed` has what came of them.

Both ends have one exchange at a time under way on a connection for each that may begin one: m2 does not say which m1
it answers. `HalfOpen` is the target's table of those that await m3.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final, NoReturn

from attrs import field, frozen

from seckex.crypto.identity import Identity, Trust
from seckex.crypto.phases import Answered, Begun, Exchanged, Randomness, answer, finish, verify
from seckex.crypto.phases import begin as begin_exchange
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.machine import Arm, Deliver, Now, Step, Tick, Transitions, advance
from seckex.wire.numbers import Suite, UnitKind
from seckex.wire.phases import Moving
from seckex.wire.units import Phase, encode_unit

#: Seconds until an exchange that is not answered is given up, at both ends.
ANSWER_WITHIN: Final = 10.0
#: Exchanges that await m3 at a target.
MOST_HALF_OPEN: Final = 256


@frozen
class Came1:
    """PHASE1 has come: m1, and the ``path`` in front of it."""

    path: bytes
    octets: bytes


@frozen
class Came2:
    """PHASE2 has come: m2."""

    octets: bytes


@frozen
class Came3:
    """PHASE3 has come: m3."""

    octets: bytes


@frozen
class Stopped:
    """The exchange ends here: the connection is lost, or its dialog over."""

    why: str


@frozen
class Ended:
    """Nothing came of it; its secrets are gone."""

    why: str

    def receive(self, event: object, now: Now) -> NoReturn:  # noqa: ARG002  # the signature of all states
        """Refuse: nothing is awaited any more."""
        raise ApiMisuse("an exchange that has ended awaits nothing")


@frozen
class Agreed:
    """Both ends have the KEK."""

    exchanged: Exchanged

    def receive(self, event: object, now: Now) -> NoReturn:  # noqa: ARG002  # the signature of all states
        """Refuse: nothing is awaited any more."""
        raise ApiMisuse("an exchange that is over awaits nothing")


@frozen
class ExpectPhase1:
    """At the target: nothing is known of the other end yet.

    ``path`` names the connection, ``private_prekey`` finds a prekey of ours by its id, ``suites`` are those that we
    allow, ``drawn`` is fresh.
    """

    path: bytes
    identity: Identity
    trust: Trust
    private_prekey: Callable[[bytes], PrivatePrekey | None] = field(repr=False)
    suites: Set[Suite]
    drawn: Randomness

    def receive(self, event: Came1 | Stopped, now: Now) -> Step:
        """Answer who has heard our HELLO; raises as `seckex.crypto.phases.answer` does."""
        if isinstance(event, Stopped):
            return Step(Ended(event.why))
        # Neither is secret: whoever sends this has heard our nonce on this connection.
        if event.path != self.path:
            raise AuthenticationFailed("a PHASE1 of another connection")
        answered, said = answer(
            event.octets, self.identity, self.trust, self.private_prekey, self.suites, self.drawn, now.wall
        )
        deadline = now.monotonic + ANSWER_WITHIN
        return Step(ExpectPhase3(answered), (Deliver(Phase(UnitKind.PHASE2, said)), Arm(deadline)))


@frozen
class ExpectPhase2:
    """At the initiator, after m1."""

    begun: Begun
    trust: Trust

    def receive(self, event: Came2 | Tick | Stopped, now: Now) -> Step:
        """Agree, and say m3; raises as `seckex.crypto.phases.finish` does."""
        if isinstance(event, Tick):
            return Step(Ended("no answer"))
        if isinstance(event, Stopped):
            return Step(Ended(event.why))
        exchanged, said = finish(self.begun, event.octets, self.trust, now.wall)
        return Step(Agreed(exchanged), (Deliver(Phase(UnitKind.PHASE3, said)),))


@frozen
class ExpectPhase3:
    """At the target, after m2: m1 may have been a copy, and nothing is taken under the KEK."""

    answered: Answered

    def receive(self, event: Came3 | Tick | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Agree; raises as `seckex.crypto.phases.verify` does."""
        if isinstance(event, Tick):
            return Step(Ended("no third message"))
        if isinstance(event, Stopped):
            return Step(Ended(event.why))
        return Step(Agreed(verify(self.answered, event.octets)))


TRANSITIONS: Final[Transitions] = {
    ExpectPhase1: {
        Came1: frozenset({ExpectPhase3}),
        Stopped: frozenset({Ended}),
    },
    ExpectPhase2: {
        Came2: frozenset({Agreed}),
        Tick: frozenset({Ended}),
        Stopped: frozenset({Ended}),
    },
    ExpectPhase3: {
        Came3: frozenset({Agreed}),
        Tick: frozenset({Ended}),
        Stopped: frozenset({Ended}),
    },
}


def begin(
    path: bytes,
    identity: Identity,
    prekey: PrivatePrekey,
    target: PublicPrekey,
    trust: Trust,
    suite: Suite,
    dialog_id: bytes,
    moving: Moving | None,
    drawn: Randomness,
    now: Now,
) -> Step:
    """Return an initiator's first step: m1 goes out on the connection ``path``.

    ``prekey`` is our own, ``target`` that of whom we want; ``moving`` is None for a dialog without keys.
    """
    begun, said = begin_exchange(identity, prekey, target, suite, dialog_id, moving, drawn)
    deadline = now.monotonic + ANSWER_WITHIN
    return Step(ExpectPhase2(begun, trust), (Deliver(Phase(UnitKind.PHASE1, said, path)), Arm(deadline)))


class HalfOpen:
    """A target's exchanges that await m3, by connection; at `MOST_HALF_OPEN` the oldest gives way."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[ExpectPhase3, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def first(self, connection: int, expecting: ExpectPhase1, event: Came1, now: Now) -> bytes:
        """Return the unit that answers PHASE1; what the connection awaited before is given up then.

        Raises as `ExpectPhase1` does.
        """
        step = advance(TRANSITIONS, expecting, event, now)
        said, deadline = b"", now.monotonic
        for action in step.actions:
            if isinstance(action, Deliver):
                said = encode_unit(action.result)
            elif isinstance(action, Arm):
                deadline = action.deadline
        self._waiting.pop(connection, None)
        if len(self._waiting) >= MOST_HALF_OPEN:
            del self._waiting[next(iter(self._waiting))]
        if isinstance(step.state, ExpectPhase3):
            self._waiting[connection] = step.state, deadline
        return said

    def third(self, connection: int, event: Came3, now: Now) -> Exchanged | None:
        """Return what PHASE3 has completed, None where none is awaited; raises as `ExpectPhase3` does."""
        self.expire(now)
        waiting = self._waiting.get(connection)
        if waiting is None:
            return None
        state = advance(TRANSITIONS, waiting[0], event, now).state
        del self._waiting[connection]
        return state.exchanged if isinstance(state, Agreed) else None

    def lost(self, connection: int) -> None:
        """Give up what a connection awaits."""
        self._waiting.pop(connection, None)

    def expire(self, now: Now) -> None:
        """Give up what has waited too long."""
        while self._waiting:
            connection = next(iter(self._waiting))
            if now.monotonic < self._waiting[connection][1]:
                return
            del self._waiting[connection]
