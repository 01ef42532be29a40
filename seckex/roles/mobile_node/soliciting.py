"""Asking whether an agent is there: docs/registration.md, section 10.

Who is asked are the addresses of the configuration, and the agent in use where it
was not heard for a while. Each round of questions leaves from a port of its own,
which is closed when answers had `ANSWER_WITHIN` to come. While there is nobody to
register by, rounds follow each other, at first after a second, then less and
less often; else there is one every `LOOK_EVERY`, for the sake of agents that are
preferred to the one in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from attrs import define, field

from seckex.machine import Now, Path, Send
from seckex.roles.faces import ClosePort, RoleAction
from seckex.roles.mobile_node.agents import Agent
from seckex.roles.mobile_node.request import Entropy
from seckex.wire.advertisement import encode_solicitation

ANSWER_WITHIN: Final = 3.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
LOOK_EVERY: Final = 30.0
JITTER: Final = 0.25


@define
class _Round:
    via: int
    until: float
    #: Who was asked, by Identification: a host.
    asked: dict[int, str] = field(factory=dict)


class Soliciting:
    """See the module; ``new_via`` returns the number of a port that was not used before."""

    def __init__(self, entropy: Entropy, new_via: Callable[[], int]) -> None:
        self._entropy = entropy
        self._new_via = new_via
        self._rounds: list[_Round] = []
        self._pause = FIRST_PAUSE
        self._next_at: float | None = None
        #: Whether there is nobody to register by.
        self.searching = False
        #: How often it was looked since.
        self.tries = 0

    def ask(self, targets: Iterable[tuple[str, int]], now: Now) -> list[RoleAction]:
        """Ask at each of ``targets``, hosts and ports."""
        asked = _Round(self._new_via(), now.monotonic + ANSWER_WITHIN)
        actions: list[RoleAction] = []
        for host, port in targets:
            identification = int(now.wall) << 32 | int.from_bytes(self._entropy(4), "big")
            asked.asked[identification] = host
            actions.append(Send(encode_solicitation(identification), Path(host, port, asked.via)))
        if actions:
            self._rounds.append(asked)
        return actions

    def search(self, now: Now, *, anew: bool = False) -> None:
        """Look for agents, at once; ``anew`` also if that is being done."""
        if anew or not self.searching:
            self.searching, self._pause, self._next_at = True, FIRST_PAUSE, now.monotonic
            self.tries = 0

    def found(self, now: Now) -> None:
        """Look now and then only."""
        self.searching, self._next_at = False, now.monotonic + LOOK_EVERY

    def rest(self) -> None:
        """Look no more."""
        self.searching, self._next_at = False, None

    def due(self, in_use: Agent | None) -> float | None:
        """Return when to look (monotonic): earlier where the agent in use was not heard for long."""
        if self._next_at is None or self.searching or in_use is None:
            return self._next_at
        return min(self._next_at, max(in_use.stale_at, self._next_at - LOOK_EVERY + in_use.lifetime / 6))

    def looked(self, now: Now) -> None:
        """Plan the next look."""
        self.tries += 1
        if self.searching:
            jitter = 1 + JITTER * int.from_bytes(self._entropy(2), "big") / 0xFFFF
            self._next_at = now.monotonic + self._pause * jitter
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._next_at = now.monotonic + LOOK_EVERY

    def asked(self, identification: int, via: int | None) -> bool:
        """Tell whether an answer with this Identification, through this port, is one to a question of ours."""
        return any(each.via == via and identification in each.asked for each in self._rounds)

    def asked_at(self, identification: int, host: str) -> bool:
        """Tell whether an answer with this Identification comes from where it was asked for, and not from a group."""
        return any(each.asked.get(identification) == host for each in self._rounds)

    def tick(self, now: Now) -> list[RoleAction]:
        """Close the ports of rounds that are over."""
        over = [each for each in self._rounds if each.until <= now.monotonic]
        self._rounds = [each for each in self._rounds if each.until > now.monotonic]
        return [ClosePort(each.via) for each in over]

    def over_at(self) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        return min((each.until for each in self._rounds), default=None)
