"""What an operator asks about all nodes of a center at once: an archive of them, and to take one over.

An archive leaves sealed, a chunk for each request, and not before it is entered
in the audit log for whom it is made. While nodes change it goes on, and has each
as it is in the end. At most `MOST_DUMPS` are under way; the one that was asked least recently gives way.

An archive that is taken over is read from its file twice: whole, to see that
nothing of it is missing or altered, and once more into the database, in one
transaction; the commits of others wait for that, half a minute for a million nodes. Who has
changes to make is refused meanwhile.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from seckex.crypto.archive import (
    KEY_SIZE,
    ArchiveReader,
    ArchiveWriter,
    header_to_key,
    header_with_passphrase,
    read_header,
)
from seckex.crypto.provisioning import SALT_SIZE
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed, Malformed
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.kdc_commands import Asking
from seckex.net.kdc_fleets import Aside, sealed_for
from seckex.net.principal import Clock
from seckex.roles.kdc.archive import PORTION, Ending, Taking, checked, encode_chunk
from seckex.roles.kdc.audit import Operator, entry
from seckex.roles.kdc.center import Center
from seckex.sa.store import Append, Record

DUMP_SCHEMA: Final = "seckex.kdc-dump/1"
PART_SCHEMA: Final = "seckex.kdc-dump-part/1"
LOAD_SCHEMA: Final = "seckex.kdc-load/1"

MOST_DUMPS: Final = 2
_LONGEST_HEADER: Final = 4096

#: Has a piece of work done on the store when nothing else uses it.
Between: TypeAlias = Callable[[Callable[[], None]], Deferred[None]]


class Storing(Protocol):
    """Who stores many records at once; see `seckex.storage.sqlite.SqliteStore.put_all`."""

    def put_all(self, records: Iterator[Record], entries: Callable[[], tuple[Append, ...]]) -> None:
        """Store all or none."""
        ...


@define
class _Dump:
    writer: ArchiveWriter
    after: int = 0
    total: int = 0


class ArchiveCommands:
    """See the module; ``by`` says who asks."""

    def __init__(
        self,
        center: Center,
        ask: Asking,
        by: Callable[[Request], Operator],
        aside: Aside,
        between: Between,
        store: Storing,
        clock: Clock,
    ) -> None:
        self._center = center
        self._ask = ask
        self._by = by
        self._aside = aside
        self._between = between
        self._store = store
        self._clock = clock
        self._dumps: dict[int, _Dump] = {}
        self._last = 0

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"kdc-dump": self._dump, "kdc-dump-part": self._part, "kdc-load": self._load}

    # -- away

    def _dump(self, request: Request) -> Deferred[Answer]:
        self._center.may_dump()
        key = Secret(os.urandom(KEY_SIZE))
        seal, how = sealed_for(
            request,
            lambda passphrase: lambda: header_with_passphrase(key, passphrase, os.urandom(SALT_SIZE)),
            lambda public: lambda: header_to_key(key, public),
        )

        def entered(header: bytes) -> Deferred[Answer]:
            answered: Deferred[Answer] = Deferred()

            def told(why: str) -> None:
                if why:
                    answered.errback(Declined(f"no archive is made: {why}", "not-stored"))
                else:
                    answered.callback(self._begun(key, header, how))

            by = self._by(request)
            self._ask(lambda now: self._center.dumped(how, now, told, by))
            return answered

        return self._aside(seal).addCallback(entered)

    def _begun(self, key: Secret, header: bytes, how: str) -> Answer:
        if len(self._dumps) >= MOST_DUMPS:
            del self._dumps[next(iter(self._dumps))]
        self._last += 1
        self._dumps[self._last] = _Dump(ArchiveWriter(key, header))
        nodes = len(self._center.directory)
        return {
            "schema": DUMP_SCHEMA,
            "dump": self._last,
            "header": header.decode(),
            "nodes": nodes,
            "sealed_to": how,
        }

    def _part(self, request: Request) -> Answer:
        number = request.get("dump")
        dump = self._dumps.pop(number, None) if type(number) is int else None
        if dump is None:
            raise Declined("no such archive is being made here any more: begin anew", "not-possible")
        found = self._center.directory.records(dump.after, PORTION)
        last = len(found) < PORTION
        dump.total += len(found)
        dump.after = found[-1][0] if found else dump.after
        ending = Ending(dump.total, int(self._clock.wall()), self._center.local) if last else None
        sealed = dump.writer.seal(encode_chunk([(name, octets) for _, name, octets in found], ending), last=last)
        if not last and isinstance(number, int):
            self._dumps[number] = dump
        return {
            "schema": PART_SCHEMA,
            "sealed": base64.b64encode(sealed).decode(),
            "nodes": dump.total,
            "more": not last,
        }

    # -- back

    def _load(self, request: Request) -> Deferred[Answer]:
        path, key, replace = _asked(request)
        by = self._by(request)
        taking = self._center.begin_taking(self._clock.now(), replace=replace)
        ending: list[Ending] = []

        def check() -> None:
            ending.append(checked(_chunks(path, key)))

        def take() -> None:
            self._store.put_all(taking.records(_chunks(path, key)), lambda: self._entries(taking, ending[0], by))

        def done(result: object) -> Answer:
            failed = isinstance(result, Failure)
            self._ask(lambda now: self._center.end_taking(None if failed else taking, now))
            if isinstance(result, Failure):
                if result.check(AuthenticationFailed, Malformed, OSError):
                    raise Declined(f"nothing is taken over from {path}: {result.getErrorMessage()}", "not-possible")
                result.raiseException()
            return {
                "schema": LOAD_SCHEMA,
                "taken": taking.taken,
                "kept": taking.kept,
                "deleted": taking.deleted,
                "center": ending[0].center,
                "made": ending[0].made,
            }

        return self._aside(check).addCallback(lambda _: self._between(take)).addBoth(done)

    def _entries(self, taking: Taking, ending: Ending, by: Operator) -> tuple[Append, ...]:
        counts = {"kept": taking.kept, "deleted": taking.deleted, "made": ending.made}
        return (entry(self._clock.now(), by, "loaded", "", nodes=taking.taken, center=ending.center, **counts),)


def _asked(request: Request) -> tuple[Path, Secret, bool]:
    path, key, replace = request.get("file"), request.get("key"), request.get("replace", False)
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        raise Declined("file must be the whole path of an archive", "unfit")
    try:
        octets = bytes.fromhex(key) if isinstance(key, str) else b""
    except ValueError:
        octets = b""
    if len(octets) != KEY_SIZE:
        raise Declined(f"key must be {2 * KEY_SIZE} hexadecimal digits", "unfit")
    if not isinstance(replace, bool):
        raise Declined("replace must be true or false", "unfit")
    return Path(path), Secret(octets), replace


def _chunks(path: Path, key: Secret) -> Iterator[bytes]:
    """Yield the chunks of an archive; raises `OSError`, `AuthenticationFailed` and `Malformed`."""
    with path.open("rb") as file:
        _, header = read_header(file.read(_LONGEST_HEADER))
        file.seek(len(header))
        yield from ArchiveReader(key, header).chunks(file.read)
