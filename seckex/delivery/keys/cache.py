"""What a target remembers of headers: KEKs, their DSKs, and one opener for each salt; bounded.

An entry is under a dialog id and a KEK id, which is derived from the KEK itself: nobody but the two who share it can
have another entry of that name, and what names the initiator stands in the entry and is compared with each envelope
that says it again. Entries are made of envelopes whose body has verified, and end with KEK and certificates, when
something better has taken their place, and at the bound: then those go that were used longest ago, a sixteenth at once,
so that looking for them costs next to nothing for each.

A short envelope is found by its dialog id and context in one look. Contexts are 4 octets that an initiator can make
equal to another's of the same dialog id, so whoever came first keeps it; the other is told that headers are missing,
and takes another salt.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from seckex.crypto.envelope import BodyKey
from seckex.delivery.keys.pair import Pair
from seckex.delivery.keys.rotation import Generation
from seckex.delivery.keys.sources import Kek
from seckex.delivery.record import BodyOpener
from seckex.wire.numbers import Suite

if TYPE_CHECKING:
    from seckex.delivery.keys.accepting import Accepting

#: KEKs that a target remembers, unless it is told otherwise.
MOST_KEKS: Final = 16_384
#: Salts of one KEK that a target can open at a time.
MOST_SALTS: Final = 8
#: Generations of one KEK that a target can open at a time: the newest, and those before it that are not over yet.
MOST_GENERATIONS: Final = 3


class Inlet:
    """What opens the envelopes of one salt on one connection; ``until`` in seconds since 1970.

    ``newest`` is the latest creation time of what has come here with the salt, in microseconds.
    """

    __slots__ = ("chain", "entry", "generation", "key", "newest", "opener", "pair", "path", "peer", "salt", "until")

    def __init__(
        self, entry: Entry, generation: Generation, salt: bytes, path: bytes, body: BodyKey, opener: BodyOpener
    ) -> None:
        self.entry = entry
        self.generation = generation
        self.chain = generation.chain
        self.pair: Pair = entry.kek.pair
        self.peer = self.pair.initiator.nai
        self.salt = salt
        self.path = path
        self.key = body.context.to_bytes(4, "big") + entry.dialog_id
        self.opener = opener
        self.until = entry.until
        self.newest = 0


class Entry:
    """A KEK of a dialog, at its target. ``used`` is monotonic, ``until`` seconds since 1970.

    ``generations`` by DSK id; ``highest`` is the highest number that was ever there. ``floor``: what comes with a salt
    that is not remembered must have been created after it, in microseconds, or may be a copy.
    """

    __slots__ = ("accepting", "dialog_id", "floor", "generations", "highest", "inlets", "kek", "suite", "until", "used")

    def __init__(self, dialog_id: bytes, kek: Kek, suite: Suite, accepting: Accepting, used: float) -> None:
        self.dialog_id = dialog_id
        self.kek = kek
        self.suite = suite
        self.accepting = accepting
        self.until = kek.until
        self.used = used
        self.generations: dict[bytes, Generation] = {}
        self.highest = 0
        self.floor = 0
        self.inlets: dict[bytes, Inlet] = {}

    def __repr__(self) -> str:
        return f"<Entry {self.dialog_id.hex()} {self.kek.id.hex()}>"


class Cache:
    """See the module; ``most`` bounds the entries. ``inlets`` is by context and dialog id, for the hot path."""

    __slots__ = ("_entries", "_most", "_paths", "inlets")

    def __init__(self, most: int = MOST_KEKS) -> None:
        self._most = most
        self._entries: dict[bytes, Entry] = {}
        self._paths: dict[bytes, set[bytes]] = {}
        self.inlets: dict[bytes, Inlet] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def find(self, dialog_id: bytes, kek_id: bytes) -> Entry | None:
        """Return the entry of a KEK."""
        return self._entries.get(dialog_id + kek_id)

    def add(self, entry: Entry) -> list[Entry]:
        """Remember an entry; returns those that had to give way."""
        self._entries[entry.dialog_id + entry.kek.id] = entry
        if len(self._entries) <= self._most:
            return []
        others = (each for each in self._entries.values() if each is not entry)
        gone = nsmallest(max(1, self._most // 16), others, key=lambda each: each.used)
        for each in gone:
            self.drop(each)
        return gone

    def drop(self, entry: Entry) -> None:
        """Forget an entry and all that is under it."""
        self._entries.pop(entry.dialog_id + entry.kek.id, None)
        for inlet in tuple(entry.inlets.values()):
            self.drop_inlet(inlet)
        entry.generations.clear()

    def add_inlet(self, inlet: Inlet) -> None:
        """Remember what opens a salt; of too many of one entry the one that had a salt longest ago goes."""
        entry = inlet.entry
        entry.inlets[inlet.salt + inlet.path] = inlet
        self.inlets[inlet.key] = inlet
        self._paths.setdefault(inlet.path, set()).add(inlet.key)
        if len(entry.inlets) > MOST_SALTS:
            oldest = min(entry.inlets.values(), key=lambda each: each.newest)
            entry.floor = max(entry.floor, oldest.newest)
            self.drop_inlet(oldest)

    def drop_inlet(self, inlet: Inlet) -> None:
        """Forget what opens a salt."""
        inlet.entry.inlets.pop(inlet.salt + inlet.path, None)
        if self.inlets.get(inlet.key) is inlet:
            del self.inlets[inlet.key]
        keys = self._paths.get(inlet.path, set())
        keys.discard(inlet.key)
        if not keys:
            self._paths.pop(inlet.path, None)

    def drop_generation(self, entry: Entry, generation: Generation) -> None:
        """Forget a DSK and what opens under it."""
        entry.generations.pop(generation.id, None)
        for inlet in tuple(entry.inlets.values()):
            if inlet.generation is generation:
                self.drop_inlet(inlet)

    def drop_path(self, path: bytes) -> None:
        """Forget what opens on a connection that is over: nothing that was said on it opens anywhere else."""
        for key in tuple(self._paths.get(path, ())):
            self.drop_inlet(self.inlets[key])
