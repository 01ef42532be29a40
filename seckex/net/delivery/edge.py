"""What the house of dialogs asks for, done: connections, commits, files, programs, the log.

While more than `MOST_UNSTORED` units or octets wait for the disk nothing is read from connections: peers are held back
by TCP, and what they have sent before is stored first. Nor is anything before the first prekeys can be told.

What strangers can cause is written to the log within the ration of strangers, and counted beyond.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from seckex.delivery.faces import Direction, Stage
from seckex.delivery.store import DropDead, MessageUnit, PutDead, PutKept, PutSegment
from seckex.errors import StoreFailed
from seckex.events import Event
from seckex.events.messages import EnvelopeRefused
from seckex.machine import Now
from seckex.net.commit import GroupsOf
from seckex.net.delivery.connections import Connections
from seckex.net.delivery.disk import Disk
from seckex.net.delivery.faces import DialogHouse
from seckex.net.delivery.office import ProgramOffice
from seckex.net.log import EventLog
from seckex.net.principal import Clock

MOST_UNSTORED: Final = 2048
MOST_UNSTORED_OCTETS: Final = 1 << 25


class MessageEdge:
    """See the module and `seckex.delivery.faces.Edge`; ``may_report`` asks the ration of strangers.

    ``house`` is set before anything is called.
    """

    house: DialogHouse

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        connections: Connections,
        commits: GroupsOf[MessageUnit, None],
        disk: Disk,
        office: ProgramOffice,
        log: EventLog,
        may_report: Callable[[str], bool],
        dead: int,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._due: IDelayedCall | None = None
        self._stopped = False
        self._quiet: list[Deferred[None]] = []
        self._commits = commits
        self._disk = disk
        self._office = office
        self._log = log
        self._may_report = may_report
        self._connections = connections
        #: How many messages are put aside.
        self.dead = dead
        self._keyless = False
        self._unstored = 0
        self._unstored_octets = 0
        self.entropy = os.urandom
        self.say = connections.say
        self.backlog = connections.backlog
        self.call = connections.call
        self.drop = connections.drop
        self.give = office.give
        self.fetch_kept = disk.fetch_kept
        self.read_piece = disk.read
        self.write_piece = disk.write
        self.sync_spool = disk.sync
        self.drop_spool = disk.drop

    def now(self) -> Now:
        """Return the present."""
        return self._clock.now()

    def soon(self) -> None:
        """Have the house flush when this turn of the reactor is over."""
        if self._due is None and not self._stopped:
            self._due = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._due = None
        try:
            self.house.flush(self._clock.now())
        finally:
            self._connections.flush()
            self._check_quiet()

    def stop(self) -> Deferred[None]:
        """Fire when all is stored that the house has; it is asked for nothing more then."""
        quiet: Deferred[None] = Deferred()
        self._quiet.append(quiet)
        self._check_quiet()
        return quiet

    def abandon(self) -> None:
        """Flush no more."""
        self._stopped = True
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _check_quiet(self) -> None:
        # A house whose store has failed has more to store, and nothing under way.
        if self._quiet and not self._unstored and self._due is None:
            self._stopped = True
            quiet, self._quiet = self._quiet, []
            for waiting in quiet:
                waiting.callback(None)

    def commit(self, unit: MessageUnit, done: Callable[[StoreFailed | None], None]) -> None:
        """See `seckex.delivery.faces.Edge`."""
        octets = 0
        for operation in unit:
            if isinstance(operation, PutSegment):
                octets += len(operation.segment.octets)
            elif isinstance(operation, PutKept):
                octets += len(operation.envelope.octets)
            elif isinstance(operation, PutDead):
                self.dead += 1
            elif isinstance(operation, DropDead):
                self.dead -= 1
        self._unstored += 1
        self._unstored_octets += octets

        def told(result: StoreFailed | None) -> None:
            self._unstored -= 1
            self._unstored_octets -= octets
            self._hold_back()
            done(result)
            self._check_quiet()

        try:
            self._commits.submit(unit, told)
        except StoreFailed as error:
            self._office.soon(partial(told, error))
        self._hold_back()

    def wait_for_keys(self, wait: bool) -> None:
        """Read nothing as long as our prekeys are not there that whoever calls has to be told."""
        self._keyless = wait
        self._hold_back()

    def _hold_back(self) -> None:
        behind = self._unstored > MOST_UNSTORED or self._unstored_octets > MOST_UNSTORED_OCTETS
        self._connections.pause(behind or self._keyless)

    def fetch(
        self, dialog_id: bytes, direction: Direction, first: int, done: Callable[[bytes | StoreFailed], None]
    ) -> None:
        """See `seckex.delivery.faces.Edge`."""
        self._disk.fetch(dialog_id, self.house.ours(dialog_id, direction), first, done)

    def judged(self, dialog_id: bytes, upto: int) -> None:
        """See `seckex.delivery.faces.Edge`."""
        self._office.judged(dialog_id, upto)

    def progress(self, dialog_id: bytes, direction: Direction, stage: Stage, upto: int) -> None:  # noqa: ARG002  # a dialog has one direction of ours
        """See `seckex.delivery.faces.Edge`."""
        self._office.progress(dialog_id, stage, upto)

    def failed(self, dialog_id: bytes, direction: Direction, number: int, code: int, why: str) -> None:  # noqa: ARG002  # as above
        """See `seckex.delivery.faces.Edge`."""
        self._office.failed(dialog_id, number, code, why)

    def report(self, event: Event) -> None:
        """See `seckex.delivery.faces.Edge`."""
        if not isinstance(event, EnvelopeRefused) or self._may_report("messages"):
            self._log.report(event)
