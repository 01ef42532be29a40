"""What is sealed in an epoch, and pieces of files: opened as they were sealed, and by nothing else."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.epochs import EPOCH_OVERHEAD, EpochKey
from seckex.crypto.pieces import PIECE_OVERHEAD, PieceKey
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed

KEY, OTHER = Secret(bytes(range(32))), Secret(bytes(32))
NONCE = bytes(range(12))


class EpochTests(SynchronousTestCase):
    def test_it_opens_with_everything_as_it_was(self) -> None:
        key = EpochKey(KEY)
        sealed = key.seal(7, b"a message", b"its row")
        self.assertEqual(len(sealed), 9 + EPOCH_OVERHEAD)
        self.assertEqual(EpochKey(KEY).open(7, sealed, b"its row"), b"a message")
        for attempt in (
            lambda: key.open(8, sealed, b"its row"),
            lambda: key.open(7, sealed, b"another"),
            lambda: key.open(7, sealed[:-1] + b"\0", b"its row"),
            lambda: key.open(7, b"", b"its row"),
            lambda: EpochKey(OTHER).open(7, sealed, b"its row"),
        ):
            self.assertRaises(AuthenticationFailed, attempt)

    def test_numbers_are_nonces(self) -> None:
        key = EpochKey(KEY)
        self.assertEqual(len({key.seal(number, bytes(16), b"") for number in (0, 1, (1 << 32) - 1)}), 3)

    def test_keys_have_their_size_and_do_not_show_themselves(self) -> None:
        for kind in (EpochKey, PieceKey):
            self.assertRaises(ApiMisuse, kind, Secret(bytes(31)))
            self.assertNotIn("0001", repr(kind(KEY)))


class PieceTests(SynchronousTestCase):
    def test_it_opens_as_the_fragment_that_it_is(self) -> None:
        key = PieceKey(KEY)
        sealed = key.seal(3, b"a piece", NONCE)
        self.assertEqual(len(sealed), 7 + PIECE_OVERHEAD)
        self.assertEqual(PieceKey(KEY).open(3, sealed), b"a piece")
        for attempt in (
            lambda: key.open(4, sealed),
            lambda: key.open(3, sealed[:-1] + b"\0"),
            lambda: key.open(3, b"\1" + sealed[1:]),
            lambda: key.open(3, sealed[: PIECE_OVERHEAD - 1]),
            lambda: PieceKey(OTHER).open(3, sealed),
        ):
            self.assertRaises(AuthenticationFailed, attempt)
