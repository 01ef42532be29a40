"""Payloads that are too long for one piece, kept in memory."""

from __future__ import annotations

from collections.abc import MutableMapping

from twisted.internet.defer import Deferred, fail, succeed

from seckex.delivery.faces import FRAGMENT, LARGEST_MESSAGE, SPOOLED_ABOVE, Payload, Spooled
from seckex.errors import StoreFailed
from seckex.net.delivery.api import MessageFailed
from seckex.wire.numbers import Code


class MemorySpool:
    """Has payloads above 1 MiB by their names; ``trouble`` is what writing fails with, as on a full disk."""

    def __init__(self) -> None:
        self.files: MutableMapping[str, bytes] = {}
        self.trouble: StoreFailed | None = None
        self._made = 0

    def add(self, payload: bytes) -> Payload:
        """Return ``payload``, or what stands for it."""
        if len(payload) <= SPOOLED_ABOVE:
            return payload
        self._made += 1
        name = f"{self._made:08x}"
        self.files[name] = payload
        return Spooled(name, len(payload))

    def piece(self, spooled: Spooled, index: int) -> Deferred[bytes]:
        """Read one piece."""
        payload = self.files.get(spooled.name)
        if payload is None:
            return fail(StoreFailed(f"the spool has no file {spooled.name}"))
        return succeed(payload[index * FRAGMENT : (index + 1) * FRAGMENT])

    def octets(self, payload: Payload) -> bytes:
        """Return all octets of a payload."""
        return self.files[payload.name] if isinstance(payload, Spooled) else payload


class MemoryUpload:
    """A payload on its way; see `seckex.net.delivery.api.Upload`."""

    def __init__(self, spool: MemorySpool) -> None:
        self._spool = spool
        self._octets: bytearray | None = bytearray()

    def write(self, octets: bytes) -> Deferred[None]:
        """Add octets."""
        if self._spool.trouble is not None:
            return fail(self._spool.trouble)
        if self._octets is None:
            return fail(StoreFailed("nothing can be added to what is finished"))
        if len(self._octets) + len(octets) > LARGEST_MESSAGE:
            return fail(MessageFailed(Code.INSUFFICIENT_RESOURCES, f"a message has at most {LARGEST_MESSAGE:,} octets"))
        self._octets += octets
        return succeed(None)

    def finish(self) -> Deferred[Payload]:
        """Return what can be sent."""
        if self._octets is None:
            return fail(StoreFailed("it is finished already"))
        octets, self._octets = bytes(self._octets), None
        return succeed(self._spool.add(octets))

    def abort(self) -> None:
        """Forget it."""
        self._octets = None
