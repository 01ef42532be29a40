"""Conversations as a node runs them: the current state, whose it is, and what waits for the store.

A `Driver` gives events to conversations and turns what they ask for into
actions for the edge. A unit that is to be durable gets a token; the outcome
comes back under it, and the conversation goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from seckex.errors import ApiMisuse
from seckex.machine import (
    Action,
    Deliver,
    Now,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Report,
    Send,
    State,
    Transitions,
    Work,
    Worked,
    advance,
)
from seckex.node import actions as actions_of_node
from seckex.node.actions import Commit, NodeAction
from seckex.sa.store import DeleteAssociation, Outcome, PutAssociation, Unit


class Owner(Protocol):
    """Who keeps a conversation and takes its results."""

    def moved(self, conversation: Conversation, now: Now, actions: list[NodeAction]) -> None:
        """Take note that the conversation is in another state, its actions being under way."""
        ...

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take a result."""
        ...


class Conversation:
    """One exchange: its ``state`` and, while it has one, its ``deadline`` (monotonic)."""

    __slots__ = ("deadline", "owner", "peer", "state", "transitions")

    def __init__(self, state: State, transitions: Transitions, owner: Owner, peer: str) -> None:
        self.state = state
        self.transitions = transitions
        self.owner = owner
        self.peer = peer
        self.deadline: float | None = None


class Driver:
    """Runs conversations."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[Conversation | None, Unit]] = {}
        self._working: dict[int, Conversation] = {}
        self._unwanted: set[int] = set()
        self._last = 0

    @property
    def waiting(self) -> int:
        """How many units have not had their outcome."""
        return len(self._pending)

    def drive(self, conversation: Conversation, event: object, now: Now, actions: list[NodeAction]) -> None:
        """Give ``event`` to the conversation; raises what its state raises, having changed nothing."""
        step = advance(conversation.transitions, conversation.state, event, now)
        self.take(conversation, step.state, step.actions, now, actions)

    def take(
        self, conversation: Conversation, state: State, asked: tuple[Action, ...], now: Now, actions: list[NodeAction]
    ) -> None:
        """Move the conversation to ``state`` and run what was ``asked``, in order."""
        if state is conversation.state and not asked:
            return
        # A deadline was armed for what one kind of state awaits; what leaves it waiting does not disarm it.
        if type(state) is not type(conversation.state):
            conversation.deadline = None
        conversation.state = state
        conversation.owner.moved(conversation, now, actions)
        for action in asked:
            if isinstance(action, Send | Report):
                actions.append(action)
            elif isinstance(action, Persist):
                self.commit(conversation, action.unit, actions)
            elif isinstance(action, Deliver):
                conversation.owner.delivered(conversation, action.result, now, actions)
            elif isinstance(action, Work):
                self._last += 1
                self._working[self._last] = conversation
                actions.append(actions_of_node.Work(self._last, action.call))
            else:
                conversation.deadline = action.deadline
                conversation.owner.moved(conversation, now, actions)

    def worked(self, token: int, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take what became of a `Work`."""
        if token not in self._working:
            raise ApiMisuse(f"no work has the token {token}")
        conversation = self._working.pop(token)
        if token not in self._unwanted:
            self.drive(conversation, Worked(result), now, actions)
            return
        self._unwanted.remove(token)
        # It has to give back what it took for its work; what it would do next is not done.
        advance(conversation.transitions, conversation.state, Worked(result), now)

    def let_go(self, unwanted: Callable[[Conversation], bool]) -> None:
        """Drive such conversations no more; what they are about to store is removed again."""
        for token, (conversation, unit) in self._pending.items():
            if conversation is not None and unwanted(conversation):
                self._pending[token] = None, unit
                self._unwanted.add(token)
        for token, worker in self._working.items():
            if unwanted(worker):
                self._unwanted.add(token)

    def commit(self, conversation: Conversation | None, unit: Unit, actions: list[NodeAction]) -> None:
        """Ask for ``unit`` to be made durable, on behalf of a conversation or of nobody who waits."""
        self._last += 1
        self._pending[self._last] = (conversation, unit)
        actions.append(Commit(self._last, unit))

    def committed(
        self, token: int, outcome: Outcome | str, now: Now, actions: list[NodeAction]
    ) -> tuple[Conversation | None, Unit]:
        """Take an outcome, or the reason of a failure; return what it was of."""
        if token not in self._pending:
            raise ApiMisuse(f"no commit has the token {token}")
        conversation, unit = self._pending.pop(token)
        if token in self._unwanted:
            self._unwanted.remove(token)
            stored = [each.association.spi_in for each in unit if isinstance(each, PutAssociation)]
            if stored and outcome is Outcome.STORED:
                self.commit(None, tuple(map(DeleteAssociation, stored)), actions)
        if conversation is not None:
            if outcome is Outcome.STORED:
                self.drive(conversation, Persisted(), now, actions)
            elif outcome is Outcome.CONFLICT:
                self.drive(conversation, PersistConflict(), now, actions)
            else:
                self.drive(conversation, PersistFailed(str(outcome)), now, actions)
        return conversation, unit
