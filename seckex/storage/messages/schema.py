"""The database of messages: its tables, and what tells it from others.

A segment's row number is its epoch (`seckex.crypto.epochs`) and its number in
it, `epoch << 32 | number`: so rows are appended, nothing else has to be stored to
open them, and whether anything of an epoch is left is one look into the table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from seckex.crypto.atrest import Wrapping
from seckex.storage.schema import Schema

APPLICATION_ID: Final = 0x534B4D73  # "SKMs"

#: What the file is called, beside the database of associations.
MESSAGES: Final = "messages.db"

EPOCH_BITS: Final = 32

#: Numbers of messages have 64 bits, SQLite's integers a sign: this keeps their order.
BIAS: Final = 1 << 63

#: What it means to go on without the database.
LOSS: Final = "the messages in it are then lost"

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
        # Never given out again: an epoch that is gone stays gone.
        "CREATE TABLE epoch (id INTEGER PRIMARY KEY AUTOINCREMENT, wrapped BLOB NOT NULL)",
        "CREATE TABLE dialog (id BLOB NOT NULL, forget REAL NOT NULL, octets BLOB NOT NULL)",
        "CREATE UNIQUE INDEX dialog_name ON dialog (id)",
        "CREATE INDEX dialog_forget ON dialog (forget) WHERE forget > 0",
        # ``side`` is 0 for what is ours; the octets come last, so that the rest is read without them.
        "CREATE TABLE segment (seq INTEGER PRIMARY KEY, dialog BLOB NOT NULL, side INTEGER NOT NULL, "
        "first INTEGER NOT NULL, last INTEGER NOT NULL, size INTEGER NOT NULL, stored REAL NOT NULL, "
        "spool TEXT NOT NULL, octets BLOB NOT NULL)",
        "CREATE UNIQUE INDEX segment_name ON segment (dialog, side, last)",
        "CREATE TABLE dead (dialog BLOB NOT NULL, side INTEGER NOT NULL, number INTEGER NOT NULL, "
        "spool TEXT NOT NULL, head BLOB NOT NULL, octets BLOB NOT NULL)",
        "CREATE UNIQUE INDEX dead_name ON dead (dialog, side, number)",
        "CREATE TABLE sent (dialog BLOB NOT NULL, tag BLOB NOT NULL, until REAL NOT NULL, octets BLOB NOT NULL)",
        "CREATE UNIQUE INDEX sent_name ON sent (dialog, tag)",
        "CREATE INDEX sent_until ON sent (until)",
    ),
    (
        # What a relay has for others: sealed already, by those whose it is. The octets come last, as in segments.
        "CREATE TABLE kept (number INTEGER PRIMARY KEY, destination TEXT NOT NULL, depositor TEXT NOT NULL, "
        "until REAL NOT NULL, digest BLOB NOT NULL, octets BLOB NOT NULL)",
        "CREATE TABLE told (nai TEXT PRIMARY KEY, octets BLOB NOT NULL)",
    ),
)

CHECK_BOUND: Final = b"these messages belong to this master key"
TAGS_BOUND: Final = b"what programs' keys are found by"
TAG_KEY_SIZE: Final = 32

_FIRST: Final = 1


def messages_schema(tag_key: bytes) -> Schema:
    """Return what tells the database of messages from others; a new one finds programs' keys by ``tag_key``."""

    def brought(connection: sqlite3.Connection, version: int, wrapping: Wrapping) -> None:
        if version < _FIRST:
            connection.execute("INSERT INTO meta VALUES ('tags', ?)", (wrapping.wrap(tag_key, TAGS_BOUND),))

    return Schema(APPLICATION_ID, MIGRATIONS, CHECK_BOUND, loss=LOSS, brought=brought)
