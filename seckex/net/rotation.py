"""The exchange of the master key in a daemon that serves: portions of it between commits, until it is done.

After each portion commits have the store for as long as the portion took. What
fails is tried again after `AGAIN` seconds, with both keys kept; a daemon that
finds two keys when it starts goes on by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from seckex.crypto.atrest import MasterKey
from seckex.errors import StoreFailed
from seckex.events.store import MasterKeyExchanged, MasterKeyExchanging, MasterKeyTrouble
from seckex.net.commit import GroupCommit
from seckex.net.control import Answer, Asked, Commands, Declined, Request
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.sa.store import Append
from seckex.storage.lock import others_at_work
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.rotation import Progress, Rotation
from seckex.storage.spool import Spool
from seckex.storage.sqlite import SqliteStore

SCHEMA: Final = "seckex.master-key/1"
AGAIN: Final = 5.0
# The thread serves commits for as long as a portion took, and at least for so long, in seconds.
PAUSE: Final = 0.001


def standing(
    store: SqliteStore, key_file: Path, progress: Progress | None, exchanging: bool, trouble: str, ended: float | None
) -> Answer:
    """Return how it stands with the master key of a store, schema `SCHEMA`."""
    master = store.master
    return {
        "schema": SCHEMA,
        "key": master.name,
        "former": None if master.former is None else master.former.name,
        "file": str(key_file),
        "exchanging": exchanging,
        "rewrapped": 0 if progress is None else progress.rewrapped,
        "unreadable": 0 if progress is None else progress.unreadable,
        "part": 1.0 if progress is None else round(progress.part, 4),
        "passes": 0 if progress is None else progress.passes,
        "trouble": trouble,
        "ended": ended,
    }


class MasterKeyExchange:
    """See the module; ``store`` is used in the thread of ``commits`` only.

    ``entries`` returns what logs get, called in that thread: with the keys, whether the exchange begins or ends, and
    which user has asked for it, None where it is gone on with after a restart. ``messages`` and ``spools`` must be
    those that the daemon uses.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        commits: GroupCommit,
        store: SqliteStore,
        key_file: Path,
        worker: int,
        log: EventLog,
        clock: Clock,
        entries: Callable[[MasterKey, bool, int | None], tuple[Append, ...]],
        messages: SqliteMessages | None = None,
        spools: Sequence[Spool] = (),
    ) -> None:
        self._reactor = reactor
        self._commits = commits
        self._store = store
        self._key_file = key_file
        self._worker = worker
        self._log = log
        self._clock = clock
        self._entries = entries
        self._messages = messages
        self._spools = spools
        self._rotation: Rotation | None = None
        self._trouble = ""
        self._ended: float | None = None
        self._last: Progress | None = None
        self._due: IDelayedCall | None = None
        self._stopped = False
        self._user: int | None = None

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"master-key": lambda _request: self.status(), "master-key-exchange": self._asked}

    def status(self) -> Answer:
        """Return how it stands."""
        rotation = self._rotation
        progress = self._last if rotation is None else rotation.progress
        exchanging = rotation is not None
        return standing(self._store, self._key_file, progress, exchanging, self._trouble, self._ended)

    def resume(self) -> None:
        """Go on with what a process before this one has begun, if anything and if no other worker does."""
        others = others_at_work(self._store.path.parent, self._worker)
        if self._store.master.former is not None and not others:
            self.start().addErrback(lambda _failure: None)

    def _asked(self, request: Request) -> Deferred[Answer]:
        if self._rotation is None and isinstance(request, Asked):
            self._user = request.user

        def refused(failure: Failure) -> Answer:
            failure.trap(StoreFailed)
            raise Declined(failure.getErrorMessage(), "not-possible")

        return self.start().addCallbacks(lambda _: self.status(), refused)

    def start(self) -> Deferred[None]:
        """Begin, or go on; fire when both keys are in the key file, fail with `StoreFailed` where they cannot be."""
        done: Deferred[None] = Deferred()
        if self._rotation is not None:
            done.callback(None)
            return done
        self._rotation = Rotation(self._store, self._key_file, self._worker, os.urandom, self._messages, self._spools)

        def failed(failure: Failure) -> None:
            if self._store.master.former is None:
                # Nothing has happened.
                self._rotation = None
            else:
                self._failed(failure)
            done.errback(failure)

        self._begin(self._rotation).addCallbacks(done.callback, failed)
        return done

    def stop(self) -> None:
        """Do no more; what is left is gone on with by the next process."""
        self._stopped = True
        if self._due is not None and self._due.active():
            self._due.cancel()

    def _soon(self, wait: float) -> None:
        if not self._stopped:
            self._due = self._reactor.callLater(wait, self._next)

    def _next(self) -> None:
        rotation = self._rotation
        if rotation is None:
            return
        if rotation.progress.passes == 0:
            # What failed was the very beginning.
            going = self._begin(rotation)
        else:
            going = self._commits.between(lambda: self._step(rotation)).addCallback(self._stepped, rotation)
        going.addErrback(self._failed)

    def _begin(self, rotation: Rotation) -> Deferred[None]:
        def begun(_: object) -> None:
            master = self._store.master
            former = "" if master.former is None else master.former.name
            self._log.report(MasterKeyExchanging(master.name, former))
            self._soon(PAUSE)

        return self._commits.between(lambda: rotation.begin(self._entries_of_begin)).addCallback(begun)

    def _step(self, rotation: Rotation) -> tuple[bool, float]:
        before = self._clock.monotonic()
        return rotation.step(), self._clock.monotonic() - before

    def _stepped(self, found: tuple[bool, float], rotation: Rotation) -> Deferred[None] | None:
        self._trouble = ""
        through, took = found
        if not through:
            self._soon(took + PAUSE)
            return None
        return self._commits.between(lambda: rotation.end(self._entries_of_end)).addCallback(self._finished, rotation)

    def _entries_of_begin(self, master: MasterKey) -> tuple[Append, ...]:
        return self._entries(master, True, self._user)

    def _entries_of_end(self, master: MasterKey) -> tuple[Append, ...]:
        return self._entries(master, False, self._user)

    def _finished(self, _: object, rotation: Rotation) -> None:
        self._rotation, self._ended = None, self._clock.wall()
        self._last = progress = rotation.progress
        self._log.report(MasterKeyExchanged(self._store.master.name, progress.rewrapped, progress.unreadable))

    def _failed(self, failure: Failure) -> None:
        if self._stopped:
            return
        why = failure.getErrorMessage()
        if not failure.check(StoreFailed):
            self._log.failure("the exchange of the master key failed", failure)
            why = "this daemon failed; its log has more"
        if why != self._trouble:
            self._log.report(MasterKeyTrouble(why))
        self._trouble = why
        self._soon(AGAIN)
