"""An account of one hop of a passage, a total of many, and both as records.

Records are sealed at rest as all of roles are. Version and lengths are checked
when they are read, since a record may be from another version of the program.

An account that is open has the name of its hop; one that is finished has a number, in the order of
ending, and is kept aside: a store does not load it, it is read when somebody asks.
"""

from __future__ import annotations

import struct
from typing import Final

from attrs import Factory, evolve, frozen

from seckex.errors import Malformed
from seckex.events import shown
from seckex.passage.faces import Figures, Octets, Party
from seckex.sa.store import ASIDE, Record
from seckex.wire.buffer import Reader, Writer

#: What the text of an account's end says where there was none.
CUT_SHORT: Final = "the daemon ended before the passage did: these are the last figures that were stored"

MOST_WHY: Final = 160

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBddd6Q")
_TOTAL: Final = struct.Struct(">BQQdd6Q")
_ENDED, _WHOLE = 0x1, 0x2
_NUMBER: Final = struct.Struct(">Q")
_LEDGER: Final = struct.Struct(">BQQ")


@frozen
class Whose:
    """What there is one total of: a node and the domain it visited, at home; a pseudonym and its realm, at an agent.

    Without either it is whoever has no total of his own any more, of that domain; without a domain, of all.
    """

    domain: str = ""
    node: str = ""
    pseudonym: bytes = b""

    @property
    def rest(self) -> bool:
        """Whether it is of whoever has none of his own."""
        return not self.node and not self.pseudonym

    @classmethod
    def of(cls, who: Party) -> Whose:
        """Return whose total a party's accounts go to: at home a node has many pseudonyms and one total."""
        return cls(who.domain, who.node, b"" if who.node else who.pseudonym)

    def octets(self) -> bytes:
        """Return the name of its record."""
        return Writer().prefixed(self.domain.encode()).prefixed(self.node.encode()).raw(self.pseudonym).octets()

    @classmethod
    def read(cls, octets: bytes) -> Whose:
        """Read what `octets` wrote; raises `Malformed`."""
        reader = Reader(octets)
        domain, node = (_text(reader, field) for field in ("domain", "node"))
        return cls(domain, node, reader.rest())


@frozen
class Account:
    """What a hop of a passage has amounted to ``at`` a moment (wall clock), at its end if it has ``ended``.

    ``whole`` tells that the end was seen; without that ``ended`` is when the figures were last stored.
    """

    ident: bytes
    who: Party
    began: float
    at: float
    outward: Octets
    inward: Octets
    ended: float | None = None
    why: str = ""
    whole: bool = True

    @classmethod
    def of(cls, figures: Figures, now: float) -> Account:
        """Return the account that figures of this moment make."""
        at = now if figures.ended is None else figures.ended
        why = shown(figures.why)[:MOST_WHY]
        f = figures
        return cls(f.ident, f.who, f.began, at, f.outward, f.inward, f.ended, why)

    def cut_short(self) -> Account:
        """Return the account closed, as far as it is known."""
        return evolve(self, ended=self.at, why=CUT_SHORT, whole=False)

    def octets(self) -> bytes:
        """Return the octets of a record."""
        flags = (0 if self.ended is None else _ENDED) | (_WHOLE if self.whole else 0)
        times = self.began, self.at, 0.0 if self.ended is None else self.ended
        writer = Writer().raw(_HEAD.pack(_VERSION, flags, *times, *_six(self.outward, self.inward)))
        who = self.who
        writer.prefixed(self.ident).prefixed(who.pseudonym)
        for text in (who.domain, who.node, who.agent, self.why):
            writer.prefixed(text.encode())
        return writer.octets()

    @classmethod
    def read(cls, octets: bytes) -> Account:
        """Read what `octets` wrote; raises `Malformed`."""
        reader = Reader(octets)
        version, flags, began, at, ended, *six = reader.unpack(_HEAD, "account")
        _check(reader, version)
        ident, pseudonym = _octets(reader, "id"), _octets(reader, "pseudonym")
        domain, node, agent, why = (_text(reader, field) for field in ("domain", "node", "agent", "why"))
        reader.end("account")
        return cls(
            ident=ident,
            who=Party(domain, pseudonym, node, agent),
            began=began,
            at=at,
            outward=Octets(*six[:3]),
            inward=Octets(*six[3:]),
            ended=ended if flags & _ENDED else None,
            why=why,
            whole=bool(flags & _WHOLE),
        )


