"""The database of messages and the files of the spool, where the master key is exchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import define, field

from seckex.crypto.atrest import MasterKey
from seckex.storage.messages.rows import (
    DEAD_COLUMNS,
    DIALOG_COLUMNS,
    EPOCH_COLUMNS,
    SENT_COLUMNS,
    dead_seal,
    dialog_seal,
    epoch_seal,
    sent_seal,
)
from seckex.storage.messages.schema import CHECK_BOUND, MESSAGES, TAGS_BOUND
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.resealing import Place, Tables, rewrap_meta, table
from seckex.storage.spool import SPOOL, Spool

#: Files whose keys are wrapped at once: each is synchronised twice.
FILES: Final = 4

_META: Final = (("check", CHECK_BOUND), ("tags", TAGS_BOUND))
_TABLES: Final = (
    table("epoch", EPOCH_COLUMNS, "wrapped", epoch_seal),
    table("dialog", DIALOG_COLUMNS, "octets", dialog_seal),
    table("dead", DEAD_COLUMNS, "head", dead_seal),
    table("sent", SENT_COLUMNS, "octets", sent_seal),
)


class SealedMessages(Tables):
    """The database ``store``, which is closed in the end if it is ``ours``."""

    def __init__(self, store: SqliteMessages, *, ours: bool) -> None:
        super().__init__(store, _TABLES, lambda: (store.seal,))
        self._store = store
        self._ours = ours

    def use(self, master: MasterKey) -> None:
        """See `Place.use`."""
        self._store.use(master)

    def begin(self) -> None:
        """See `Place.begin`."""
        self._store.transact(lambda connection: rewrap_meta(connection, _META, self._store.seal))

    def end(self) -> None:
        """See `Place.end`."""
        self._store.shrink()

    def close(self, master: MasterKey) -> None:
        """See `Place.close`."""
        if self._ours:
            self._store.close()
        else:
            self._store.use(master)


@define
class SealedSpool:
    """The files of one spool."""

    _spool: Spool
    found: int = field(default=0, init=False)
    unreadable: int = field(default=0, init=False)
    done: int = field(default=0, init=False)
    whole: int = field(default=0, init=False)
    _left: list[Path] = field(factory=list, init=False)

    def use(self, master: MasterKey) -> None:
        """See `Place.use`."""
        self._spool.use(master)

    def begin(self) -> None:
        """See `Place.begin`; each file is by itself."""

    def start(self) -> None:
        """See `Place.start`."""
        self.found = self.unreadable = self.done = 0
        self._left = self._spool.files()
        self.whole = len(self._left)

    def step(self, portion: int) -> bool:
        """See `Place.step`."""
        for path in self._left[: min(portion, FILES)]:
            anew = self._spool.rewrap(path)
            self.found += anew is True
            self.unreadable += anew is None
            self.done += 1
        del self._left[: min(portion, FILES)]
        return not self._left

    def end(self) -> None:
        """See `Place.end`."""

    def close(self, master: MasterKey) -> None:
        """See `Place.close`."""
        self._spool.use(master)


def sealed_beside(
    state: Path,
    master: MasterKey,
    entropy: Callable[[int], bytes],
    messages: SqliteMessages | None,
    spools: Sequence[Spool],
) -> list[Place]:
    """Return what there is of messages in a state directory; ``messages`` and ``spools`` are those in use.

    Raises `StoreFailed`.
    """
    places: list[Place] = []
    if messages is not None:
        places.append(SealedMessages(messages, ours=False))
    elif (state / MESSAGES).exists():
        places.append(SealedMessages(SqliteMessages(state / MESSAGES, master, entropy), ours=True))
    used = {spool.directory.absolute(): spool for spool in spools}
    found = {path.absolute() for path in (state / SPOOL).glob("*") if path.name.isdecimal() and path.is_dir()}
    for directory in sorted(found | used.keys()):
        places.append(SealedSpool(used.get(directory) or Spool(directory, master, entropy)))
    return places
