"""What the tests of this room share: two links joined in memory, and programs behind their dialogs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.schedule import LinkSchedule, RecordKey
from seckex.crypto.secrets import Secret
from seckex.dialog.faces import Closure, Ending, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.wire.dialog import Hello, Record, decode_record, record_size
from seckex.wire.numbers import PRF_HMAC_SHA2_256, RecordType, Role, Suite

SPI: Final = 0x1234
SALT_I, SALT_R = b"I" * 16, b"R" * 16
CREATED: Final = 1_700_000_000_000_000_000
DIALOG_ID: Final = b"D" * 16
_IDS: Final = itertools.count(1)
LIMITS: Final = Hello(credit=65536, most_dialogs=4, largest_body=65536)


def new_id() -> bytes:
    """Return an id that no dialog has."""
    return next(_IDS).to_bytes(16, "big")


def clock() -> int:
    """Return the one time at which all tests happen."""
    return CREATED


def schedule(suite: Suite = Suite.AES_256_GCM, secret: bytes = b"dialog") -> LinkSchedule:
    return LinkSchedule(suite, PRF_HMAC_SHA2_256, Secret(secret.ljust(32)))


def association(
    suite: Suite = Suite.AES_256_GCM,
    secret: bytes = b"dialog",
    spi: int = SPI,
    octets: int | None = None,
    records: int = 1 << 32,
) -> LinkAssociation:
    return LinkAssociation(spi, "peer@example.net", schedule(suite, secret), octets, records)


class Program:
    """The program behind a dialog: notes what happens to it, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.got = b""
        self.chunks: list[bytes] = []
        self.ending: Ending | None = None
        self.on_data: Callable[[bytes], None] = lambda _: None
        self.on_resume: Callable[[], None] = lambda: None

    def opened(self) -> None:
        self.said.append("opened")

    def data(self, octets: bytes) -> None:
        self.got += octets
        self.chunks.append(octets)
        self.on_data(octets)

    def ended(self) -> None:
        self.said.append("ended")

    def sent_end(self) -> None:
        self.said.append("sent end")

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")
        self.on_resume()

    def over(self, ending: Ending) -> None:
        self.said.append(f"over: {ending}")
        self.ending = ending


class Side:
    """One end: a link, its owner, and a transport that can be blocked.

    What the transport has taken is in ``sent`` until the test, or `Pair.settle`,
    moves it.
    """

    def __init__(self, role: Role) -> None:
        self.role = role
        self.link: Link
        self.sent = bytearray()
        self.takes: int | None = None
        self.said: list[str] = []
        self.closure: Closure | None = None
        self.offers: list[tuple[Dialog, Program]] = []
        self.answer: Callable[[Dialog], None] = Dialog.accept

    def flush(self) -> None:
        """Take what the transport may: everything, or what is left of ``takes``."""
        pending = self.link.outbox.pending()
        count = len(pending) if self.takes is None else min(self.takes, len(pending))
        self.sent += pending[:count]
        self.link.outbox.sent(count)
        if self.takes is not None:
            self.takes -= count

    def unblock(self, takes: int | None = None) -> None:
        """Let the transport take (so much) more."""
        self.takes = takes
        self.flush()
        if not self.link.outbox:
            self.link.drained()

    @property
    def last(self) -> Program:
        return self.offers[-1][1]

    def link_opened(self, _link: Link) -> None:
        self.said.append("opened")

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        program = Program()
        self.offers.append((dialog, program))
        dialog.attach(program)
        self.answer(dialog)

    def link_idle(self, _link: Link) -> None:
        self.said.append("idle")

    def link_worn(self, _link: Link) -> None:
        self.said.append("worn")

    def link_closed(self, _link: Link, closure: Closure) -> None:
        self.said.append(f"closed: {closure}")
        self.closure = closure


