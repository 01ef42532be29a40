"""What registrations are for, in the simulation: each node fetches something from home, over links that break.

A node has a link to its home agent under its newest association; when that is replaced another link takes its dialogs
over. Links are real ones, and so are the dialogs and the tables that keep them; between them there is a wire that
delays what is said, and is cut at times. What must hold:

- a download is whole: what has come is what was said, from the beginning, whatever moved meanwhile;
- it goes on: who was neither stopped nor revoked loses none, and in the end everything arrives.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any, Final

from attrs import define, field

from seckex.dialog.faces import Closure, End, Ending, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.sa.association import Association
from seckex.wire.dialog import DIALOG_ID_SIZE, Hello
from tests.roaming.host import Host
from tests.roaming.world import World

#: A download consists of so many pieces of so many octets, one of which is said every so many seconds.
PIECES: Final = 6
PIECE: Final = 512
EVERY: Final = 2.0
SLOWEST: Final = 0.3

LIMITS: Final = Hello(credit=16384, most_dialogs=8, largest_body=4096)
WITHIN: Final = 10_000


def piece(name: bytes, number: int) -> bytes:
    """Return what a download consists of at a place."""
    return hashlib.shake_128(name + number.to_bytes(4, "big")).digest(PIECE)


@define(eq=False)
class LinkEnd:
    """One end of a link, and who it tells of its dialogs."""

    traffic: Traffic
    host: Host
    life: int
    #: Set as soon as there is one.
    link: Link = field(init=False)
    wire: Wire = field(init=False)

    def flush(self) -> None:
        """Put what the link has to say on the wire."""
        outbox = self.link.outbox
        octets = bytes(outbox.view[outbox.start : outbox.end])
        outbox.start = outbox.end = 0
        if octets:
            self.wire.carry(self, octets)

    def link_opened(self, link: Link) -> None:
        """Nothing."""

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        """Say what there is, a piece now and then."""
        self.traffic.serve(self, dialog)

    def link_idle(self, _link: Link) -> None:
        """Nothing."""

    def link_worn(self, _link: Link) -> None:
        """Nothing."""

    def link_closed(self, _link: Link, closure: Closure) -> None:
        """Cut the wire."""
        self.wire.cut(str(closure))


@define(eq=False)
class Wire:
    """What is between two ends: ``alive`` until it is cut."""

    near: LinkEnd
    far: LinkEnd
    spi_in: int
    alive: bool = True
    arrives: float = 0.0

    def carry(self, end: LinkEnd, octets: bytes) -> None:
        """Have octets arrive at the other end, in their order."""
        traffic, other = end.traffic, self.far if end is self.near else self.near
        network = traffic.world.network
        when = self.arrives = max(self.arrives, network.monotonic + traffic.rng.random() * SLOWEST)

        def arrive() -> None:
            if self.alive and traffic.lives(other):
                with network.aside():
                    other.link.receive(octets)

        network.at(when - network.monotonic, arrive)

    def cut(self, why: str) -> None:
        """End both links."""
        if self.alive:
            self.alive = False
            for end in (self.near, self.far):
                if end.traffic.lives(end):
                    end.link.disconnected(why)


@define(eq=False)
class Download:
    """A node's end of one, which is a dialog's sink: what has come is checked as it comes."""

    traffic: Traffic
    host: Host
    name: bytes
    lives: tuple[int, int]
    got: int = 0
    is_over: bool = False
    dialog: Dialog = field(init=False)

    def opened(self) -> None:
        """Nothing."""

    def data(self, octets: bytes) -> None:
        """Take octets, which have to be the next ones."""
        first, last = self.got // PIECE, (self.got + len(octets) - 1) // PIECE
        said = b"".join(piece(self.name, number) for number in range(first, last + 1))
        if said[self.got % PIECE :][: len(octets)] != octets:
            self.traffic.world.network.fail(f"a download of {self.host.name} is not what was said from {self.got} on")
        self.got += len(octets)

    def ended(self) -> None:
        """Say nothing either: all has come."""
        if self.got != PIECES * PIECE:
            self.traffic.world.network.fail(f"a download of {self.host.name} ends after {self.got} octets")
        self.dialog.end()

    def sent_end(self) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def resume(self) -> None:
        """Nothing."""

    def over(self, ending: Ending) -> None:
        """Look why; dialogs outlive links, and not their daemons."""
        self.is_over = True
        if ending.end is End.FINISHED:
            self.traffic.finished[self.host.name] = self.traffic.finished.get(self.host.name, 0) + 1
        elif self.lives == self.traffic.lives_of(self.host) and self.host is not self.traffic.stolen:
            self.traffic.world.network.fail(f"a download of {self.host.name} is lost: {ending}")


class Served:
    """The program behind a download at home: it says, and hears nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


