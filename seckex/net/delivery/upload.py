"""Payloads that programs send piece by piece.

Up to 1 MiB a payload stays in memory; from then on it goes to a file of the spool, whose name is drawn, fragment by
fragment. At most `AHEAD` of them wait for the disk before who writes has to wait for the Deferred of his last piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed

from seckex.delivery.faces import FRAGMENT, LARGEST_MESSAGE, SPOOLED_ABOVE, Payload, Spooled
from seckex.errors import ApiMisuse, SeckexError, StoreFailed
from seckex.net.delivery.api import MessageFailed
from seckex.net.delivery.disk import Disk
from seckex.wire.numbers import Code

AHEAD: Final = 16
_NAME_SIZE: Final = 16


class PayloadUpload:
    """See the module and `seckex.net.delivery.api.Upload`."""

    def __init__(self, disk: Disk, entropy: Callable[[int], bytes]) -> None:
        self._disk = disk
        self._entropy = entropy
        self._buffer = bytearray()
        self._size = 0
        self._name = ""
        self._fragment = 0
        self._under_way = 0
        self._room: list[Deferred[None]] = []
        self._why: SeckexError | None = None
        self._over = False

    def write(self, octets: bytes) -> Deferred[None]:
        """See `seckex.net.delivery.api.Upload`."""
        if self._over:
            raise ApiMisuse("the payload is finished")
        self._size += len(octets)
        if self._size > LARGEST_MESSAGE:
            self._fail(MessageFailed(Code.INSUFFICIENT_RESOURCES, f"a message has at most {LARGEST_MESSAGE} octets"))
        if self._why is not None:
            return fail(self._why)
        self._buffer += octets
        if self._size > SPOOLED_ABOVE:
            self._name = self._name or self._entropy(_NAME_SIZE).hex()
            while len(self._buffer) >= FRAGMENT:
                self._write(bytes(self._buffer[:FRAGMENT]))
                del self._buffer[:FRAGMENT]
        return self._when_room()

    def _when_room(self) -> Deferred[None]:
        if self._under_way < AHEAD:
            return succeed(None)
        room: Deferred[None] = Deferred()
        self._room.append(room)
        return room

    def _write(self, octets: bytes) -> None:
        self._under_way += 1
        self._disk.write(self._name, self._fragment, octets, self._written)
        self._fragment += 1

    def _written(self, result: StoreFailed | None) -> None:
        self._under_way -= 1
        if result is not None:
            self._fail(MessageFailed(Code.INSUFFICIENT_RESOURCES, str(result)))
        elif self._under_way < AHEAD:
            room, self._room = self._room, []
            for waiting in room:
                waiting.callback(None)

    def _fail(self, why: SeckexError) -> None:
        if self._why is None:
            self._why = why
            self._forget()
        room, self._room = self._room, []
        for waiting in room:
            waiting.errback(self._why)

    def finish(self) -> Deferred[Payload]:
        """See `seckex.net.delivery.api.Upload`."""
        if self._over:
            raise ApiMisuse("the payload is finished")
        self._over = True
        if self._why is not None:
            return fail(self._why)
        if not self._name:
            payload = bytes(self._buffer)
            self._buffer.clear()
            return succeed(payload)
        if self._buffer:
            self._write(bytes(self._buffer))
            self._buffer.clear()
        done: Deferred[Payload] = Deferred()

        def synced(result: StoreFailed | None) -> None:
            # All that was written before has been told by now.
            if result is not None:
                self._fail(MessageFailed(Code.INSUFFICIENT_RESOURCES, str(result)))
            if self._why is not None:
                done.errback(self._why)
            else:
                done.callback(Spooled(self._name, self._size))

        self._disk.sync(self._name, synced)
        return done

    def abort(self) -> None:
        """See `seckex.net.delivery.api.Upload`."""
        self._over = True
        if self._why is None:
            self._why = ApiMisuse("the payload was given up")
            self._forget()

    def _forget(self) -> None:
        self._buffer.clear()
        if self._name:
            self._disk.drop(self._name)
