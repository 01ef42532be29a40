"""Append-only logs in tables: a row for each entry, and a seal over where all logs end.

Entries are readable in the file: they hold no secrets, and who keeps an exported
log must be able to follow it. `heads` in the table ``meta`` holds number and
hash of each log's last entry, sealed under the master key. It is made with the
database and written with each entry, in the same transaction. So whoever has
the database and not the master key cannot alter an entry, cut a log short or
remove it without `verify` noticing; who alters an entry and makes all hashes
after it anew is noticed too, though not where. What nobody can notice from the
database alone is that an older copy was put in its place, of all of it or of a log
with the seal of that time (which ends when the master key is exchanged): for that
somebody has to know a hash from before.

Where the last row is not the one that was sealed, the next entry gets a number
behind both and follows the sealed one, so that the fault stays where it is
found. Where the seal itself is broken nothing is written any more.

    heads = Count 16 | Count x (log lp8 | Seq 64 | Hash (32))
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from seckex.crypto.atrest import Wrapping
from seckex.crypto.logchain import HASH_SIZE
from seckex.errors import AuthenticationFailed, Malformed, StoreFailed
from seckex.sa.logs import MAX_ENTRY, MOST_LOGS, Head, LogCheck, LogEntry, append, follow
from seckex.sa.store import Append
from seckex.storage.rows import Damaged, Row
from seckex.wire.buffer import Reader, Writer
from seckex.wire.frames import lp8

HEADS_BOUND: Final = b"where the logs end v1"
_PUT: Final = "INSERT INTO log (name, seq, at, octets, hash) VALUES (?, ?, ?, ?, ?)"
_LAST: Final = "SELECT seq FROM log WHERE name = ? AND typeof(seq) = 'integer' ORDER BY seq DESC LIMIT 1"
_SOME: Final = "SELECT seq, at, octets, hash FROM log WHERE name = ? AND seq > ? ORDER BY seq LIMIT ?"
_HEADS: Final = "SELECT value FROM meta WHERE name = 'heads'"
_PUT_HEADS: Final = "INSERT INTO meta VALUES ('heads', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_EVERY: Final = -1

Heads = dict[str, Head]


class HeadsBroken(StoreFailed):
    """Nothing vouches for where the logs end."""


def seal_heads(connection: sqlite3.Connection, heads: Heads, wrapping: Wrapping) -> None:
    """Write where the logs end."""
    writer = Writer().u16(len(heads))
    for log, head in heads.items():
        writer.raw(lp8(log.encode())).u64(head.seq).raw(head.hash)
    connection.execute(_PUT_HEADS, (wrapping.wrap(writer.octets(), HEADS_BOUND),))


def read_heads(connection: sqlite3.Connection, wrapping: Wrapping) -> Heads:
    """Return where the logs end; raises `HeadsBroken`."""
    row = connection.execute(_HEADS).fetchone()
    try:
        if row is None or not isinstance(row[0], bytes):
            raise AuthenticationFailed("there is none")
        reader = Reader(wrapping.unwrap(row[0], HEADS_BOUND))
        heads = {}
        for _ in range(reader.u16("Count")):
            log = reader.take(reader.u8("log"), "log").decode("ascii")
            heads[log] = Head(reader.u64("Seq"), reader.take(HASH_SIZE, "Hash"))
        reader.end("heads")
    except (AuthenticationFailed, Malformed, UnicodeDecodeError):
        raise HeadsBroken(
            "what vouches for the ends of the logs was altered or is gone: somebody has changed the database, or it is "
            "damaged; restore it from a backup"
        ) from None
    return heads


def write_entries(connection: sqlite3.Connection, appends: Sequence[Append], wrapping: Wrapping) -> None:
    """Write entries at the ends of their logs, within a transaction; raises `StoreFailed`."""
    if not appends:
        return
    heads = read_heads(connection, wrapping)
    rows: list[Row] = []
    for log, group in groupby(sorted(appends, key=_log_of), _log_of):
        head = heads.get(log, Head())
        last = connection.execute(_LAST, (log,)).fetchone()
        if last is not None and last[0] > head.seq:
            # Somebody has put entries in: ours stand behind them, and do not follow them.
            head = Head(last[0], head.hash)
        for each in group:
            entry = append(log, head, each.at, each.octets)
            rows.append((log, entry.seq, entry.at, entry.octets, entry.hash))
            head = Head(entry.seq, entry.hash)
        heads[log] = head
    if len(heads) > MOST_LOGS:
        raise StoreFailed(f"there are more than {MOST_LOGS} logs")
    connection.executemany(_PUT, rows)
    seal_heads(connection, heads, wrapping)


def _log_of(operation: Append) -> str:
    return operation.log


def read_entries(connection: sqlite3.Connection, log: str, after: int, most: int = _EVERY) -> Iterator[LogEntry]:
    """Yield entries after the number ``after``; raises `Damaged` at one that is none."""
    for row in connection.execute(_SOME, (log, after, most)):
        yield _entry(row)


def _entry(row: Row) -> LogEntry:
    seq, at, octets, digest = row
    sound = (
        type(seq) is int
        and seq > 0
        and type(at) is float
        and math.isfinite(at)
        and type(octets) is bytes
        and len(octets) <= MAX_ENTRY
        and type(digest) is bytes
    )
    if not sound:
        raise Damaged(f"entry {seq if type(seq) is int else 'unreadable'} is damaged")
    return LogEntry(seq, at, octets, digest)


def check_log(connection: sqlite3.Connection, log: str, wrapping: Wrapping) -> LogCheck:
    """Follow a log, within a transaction; see `Store.verify`."""
    damage: list[str] = []

    def sound() -> Iterator[LogEntry]:
        try:
            yield from read_entries(connection, log, 0)
        except Damaged as error:
            damage.append(str(error))

    try:
        head = read_heads(connection, wrapping).get(log, Head())
    except HeadsBroken as error:
        return LogCheck(log, Head(), 1, str(error))
    check = follow(log, sound(), head)
    if damage:
        return LogCheck(log, check.sound, check.sound.seq + 1, damage[0])
    return check
