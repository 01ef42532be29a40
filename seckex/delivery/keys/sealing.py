"""One direction's way out, at either end: under which salt envelopes are sealed now, and whether they may be short.

A salt is for one connection and one DSK. The first envelope under it has it, always; those that come behind it on the
same connection are of the short shape, since what comes first there is read first, unless they go through relays or
the other end has not said yet that it holds the headers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from seckex.crypto.envelope import NO_PATH, body_key
from seckex.delivery.keys.faces import KeysWanting
from seckex.delivery.keys.pair import Pair
from seckex.delivery.keys.rotation import Generation
from seckex.delivery.record import BodySealer
from seckex.wire.envelope import NAMED
from seckex.wire.envelope_headers import Routing, encode_routing
from seckex.wire.numbers import MOST_HOPS, Suite

#: Kind, count, fragment, fragments, sequence and acknowledged, as in the dialog header.
DialogFields: TypeAlias = tuple[int, int, int, int, int, int]


class Outlet:
    """Seals under one DSK, salt and path; ``routing`` is the routing header, empty without relays between."""

    __slots__ = ("_generation", "routing", "salt", "sealer")

    def __init__(
        self,
        suite: Suite,
        generation: Generation,
        salt: bytes,
        path: bytes,
        back: bool,
        pair: Pair,
        dialog_id: bytes,
        clock_ns: Callable[[], int],
    ) -> None:
        sender, receiver = (pair.target, pair.initiator) if back else (pair.initiator, pair.target)
        self.routing = b""
        if path == NO_PATH:
            if not receiver.nai:
                raise KeysWanting("an initiator without a name is reached by its own connection only")
            self.routing = encode_routing(Routing(MOST_HOPS, receiver.nai, sender.nai))
        key = body_key(suite, generation.dsk, salt, path, int(back), sender.fingerprint, dialog_id)
        self.sealer = BodySealer(key, dialog_id, back, clock_ns)
        self.salt = salt
        self._generation = generation

    @property
    def begun(self) -> bool:
        """Whether the other end learns the salt from what was sealed already, and short envelopes may follow."""
        return self.sealer.counter > 0 and not self.routing

    def named(self, dialog: DialogFields, body: bytes, sealed: bool = False) -> bytes:
        """Return an envelope with the salt and a session key header, with the sealed DSK if that is not held yet."""
        generation = self._generation
        header = generation.sealed if sealed else generation.named
        return self.sealer.seal(*dialog, body, header, NAMED, self.salt, self.routing)

    def close(self) -> None:
        """Leave the counts with the DSK."""
        self._generation.spent(self.sealer.counter, self.sealer.octets)