class Pair:
    """An initiator and a responder with an association, or with two that differ."""

    def __init__(
        self,
        *,
        limits_i: Hello = LIMITS,
        limits_r: Hello = LIMITS,
        ours: LinkAssociation | None = None,
        theirs: LinkAssociation | None = None,
        known: bool = True,
        salt_i: bytes = SALT_I,
        salt_r: bytes = SALT_R,
        soon: Callable[[Callable[[], None]], object] | None = None,
        dialogs_i: DialogTables | None = None,
        dialogs_r: DialogTables | None = None,
        key_log: Callable[[str], object] | None = None,
    ) -> None:
        ours = ours or association()
        theirs = theirs or ours
        self.i, self.r = Side(Role.INITIATOR), Side(Role.RESPONDER)
        self.i.link = Link(
            owner=self.i,
            limits=limits_i,
            salt=salt_i,
            clock=clock,
            flush=self.i.flush,
            soon=soon,
            association=ours,
            dialogs=dialogs_i,
            key_log=key_log,
        )
        self.r.link = Link(
            owner=self.r,
            limits=limits_r,
            salt=salt_r,
            clock=clock,
            flush=self.r.flush,
            find=lambda spi: theirs if known and spi == theirs.spi else None,
            dialogs=dialogs_r,
        )
        self.i.flush()

    def opposite(self, side: Side) -> Side:
        return self.r if side is self.i else self.i

    def move(self, side: Side, most: int | None = None) -> int:
        """Move what ``side`` has sent to the other end, at most so many octets, and return how many."""
        octets = bytes(side.sent[:most])
        del side.sent[: len(octets)]
        self.opposite(side).link.receive(octets)
        return len(octets)

    def settle(self, most: int | None = None) -> None:
        """Move what was sent until nothing more is."""
        while self.move(self.i, most) + self.move(self.r, most):
            pass

    def opened(self) -> Pair:
        """Let the links open."""
        self.settle()
        return self

    def cut(self) -> None:
        """Lose the connection, and what is on its way."""
        for side in (self.i, self.r):
            side.sent.clear()
            side.link.disconnected("Connection lost.")

    def dialog(self, service: str = "echo") -> tuple[Dialog, Program, Dialog, Program]:
        """Open a dialog from the initiator: its end and program there, its end and program at the responder."""
        program = Program()
        dialog = self.i.link.open(service, new_id(), program)
        self.settle()
        return dialog, program, *self.r.offers[-1]


class Peers:
    """Two principals whose dialogs outlive their links: each `Pair` of them is a link, the newest the last."""

    def __init__(self, limits: Hello = LIMITS, most_detached: int = 64, within: int = 600) -> None:
        self.limits = limits
        self.dialogs_i = DialogTables(most_detached, within)
        self.dialogs_r = DialogTables(most_detached, within)
        self.offers: list[tuple[Dialog, Program]] = []
        self.pairs: list[Pair] = []

    def link(self, settle: bool = True, **more: Any) -> Pair:
        """Connect: another link, open if ``settle``."""
        number = len(self.pairs).to_bytes(2, "big")
        pair = Pair(
            limits_i=self.limits,
            limits_r=self.limits,
            salt_i=SALT_I[2:] + number,
            salt_r=SALT_R[2:] + number,
            dialogs_i=self.dialogs_i,
            dialogs_r=self.dialogs_r,
            **more,
        )
        pair.i.offers = pair.r.offers = self.offers
        self.pairs.append(pair)
        return pair.opened() if settle else pair

    def tick(self, seconds: int = 1) -> None:
        """Let time pass at both ends."""
        for _ in range(seconds):
            self.dialogs_i.tick()
            self.dialogs_r.tick()

    def settle(self) -> None:
        """Move what is on its way over links that are not cut."""
        moved = True
        while moved:
            moved = False
            for pair in self.pairs:
                moved |= bool(pair.move(pair.i) + pair.move(pair.r))


def split(octets: bytes) -> Iterator[bytes]:
    """Cut a stream into its records."""
    while octets:
        size = record_size(octets)
        if size is None or len(octets) < size:
            raise ValueError("not whole records")
        yield octets[:size]
        octets = octets[size:]


def kinds(octets: bytes) -> list[str]:
    """Return the types of the records in a stream."""
    return [decode_record(record).kind.name for record in split(octets)]


def sealed_with(key: RecordKey, from_responder: bool) -> Record:
    """Return a record of no content, to be evolved: as sealed under ``key`` in that direction."""
    return Record(key.suite, from_responder, CREATED // 1000, RecordType.PING, b"")


class LinkCase(SynchronousTestCase):
    """Tests of two links."""

    def assertViolated(self, side: Side, why: str) -> None:
        """Check that ``side`` has closed its link because of its peer, and said so."""
        self.assertIsNotNone(side.closure, "the link is not closed")
        text = str(side.closure)
        self.assertIn("violated, protocol-error (305)", text)
        self.assertIn(why, text)
