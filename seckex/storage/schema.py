"""A database file: how it is opened, what the tables of that of associations are and how they change.

`Schema` is what tells one kind of database from another; messages have theirs in
`seckex.storage.messages.schema`. The header carries its application id and, as ``user_version``, how many of
its migrations have been applied; a file with more of them than this version knows
is refused rather than guessed at. Nothing is written to a file that is not ours.

Rows are appended: both tables keep SQLite's own row numbers as primary key and
find their names through an index. With the SPI as primary key each association
would dirty a page of its own, which costs twice as much once there are many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from seckex.crypto.atrest import Wrapping
from seckex.errors import AuthenticationFailed, StoreFailed
from seckex.storage.failures import NEGOTIATED_ANEW, damaged
from seckex.storage.lock import locked
from seckex.storage.logs import seal_heads
from seckex.storage.private import private_directory, private_file

APPLICATION_ID: Final = 0x534B6578  # "SKex"

BUSY_SECONDS: Final = 5.0
_CHECKPOINT_PAGES: Final = 4000
_LOG_OCTETS: Final = 64 << 20
_CACHE_KIB: Final = 8192

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
        "CREATE TABLE replay (spi INTEGER NOT NULL, identification INTEGER NOT NULL, request BLOB NOT NULL, "
        "answer BLOB NOT NULL, expires REAL NOT NULL)",
        # The seconds of an Identification come first, so that what is stored together stands together.
        "CREATE UNIQUE INDEX replay_name ON replay (identification, spi)",
        "CREATE INDEX replay_expires ON replay (expires)",
        "CREATE TABLE association (spi_in INTEGER NOT NULL, spi_out INTEGER NOT NULL, role INTEGER NOT NULL, "
        "local TEXT NOT NULL, peer TEXT NOT NULL, algorithms TEXT NOT NULL, lifetime INTEGER NOT NULL, "
        "mebioctets INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, transcript BLOB NOT NULL, "
        "confirmed INTEGER NOT NULL, keys BLOB NOT NULL)",
        "CREATE UNIQUE INDEX association_name ON association (spi_in)",
        "CREATE INDEX association_expires ON association (expires)",
    ),
    # Associations of before name nothing that vouches for them: they are negotiated anew.
    (
        "DELETE FROM association",
        "ALTER TABLE association ADD COLUMN root TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE association ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "CREATE TABLE record (kind TEXT NOT NULL, name BLOB NOT NULL, octets BLOB NOT NULL, expires REAL NOT NULL)",
        "CREATE UNIQUE INDEX record_name ON record (kind, name)",
        "CREATE INDEX record_expires ON record (expires)",
    ),
    # The triggers guard against accidents; who means to alter an entry is found out by `seckex.storage.logs`.
    (
        "CREATE TABLE log (name TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, octets BLOB NOT NULL, "
        "hash BLOB NOT NULL)",
        "CREATE UNIQUE INDEX log_name ON log (name, seq)",
        "CREATE TRIGGER log_unaltered BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'entries are kept'); END",
        "CREATE TRIGGER log_undeleted BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'entries are kept'); END",
    ),
)
# The schema that first had logs.
_LOGS: Final = 4

#: Marks a copy, which is not to be taken for the original.
MARK_COPY: Final = "INSERT INTO meta VALUES ('copy', 1) ON CONFLICT DO NOTHING"

CHECK_BOUND: Final = b"this database belongs to this master key"


@frozen
class Schema:
    """A kind of database.

    ``check`` is what its mark of the master key is bound to; ``brought`` is called with the version from which a file
    was brought up to date; ``loss`` is what starting without it means.
    """

    application_id: int
    migrations: Sequence[Sequence[str]]
    check: bytes
    loss: str = NEGOTIATED_ANEW
    brought: Callable[[sqlite3.Connection, int, Wrapping], None] = lambda _connection, _version, _wrapping: None


def _seal_heads(connection: sqlite3.Connection, version: int, wrapping: Wrapping) -> None:
    if version < _LOGS:
        seal_heads(connection, {}, wrapping)


def _of_associations() -> Schema:
    return Schema(APPLICATION_ID, MIGRATIONS, CHECK_BOUND, brought=_seal_heads)


def open_database(
    path: Path, wrapping: Wrapping, factory: type[sqlite3.Connection], schema: Schema | None = None
) -> sqlite3.Connection:
    """Return a connection to the database ``path``, made if absent and brought to the newest schema.

    It is the database of associations unless ``schema`` tells another.

    Raises `StoreFailed`, `OSError` and `sqlite3.Error`, having closed it.
    """
    private_directory(path.parent)
    # The first switch to a write-ahead log does not wait for other processes by itself.
    with locked(path.with_name(path.name + ".lock")):
        private_file(path)
        connection = _connect(path, "rw", factory)
        try:
            _prepare(connection, path, wrapping, _of_associations() if schema is None else schema)
        except BaseException:
            connection.close()
            raise
    return connection


def look_into(path: Path, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    """Return a connection that only reads, to a database that a store has open; raises `sqlite3.Error`."""
    return _connect(path, "ro", factory)


def _connect(path: Path, mode: str, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    # Opened by a URI, since otherwise SQLite would make the file anew, with other modes.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    # Text that is none must not fail a whole query; it is found out where the row is read.
    connection.text_factory = _text
    return connection


def _text(octets: bytes) -> str:
    return octets.decode(errors="surrogateescape")


def _number(connection: sqlite3.Connection, query: str) -> int:
    found = connection.execute(query).fetchone()[0]
    return int(found)


def _prepare(connection: sqlite3.Connection, path: Path, wrapping: Wrapping, schema: Schema) -> None:
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "PRAGMA application_id") != schema.application_id and (
        version or _number(connection, "SELECT count(*) FROM sqlite_master")
    ):
        raise StoreFailed(f"{path} is the database of another program: name another file")
    newest = len(schema.migrations)
    if version > newest:
        raise StoreFailed(
            f"{path} was written by a newer version of seckex (schema {version}, this one knows {newest}): "
            "install that version, or move the database away to begin anew"
        )
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreFailed(f"{path} cannot have a write-ahead log: put it on a local file system")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_OCTETS}")
    if version < newest:
        _migrate(connection, version, wrapping, schema)
    _check_key(connection, path, wrapping, schema)


def _migrate(connection: sqlite3.Connection, version: int, wrapping: Wrapping, schema: Schema) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for migration in schema.migrations[version:]:
        for statement in migration:
            connection.execute(statement)
    if version == 0:
        connection.execute("INSERT INTO meta VALUES ('check', ?)", (wrapping.wrap(b"", schema.check),))
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
    schema.brought(connection, version, wrapping)
    connection.execute(f"PRAGMA user_version = {len(schema.migrations)}")
    connection.execute("COMMIT")


def _check_key(connection: sqlite3.Connection, path: Path, wrapping: Wrapping, schema: Schema) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'check'").fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise damaged(path, schema.loss)
    try:
        wrapping.unwrap(row[0], schema.check)
    except AuthenticationFailed:
        raise StoreFailed(
            f"{path} was written under another master key: restore that key, or move the database and its -wal and "
            "-shm files away to begin anew"
        ) from None
