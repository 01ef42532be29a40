"""What an operator asks a home agent: to end what a node has there. Requests in, objects out, on the control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from twisted.internet.defer import Deferred

from seckex.config.problems import Unfit
from seckex.config.values import NAI
from seckex.events import OperatorAsked
from seckex.machine import Now
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.log import EventLog
from seckex.roles.faces import RoleAction
from seckex.roles.home_agent import HomeAgent

END_SCHEMA: Final = "seckex.home-end/1"

# Runs what a role wants when it is asked for something; raises what the call raises.
Asking: TypeAlias = Callable[[Callable[[Now], list[RoleAction]]], None]


class HomeCommands:
    """See the module."""

    def __init__(self, agent: HomeAgent, ask: Asking, log: EventLog) -> None:
        self._agent = agent
        self._ask = ask
        self._log = log

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"home-end": self._end}

    def _end(self, request: Request) -> Deferred[Answer]:
        try:
            nai: str = NAI.read(request.get("node"))
        except Unfit as error:
            raise Declined(f"node {error}", "unfit") from error
        answered: Deferred[Answer] = Deferred()

        def done(why: str) -> None:
            if answered.called:
                # Nobody waits any more.
                return
            if why:
                answered.errback(Declined(f"nothing of {nai} is ended: {why}", "not-ended"))
            else:
                told = [each.agent for each in self._agent.home.revocations.of(nai) if each.reason is not None]
                answered.callback({"schema": END_SCHEMA, "node": nai, "agents": sorted(set(told))})

        self._log.report(OperatorAsked("home end", nai))
        self._ask(lambda now: self._agent.end(nai, now, done))
        return answered
