"""Archives: what was altered, cut short, put together anew or continued is found out."""

from __future__ import annotations

import io
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.archive import (
    MAX_CHUNK,
    ArchiveReader,
    ArchiveWriter,
    header_to_key,
    header_with_passphrase,
    read_header,
)
from seckex.crypto.provisioning import public_of, read_sealed, seal_with_passphrase
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed

KEY = Secret(bytes(range(32)))
PASSPHRASE = "correct horse battery staple"
PRIVATE = Secret(bytes(range(100, 132)))
CHUNKS = [b"first", b"", b"x" * 5000, b"last"]
HEADER = header_to_key(KEY, public_of(PRIVATE))


def archive(header: bytes = HEADER, chunks: list[bytes] | None = None) -> list[bytes]:
    """Return the header and the sealed chunks."""
    writer, chunks = ArchiveWriter(KEY, header), CHUNKS if chunks is None else chunks
    return [header, *(writer.seal(each, last=at == len(chunks) - 1) for at, each in enumerate(chunks))]


def opened(octets: bytes, key: Secret = KEY) -> list[bytes]:
    """Return what is in an archive."""
    _, header = read_header(octets[:4096])
    return list(ArchiveReader(key, header).chunks(io.BytesIO(octets[len(header) :]).read))


class ArchiveTests(SynchronousTestCase):
    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(opened(b"".join(archive())), CHUNKS)
        self.assertEqual(opened(b"".join(archive(chunks=[b""]))), [b""])

    def test_the_header_gives_the_key_to_who_may_have_it(self) -> None:
        sealed, header = read_header(b"".join(archive()))
        self.assertEqual((header, sealed.open_with_key(PRIVATE)), (HEADER, KEY))
        self.assertRaises(AuthenticationFailed, sealed.open_with_key, Secret(bytes(32)))
        sealed, _ = read_header(header_with_passphrase(KEY, PASSPHRASE, bytes(16)))
        self.assertEqual(sealed.open_with_passphrase(PASSPHRASE), KEY)
        self.assertRaises(AuthenticationFailed, sealed.open_with_passphrase, PASSPHRASE + "!")

    def test_an_archive_is_no_provisioning_file_and_the_other_way_round(self) -> None:
        self.assertRaises(Malformed, read_sealed, HEADER.decode())
        provisioning = seal_with_passphrase(KEY, PASSPHRASE, bytes(16))
        self.assertRaises(Malformed, read_header, provisioning.encode())
        # Nor does it become one by another first and last line.
        renamed = provisioning.replace("PROVISIONING", "ARCHIVE").encode()
        sealed, _ = read_header(renamed)
        self.assertRaises(AuthenticationFailed, sealed.open_with_passphrase, PASSPHRASE)

    def refused(self, octets: bytes, key: Secret = KEY) -> None:
        self.assertRaises(AuthenticationFailed, opened, octets, key)

    def test_every_bit_counts(self) -> None:
        octets = b"".join(archive(chunks=[b"a", b"b"]))
        for at in range(len(HEADER) * 8, len(octets) * 8, 5):
            altered = bytearray(octets)
            altered[at // 8] ^= 1 << at % 8
            self.refused(bytes(altered))

    def test_every_end_before_the_end_is_noticed(self) -> None:
        octets = b"".join(archive(chunks=[b"a", b"b"]))
        for end in range(len(HEADER), len(octets)):
            self.refused(octets[:end])

    def test_nothing_follows_the_end(self) -> None:
        parts = archive()
        self.refused(b"".join(parts) + b"\0")
        self.refused(b"".join([*parts, parts[-1]]))

    def test_chunks_stand_where_they_were_written(self) -> None:
        header, *chunks = archive()
        changes: list[Callable[[], list[bytes]]] = [
            lambda: [chunks[1], chunks[0], *chunks[2:]],
            lambda: chunks[1:],
            lambda: [chunks[0], chunks[0], *chunks[1:]],
            lambda: [chunks[0], *chunks[2:]],
            lambda: [chunks[-1]],
        ]
        for change in changes:
            self.refused(b"".join([header, *change()]))

    def test_chunks_belong_to_their_header(self) -> None:
        other = header_to_key(KEY, public_of(PRIVATE))
        self.assertNotEqual(other, HEADER)
        self.refused(b"".join([other, *archive()[1:]]))

    def test_another_key(self) -> None:
        self.refused(b"".join(archive()), Secret(bytes(32)))

    def test_what_is_none(self) -> None:
        for octets in (b"", b"x" * 9000, HEADER[:-1], b"\xff" + HEADER):
            self.assertRaises(Malformed, read_header, octets)
        self.refused(HEADER + (MAX_CHUNK + 1).to_bytes(4, "big"))

    def test_limits(self) -> None:
        writer = ArchiveWriter(KEY, HEADER)
        self.assertRaises(ApiMisuse, writer.seal, bytes(MAX_CHUNK + 1))
        writer.seal(b"", last=True)
        self.assertRaises(ApiMisuse, writer.seal, b"more")
        self.assertRaises(ApiMisuse, ArchiveWriter, Secret(b"short"), HEADER)
