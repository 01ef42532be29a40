"""What operators see of messages and do with them: dialogs, what waits, what was put aside, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from seckex.delivery.faces import Payload, Spooled
from seckex.net.delivery.api import Messages
from seckex.net.delivery.http.asking import Call, write_payload
from seckex.net.delivery.http.problems import Answer, Problem, unfit

DIALOGS: Final = "seckex.dialogs/1"
OUTBOX: Final = "seckex.outbox/1"
INBOX: Final = "seckex.inbox/1"
DEAD: Final = "seckex.dead/1"
DEAD_MESSAGE: Final = "seckex.dead-message/1"
WHY: Final = "seckex.why/1"
LONGEST_WHY: Final = 512
MOST_CODE: Final = 65535


class Readable(Messages, Protocol):
    """Messages whose payloads can be read when they are dead."""

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """Read a piece of a payload."""
        ...


class Looking:
    """Answers operators."""

    def __init__(self, messages: Readable) -> None:
        self._messages = messages

    # -- lists

    def dialogs(self, call: Call) -> Answer:
        """GET /v1/dialogs."""
        return _listed(DIALOGS, "dialogs", self._messages.shown_dialogs(), call.said["limit"])

    def outbox(self, call: Call) -> Answer:
        """GET /v1/outbox."""
        return self._queue(OUTBOX, True, call)

    def inbox(self, call: Call) -> Answer:
        """GET /v1/inbox."""
        return self._queue(INBOX, False, call)

    def _queue(self, schema: str, ours: bool, call: Call) -> Answer:
        dialog = call.said["dialog"]
        shown = self._messages.shown_queue(ours, None if dialog is None else bytes.fromhex(dialog))
        return _listed(schema, "messages", shown, call.said["limit"])

    async def dead(self, call: Call) -> Answer:
        """GET /v1/dead."""
        after, limit = call.said["after"], call.said["limit"]
        beyond = None
        if after is not None:
            dialog, _, number = after.partition(".")
            beyond = bytes.fromhex(dialog), number[0] == _OURS, int(number[1:])
        shown = await self._messages.shown_dead(beyond, limit)
        last = shown[-1] if len(shown) == limit else None
        further = None if last is None else f"{last['dialog']}.{_OURS if last['ours'] else _THEIRS}{last['number']}"
        return Answer(told={"schema": DEAD, "messages": shown, "after": further})

    # -- one message

    def why(self, call: Call) -> Answer:
        """GET /v1/messages/{message}/why."""
        name = call.said["message"]
        return self._why(name)

    def why_dialog(self, call: Call) -> Answer:
        """GET /v1/dialogs/{dialog}/why."""
        return self._why(call.said["dialog"])

    def _why(self, name: str) -> Answer:
        told = self._messages.why(name)
        if told is None:
            raise _unknown(name)
        return Answer(told={"schema": WHY, **told})

    async def dead_message(self, call: Call) -> Answer:
        """GET /v1/dead/{message}."""
        told, _ = await self._dead(call.said["message"])
        return Answer(told={"schema": DEAD_MESSAGE, **told})

    async def dead_payload(self, call: Call) -> None:
        """GET /v1/dead/{message}/payload."""
        _, payload = await self._dead(call.said["message"])

        def read(index: int) -> Deferred[bytes]:
            return self._messages.piece(payload, index)  # type: ignore[arg-type]  # read where it is in the spool only

        await write_payload(call, payload, read, {})

    async def _dead(self, name: str) -> tuple[Mapping[str, Any], Payload]:
        found = await self._messages.dead_message(*await self._place_of_dead(name))
        if found is None:
            raise _unknown(name)
        return found

    async def retry_dead(self, call: Call) -> Answer:
        """POST /v1/dead/{message}/retry."""
        await self._messages.retry(*await self._place_of_dead(call.said["message"]))
        return Answer(HTTPStatus.NO_CONTENT)

    async def drop_dead(self, call: Call) -> Answer:
        """POST /v1/dead/{message}/drop."""
        await self._messages.drop(*await self._place_of_dead(call.said["message"]))
        return Answer(HTTPStatus.NO_CONTENT)

    async def retry_out(self, call: Call) -> Answer:
        """POST /v1/outbox/{message}/retry."""
        await self._messages.retry(*self._place(True, call))
        return Answer(HTTPStatus.NO_CONTENT)

    async def drop_out(self, call: Call) -> Answer:
        """POST /v1/outbox/{message}/drop."""
        await self._messages.drop(*self._place(True, call))
        return Answer(HTTPStatus.NO_CONTENT)

    async def retry_in(self, call: Call) -> Answer:
        """POST /v1/inbox/{message}/retry."""
        await self._messages.retry(*self._place(False, call))
        return Answer(HTTPStatus.NO_CONTENT)

    async def drop_in(self, call: Call) -> Answer:
        """POST /v1/inbox/{message}/drop."""
        await self._messages.drop(*self._place(False, call))
        return Answer(HTTPStatus.NO_CONTENT)

    # -- one dialog

    def end(self, call: Call) -> Answer:
        """POST /v1/dialogs/{dialog}/end."""
        told = call.json(("code", "why")) if call.body.tell() else {}
        code, why = told.get("code", 0), told.get("why", "")
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= MOST_CODE:
            raise unfit("code", f"a whole number from 0 to {MOST_CODE}")
        if not isinstance(why, str) or len(why) > LONGEST_WHY:
            raise unfit("why", f"a text of at most {LONGEST_WHY} characters")
        self._messages.end(self._dialog(call.said["dialog"], call.said["dialog"]), code, why)
        return Answer(HTTPStatus.NO_CONTENT)

    # -- which message is meant

    def _place(self, ours: bool, call: Call) -> tuple[bytes, bool, int]:
        """Return dialog, side and number of a message that waits."""
        name = call.said["message"]
        dialog, number = _parts(name)
        return self._dialog(name, dialog), ours, number

    def _dialog(self, name: str, dialog: str) -> bytes:
        """Return the whole of a dialog's id, of which the beginning may have been said."""
        if len(dialog) == _ID:
            return bytes.fromhex(dialog)
        shown = (str(each["id"]) for each in self._messages.shown_dialogs())
        return _one(name, {each for each in shown if each.startswith(dialog)})

    async def _place_of_dead(self, name: str) -> tuple[bytes, bool, int]:
        """Return dialog, side and number of a message that was put aside."""
        dialog, number = _parts(name)
        beyond = bytes.fromhex(dialog.ljust(_ID, "0")), False, 0
        found: dict[str, bool] = {}
        # Those of the dialogs whose ids begin so follow each other.
        while alike := [each for each in await self._messages.shown_dead(beyond) if each["dialog"].startswith(dialog)]:
            found |= {each["dialog"]: bool(each["ours"]) for each in alike if each["name"] == _short(name)}
            last = alike[-1]
            beyond = bytes.fromhex(last["dialog"]), bool(last["ours"]), int(last["number"])
        place = _one(name, found)
        return place, found[place.hex()], number


_ID: Final = 32
_OURS, _THEIRS = "s", "r"


def _parts(name: str) -> tuple[str, int]:
    dialog, _, rest = name.partition(".")
    return dialog, int(rest[1:])


def _short(name: str) -> str:
    """Return what people call a message that is called by its name or its id."""
    dialog, _, rest = name.partition(".")
    return f"{dialog[:12]}.{rest}"


def _one(name: str, dialogs: Iterable[str]) -> bytes:
    found = [*dialogs]
    if not found:
        raise _unknown(name)
    if len(found) > 1:
        reason = f"{name} may be one of {len(found)}: give the whole id"
        raise Problem(HTTPStatus.CONFLICT, "ambiguous", reason, _field(name))
    return bytes.fromhex(found[0])


def _field(name: str) -> str:
    return "message" if "." in name else "dialog"


def _unknown(name: str) -> Problem:
    field = _field(name)
    return Problem(HTTPStatus.NOT_FOUND, f"unknown-{field}", f"there is no {field} {name} here", field)


def _listed(schema: str, name: str, shown: list[dict[str, Any]], limit: int) -> Answer:
    """Return a list of at most ``limit``, and how many there are."""
    return Answer(told={"schema": schema, name: shown[:limit], "all": len(shown)})
