"""Which dialogs a link carries, under which numbers, and how it asks for those of other links.

Numbers of dialogs rise by two on each side and are used once. Which dialogs
there are is known above the link, in a `seckex.dialog.table.DialogTable`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seckex.dialog.carrier import Nowhere
from seckex.dialog.faces import Ears, LinkAssociation
from seckex.dialog.outbound import violation
from seckex.dialog.outlet import Outlet
from seckex.dialog.record import Opener, Outbox, Sealer
from seckex.dialog.stream import Dialog
from seckex.dialog.table import MOST_TOMBSTONES, DialogTable
from seckex.wire.dialog import Hello, Opening, encode_opening
from seckex.wire.numbers import RecordType
from seckex.wire.resumption import encode_resume

# Of numbers of dialogs on a link, and of attempts to have one there.
LARGEST_NUMBER: Final = 0xFFFFFFFF


class _Parked(Nowhere):
    """The carrier of a dialog that waits for RESUMED: nothing is sent, but the link knows of it."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def retire(self, dialog: Dialog) -> None:
        self._routes.retire(dialog)
        if dialog.is_over:
            abandoned = self._routes.abandoned
            abandoned[dialog.number] = dialog.dialog_id
            if len(abandoned) > MOST_TOMBSTONES:
                del abandoned[next(iter(abandoned))]


class Routes(Outlet):
    """The routing part of `seckex.dialog.carriage.Carriage`; the side that opened the link ``leads``."""

    def __init__(
        self,
        association: LinkAssociation,
        sealer: Sealer,
        opener: Opener,
        outbox: Outbox,
        largest_body: int,
        ears: Ears,
        limits: Hello,
        leads: bool,
    ) -> None:
        super().__init__(association, sealer, opener, outbox, largest_body, ears)
        self._limits = limits
        self.leads = leads
        self._table: DialogTable
        self._dialogs: dict[int, Dialog] = {}
        self._takers: dict[int, Callable[[int, bytes], None]] = {}
        # What each dialog had received and sent when it came here.
        self._bases: dict[int, tuple[int, int]] = {}
        self._past_in = 0
        self._past_out = 0
        self._parked = _Parked(self)
        # Dialogs that were over before their RESUME was answered, by their numbers; of more the oldest is forgotten.
        self.abandoned: dict[int, bytes] = {}
        self._next_number = 1 if leads else 2
        self._last_of_peer = 0 if leads else -1

    @property
    def octets_in(self) -> int:
        """Octets that dialogs have received over this link so far."""
        return self._past_in + sum(each.received - self._bases[number][0] for number, each in self._dialogs.items())

    @property
    def octets_out(self) -> int:
        """Octets that dialogs have sent over this link so far, those sent again too."""
        return self._past_out + sum(each.sent - self._bases[number][1] for number, each in self._dialogs.items())

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs whose records are routed."""
        return tuple(self._dialogs.values())

    def _take_number(self, kind: RecordType, number: int, attempt: int) -> None:
        if number <= self._last_of_peer or (number - self._last_of_peer) % 2:
            raise violation(f"{kind.name} of dialog {number} after dialog {self._last_of_peer}")
        if attempt > LARGEST_NUMBER:
            raise violation(f"attempt {attempt} to have dialog {number}")
        self._last_of_peer = number

    def take_over(self, dialog: Dialog) -> None:
        """Ask the peer to have ``dialog`` on this link, from where each side is."""
        number = self._next_number
        if max(number, dialog.attempt) >= LARGEST_NUMBER:
            dialog.lose("the link has no more numbers for dialogs")
            return
        self._next_number += 2
        self._table.boarded(dialog)
        dialog.leave()
        dialog.attempt += 1
        if dialog.is_asked:
            dialog.ask_again(self._limits.credit)
            self._bases[number] = (0, 0)
            self._route(dialog, number)
            body = encode_opening(Opening(dialog.dialog_id, dialog.service))
            self.send(RecordType.OPEN, number, dialog.attempt, body)
        else:
            self._bases[number] = (dialog.received, dialog.sent)
            self._dialogs[number] = dialog
            dialog.board(self._parked, number)
            dialog.awaited = 0
            body = encode_resume(dialog.dialog_id, dialog.standing())
            self.send(RecordType.RESUME, number, dialog.attempt, body)

    def _board(self, dialog: Dialog, number: int, attempt: int) -> None:
        self._table.boarded(dialog)
        dialog.leave()
        dialog.attempt = attempt
        self._bases[number] = (0, 0)
        self._route(dialog, number)

    def _route(self, dialog: Dialog, number: int) -> None:
        self._dialogs[number] = dialog
        self._takers[number] = dialog.take_data
        dialog.board(self, number)

    def _was_used(self, number: int) -> bool:
        ours = number % 2 == self._next_number % 2
        return number < self._next_number if ours else number <= self._last_of_peer

    def retire(self, dialog: Dialog) -> None:
        """Route no more records to ``dialog``."""
        number = dialog.number
        if self._dialogs.pop(number, None) is not None:
            self._takers.pop(number, None)
            self._unschedule(dialog)
            received, sent = self._bases.pop(number)
            self._past_in += dialog.received - received
            self._past_out += dialog.sent - sent
            if not self._dialogs and not self._ended:
                self._ears.idle()
