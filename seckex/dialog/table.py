"""Dialogs above links: which there are with a peer, which no link carries, and how the last ones ended.

A `DialogTable` has the dialogs with one peer, by their ids, and the open links
to it. When a link ends, what it carried is detached; the next link takes it
over (docs/protocol.md, section 10). Only links whose peer has proved that it is
this principal come here, so a dialog of one peer does not exist for another.

`DialogTables.tick` is to be called about once a second. Time is counted in
these calls, so a process that was stopped for an hour, or a clock that was set,
loses nothing.

Bounds: of dialogs there are, with each peer, as many as either side may open.
Detached are at most ``most_detached`` over all peers; of more, the one detached
longest is lost. Each holds at most what a dialog holds. A detached dialog is
lost after ``within`` seconds; one whose peer leaves a question unanswered, after
`ANSWER_WITHIN`. How a dialog ended is kept for ``within`` seconds, of the last
`MOST_TOMBSTONES` with a peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from seckex.dialog.faces import End, Ending
from seckex.wire.numbers import Code

if TYPE_CHECKING:
    from seckex.dialog.routes import Routes
    from seckex.dialog.stream import Dialog

MOST_TOMBSTONES: Final = 1024
ANSWER_WITHIN: Final = 60


@frozen
class Tombstone:
    """How a dialog ended that is no more: ``received`` octets had come, ``at`` is the tick."""

    ending: Ending
    received: int
    at: int


class Handovers(Protocol):
    """Who hears how dialogs go from link to link, of the side that asks for it; times are nanoseconds since 1970."""

    def resumed(self, peer: str, dialog: Dialog, at: int) -> None:
        """Note that a link of ours carries a dialog from now on, which another had until ``dialog.left_at``."""
        ...

    def went_on(self, peer: str, dialog: Dialog, at: int) -> None:
        """Note that the first octets of it have come there."""
        ...


class DialogTable:
    """The dialogs with ``peer``. ``ours`` and ``theirs`` count them by the side that opened them."""

    def __init__(self, tables: DialogTables, peer: str) -> None:
        self._tables = tables
        self._peer = peer
        self._dialogs: dict[bytes, Dialog] = {}
        self._tombstones: dict[bytes, Tombstone] = {}
        self._open: list[Routes] = []
        self.ours = 0
        self.theirs = 0

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """All dialogs that are not over."""
        return tuple(self._dialogs.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self._dialogs or self._tombstones or self._open)

    def get(self, dialog_id: bytes) -> Dialog | None:
        """Return the dialog with this id."""
        return self._dialogs.get(dialog_id)

    def tombstone(self, dialog_id: bytes) -> Tombstone | None:
        """Return how the dialog with this id ended."""
        return self._tombstones.get(dialog_id)

    def add(self, dialog: Dialog) -> None:
        """Know a dialog, whose id is none of those known."""
        self._dialogs[dialog.dialog_id] = dialog
        if dialog.ours:
            self.ours += 1
        else:
            self.theirs += 1

    def over(self, dialog: Dialog, ending: Ending) -> None:
        """Forget a dialog, but not for a while how it ended."""
        self._tables.forget(dialog)
        if self._dialogs.pop(dialog.dialog_id, None) is None:
            return
        if dialog.ours:
            self.ours -= 1
        else:
            self.theirs -= 1
        self._tombstones[dialog.dialog_id] = Tombstone(ending, dialog.received, self._tables.ticks)
        if len(self._tombstones) > MOST_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    # Links.

    def opened(self, carriage: Routes) -> None:
        """Let an open link take over: the dialogs that this side may ask it to carry now."""
        self._open.append(carriage)
        for dialog in self.dialogs:
            if dialog.is_asked or (carriage.leads and dialog.is_carrying):
                carriage.take_over(dialog)

    def closed(self, carriage: Routes) -> None:
        """Expect no more of a link."""
        if carriage in self._open:
            self._open.remove(carriage)

    def detach(self, dialog: Dialog, why: str) -> None:
        """Keep a dialog whose link has ended."""
        self._tables.detach(dialog, why)

    def boarded(self, dialog: Dialog) -> None:
        """Note that a link has taken a dialog over."""
        self._tables.forget(dialog)

    def resumed(self, dialog: Dialog, at: int) -> None:
        """Note that the peer has agreed to it."""
        if self._tables.handovers is not None:
            self._tables.handovers.resumed(self._peer, dialog, at)

    def went_on(self, dialog: Dialog, at: int) -> None:
        """Note that the first octets have come there."""
        if self._tables.handovers is not None:
            self._tables.handovers.went_on(self._peer, dialog, at)

    # Time, and ends.

    def tick(self, within: int) -> None:
        """Let a second pass."""
        for dialog in self.dialogs:
            if dialog.is_asked or not (dialog.carrier.carries or self._tables.is_detached(dialog)):
                dialog.awaited += 1
                if dialog.awaited > ANSWER_WITHIN:
                    dialog.give_up(Code.UNSPECIFIED, f"the peer has not answered for {ANSWER_WITHIN} s")
            if self._open and self._tables.is_detached(dialog) and (dialog.is_asked or dialog.is_carrying):
                self._open[-1].take_over(dialog)
        while self._tombstones:
            oldest = next(iter(self._tombstones))
            if self._tombstones[oldest].at + within > self._tables.ticks:
                break
            del self._tombstones[oldest]

    def lose_all(self, text: str, code: int = 0) -> None:
        """Lose every dialog that no link carries."""
        for dialog in self.dialogs:
            if self._tables.is_detached(dialog):
                dialog.lose(text, code)


class DialogTables:
    """The tables of all peers, by NAI; ``handovers`` hears of dialogs that go from link to link."""

    handovers: Handovers | None = None

    def __init__(self, most_detached: int, within: int) -> None:
        self._most_detached = most_detached
        self._within = within
        self._tables: dict[str, DialogTable] = {}
        self._detached: dict[Dialog, tuple[int, str]] = {}
        self.ticks = 0
        self.lost = 0

    @property
    def detached(self) -> int:
        """How many dialogs no link carries."""
        return len(self._detached)

    @property
    def peers(self) -> frozenset[str]:
        """Of whom something is known."""
        return frozenset(self._tables)

    def of(self, peer: str) -> DialogTable:
        """Return the table of ``peer``, an authenticated principal."""
        table = self._tables.get(peer)
        if table is None:
            table = self._tables[peer] = DialogTable(self, peer)
        return table

    def reconfigure(self, most_detached: int, within: int) -> None:
        """Keep so many, for so many seconds, from now on."""
        self._most_detached = most_detached
        self._within = within

    def is_detached(self, dialog: Dialog) -> bool:
        """Tell whether no link carries it."""
        return dialog in self._detached

    def detach(self, dialog: Dialog, why: str) -> None:
        """Keep a dialog that no link carries, for some time; at the bound the one detached longest is lost.

        One that is over by now, since its program ended it when it lost another one, is not kept.
        """
        if dialog.is_over:
            return
        dialog.leave()
        self._detached[dialog] = (self.ticks, why)
        if len(self._detached) > self._most_detached:
            self._lose(next(iter(self._detached)), "too many dialogs wait for a link")

    def forget(self, dialog: Dialog) -> None:
        """Note that a dialog is not detached any more."""
        self._detached.pop(dialog, None)

    def tick(self) -> None:
        """Let a second pass."""
        self.ticks += 1
        for peer, table in tuple(self._tables.items()):
            table.tick(self._within)
            if table.is_empty:
                del self._tables[peer]
        while self._detached:
            dialog, (since, _) = next(iter(self._detached.items()))
            if since + self._within > self.ticks:
                break
            self._lose(dialog, f"no link for {self._within} s")

    def lose_all(self, text: str) -> None:
        """Lose every dialog that no link carries, with whichever peer: this daemon ends."""
        for dialog in tuple(self._detached):
            dialog.lose(text)

    def lose_of(self, peer: str, text: str) -> None:
        """Lose every dialog with ``peer`` that no link carries."""
        table = self._tables.get(peer)
        if table is not None:
            table.lose_all(text)

    def forbid(self, peer: str, text: str) -> None:
        """End every dialog with ``peer``, and tell it of those that a link carries (code 129)."""
        table = self._tables.get(peer)
        for dialog in () if table is None else table.dialogs:
            dialog.reset(Code.PROHIBITED, text)

    def waits_for(self, peer: str) -> bool:
        """Tell whether a dialog with ``peer`` waits for a link."""
        table = self._tables.get(peer)
        return table is not None and any(dialog in self._detached for dialog in table.dialogs)

    def _lose(self, dialog: Dialog, text: str) -> None:
        _, why = self._detached.pop(dialog)
        self.lost += 1
        dialog.lose(f"{text}; {why}" if self._most_detached else why)


def is_finished(tombstone: Tombstone) -> bool:
    """Tell whether a dialog ended with everything delivered in both directions."""
    return tombstone.ending.end is End.FINISHED
