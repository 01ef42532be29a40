"""What a program is told when it cannot have what it asks for: problem documents (RFC 9457).

``code`` is a word for programs, ``field`` the parameter or header that is at fault, empty where none is, ``reason``
says it to people. What a peer or the daemon refused has the label of its code (docs/protocol.md, section 11) and the
code itself as ``number``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import Factory, frozen
from twisted.logger import Logger
from twisted.python.failure import Failure

from seckex.errors import SeckexError, StoreFailed
from seckex.events import label_of
from seckex.net.delivery.api import MessageFailed
from seckex.wire.numbers import Code

CONTENT_TYPE: Final = "application/problem+json"

_STATUS: Final[Mapping[int, int]] = {
    Code.PROHIBITED: HTTPStatus.FORBIDDEN,
    Code.UNKNOWN_SERVICE: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_DIALOG: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_REALM: HTTPStatus.NOT_FOUND,
    Code.INSUFFICIENT_RESOURCES: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.TOO_MANY_DIALOGS: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.SHUTTING_DOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}
_log: Final = Logger()


class Problem(SeckexError):
    """A refusal; ``more`` has further members of the document, ``headers`` further headers of the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        field: str = "",
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.field = field
        self.more = more or {}
        self.headers = headers or {}

    def document(self) -> bytes:
        """Return the body of the answer."""
        told = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": int(self.status),
            "detail": self.reason,
            "code": self.code,
            "field": self.field,
            "reason": self.reason,
        }
        return json.dumps(told | dict(self.more)).encode() + b"\n"


def unfit(field: str, expected: str) -> Problem:
    """Return what is said of a parameter that will not do."""
    return Problem(HTTPStatus.BAD_REQUEST, "unfit", f"{field} must be {expected}", field)


def problem_of(failure: Failure) -> Problem:
    """Return what is said of a failure; one that is not foreseen is logged, and told without its reasons."""
    error = failure.value
    if isinstance(error, Problem):
        return error
    if isinstance(error, MessageFailed):
        status = _STATUS.get(error.code, HTTPStatus.CONFLICT)
        return Problem(status, label_of(error.code), error.why, more={"number": int(error.code)})
    if isinstance(error, StoreFailed):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store-failed", str(error))
    if isinstance(error, SeckexError):
        return Problem(HTTPStatus.CONFLICT, "refused", str(error))
    _log.failure("messages over HTTP: a request failed", failure)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", "the request failed; the daemon's log has more")


@frozen
class Answer:
    """What a program is told: ``told`` in JSON where it is given, else ``body``, which may be empty."""

    status: int = HTTPStatus.OK
    told: Mapping[str, Any] | None = None
    body: bytes = b""
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = Factory(dict)
