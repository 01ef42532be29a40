"""A mobile node's moves as they are measured: how long dialogs stand still when they follow a registration.

A move begins with `MoveRegistered` and ends when a link under the new association
has taken over all dialogs with the home agent. The pause of a dialog is the time from the last
that came over its old link to the first that comes over the new one; for one that is idle, to the
peer's answer to RESUME. Several pauses of one move, as when the first link does not last, add up.

Round trips are counted by what had to be waited for and was begun within the longest pause: requests to register,
a connection, the first records of a link, a passage's opening, RESUME. They may overlap: it is so many at most.

Limit: times are of the wall clock; who sets that while a node moves gets a wrong figure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from attrs import define, evolve, field

from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.events import Event
from seckex.events.mobile_node import Deregistered, Moved, MoveRegistered, RegistrationSent
from seckex.net.log import EventLog

#: Seconds that a dialog which was taken over has for its first octets; then it is idle.
FIRST_WITHIN: Final = 0.25
MOST_SENT: Final = 16
MOST_MADE: Final = 16
#: Dialogs of which it is measured how long they stood still; of those beyond it is not.
MOST_FOLLOWED: Final = 4096

_CONNECTION: Final = 1
_FIRST_RECORDS: Final = 1
_RESUME: Final = 1
_NANO: Final = 1e9


@define
class _Move:
    """A move that dialogs have not followed yet."""

    registered: MoveRegistered | None = None
    #: When links were begun that are open now, and whether one of them is under the new association.
    made: list[float] = field(factory=list)
    there: bool = False
    #: When each dialog was left by its old link, and when the new one had it.
    stood: dict[bytes, tuple[float, float]] = field(factory=dict)
    octets: dict[bytes, int] = field(factory=dict)
    #: Of dialogs that nothing has come of yet.
    silent: set[bytes] = field(factory=set)


class Moves:
    """See the module.

    ``admitted`` tells whether links under an association, by its SPI here, go through an agent; ``followed`` hears of
    each move that is over, and when. ``ping`` has all open links say something, so that those that live and are idle
    are heard until they are left.
    """

    def __init__(
        self,
        reactor: Any,
        peer: str,
        tables: DialogTables,
        log: EventLog,
        wall: Callable[[], float],
        admitted: Callable[[int], bool],
        followed: Callable[[Moved, float], None],
        ping: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._peer = peer
        self._tables = tables
        self._log = log
        self._wall = wall
        self._admitted = admitted
        self._followed = followed
        self._ping = ping
        self._move: _Move | None = None
        self._timer: Any = None
        self._sent: deque[float] = deque(maxlen=MOST_SENT)
        tables.handovers = self
        log.subscribe(self._heard)

    def stop(self) -> None:
        """Tell nothing more."""
        self._move = None
        self._disarm()

    def _heard(self, _at: float, event: Event) -> None:
        if isinstance(event, RegistrationSent) and event.peer == self._peer:
            self._sent.append(self._wall())
        elif isinstance(event, MoveRegistered):
            self._disarm()
            move = self._move = self._move or _Move()
            # Where another move was not over yet dialogs have come from where that began.
            left = event.left if move.registered is None else move.registered.left
            move.registered, move.there = evolve(event, left=left), False
            self._ping()
        elif isinstance(event, Deregistered):
            self.stop()

    def begins(self) -> None:
        """Take note that the node is somewhere else and is going to register from there; links may move before."""
        self._move = self._move or _Move()

    def opened(self, link: Link) -> None:
        """Take note of a link that is open: it has asked for the dialogs by now, and not had an answer."""
        move, association = self._move, link.association
        if move is None or association is None or association.peer != self._peer or len(move.made) >= MOST_MADE:
            return
        move.made.append(link.made_at / _NANO)
        if move.registered is not None and association.here == move.registered.spi_in:
            move.there = True
            self._look()

    def resumed(self, peer: str, dialog: Dialog, at: int) -> None:
        """See `seckex.dialog.table.Handovers`."""
        move = self._move
        name = dialog.dialog_id
        if move is None or peer != self._peer or not dialog.left_at:
            return
        if name not in move.stood and len(move.stood) >= MOST_FOLLOWED:
            return
        left, back = move.stood.get(name, (dialog.left_at / _NANO, 0.0))
        if back:
            # It stood still before, in the same move: that counts as if it had been just now.
            left = dialog.left_at / _NANO - (back - left)
        move.stood[name] = left, at / _NANO
        move.octets[name] = dialog.received + dialog.sent
        if not dialog.end_received:
            move.silent.add(name)
        self._look()

    def went_on(self, peer: str, dialog: Dialog, at: int) -> None:
        """See `seckex.dialog.table.Handovers`."""
        move = self._move
        if move is None or peer != self._peer or dialog.dialog_id not in move.silent:
            return
        move.silent.discard(dialog.dialog_id)
        left, _ = move.stood[dialog.dialog_id]
        move.stood[dialog.dialog_id] = left, at / _NANO
        self._look()

    def _look(self) -> None:
        """End the move if every dialog has followed; those that say nothing have a moment to do so."""
        move = self._move
        if move is None or not move.there:
            return
        dialogs = self._tables.of(self._peer).dialogs
        if any(not each.carrier.carries or each.is_asked for each in dialogs if each.left_at):
            return
        if not move.silent:
            self._end()
        elif self._timer is None:
            self._timer = self._reactor.callLater(FIRST_WITHIN, self._end)

    def _end(self) -> None:
        self._disarm()
        move, self._move = self._move, None
        if move is None or move.registered is None:
            return
        told = move.registered
        began, ended = max(move.stood.values(), key=lambda each: each[1] - each[0], default=(0.0, 0.0))
        event = Moved(
            told.peer,
            told.left,
            told.agent,
            told.why,
            registering=told.seconds,
            pause=max(ended - began, 0.0),
            round_trips=self._trips(move, told, began) if move.stood else 0,
            dialogs=len(move.stood),
            octets=sum(move.octets.values()),
        )
        self._followed(event, self._wall())
        self._log.report(event)

    def _trips(self, move: _Move, told: MoveRegistered, began: float) -> int:
        built = sum(made >= began for made in move.made)
        asked = sum(sent >= began for sent in self._sent)
        return _RESUME + built * (_CONNECTION + _FIRST_RECORDS + self._admitted(told.spi_in)) + asked

    def _disarm(self) -> None:
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
