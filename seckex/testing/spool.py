"""Payloads that are too long for one piece, kept in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from seckex.delivery.faces import FRAGMENT, LARGEST_MESSAGE, SPOOLED_ABOVE, Payload, Spooled
from seckex.errors import StoreFailed
from seckex.net.delivery.api import MessageFailed
from seckex.wire.numbers import Code


class MemorySpool:
    """Has payloads above 1 MiB, by the names of their ``files``.

    ``trouble`` is what writing fails with, as on a full disk; between `hold` and `release` it takes its time.
    ``open`` tells how many uploads are not finished.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.trouble: StoreFailed | None = None
        self.open = 0
        self._made = 0
        self._held: list[Deferred[None]] | None = None

    def hold(self) -> None:
        """Have what is written and read from now on wait."""
        self._held = self._held or []

    def release(self) -> None:
        """Have it done."""
        held, self._held = self._held or [], None
        for each in held:
            each.callback(None)

    def add(self, payload: bytes) -> Payload:
        """Return ``payload``, or what stands for it."""
        if len(payload) <= SPOOLED_ABOVE:
            return payload
        self._made += 1
        name = f"{self._made:08x}"
        self.files[name] = payload
        return Spooled(name, len(payload))

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """Read one piece."""
        octets = self.files.get(payload.name)
        if octets is None:
            return fail(StoreFailed(f"the spool has no file {payload.name}"))
        piece = octets[index * FRAGMENT : (index + 1) * FRAGMENT]
        return self._waited().addCallback(lambda _: piece)

    def octets(self, payload: Payload) -> bytes:
        """Return all octets of a payload."""
        return self.files[payload.name] if isinstance(payload, Spooled) else payload

    def written(self) -> Deferred[None]:
        """Fire when what was written just now is."""
        if self.trouble is not None:
            return fail(self.trouble)
        return self._waited()

    def _waited(self) -> Deferred[None]:
        if self._held is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._held.append(waiting)
        return waiting


class MemoryUpload:
    """A payload on its way; see `seckex.net.delivery.api.Upload`."""

    def __init__(self, spool: MemorySpool) -> None:
        self._spool = spool
        self._octets: bytearray | None = bytearray()
        self._payload: Payload | None = None
        spool.open += 1

    def write(self, octets: bytes) -> Deferred[None]:
        """Add octets."""
        if self._octets is None:
            return fail(StoreFailed("nothing can be added to what is finished"))
        if len(self._octets) + len(octets) > LARGEST_MESSAGE:
            why = f"a message has at most {LARGEST_MESSAGE:,} octets"
            return fail(MessageFailed(Code.INSUFFICIENT_RESOURCES, why))
        self._octets += octets
        return self._spool.written()

    def finish(self) -> Deferred[Payload]:
        """Return what can be sent."""
        if self._octets is None:
            return fail(StoreFailed("it is finished already"))
        self._payload = self._spool.add(bytes(self._octets))
        self._end()
        return succeed(self._payload)

    def abort(self) -> None:
        """Forget it, finished or not."""
        self._end()
        if isinstance(self._payload, Spooled):
            self._spool.files.pop(self._payload.name, None)

    def _end(self) -> None:
        if self._octets is not None:
            self._octets = None
            self._spool.open -= 1
