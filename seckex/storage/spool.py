"""The spool: payloads that are too large for a database, in a file each, sealed piece by piece.

    file  = "SKspool1" | slot | slot | zeros up to 512 octets | pieces       a piece stands at 512 + Fragment x PIECE
    slot  = the key of the file, wrapped under the master key and bound to the file's name, or zeros

A file is ``NAME.part`` until it is finished: synchronised, given its name, and
the name synchronised. Only then may anything durable refer to it. A process that
starts removes what nothing refers to, files that were not finished among it.

What is dropped has its key overwritten first, so that the pieces cannot be read
with the master key and the disk, as far as the file system writes in place.

There are two slots so that the key can be wrapped under another master key at
any moment: the one that is free is written, then the other one is emptied.

Limits: a directory belongs to one process, and one thread writes to a file at a
time; any may read. How many files there are and how long is for the caller to bound.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from attrs import frozen

from seckex.crypto.atrest import EPOCH_SIZE, OVERHEAD, MasterKey, Wrapping
from seckex.crypto.pieces import PIECE_KEY_SIZE, PIECE_NONCE_SIZE, PIECE_OVERHEAD, PieceKey
from seckex.crypto.secrets import Secret
from seckex.delivery.faces import FRAGMENT, MOST_FRAGMENTS
from seckex.errors import ApiMisuse, AuthenticationFailed, StoreFailed
from seckex.storage.failures import file_failed
from seckex.storage.private import FILE_MODE, private_directory, sync_directory

SPOOL: Final = "spool"
#: Octets between the beginnings of pieces.
PIECE: Final = FRAGMENT + PIECE_OVERHEAD
HEADER: Final = 512
#: Keys of files that are held.
MOST_KEYS: Final = 256

_MAGIC: Final = b"SKspool1"
_LABEL: Final = b"files of the spool"
_SLOT: Final = PIECE_KEY_SIZE + OVERHEAD
_SLOTS: Final = (len(_MAGIC), len(_MAGIC) + _SLOT)
_PART: Final = ".part"
_NAME: Final = re.compile(r"(?!.*\.part$)[0-9a-z][0-9a-z.-]{0,79}")


def spool_directory(state: Path, worker: int) -> Path:
    """Return where the spool of a worker is within a state directory."""
    return state / SPOOL / str(worker)


@frozen
class Swept:
    """How many files were removed since nothing refers to them, and which names have no file."""

    removed: int
    missing: tuple[str, ...]


class Spool:
    """See the module. ``directory`` is made, private, with its parent if need be; ``entropy(n)`` returns random octets.

    Names of files are up to 80 lower-case letters, digits, dots and hyphens, and do not end with ``.part``. A file that
    is written under the name of a finished one takes its place when it is finished. All methods block, and raise
    `StoreFailed`.
    """

    def __init__(self, directory: Path, master: MasterKey, entropy: Callable[[int], bytes]) -> None:
        self.directory = directory
        self._entropy = entropy
        self._lock = Lock()
        self._keys: OrderedDict[str, PieceKey] = OrderedDict()
        self.use(master)
        for each in (directory.parent, directory):
            private_directory(each)

    def __repr__(self) -> str:
        return f"<Spool {self.directory}>"

    def use(self, master: MasterKey) -> None:
        """Wrap keys of files under ``master`` from now on; what is there is not touched."""
        self._wrapping = Wrapping(master, _LABEL, self._entropy(EPOCH_SIZE))

    # -- one file

    def write(self, name: str, fragment: int, octets: bytes) -> None:
        """Write a piece into a file that is not finished, which is made if it is not there."""
        if not 0 <= fragment < MOST_FRAGMENTS or len(octets) > FRAGMENT:
            raise ApiMisuse(f"pieces are numbered from 0 to {MOST_FRAGMENTS - 1} and have up to {FRAGMENT} octets")
        path = self._path(name, _PART)
        with _failures(path):
            key = self._key(path, make=True)
            sealed = key.seal(fragment, octets, self._entropy(PIECE_NONCE_SIZE))
            with _opened(path, os.O_WRONLY) as descriptor:
                _write(descriptor, sealed, HEADER + fragment * PIECE)

    def sync(self, name: str) -> None:
        """Make durable what was written, and finish the file, which may be so already."""
        part, path = self._path(name, _PART), self._path(name)
        with _failures(part):
            try:
                with _opened(part, os.O_RDONLY) as descriptor:
                    os.fsync(descriptor)
            except FileNotFoundError:
                if not path.exists():
                    raise
            except OSError:
                # What could not be written may be forgotten by the system: nobody must take it for whole later.
                with self._lock:
                    self._keys.pop(part.name, None)
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
            else:
                with self._lock:
                    self._keys.pop(path.name, None)
                    self._keys.pop(part.name, None)
                    part.rename(path)
            sync_directory(self.directory)

    def read(self, name: str, fragment: int) -> bytes:
        """Return a piece of a file that is finished."""
        path = self._path(name)
        with _failures(path):
            key = self._key(path, make=False)
            with _opened(path, os.O_RDONLY) as descriptor:
                sealed = os.pread(descriptor, PIECE, HEADER + fragment * PIECE)
        try:
            return key.open(fragment, sealed)
        except AuthenticationFailed:
            raise StoreFailed(f"{path}: piece {fragment} is damaged or missing") from None

    def drop(self, name: str) -> None:
        """Make a file unreadable and remove it, finished or not; it may be gone already."""
        with self._lock:
            for path in (self._path(name), self._path(name, _PART)):
                self._keys.pop(path.name, None)
                _drop(path)

    # -- all of them

    def sizes(self) -> dict[str, int]:
        """Return the octets of the payload in each file, finished or not, by its name; gaps count as if filled."""
        found: dict[str, int] = {}
        for path in self.files():
            with _failures(path), contextlib.suppress(FileNotFoundError):
                whole, rest = divmod(max(path.stat().st_size - HEADER, 0), PIECE)
                name = path.name.removesuffix(_PART)
                found[name] = found.get(name, 0) + whole * FRAGMENT + max(rest - PIECE_OVERHEAD, 0)
        return found

    def sweep(self, needed: Collection[str]) -> Swept:
        """Remove all files but those that are finished and ``needed``; for a process that starts."""
        removed = 0
        found: set[str] = set()
        for path in self.files():
            if path.name in needed:
                found.add(path.name)
            else:
                _drop(path)
                removed += 1
        return Swept(removed, tuple(sorted(set(needed) - found)))

    def files(self) -> list[Path]:
        """Return all files, finished or not."""
        with _failures(self.directory):
            every = sorted(self.directory.iterdir())
        return [path for path in every if _NAME.fullmatch(path.name.removesuffix(_PART))]

    def rewrap(self, path: Path) -> bool | None:
        """Wrap the key of a file under the present master key; return whether it was not so, None if unreadable."""
        with self._lock, _failures(path):
            try:
                return self._rewrapped(path.name.removesuffix(_PART), path)
            except FileNotFoundError:
                # Dropped meanwhile, or finished; then another pass finds it.
                return False
            except AuthenticationFailed:
                return None

    def _rewrapped(self, name: str, path: Path) -> bool:
        with _opened(path, os.O_RDWR) as descriptor:
            header = os.pread(descriptor, HEADER, 0)
            at, sealed = self._slot(name, header)
            wrapped = self._wrapping.rewrap(sealed, _bound(name))
            other = _SLOTS[0] if at == _SLOTS[1] else _SLOTS[1]
            if wrapped is not None:
                _write(descriptor, wrapped, other)
                os.fdatasync(descriptor)
                at, other = other, at
            elif not any(header[other : other + _SLOT]):
                return False
            _write(descriptor, bytes(_SLOT), other)
            os.fdatasync(descriptor)
        return True

    # -- keys

    def _key(self, path: Path, *, make: bool) -> PieceKey:
        with self._lock:
            key = self._keys.get(path.name)
            if key is None:
                name = path.name.removesuffix(_PART)
                key = (self._made(name, path) if make else None) or self._read_key(name, path)
                self._keys[path.name] = key
                if len(self._keys) > MOST_KEYS:
                    self._keys.popitem(last=False)
            return key

    def _made(self, name: str, path: Path) -> PieceKey | None:
        """Make the file ``path``; return its key, None where it is there already."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            return None
        secret = Secret(self._entropy(PIECE_KEY_SIZE))
        slot = self._wrapping.wrap(secret.octets, _bound(name))
        try:
            _write(descriptor, (_MAGIC + slot).ljust(HEADER, b"\0"), 0)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)
        return PieceKey(secret)

    def _read_key(self, name: str, path: Path) -> PieceKey:
        with _opened(path, os.O_RDONLY) as descriptor:
            header = os.pread(descriptor, HEADER, 0)
        try:
            _, sealed = self._slot(name, header)
            return PieceKey(Secret(self._wrapping.unwrap(sealed, _bound(name))))
        except AuthenticationFailed:
            raise StoreFailed(f"{path} is damaged, or of another master key") from None

    def _slot(self, name: str, header: bytes) -> tuple[int, bytes]:
        """Return where the key of the file stands that can be read, and what stands there."""
        if header.startswith(_MAGIC):
            # Where both can be read, the one under the present master key is the later one.
            for at in _SLOTS:
                sealed = header[at : at + _SLOT]
                with contextlib.suppress(AuthenticationFailed):
                    if self._wrapping.rewrap(sealed, _bound(name)) is None:
                        return at, sealed
            for at in _SLOTS:
                sealed = header[at : at + _SLOT]
                with contextlib.suppress(AuthenticationFailed):
                    self._wrapping.unwrap(sealed, _bound(name))
                    return at, sealed
        raise AuthenticationFailed("no key can be read")

    def _path(self, name: str, suffix: str = "") -> Path:
        if _NAME.fullmatch(name) is None:
            raise ApiMisuse("not the name of a file of the spool")
        return self.directory / (name + suffix)


def _bound(name: str) -> bytes:
    return b"spool v1" + name.encode()


def _drop(path: Path) -> None:
    with contextlib.suppress(OSError), _opened(path, os.O_WRONLY) as descriptor:
        _write(descriptor, bytes(HEADER), 0)
        os.fdatasync(descriptor)
    with _failures(path), contextlib.suppress(FileNotFoundError):
        path.unlink()


def _write(descriptor: int, octets: bytes, at: int) -> None:
    left = memoryview(octets)
    while left:
        written = os.pwrite(descriptor, left, at)
        left, at = left[written:], at + written


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise file_failed(path, error) from error
