"""The body of a request as it comes: a short one stays in memory, a longer one goes to the spool at once.

Of a longer one no more is in memory than what came while the spool was writing, and while it is writing
the connection is not read from.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from seckex.delivery.faces import LARGEST_MESSAGE, SPOOLED_ABOVE, Payload
from seckex.net.delivery.api import Upload
from seckex.net.delivery.http.problems import Problem

#: What is kept in memory of one request.
MOST_IN_MEMORY: Final = SPOOLED_ABOVE


def too_long(most: int, field: str = "") -> Problem:
    """Return what is said of a body that is."""
    reason = f"the body may have at most {most:,} octets"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long", reason, field)


class Body:
    """What Twisted writes the body of a request into.

    ``upload`` begins a payload in the spool; ``pause`` and ``resume`` are the connection's; ``trouble`` is told at
    once when the body cannot be had, and the rest of it is then passed over.
    """

    def __init__(
        self,
        upload: Callable[[], Upload],
        pause: Callable[[], None],
        resume: Callable[[], None],
        trouble: Callable[[Failure], None],
    ) -> None:
        self._begin = upload
        self._pause = pause
        self._resume = resume
        self._trouble = trouble
        self._kept = bytearray()
        self._size = 0
        self._upload: Upload | None = None
        self._writing = False
        self._failed: Failure | None = None
        self._written: Deferred[None] | None = None
        self._closed = False

    # -- of a file, as Twisted has it

    def write(self, octets: bytes) -> None:
        """Take what came."""
        if self._failed is not None or self._closed:
            return
        self._size += len(octets)
        if self._size > LARGEST_MESSAGE:
            self._fail(Failure(too_long(LARGEST_MESSAGE)))
            return
        self._kept += octets
        if self._upload is None and len(self._kept) > MOST_IN_MEMORY:
            self._upload = self._begin()
        self._spool()

    def tell(self) -> int:
        """Return how much there is."""
        return self._size

    def seek(self, _offset: int, _whence: int = 0) -> None:
        """Do nothing: nobody reads it so."""

    def close(self) -> None:
        """Forget what nobody has taken."""
        self._closed = True
        self._kept.clear()
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.abort()

    # -- for who answers the request

    def whole(self, most: int = MOST_IN_MEMORY) -> bytes:
        """Return all of a short body; raises `Problem` for one of more than ``most`` octets."""
        if self._upload is not None or self._size > most:
            raise too_long(min(most, MOST_IN_MEMORY))
        return bytes(self._kept)

    def written(self) -> Deferred[None]:
        """Fire when nothing is being written any more."""
        if self._failed is not None:
            return fail(self._failed)
        if not self._writing:
            return succeed(None)
        self._written = Deferred()
        return self._written

    def payload(self) -> Deferred[Payload]:
        """Fire with what can be sent; ask when all is `written`. It is forgotten with the body unless it is `sent`."""
        return succeed(bytes(self._kept)) if self._upload is None else self._upload.finish()

    def sent(self) -> None:
        """Take note that the payload is a message's now."""
        self._upload = None

    # -- the spool

    def _spool(self) -> None:
        if self._upload is None or self._writing or not self._kept:
            return
        self._writing = True
        octets, self._kept = bytes(self._kept), bytearray()
        self._pause()
        self._upload.write(octets).addCallbacks(self._wrote, self._fail)

    def _wrote(self, _: object) -> None:
        self._writing = False
        if self._closed:
            return
        if self._kept:
            self._spool()
            return
        self._resume()
        if self._written is not None:
            self._written.callback(None)

    def _fail(self, failure: Failure) -> None:
        self._writing = False
        if self._closed:
            return
        self._failed = failure
        self._kept.clear()
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.abort()
        if self._written is not None:
            self._written.errback(failure)
        else:
            self._trouble(failure)


class NoBody(Body):
    """Passes over whatever comes."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing, nothing)
        self._closed = True
