"""What operators are told of messages in memory, and may do with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, execute, succeed

from seckex.delivery.faces import DialogName, Payload, Spooled, Stage
from seckex.net.delivery.api import Dialog, MessageFailed
from seckex.testing.delivered import Delivered, State
from seckex.testing.inbox import Inbox
from seckex.testing.posted import Posted
from seckex.wire.numbers import Code


class Operated:
    """The half of `seckex.testing.memory.MemoryMessages` that operators see."""

    def __init__(self, inbox: Inbox, began: float) -> None:
        self.posted: list[Posted] = []
        self._inbox = inbox
        self.began = began
        self._names: dict[tuple[DialogName, bool], Dialog] = {}
        self._ended: dict[bytes, tuple[int, str]] = {}

    def shown_dialogs(self) -> list[dict[str, Any]]:
        """Return what an operator is told of dialogs."""
        return [self._shown_dialog(name, dialog) for (name, _), dialog in self._names.items()]

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """Return what waits."""
        posted = [each for each in self.posted if each.failed is None and not each.has(Stage.PROCESSED)]
        shown = (
            map(_shown_posted, posted)
            if ours
            else map(_shown_delivered, [each for each in self._inbox.all if each.open])
        )
        return [each for each in shown if dialog_id is None or each["dialog"] == dialog_id.hex()]

    def shown_dead(
        self, beyond: tuple[bytes, bool, int] | None = None, most: int = 1000
    ) -> Deferred[list[dict[str, Any]]]:
        """Fire with messages that were put aside."""
        dead = sorted(((each.dialog_id, False, each.number), each) for each in self._dead())
        return succeed([_shown_delivered(each) for place, each in dead if beyond is None or place > beyond][:most])

    def dead_message(
        self, dialog_id: bytes, ours: bool, number: int
    ) -> Deferred[tuple[dict[str, Any], Payload] | None]:
        """Fire with a dead message and its payload."""
        found = None if ours else _found(self._dead(), dialog_id, number)
        return succeed(None if found is None else (_shown_delivered(found), found.payload))

    def why(self, name: str) -> dict[str, Any] | None:
        """Return what there is to say of a message or dialog."""
        for posted in self.posted:
            if _is_called(posted.dialog.id, posted.name, name):
                stage = "accepted" if posted.stage is None else posted.stage.value
                stuck = "" if posted.failed is None else str(posted.failed)
                return self._why(posted.name, posted.dialog.id, "sent", stage, stuck, [])
        for delivered in self._inbox.all:
            if _is_called(delivered.dialog_id, delivered.name, name):
                steps = [each.value for each in delivered.verdicts]
                stage = "delivered" if delivered.open else "processed"
                return self._why(delivered.name, delivered.dialog_id, "received", stage, delivered.why, steps)
        for each in self.shown_dialogs():
            if each["id"].startswith(name):
                return {"dialog": each, "steps": []}
        return None

    def _why(
        self, name: str, dialog_id: bytes, direction: str, stage: str, stuck: str, steps: list[str]
    ) -> dict[str, Any]:
        dialog = next(each for each in self.shown_dialogs() if each["id"] == dialog_id.hex())
        return {
            "name": name,
            "dialog": dialog,
            "direction": direction,
            "stage": stage,
            "stuck": stuck,
            "advice": "advance the clock",
            "steps": [{"at": self.began, "what": each} for each in steps],
        }

    def drop(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """Forget a message that is dead or waits."""
        return execute(self._drop, dialog_id, ours, number)

    def _drop(self, dialog_id: bytes, ours: bool, number: int) -> None:
        if ours:
            self._of_ours(dialog_id, number).refuse(Code.DELETED, "the operator has dropped it")
        else:
            self._of_theirs(dialog_id, number).state = State.DROPPED
            self._inbox.tend()

    def retry(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """Give one again."""
        return execute(self._retry, dialog_id, ours, number)

    def _retry(self, dialog_id: bytes, ours: bool, number: int) -> None:
        if ours:
            self._of_ours(dialog_id, number)
            return
        found = self._of_theirs(dialog_id, number)
        found.state, found.due, found.attempt = State.WAITING, 0.0, 0
        self._inbox.tend()

    def end(self, dialog_id: bytes, code: int = 0, why: str = "") -> None:
        """End a dialog."""
        if dialog_id not in {each.id for each in self._names.values()} or dialog_id in self._ended:
            raise MessageFailed(Code.UNKNOWN_DIALOG, f"there is no dialog {dialog_id.hex()}")
        self._ended[dialog_id] = (code, why)

    def _dead(self) -> list[Delivered]:
        return [each for each in self._inbox.all if each.state is State.DEAD]

    def _of_ours(self, dialog_id: bytes, number: int) -> Posted:
        for each in self.posted:
            if (each.dialog.id, each.number) == (dialog_id, number) and each.failed is None:
                return each
        raise _unknown(dialog_id, number)

    def _of_theirs(self, dialog_id: bytes, number: int) -> Delivered:
        waiting = [each for each in self._inbox.all if each.state in (State.WAITING, State.DEAD)]
        found = _found(waiting, dialog_id, number)
        if found is None:
            raise _unknown(dialog_id, number)
        return found

    def _shown_dialog(self, name: DialogName, dialog: Dialog) -> dict[str, Any]:
        return {
            "id": dialog.id.hex(),
            "peer": name.peer,
            "service": name.service,
            "own": name.own,
            "label": name.label,
            "priority": name.priority,
            "begun": "by the peer" if dialog.direction else "here",
            "created": self.began,
            "state": "ended" if dialog.id in self._ended else "connected",
            "connected": True,
            "keys": None,
            "ours": {},
            "theirs": {},
            "why": "",
        }


def _is_called(dialog_id: bytes, own: str, name: str) -> bool:
    """Tell whether a message is called so: by its name, or by its id."""
    return name in (own, f"{dialog_id.hex()}.{own.partition('.')[2]}")


def _found(among: Iterable[Delivered], dialog_id: bytes, number: int) -> Delivered | None:
    return next((each for each in among if (each.dialog_id, each.number) == (dialog_id, number)), None)


def _unknown(dialog_id: bytes, number: int) -> MessageFailed:
    return MessageFailed(Code.UNKNOWN_DIALOG, f"there is no message {number} of {dialog_id.hex()} that waits")


def _size(payload: Payload) -> int:
    return payload.size if isinstance(payload, Spooled) else len(payload)


def _shown_posted(posted: Posted) -> dict[str, Any]:
    return {
        "name": posted.name,
        "dialog": posted.dialog.id.hex(),
        "ours": True,
        "number": posted.number,
        "peer": posted.dialog.peer,
        "service": posted.dialog.service,
        "type": posted.type,
        "size": _size(posted.payload),
        "stage": "" if posted.stage is None else posted.stage.value,
    }


def _shown_delivered(delivered: Delivered) -> dict[str, Any]:
    return {
        "name": delivered.name,
        "dialog": delivered.dialog_id.hex(),
        "ours": False,
        "number": delivered.number,
        "peer": delivered.peer,
        "service": delivered.service,
        "type": delivered.type,
        "size": _size(delivered.payload),
        "state": delivered.state.value,
        "attempts": delivered.attempt,
        "code": delivered.code,
        "why": delivered.why,
    }
