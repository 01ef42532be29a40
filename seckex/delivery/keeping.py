"""What a house has made durable, and what it has read: commits of dialogs, segments, files of the spool.

Of a dialog one commit at most is under way; what comes meanwhile goes into the next. When one fails nothing is
committed before the next tick, and programs' messages are refused meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seckex.delivery.conversation import Conversation
from seckex.delivery.faces import Direction, Stage, message_name
from seckex.delivery.flow.pieces import (
    DropSpool,
    ReceivingChanges,
    SendingChanges,
    SyncSpool,
    Wanted,
    WantedPiece,
    WritePiece,
)
from seckex.delivery.store import MessageOperation, PutDialog, StoredDialog
from seckex.delivery.tables import Tables
from seckex.errors import StoreFailed
from seckex.events.messages import GapAfterRestore, MessageDead, MessagesNotStored
from seckex.machine import Now


class Keeping:
    """See the module; ``give_soon`` hears of dialogs that may have something for a program, ``release`` of what came.

    That is envelopes that a relay has brought (`seckex.delivery.collecting`), when all that came of them is durable.
    """

    def __init__(
        self,
        tables: Tables,
        give_soon: Callable[[Conversation], None],
        release: Callable[[Sequence[tuple[str, bytes]]], None],
    ) -> None:
        self._tables = tables
        self._give_soon = give_soon
        self._release = release
        #: Why nothing can be made durable at the moment, empty if it can.
        self.trouble = ""

    def commit(self, conversation: Conversation, now: Now) -> None:
        """Have committed what a dialog has that is not durable, unless that is under way."""
        if conversation.committing or self.trouble:
            return
        sending, receiving = conversation.sending, conversation.receiving
        ours = sending.changes() if sending.has_changes else None
        theirs = receiving.changes(now) if receiving.has_changes else None
        taken, conversation.taken = conversation.taken, []
        if ours is None and theirs is None and conversation.is_stored:
            self._release(taken)
            return
        unit: list[MessageOperation] = list(conversation.pending_keys)
        row = conversation.row
        if ours is not None:
            unit += ours.operations
        if theirs is not None:
            unit += theirs.operations
        if not conversation.is_stored or (ours and ours.numbers) or (theirs and theirs.numbers):
            row = receiving.written_into(sending.written_into(row))
            unit.append(PutDialog(row))
        conversation.committing = True
        keys = len(conversation.pending_keys)

        def done(failure: StoreFailed | None) -> None:
            if failure is not None:
                conversation.taken = taken + conversation.taken
            self._committed(conversation, row, ours, theirs, keys, failure)
            if failure is None:
                self._release(taken)

        self._tables.edge.commit(tuple(unit), done)

    def _committed(
        self,
        conversation: Conversation,
        row: StoredDialog,
        ours: SendingChanges | None,
        theirs: ReceivingChanges | None,
        keys: int,
        failure: StoreFailed | None,
    ) -> None:
        sending, receiving = conversation.sending, conversation.receiving
        conversation.committing = False
        if failure is not None:
            if ours is not None:
                sending.not_committed(ours)
            if theirs is not None:
                receiving.not_committed(theirs)
            if not self.trouble:
                self._tables.edge.report(MessagesNotStored(str(failure)))
            self.trouble = str(failure)
            self._tables.changed[conversation] = None
            return
        conversation.row = row
        conversation.is_stored = True
        del conversation.pending_keys[:keys]
        dialog_id, direction = row.dialog_id, conversation.ours
        if ours is not None:
            sending.committed(ours)
            for each in ours.failed:
                wall = self._tables.now.wall
                conversation.trail.note(wall, True, each.number, each.number, "failed", code=each.code, why=each.why)
                self._tables.edge.failed(dialog_id, direction, each.number, each.code, each.why)
            for stage, upto in (
                (Stage.ACCEPTED, ours.accepted),
                (Stage.DELIVERED, ours.delivered),
                (Stage.PROCESSED, ours.processed),
            ):
                if upto:
                    self._tables.edge.progress(dialog_id, direction, stage, upto)
        if theirs is not None:
            receiving.committed(theirs)
            for dead in theirs.dead:
                name = message_name(dialog_id, direction.other, dead.number)
                self._tables.edge.report(MessageDead(name, dead.peer, dead.service, dead.code, dead.why, dead.attempts))
            self._tables.edge.judged(dialog_id, theirs.done)
        for changes in (ours, theirs):
            if changes is not None:
                for spool in changes.spools:
                    self._tables.edge.drop_spool(spool)
                for gap in changes.gaps:
                    self._tables.edge.report(GapAfterRestore(row.peer, conversation.shown, gap.first, gap.last))
        self._give_soon(conversation)
        self._tables.mark(conversation)

    def read(self, conversation: Conversation) -> None:
        """Have what is to be sent or given next read from the store and the spool."""
        sending, receiving = conversation.sending, conversation.receiving
        for wanted in sending.wanted():
            self._fetch(conversation, sending, conversation.ours, wanted)
        for wanted in receiving.wanted():
            self._fetch(conversation, receiving, conversation.ours.other, wanted)

    def _fetch(self, conversation: Conversation, side: Any, direction: Direction, wanted: Wanted) -> None:
        def done(result: bytes | StoreFailed) -> None:
            if isinstance(result, bytes):
                side.fetched(wanted, result)
            else:
                conversation.why = str(result)
                side.not_fetched(wanted, self._tables.now)
            self._give_soon(conversation)
            self._tables.mark(conversation)

        if isinstance(wanted, WantedPiece):
            self._tables.edge.read_piece(wanted.spool, wanted.fragment, done)
        else:
            self._tables.edge.fetch(conversation.row.dialog_id, direction, wanted.first, done)

    def spool(self, conversation: Conversation) -> None:
        """Have done what a dialog wants of the spool."""
        receiving = conversation.receiving
        for work in receiving.spool_work():
            if isinstance(work, DropSpool):
                self._tables.edge.drop_spool(work.spool)
                continue

            def done(failure: StoreFailed | None, work: WritePiece | SyncSpool = work) -> None:
                receiving.written(work, failure is None)
                if failure is not None:
                    conversation.why = str(failure)
                self.spool(conversation)
                self._tables.mark(conversation)

            if isinstance(work, WritePiece):
                self._tables.edge.write_piece(work.spool, work.fragment, work.octets, done)
            else:
                self._tables.edge.sync_spool(work.spool, done)
