"""Messages that were given to programs over HTTP and have no verdict yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus

from attrs import define, field
from twisted.internet.defer import Deferred

from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Decision, Message, Said
from seckex.net.delivery.http.problems import Problem

_GIVEN_BACK = "the program went away without a verdict"


def id_of(message: Message) -> str:
    """Return what a message is called by programs: its name with the whole id of its dialog."""
    return f"{message.dialog.id.hex()}.{message.name.partition('.')[2]}"


@define(eq=False)
class Held:
    """One message with a program; ``said`` is fired once."""

    message: Message
    id: str
    said: Deferred[Said] = field(factory=Deferred, repr=False)


class Holdings:
    """All of them. How many there can be follows from who may take them; see `seckex.net.delivery.http.giving`."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    def add(self, message: Message) -> Held:
        """Take note of a message that is about to be given."""
        held = Held(message, id_of(message))
        self._held[held.id] = held
        return held

    def find(self, name: str) -> Held:
        """Return the message with a name or id; raises `Problem` if there is none, or a name fits several."""
        held = self._held.get(name)
        if held is not None:
            return held
        found = [each for each in self._held.values() if each.message.name == name]
        if not found:
            reason = f"{name} is with no program: it has a verdict, or has been taken back, or was never given"
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-message", reason, "message")
        if len(found) > 1:
            reason = f"{name} may be one of {len(found)} messages: give its id"
            raise Problem(HTTPStatus.CONFLICT, "ambiguous", reason, "message")
        return found[0]

    def settle(self, held: Held, decision: Decision) -> None:
        """Have its verdict told, unless it has one."""
        if self._held.get(held.id) is held:
            del self._held[held.id]
            held.said.callback(decision)

    def give_back(self, several: Iterable[Held]) -> None:
        """Have messages given again, at once."""
        for held in several:
            self.settle(held, Decision(Verdict.RETRY, _GIVEN_BACK, after=0))
