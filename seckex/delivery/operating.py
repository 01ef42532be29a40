"""What operators see of dialogs and messages, and do to them."""

from __future__ import annotations

from typing import Any

from seckex.delivery.programs import ProgramsAtHouse
from seckex.delivery.showing import MOST_LISTED, parse_name, shown_dialog, shown_queue, why_message
from seckex.delivery.store import DeadMessage
from seckex.delivery.tables import Tables
from seckex.errors import PeerIncompatible
from seckex.machine import Now
from seckex.wire.numbers import Code


class Operating:
    """See the module."""

    def __init__(self, tables: Tables, programs: ProgramsAtHouse) -> None:
        self._tables = tables
        self._programs = programs

    def shown_dialogs(self, now: Now) -> list[dict[str, Any]]:
        """Return what is told of dialogs, those that live first."""
        rows = sorted(self._tables.dialogs.values(), key=lambda each: (bool(each.row.forget), each.row.created))
        return [shown_dialog(each, now) for each in rows[:MOST_LISTED]]

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """Return what waits to be processed at the peer (``ours``) or here, the oldest of each dialog."""
        found: list[dict[str, Any]] = []
        for conversation in self._tables.dialogs.values():
            if (dialog_id is None or conversation.row.dialog_id == dialog_id) and len(found) < MOST_LISTED:
                found += shown_queue(conversation, ours=ours)
        return found[:MOST_LISTED]

    def why(self, name: str, now: Now) -> dict[str, Any] | None:
        """Return what there is to say of a message or a dialog, None where it is not known."""
        parsed = parse_name(name)
        if parsed is None:
            return None
        begins, letter, number = parsed
        found = [each for id_, each in self._tables.dialogs.items() if id_.hex().startswith(begins)]
        if len(found) != 1:
            return None
        if not number:
            return {"dialog": shown_dialog(found[0], now), "steps": found[0].trail.of(True, 0)}
        return why_message(found[0], letter, number, now)

    def drop(self, dialog_id: bytes, ours: bool, number: int, now: Now) -> None:
        """Leave out a message of ours that waits, or put one aside that waits for a program; raises `PeerFault`."""
        conversation = self._tables.known(dialog_id)
        side = conversation.sending if ours else conversation.receiving
        dropped = (
            conversation.sending.drop(number, Code.RESET_BY_PROGRAM, "dropped by the operator")
            if ours
            else conversation.receiving.drop(number, "dropped by the operator", now)
        )
        if not dropped:
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, f"message {number} does not wait, or is with the program")
        conversation.trail.note(now.wall, side is conversation.sending, number, number, "dropped by the operator")
        self._tables.mark(conversation)

    def retry(self, dialog_id: bytes, ours: bool, now: Now) -> None:
        """Send what waits again, or give what waits for another attempt, now; raises `PeerFault`."""
        conversation = self._tables.known(dialog_id)
        if ours:
            conversation.sending.retry(now)
        else:
            conversation.receiving.retry(now)
            self._programs.give_soon(conversation)
        self._tables.mark(conversation)

    def revive(self, dead: DeadMessage, now: Now) -> None:
        """Give a message that was put aside to its program again; raises `PeerFault`."""
        conversation = self._tables.known(dead.dialog_id)
        if not conversation.receiving.revive(dead, now):
            raise PeerIncompatible(Code.UNKNOWN_DIALOG, "what the message was is not kept: it was refused as it came")
        self._programs.give_soon(conversation)
        self._tables.mark(conversation)
