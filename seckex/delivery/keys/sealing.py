"""One direction's way out, at either end: under which salt envelopes are sealed now, and whether they may be short.

A salt is for one connection and one DSK. The first envelope under it has it, always; those that come behind it on the
same connection are of the short shape, since what comes first there is read first, unless they go through relays or
the other end has not said yet that it holds the headers.
"""

from __future__ import annotations

from collections.abc import Callable

from seckex.crypto.envelope import NO_PATH, body_key
from seckex.delivery.keys.rotation import Generation
from seckex.delivery.record import BodySealer
from seckex.wire.envelope import NAMED
from seckex.wire.envelope_headers import Routing, encode_routing
from seckex.wire.numbers import MOST_HOPS, Suite


class Outlet:
    """Seals under one DSK, salt and path; ``short`` is the sealer once short envelopes may go."""

    __slots__ = ("_generation", "_routing", "salt", "sealer")

    def __init__(
        self,
        suite: Suite,
        generation: Generation,
        salt: bytes,
        path: bytes,
        back: bool,
        sender: bytes,
        names: tuple[str, str],
        dialog_id: bytes,
        clock_ns: Callable[[], int],
    ) -> None:
        key = body_key(suite, generation.dsk, salt, path, int(back), sender, dialog_id)
        self.sealer = BodySealer(key, dialog_id, back, clock_ns)
        self.salt = salt
        self._generation = generation
        destination, origin = names
        self._routing = encode_routing(Routing(MOST_HOPS, destination, origin)) if path == NO_PATH else b""

    @property
    def routing(self) -> bytes:
        """The routing header, empty where the connection leads to the peer itself."""
        return self._routing

    @property
    def begun(self) -> bool:
        """Whether the other end learns the salt from what was sealed already, and short envelopes may follow."""
        return self.sealer.counter > 0 and not self._routing

    def named(
        self,
        kind: int,
        count: int,
        fragment: int,
        fragments: int,
        sequence: int,
        acknowledged: int,
        body: bytes,
        sealed: bool = False,
    ) -> bytes:
        """Return an envelope with the salt and a session key header, with the sealed DSK if that is not held yet."""
        generation = self._generation
        return self.sealer.seal(
            kind,
            count,
            fragment,
            fragments,
            sequence,
            acknowledged,
            body,
            generation.sealed if sealed else generation.named,
            NAMED,
            self.salt,
            self._routing,
        )

    def close(self) -> None:
        """Leave the counts with the DSK."""
        self._generation.spent(self.sealer.counter, self.sealer.octets)
