"""What is asked of the database of messages; tests see that none of it goes through a table."""

from __future__ import annotations

from typing import Final

from seckex.storage.messages.rows import DEAD_COLUMNS, DIALOG_COLUMNS, INDEX_COLUMNS, SEGMENT_COLUMNS, SENT_COLUMNS
from seckex.storage.messages.schema import EPOCH_BITS


def _insert(table: str, columns: str, name: str) -> str:
    # Only constants of this package get here.
    every = [column.strip() for column in columns.split(",")]
    changed = ", ".join(f"{column} = excluded.{column}" for column in every if column not in name.split(", "))
    marks = ", ".join("?" for _ in every)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({name}) DO UPDATE SET {changed}"  # noqa: S608  # see above


PUT_DIALOG: Final = _insert("dialog", DIALOG_COLUMNS, "id")
PUT_SEGMENT: Final = _insert("segment", SEGMENT_COLUMNS, "dialog, side, last")
PUT_DEAD: Final = _insert("dead", DEAD_COLUMNS, "dialog, side, number")
PUT_SENT: Final = _insert("sent", SENT_COLUMNS, "dialog, tag")
PUT_KEPT: Final = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)"
PUT_TOLD: Final = "INSERT OR REPLACE INTO told VALUES (?, ?)"
DROP_KEPT: Final = "DELETE FROM kept WHERE number = ?"
DROP_TOLD: Final = "DELETE FROM told WHERE nai = ?"
KEPT: Final = "SELECT octets FROM kept WHERE number = ?"
LOAD_KEPT: Final = "SELECT number, destination, depositor, until, length(octets), digest FROM kept ORDER BY number"
LOAD_TOLD: Final = "SELECT nai, octets FROM told ORDER BY rowid"
DROP_DIALOG: Final = "DELETE FROM dialog WHERE id = ?"
DROP_ALL: Final = "DELETE FROM segment WHERE dialog = ?"
DROP_SENT: Final = "DELETE FROM sent WHERE dialog = ?"
DROP_SEGMENTS: Final = "DELETE FROM segment WHERE dialog = ? AND side = ? AND last <= ?"
DROP_DEAD: Final = "DELETE FROM dead WHERE dialog = ? AND side = ? AND number = ?"
CLOCK: Final = (
    "INSERT INTO meta VALUES ('clock', ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value) "
    "RETURNING value"
)
TO_FORGET: Final = "SELECT id FROM dialog WHERE forget > 0 AND forget <= ? LIMIT ?"
PURGE_SENT: Final = "DELETE FROM sent WHERE rowid IN (SELECT rowid FROM sent WHERE until <= ? LIMIT ?)"
META: Final = "SELECT value FROM meta WHERE name = ?"
BEGIN_EPOCH: Final = "INSERT INTO epoch (wrapped) VALUES (x'')"
WRAP_EPOCH: Final = "UPDATE epoch SET wrapped = ? WHERE id = ?"
EPOCH: Final = "SELECT wrapped FROM epoch WHERE id = ?"
DESTROY: Final = (
    f"DELETE FROM epoch WHERE NOT EXISTS (SELECT 1 FROM segment WHERE seq >= epoch.id << {EPOCH_BITS} "  # noqa: S608  # constants
    f"AND seq < (epoch.id + 1) << {EPOCH_BITS})"
)
# Once more where it is a copy of a copy.
RESTORE: Final = (
    "INSERT INTO meta SELECT 'restored', ? WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'copy') "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
UNMARK_COPY: Final = "DELETE FROM meta WHERE name = 'copy'"
LOAD_DIALOGS: Final = f"SELECT {DIALOG_COLUMNS} FROM dialog ORDER BY rowid"  # noqa: S608  # constants
LOAD_SEGMENTS: Final = f"SELECT {INDEX_COLUMNS} FROM segment ORDER BY dialog, side, last"  # noqa: S608  # constants
LOAD_SENT: Final = f"SELECT {SENT_COLUMNS} FROM sent WHERE until > ? ORDER BY rowid"  # noqa: S608  # constants
SEGMENT: Final = (
    f"SELECT {SEGMENT_COLUMNS} FROM segment WHERE dialog = ? AND side = ? AND last >= ? ORDER BY last LIMIT 1"  # noqa: S608  # constants
)
HEADS: Final = "dialog, side, number, spool, head, NULL"
DEAD_PAGE: Final = (
    f"SELECT {HEADS} FROM dead WHERE (dialog, side, number) > (?, ?, ?) ORDER BY dialog, side, number LIMIT ?"  # noqa: S608  # constants
)
DEAD_ONE: Final = f"SELECT {DEAD_COLUMNS} FROM dead WHERE dialog = ? AND side = ? AND number = ?"  # noqa: S608  # constants
SPOOLS: Final = (
    "SELECT dialog, spool FROM segment WHERE spool <> '' UNION ALL SELECT dialog, spool FROM dead WHERE spool <> ''"
)