@frozen
class Total:
    """What finished accounts amount to: how many, how many of them ``cut_short``, from when to when, and octets."""

    passages: int = 0
    cut_short: int = 0
    since: float = 0.0
    last: float = 0.0
    outward: Octets = Factory(Octets)
    inward: Octets = Factory(Octets)

    def with_account(self, account: Account) -> Total:
        """Return the total with one more."""
        ended = account.at if account.ended is None else account.ended
        one = Total(1, int(not account.whole), account.began, ended, account.outward, account.inward)
        return self.with_total(one)

    def with_total(self, other: Total) -> Total:
        """Return the sum."""
        return Total(
            self.passages + other.passages,
            self.cut_short + other.cut_short,
            min(self.since, other.since) if self.passages else other.since,
            max(self.last, other.last),
            plus(self.outward, other.outward),
            plus(self.inward, other.inward),
        )

    def octets(self) -> bytes:
        """Return the octets of a record."""
        times = self.since, self.last
        return _TOTAL.pack(_VERSION, self.passages, self.cut_short, *times, *_six(self.outward, self.inward))

    @classmethod
    def read(cls, octets: bytes) -> Total:
        """Read what `octets` wrote; raises `Malformed`."""
        reader = Reader(octets)
        version, passages, cut_short, since, last, *six = reader.unpack(_TOTAL, "total")
        _check(reader, version)
        reader.end("total")
        return cls(passages, cut_short, since, last, Octets(*six[:3]), Octets(*six[3:]))


@frozen
class Numbers:
    """Which numbers finished accounts have: from ``first``, unless it has expired since, to before ``next``."""

    first: int = 0
    next: int = 0

    def octets(self) -> bytes:
        """Return the octets of a record."""
        return _LEDGER.pack(_VERSION, self.first, self.next)

    @classmethod
    def read(cls, octets: bytes) -> Numbers:
        """Read what `octets` wrote; raises `Malformed`."""
        reader = Reader(octets)
        version, first, after = reader.unpack(_LEDGER, "numbers")
        _check(reader, version)
        reader.end("numbers")
        return cls(first, after)


@frozen
class Kinds:
    """What the records of one side are called, ``fa`` or ``ha``."""

    side: str

    @property
    def open(self) -> str:
        """Accounts of passages that are under way."""
        return f"{self.side}.account"

    @property
    def finished(self) -> str:
        """Accounts of those that have ended."""
        return f"{self.side}.account{ASIDE}"

    @property
    def totals(self) -> str:
        """Totals."""
        return f"{self.side}.total"

    @property
    def numbers(self) -> str:
        """The one record of `Numbers`."""
        return f"{self.side}.accounts"

    def put_open(self, account: Account) -> Record:
        """Return the record of an account that is open."""
        return Record(self.open, account.ident, account.octets())

    def put_finished(self, number: int, account: Account, keep: float) -> Record:
        """Return the record of one that is finished, kept for ``keep`` seconds after its end."""
        ended = account.at if account.ended is None else account.ended
        return Record(self.finished, name_of(number), account.octets(), ended + keep)


def name_of(number: int) -> bytes:
    """Return the name of a finished account's record: in the order of their numbers."""
    return _NUMBER.pack(number)


def plus(one: Octets, other: Octets) -> Octets:
    """Return the sum of two."""
    return Octets(one.carried + other.carried, one.proved + other.proved, one.acknowledged + other.acknowledged)


def _six(outward: Octets, inward: Octets) -> tuple[int, ...]:
    o, i = outward, inward
    return o.carried, o.proved, o.acknowledged, i.carried, i.proved, i.acknowledged


def _check(reader: Reader, version: int) -> None:
    if version != _VERSION:
        raise reader.fail("version", f"{version}, known is {_VERSION}", 0)


def _octets(reader: Reader, field: str) -> bytes:
    return reader.take(reader.u32("length"), field)


def _text(reader: Reader, field: str) -> str:
    try:
        return _octets(reader, field).decode()
    except UnicodeDecodeError:
        raise Malformed(field, 0, "not UTF-8") from None
