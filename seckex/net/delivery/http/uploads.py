"""Payloads that come in pieces, over as many connections as it takes.

A program names its upload. ``PUT`` with ``Content-Range`` adds a piece where the one before has ended, ``HEAD`` tells
where that is, and ``POST /v1/messages?upload=`` sends the whole. An upload is forgotten when it was sent, when
nobody has touched it for `IDLE` seconds, and when the daemon ends: it begins anew then.

Limits: `MOST_UPLOADS` at once, of one more the request is refused; a piece has at most `MOST_IN_MEMORY` octets.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from seckex.delivery.faces import LARGEST_MESSAGE, Payload
from seckex.net.delivery.api import Messages, Upload
from seckex.net.delivery.http.asking import Call
from seckex.net.delivery.http.problems import Answer, Problem, unfit

MOST_UPLOADS: Final = 64
IDLE: Final = 3600.0
SCHEMA: Final = "seckex.upload/1"
_RANGE: Final = re.compile(r"bytes ([0-9]{1,10})-([0-9]{1,10})/([0-9]{1,10})")
_EXPECTED: Final = '"bytes FIRST-LAST/ALL", the octets of the body and how many there are to be'


@define(eq=False)
class _Open:
    """One upload; ``payload`` is there when all of it is."""

    name: str
    length: int
    upload: Upload
    offset: int = 0
    busy: bool = False
    payload: Payload | None = None
    idle: IDelayedCall | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Where it is."""
        return {"Upload-Offset": str(self.offset), "Upload-Length": str(self.length)}

    def told(self) -> dict[str, Any]:
        """Return the same as an object."""
        complete = self.payload is not None
        return {
            "schema": SCHEMA,
            "upload": self.name,
            "offset": self.offset,
            "length": self.length,
            "complete": complete,
        }


class Uploads:
    """All of them."""

    def __init__(self, messages: Messages, reactor: IReactorTime) -> None:
        self._messages = messages
        self._reactor = reactor
        self._open: dict[str, _Open] = {}

    # -- over HTTP

    async def put(self, call: Call) -> Answer:
        """PUT /v1/uploads/{upload}."""
        first, last, length = _range(call)
        octets = call.body.whole()
        if len(octets) != last - first + 1:
            raise unfit("Content-Range", f"as long as the body, which has {len(octets):,} octets")
        upload = self._begun(call.said["upload"], first, length)
        self._check(upload, first, length)
        upload.busy = True
        try:
            await upload.upload.write(octets)
            upload.offset = last + 1
            if upload.offset == length:
                upload.payload = await upload.upload.finish()
        except BaseException:
            upload.upload.abort()
            self.forget(upload.name)
            raise
        finally:
            upload.busy = False
            self._touch(upload)
        return Answer(told=upload.told(), headers=upload.headers)

    def head(self, call: Call) -> Answer:
        """HEAD /v1/uploads/{upload}."""
        upload = self._found(call.said["upload"])
        self._touch(upload)
        return Answer(HTTPStatus.NO_CONTENT, headers=upload.headers)

    def delete(self, call: Call) -> Answer:
        """DELETE /v1/uploads/{upload}."""
        upload = self._found(call.said["upload"])
        if upload.busy:
            raise _busy(upload.name)
        upload.upload.abort()
        self.forget(upload.name)
        return Answer(HTTPStatus.NO_CONTENT)

    # -- for who sends

    def complete(self, name: str) -> Payload:
        """Return the payload of an upload; raises `Problem` where it is not all there."""
        upload = self._found(name)
        if upload.payload is None:
            reason = f"{upload.offset:,} of {upload.length:,} octets are here"
            raise Problem(HTTPStatus.CONFLICT, "incomplete", reason, "upload", headers=upload.headers)
        return upload.payload

    def forget(self, name: str) -> None:
        """Take note that it was sent, or will not be."""
        upload = self._open.pop(name, None)
        if upload is not None and upload.idle is not None and upload.idle.active():
            upload.idle.cancel()

    def close(self) -> None:
        """Forget all."""
        for upload in list(self._open.values()):
            upload.upload.abort()
            self.forget(upload.name)

    # -- inside

    def _begun(self, name: str, first: int, length: int) -> _Open:
        upload = self._open.get(name)
        if upload is None:
            if first:
                self._found(name)
            if len(self._open) >= MOST_UPLOADS:
                raise Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too-many-uploads", f"there are {MOST_UPLOADS} uploads already"
                )
            upload = self._open[name] = _Open(name, length, self._messages.upload())
        return upload

    def _check(self, upload: _Open, first: int, length: int) -> None:
        if upload.busy:
            raise _busy(upload.name)
        if length != upload.length:
            reason = f"the upload was begun with {upload.length:,} octets"
            raise Problem(HTTPStatus.CONFLICT, "other-length", reason, "Content-Range", headers=upload.headers)
        if first != upload.offset:
            reason = f"the upload goes on at {upload.offset}"
            raise Problem(HTTPStatus.CONFLICT, "other-offset", reason, "Content-Range", headers=upload.headers)

    def _found(self, name: str) -> _Open:
        upload = self._open.get(name)
        if upload is None:
            reason = f"there is no upload {name}: it was sent, or forgotten, or never begun"
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-upload", reason, "upload")
        return upload

    def _touch(self, upload: _Open) -> None:
        if self._open.get(upload.name) is not upload:
            return
        if upload.idle is not None and upload.idle.active():
            upload.idle.cancel()
        upload.idle = self._reactor.callLater(IDLE, self._idle, upload)

    def _idle(self, upload: _Open) -> None:
        if upload.busy:
            self._touch(upload)
            return
        upload.upload.abort()
        self.forget(upload.name)


def _range(call: Call) -> tuple[int, int, int]:
    """Return first and last octet of a piece, and the length of the whole."""
    said = call.request.getHeader("Content-Range") or ""
    match = _RANGE.fullmatch(said)
    if match is None:
        raise unfit("Content-Range", _EXPECTED)
    first, last, length = map(int, match.groups())
    if not first <= last < length:
        raise unfit("Content-Range", _EXPECTED)
    if length > LARGEST_MESSAGE:
        reason = f"a message has at most {LARGEST_MESSAGE:,} octets"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long", reason, "Content-Range")
    return first, last, length


def _busy(name: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "busy", f"a piece of {name} is being written", "upload")
