"""How conversations are written: states, steps, actions, and the check on them.

A conversation is a chain of frozen states, each named for what it awaits. An
event goes into ``state.receive(event, now)`` and a `Step` comes out: the next
state and what is to be done. Nothing is done by the state itself, and nothing
changes when it raises, so a message that does not verify leaves everything as
it was. ``now`` and randomness are arguments; neither is ever reached for.

Each conversation has one literal table of its transitions. `advance` holds
every step to it, so that an undocumented transition is an error at once, and
the tests and diagrams are drawn from the same table.

Durability is part of the model: a step with a `Persist` among its actions leads
into a state that awaits `Persisted` or `PersistFailed`; whatever depends on the
record being durable is an action of the step after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from attrs import frozen

from seckex.errors import ApiMisuse


class Now(NamedTuple):
    """The two clocks: ``monotonic`` seconds for timers, ``wall`` seconds since 1970 for what is written down."""

    monotonic: float
    wall: float


class Path(NamedTuple):
    """Where a message came from or goes to: host and port, over UDP or, with ``tcp``, over TCP.

    ``via`` is the number of the local socket or TCP connection that it came
    through, so that an answer leaves where it was asked for; None where any will do.
    """

    host: str
    port: int
    via: int | None = None
    tcp: bool = False

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{where} (TCP)" if self.tcp else where


@frozen
class Send:
    """Send one message: as a datagram, or over TCP where its path says so."""

    octets: bytes
    path: Path


@frozen
class Persist:
    """Make ``unit`` durable, all or nothing, and answer `Persisted`, `PersistConflict` or `PersistFailed`.

    The unit is a tuple of the store's operations; see `seckex.sa.store`.
    """

    unit: tuple[Any, ...]


@frozen
class Arm:
    """Ask for a `Tick` at ``deadline`` (monotonic seconds); replaces an earlier one."""

    deadline: float


@frozen
class Deliver:
    """Hand the conversation's result to whoever began it."""

    result: Any


@frozen
class Report:
    """Tell the operator: an event of `seckex.node.events` or of the conversation."""

    event: Any


@frozen
class Work:
    """Have ``call``, a pure function that may take long, done aside, and answer `Worked`.

    It raises nothing but `seckex.errors.SeckexError`.
    """

    call: Callable[[], Any]


Action: TypeAlias = Send | Persist | Arm | Deliver | Report | Work


@frozen
class Tick:
    """The armed deadline has come."""


@frozen
class Persisted:
    """The unit is durable."""


@frozen
class PersistConflict:
    """The unit contradicts what is stored already (a replay that another worker saw first); nothing was stored."""


@frozen
class PersistFailed:
    """The unit could not be stored; nothing was."""

    why: str


@frozen
class Worked:
    """What a `Work` returned, or the `seckex.errors.SeckexError` that it raised."""

    result: Any


class State(Protocol):
    """What `advance` drives."""

    def receive(self, event: Any, now: Now) -> Step:
        """Return the step that ``event`` causes, or raise and change nothing."""
        ...


@frozen
class Step:
    """The next state and the actions, to be run in order."""

    state: State
    actions: tuple[Action, ...] = ()


Transitions: TypeAlias = Mapping[type, Mapping[type, frozenset[type]]]


def advance(transitions: Transitions, state: State, event: object, now: Now) -> Step:
    """Drive ``state`` with ``event`` and hold the step to the table.

    Raises whatever the state raises, and `ApiMisuse` for an event that the
    table does not give the state, or a next state that it does not allow.
    """
    events = transitions.get(type(state), {})
    allowed = events.get(type(event))
    if allowed is None:
        raise ApiMisuse(f"{type(state).__name__} does not await {type(event).__name__}")
    step = state.receive(event, now)
    if type(step.state) not in allowed:
        raise ApiMisuse(f"{type(state).__name__} on {type(event).__name__} must not become {type(step.state).__name__}")
    return step
