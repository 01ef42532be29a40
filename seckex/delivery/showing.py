"""What people are told of dialogs and messages: what there is, where it is stuck, and what to do about it."""

from __future__ import annotations

import re
from typing import Any, Final

from seckex.delivery.conversation import SHOWN, Conversation
from seckex.delivery.faces import message_name
from seckex.machine import Now

#: Messages of one dialog that a list has; of more the first.
MOST_OF_DIALOG: Final = 100
#: Entries of a list.
MOST_LISTED: Final = 10_000

_NAME: Final = re.compile(r"([0-9a-f]{1,32})(?:\.([ob])([1-9][0-9]{0,18}))?")


def parse_name(name: str) -> tuple[str, str, int] | None:
    """Return the beginning of a dialog's id, a direction's letter and a number (none: "", 0) out of a name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return found[1][:SHOWN] if len(found[1]) < 2 * 16 else found[1], found[2] or "", int(found[3] or 0)


def shown_dialog(conversation: Conversation, now: Now) -> dict[str, Any]:
    """Return what is told of one dialog."""
    row, keys = conversation.row, conversation.keys
    return {
        "id": row.dialog_id.hex(),
        "peer": row.peer,
        "service": row.service,
        "own": row.own,
        "label": row.label,
        "priority": row.priority,
        "begun": "here" if row.initiator else "by the peer",
        "created": row.created,
        "state": state_of(conversation),
        "connected": conversation.connection is not None,
        "keys": None if keys is None else keys.shown(now),
        "ours": conversation.sending.shown(),
        "theirs": conversation.receiving.shown(),
        "why": row.why if row.forget and row.code else conversation.why,
    }


def state_of(conversation: Conversation) -> str:
    """Return one word for how a dialog is."""
    if conversation.row.forget:
        return "ended" if not conversation.row.code else "failed"
    if conversation.sending.last is not None or conversation.receiving.last is not None:
        return "ending"
    return "connected" if conversation.connection is not None else "waiting" if conversation.is_active else "idle"


def shown_queue(conversation: Conversation, *, ours: bool) -> list[dict[str, Any]]:
    """Return the messages of one dialog that wait in one direction, the first ones.

    What became durable together is stored together, so of one of several the ``size`` is not known without reading it.
    """
    row = conversation.row
    direction = conversation.ours if ours else conversation.ours.other
    same = {
        "dialog": row.dialog_id.hex(),
        "ours": ours,
        "peer": row.peer,
        "service": row.service if ours is row.initiator else row.own,
        "why": conversation.why,
    }
    found: list[dict[str, Any]] = []
    for segment in (conversation.sending if ours else conversation.receiving).queue(MOST_OF_DIALOG):
        first, count = int(segment["first"]), int(segment["count"])
        for number in range(first, first + count):
            if len(found) >= MOST_OF_DIALOG:
                return found
            if not ours and number <= int(segment["done"]) + first - 1:
                continue
            name = message_name(row.dialog_id, direction, number)
            size = int(segment["size"]) if count == 1 else None
            stage = _stage_of(conversation, number) if ours else _state_of(segment, number)
            found.append({"name": name, "number": number, "size": size, "state": stage, **same})
    return found


def _stage_of(conversation: Conversation, number: int) -> str:
    return "delivered" if number <= conversation.row.acknowledged else "accepted"


def _state_of(segment: dict[str, Any], number: int) -> str:
    if number in segment["given"]:
        return "with the program"
    return "waits for another attempt" if str(number) in segment["again"] else "waiting"


def why_message(conversation: Conversation, letter: str, number: int, now: Now) -> dict[str, Any]:
    """Return every step of one message that is remembered, where it is now, and what to do."""
    ours = letter == conversation.ours.letter
    direction = conversation.ours if ours else conversation.ours.other
    stage, advice = _where_ours(conversation, number) if ours else _where_theirs(conversation, number)
    row = conversation.row
    return {
        "name": message_name(row.dialog_id, direction, number),
        "dialog": shown_dialog(conversation, now),
        "direction": "sent" if ours else "received",
        "stage": stage,
        "stuck": conversation.why if stage not in ("processed", "unknown") else "",
        "advice": advice,
        "steps": conversation.trail.of(ours, number),
    }


def _where_ours(conversation: Conversation, number: int) -> tuple[str, str]:
    row, sending = conversation.row, conversation.sending
    if number >= sending.next_number:
        return "unknown", "no message of this dialog has this number yet"
    if number <= row.processed:
        return "processed", "nothing: the program at the peer is done with it, or it was put aside there"
    if number <= row.acknowledged:
        return "delivered", f"it waits for a program at {row.peer or 'the peer'} that receives for {row.service!r}"
    if conversation.connection is None:
        return "accepted", f"it waits for a connection with {row.peer or 'the peer'}: is that running and reached?"
    return "accepted", "it is on its way, or waits until the peer takes more"


def _where_theirs(conversation: Conversation, number: int) -> tuple[str, str]:
    row, receiving = conversation.row, conversation.receiving
    if number <= row.done:
        return "processed", "nothing: it was processed or put aside here (seckex dead list)"
    if number <= receiving.delivered:
        return "delivered", f"it waits for the program that receives for {conversation.here!r}: seckex receive"
    return "unknown", "it has not come"
