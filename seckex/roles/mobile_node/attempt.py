"""What a registration is given, what can happen to it, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from attrs import evolve, field, frozen

from seckex.events import NegotiationFailed
from seckex.machine import Action, Arm, Deliver, Now, Path, Report, Send
from seckex.roles.mobile_node.agents import Agent
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.records import Home, Registration
from seckex.roles.mobile_node.request import Entropy
from seckex.sa.association import Association
from seckex.wire.mobileip import AgentRefusal, NodeReply
from seckex.wire.numbers import MAX_DATAGRAM

FIRST_WAIT: Final = 1.0
GIVE_UP: Final = 15.0
JITTER: Final = 0.25
# Anybody on the way can send hints; the first few are told, so that the others cannot flood the log.
MOST_HINTS: Final = 4


# -- what happens to a registration


@frozen
class Reply:
    """A reply of the home agent's, as the agent passed it on, came for this request; ``path`` is where from."""

    reply: NodeReply


@frozen
class Refused:
    """The agent itself says that it does not pass on: a hint, not authenticated."""

    refusal: AgentRefusal


@frozen
class CookieAsked:
    """A COOKIE came for this request: a hint, not authenticated."""

    cookie: bytes


@frozen
class Hint:
    """The request could not be sent, or a reply did not verify, and why; ``unsent`` in the first case."""

    why: str
    unsent: bool = False


# -- what comes of it


@frozen
class Moved:
    """An index is used up, durably: ``home`` is what is shared from now on."""

    home: Home


# -- how it goes


@frozen
class Attempt:
    """What stays the same from round to round: by way of whom, for how long, through which port of its own.

    ``held`` are the associations with the home agent so far, by their SPIs here. ``shift`` corrects Identifications by
    the home agent's clock, in seconds; ``again`` tells that this was begun anew once already. ``first_wait`` and
    ``give_up`` are seconds until a request is repeated for the first time, and until that ends.
    """

    plan: Plan
    agent: Agent
    lifetime: int
    via: int
    held: tuple[int, ...]
    entropy: Entropy = field(repr=False)
    new_spi: Callable[[], int] = field(repr=False)
    shift: int = 0
    again: bool = False
    hints: tuple[str, ...] = ()
    first_wait: float = FIRST_WAIT
    give_up: float = GIVE_UP

    def path(self, octets: bytes) -> Path:
        """Return where a request goes: over TCP if it is too long for a datagram."""
        return self.agent.path._replace(via=self.via, tcp=len(octets) > MAX_DATAGRAM)

    def jittered(self, seconds: float) -> float:
        """Return a little more than ``seconds``."""
        return seconds * (1 + JITTER * int.from_bytes(self.entropy(2), "big") / 0xFFFF)

    def hinted(self, why: str) -> Attempt:
        """Return it with one more clue for whoever has to find out why nothing came."""
        if why in self.hints or len(self.hints) == MOST_HINTS:
            return self
        return evolve(self, hints=(*self.hints, why))

    def failed(self, home: Home, cause: Cause, code: int, why: str, causes: tuple[str, ...] = ()) -> tuple[Action, ...]:
        """Return what ends an attempt that has come to nothing."""
        causes = (*self.hints, *causes)
        event = NegotiationFailed(self.plan.home_agent, f"by way of {self.agent.nai}: {why}", causes)
        return Report(event), Deliver(Failed(self, home, cause, code, why, causes))


@frozen
class Done:
    """Registered: durable, and to be used in place of what there was before."""

    attempt: Attempt
    home: Home
    registration: Registration
    association: Association


@frozen
class Ended:
    """Deregistered, as the home agent has confirmed."""

    attempt: Attempt
    home: Home


class Cause(Enum):
    """Whose word it is that a registration failed."""

    SILENCE = "silence"
    AGENT = "agent"
    HOME_AGENT = "home agent"
    HERE = "here"


@frozen
class Failed:
    """Not registered; ``code`` is that of a refusal, 0 for none."""

    attempt: Attempt
    home: Home
    cause: Cause
    code: int
    why: str
    causes: tuple[str, ...] = ()


@frozen
class Sending:
    """A request on its way: how often it went out, and when it is given up."""

    octets: bytes = field(repr=False)
    sent: int
    wait: float
    give_up: float
    cookies: int = 0

    def again(self, attempt: Attempt, now: Now) -> tuple[Sending, tuple[Action, ...]]:
        """Return it after one more sending, and the actions that do it."""
        deadline = min(now.monotonic + attempt.jittered(self.wait), self.give_up)
        actions = (Send(self.octets, attempt.path(self.octets)), Arm(deadline))
        return Sending(self.octets, self.sent + 1, self.wait * 2, self.give_up, self.cookies), actions
