"""Secrets at rest: sealed, bound, readable in later runs, and never under one nonce twice."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto import atrest
from seckex.crypto.atrest import EPOCH_SIZE, OVERHEAD, MasterKey, Wrapping
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed

MASTER = MasterKey(Secret(bytes(range(32))))
EPOCH = bytes(range(100, 116))
SECRET = b"seven keys of an association"

# Computed from the formula in the module with hashlib and AESGCM alone: the second wrapping of SECRET for "row 1".
SEALED = "3778846f08b08bf98f24858bf7e2290b4b86f5ef59ecf133ec943903db240ff4ea70ee6e5d3bae19b9b6679f"


def wrapping(epoch: bytes = EPOCH, label: bytes = b"keys", master: MasterKey = MASTER) -> Wrapping:
    return Wrapping(master, label, epoch)


class WrappingTests(SynchronousTestCase):
    def test_what_is_wrapped_is_unwrapped(self) -> None:
        wrapper = wrapping()
        wrapped = wrapper.wrap(SECRET, b"row 1")
        self.assertEqual(len(wrapped), len(SECRET) + OVERHEAD)
        self.assertNotIn(SECRET, wrapped)
        self.assertEqual(wrapper.unwrap(wrapped, b"row 1"), SECRET)

    def test_the_format_is_the_documented_one(self) -> None:
        wrapper = wrapping()
        wrapper.wrap(b"", b"")
        self.assertEqual(
            wrapper.wrap(SECRET, b"row 1").hex(),
            EPOCH.hex() + "0000000000000001" + SEALED,
        )

    def test_a_later_run_reads_what_earlier_ones_wrote(self) -> None:
        wrapped = [wrapping(bytes([n]) * EPOCH_SIZE).wrap(SECRET, b"row") for n in range(3)]
        self.assertEqual({wrapping().unwrap(w, b"row") for w in wrapped}, {SECRET})

    def test_no_nonce_is_used_twice(self) -> None:
        wrapper = wrapping()
        nonces = {wrapper.wrap(SECRET, b"row")[: EPOCH_SIZE + 8] for _ in range(1000)}
        self.assertEqual(len(nonces), 1000)

    def test_the_keys_of_many_epochs_are_not_all_held(self) -> None:
        self.patch(atrest, "MOST_EPOCHS", 2)
        wrapped = [wrapping(bytes([n]) * EPOCH_SIZE).wrap(SECRET, b"row") for n in range(5)]
        reader = wrapping()
        for _ in range(2):
            for each in wrapped:
                self.assertEqual(reader.unwrap(each, b"row"), SECRET)
                self.assertLessEqual(len(reader._others), 2)

    def test_nothing_else_unwraps(self) -> None:
        wrapped = wrapping().wrap(SECRET, b"row 1")
        other = MasterKey(Secret(bytes(32)))
        for reader, octets, associated in (
            (wrapping(), wrapped, b"row 2"),
            (wrapping(label=b"other"), wrapped, b"row 1"),
            (wrapping(master=other), wrapped, b"row 1"),
            (wrapping(), wrapped + b"\0", b"row 1"),
        ):
            self.assertRaises(AuthenticationFailed, reader.unwrap, octets, associated)
        for at in range(len(wrapped)):
            flipped = bytearray(wrapped)
            flipped[at] ^= 1
            self.assertRaises(AuthenticationFailed, wrapping().unwrap, bytes(flipped), b"row 1")
            self.assertRaises(AuthenticationFailed, wrapping().unwrap, wrapped[:at], b"row 1")

    def test_sizes_are_held(self) -> None:
        self.assertRaises(ApiMisuse, MasterKey, Secret(bytes(31)))
        self.assertRaises(ApiMisuse, Wrapping, MASTER, b"keys", bytes(15))

    def test_neither_shows_its_key(self) -> None:
        self.assertEqual(repr(MASTER), "<MasterKey>")
        self.assertEqual(repr(wrapping()), "<Wrapping of keys, 0 so far>")
