"""Archives: files of any length, encrypted in chunks, whose end is authenticated.

    -----BEGIN SECKEX ARCHIVE-----                      the header: a key of the file alone, 32 random octets, sealed
    Sealed: passphrase scrypt 65536 8 2                 as in `seckex.crypto.provisioning`, under another label
    ...
    -----END SECKEX ARCHIVE-----
    chunk, chunk, ...                                   Length 32 (without the tag; highest bit: the last) | AES-256-GCM

    nonce = 0 (3) | last 8 | number of the chunk, from 0, 64         associated data = SHA-256(header)

Whoever reads an archive knows at each chunk that it stands where it was
written, and at the last that none is missing and nothing follows. That the key seals only one file is up to
whoever draws it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from seckex.crypto.provisioning import Purpose, SealedFile, read_sealed, seal_to_key, seal_with_passphrase
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256, TAG_SIZE, InvalidTag, new_aead
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed
from seckex.wire.numbers import Suite

KEY_SIZE: Final = 32
MAX_CHUNK: Final = 1 << 20
ARCHIVE: Final = Purpose("archive", "ARCHIVE", b"seckex1 archive")

_LENGTH: Final = struct.Struct(">I")
_NONCE: Final = struct.Struct(">3xBQ")
_LAST: Final = 1 << 31
_MAX_HEADER: Final = 4096
_END: Final = ARCHIVE.end.encode() + b"\n"


def header_with_passphrase(key: Secret, passphrase: str, salt: bytes) -> bytes:
    """Return the header of an archive that a passphrase opens; ``salt`` is 16 random octets. Raises `Unfeasible`."""
    return seal_with_passphrase(key, passphrase, salt, ARCHIVE).encode()


def header_to_key(key: Secret, public: bytes) -> bytes:
    """Return the header of an archive that an X25519 key opens; raises `Unfeasible` for what is no public key."""
    return seal_to_key(key, public, ARCHIVE).encode()


def read_header(beginning: bytes) -> tuple[SealedFile, bytes]:
    """Return what opens the archive that begins with ``beginning``, and its header; raises `Malformed`."""
    at = beginning[:_MAX_HEADER].find(_END)
    header = beginning[: at + len(_END)]
    if at < 0 or not header.isascii():
        raise Malformed("archive", 0, "does not begin as an archive does")
    return read_sealed(header.decode(), ARCHIVE), header


class _Chunks:
    """One key, one header, and the number of the next chunk."""

    def __init__(self, key: Secret, header: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ApiMisuse(f"the key of an archive has {KEY_SIZE} octets")
        self._aead = new_aead(Suite.AES_256_GCM, key.octets)
        self._bound = SHA256.digest(header)
        self._number = 0
        self._ended = False

    def _nonce(self, *, last: bool) -> bytes:
        if self._ended:
            raise ApiMisuse("nothing comes after the last chunk")
        nonce = _NONCE.pack(last, self._number)
        self._number += 1
        self._ended = last
        return nonce


class ArchiveWriter(_Chunks):
    """Seals the chunks of one archive in their order."""

    def seal(self, chunk: bytes, *, last: bool = False) -> bytes:
        """Return the octets of a chunk, at most `MAX_CHUNK`."""
        if len(chunk) > MAX_CHUNK:
            raise ApiMisuse(f"a chunk of {len(chunk)} octets, at most {MAX_CHUNK} are allowed")
        length = _LENGTH.pack(len(chunk) | (_LAST if last else 0))
        return length + self._aead.encrypt(self._nonce(last=last), chunk, self._bound)


class ArchiveReader(_Chunks):
    """Opens the chunks of one archive in their order."""

    def chunks(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """Yield the chunks; ``read(n)`` returns the next n octets behind the header, fewer at the end of the file.

        Raises `AuthenticationFailed` at what was altered, where the file ends too early, and where it goes on
        behind the last chunk: what was yielded before that is as it was written, and not all of it.
        """
        last = False
        while not last:
            start = read(_LENGTH.size)
            if len(start) < _LENGTH.size:
                raise AuthenticationFailed("the archive is cut short")
            value = _LENGTH.unpack(start)[0]
            last, length = bool(value & _LAST), value & ~_LAST
            if length > MAX_CHUNK:
                raise AuthenticationFailed("the archive was altered")
            sealed = read(length + TAG_SIZE)
            if len(sealed) < length + TAG_SIZE:
                raise AuthenticationFailed("the archive is cut short")
            try:
                chunk = self._aead.decrypt(self._nonce(last=last), sealed, self._bound)
            except InvalidTag:
                raise AuthenticationFailed("the archive was altered, or parts of it are missing") from None
            if last and read(1):
                raise AuthenticationFailed("something follows the end of the archive")
            yield chunk