class Traffic:
    """See the module; ``stolen`` is the node that may lose what it fetches, once it is revoked.

    ``finished`` counts downloads by the names of hosts, ``moved`` dialogs that went from link to link.
    """

    def __init__(self, world: World, seed: int | str, stolen: Host | None) -> None:
        self.world = world
        self.rng = random.Random(f"traffic {seed}")  # noqa: S311  # has to repeat itself
        self.stolen = stolen
        self.finished: dict[str, int] = {}
        self.moved = 0
        self._tables: dict[str, tuple[int, DialogTables]] = {}
        self._wires: dict[str, list[Wire]] = {}
        self._downloads: dict[str, Download] = {}
        self._tried: dict[str, float] = {}
        world.network.at(EVERY, self._tick)

    def lives(self, end: LinkEnd) -> bool:
        """Tell whether the process that an end belongs to is still that one."""
        return end.host.house is not None and end.host.life == end.life

    def lives_of(self, node: Host) -> tuple[int, int]:
        """Return which processes a download of a node is between."""
        return node.life, self.world.home.life

    def _of(self, host: Host) -> DialogTables:
        life, tables = self._tables.get(host.name, (-1, None))
        if tables is None or life != host.life:
            tables = DialogTables(64, WITHIN)
            tables.handovers = self
            self._tables[host.name] = host.life, tables
        return tables

    def resumed(self, _peer: str, _dialog: Dialog, _at: int) -> None:
        """See `seckex.dialog.table.Handovers`."""
        self.moved += 1

    def went_on(self, peer: str, dialog: Dialog, at: int) -> None:
        """See `seckex.dialog.table.Handovers`."""

    def _tick(self) -> None:
        network = self.world.network
        network.at(EVERY, self._tick)
        with network.aside():
            for host in (*self.world.nodes, self.world.home):
                if host.house is not None:
                    self._of(host).tick()
            for node in self.world.nodes:
                self._link(node)
                self._fetch(node)

    # -- links

    def _link(self, node: Host) -> None:
        """Have a link under the newest association of a node, where home has that as well."""
        home, wires = self.world.home, self._wires.setdefault(node.name, [])
        for wire in tuple(wires):
            if not (node.adopted and self.lives(wire.near) and self.lives(wire.far)):
                wire.cut("an end is gone")
            if not wire.alive:
                wires.remove(wire)
        if node.house is None or home.house is None or not node.adopted:
            return
        newest = next(reversed(node.adopted.values()))
        theirs = home.adopted.get(newest.spi_out)
        if theirs is None or theirs.spi_out != newest.spi_in or any(wire.spi_in == newest.spi_in for wire in wires):
            return
        # What a newer one carries an older one need not.
        for wire in wires[:-1]:
            wire.cut("there are newer ones")
        wires.append(self._connect(node, newest))

    def _connect(self, node: Host, association: Association) -> Wire:
        schedule, home = association.link_schedule(), self.world.home
        if schedule is None:
            raise ValueError("an association without encryption")
        near, far = LinkEnd(self, node, node.life), LinkEnd(self, home, home.life)
        near.wire = far.wire = wire = Wire(near, far, association.spi_in)
        ours = LinkAssociation(association.spi_out, association.peer, schedule, here=association.spi_in)
        theirs = LinkAssociation(association.spi_out, node.nai, schedule, here=association.spi_out)
        far.link = self._made(far, find=lambda spi: theirs if spi == theirs.spi else None)
        near.link = self._made(near, association=ours)
        near.flush()
        return wire

    def _made(self, end: LinkEnd, **how: Any) -> Link:
        clock = lambda: int(self.world.network.monotonic * 1e9)  # noqa: E731  # it is a value
        tables, salt = self._of(end.host), self.rng.randbytes(16)
        return Link(owner=end, limits=LIMITS, salt=salt, clock=clock, flush=end.flush, dialogs=tables, **how)

    def cut(self) -> None:
        """Cut all wires."""
        with self.world.network.aside():
            for wires in self._wires.values():
                for wire in tuple(wires):
                    wire.cut("cut")

    # -- downloads

    def _fetch(self, node: Host) -> None:
        before = self._downloads.get(node.name)
        if node.house is None or (before is not None and before.lives == self.lives_of(node) and not before.is_over):
            return
        links = [wire.near.link for wire in self._wires[node.name] if wire.near.link.is_open]
        if links:
            name = self.rng.randbytes(DIALOG_ID_SIZE)
            download = self._downloads[node.name] = Download(self, node, name, self.lives_of(node))
            download.dialog = links[-1].open("download", name, download)

    def serve(self, end: LinkEnd, dialog: Dialog) -> None:
        """Say a download, a piece now and then."""
        served: Any = Served()
        dialog.attach(served)
        dialog.accept()

        def say(number: int) -> None:
            if not self.lives(end) or dialog.is_over:
                return
            with self.world.network.aside():
                dialog.write(piece(dialog.dialog_id, number))
                if number + 1 == PIECES:
                    dialog.end()
                else:
                    self.world.network.at(EVERY, lambda: say(number + 1))

        say(0)
