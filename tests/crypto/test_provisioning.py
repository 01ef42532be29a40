"""Sealed provisioning files: who opens them, and what is refused before anything is computed."""

from __future__ import annotations

from base64 import b64decode
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto import provisioning
from seckex.crypto.provisioning import (
    MAX_PLAINTEXT,
    MAX_TEXT,
    fingerprint_of,
    public_of,
    read_sealed,
    seal_to_key,
    seal_with_passphrase,
)
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, Unfeasible

INSIDE: Final = Secret(b"key0 = ...")
PASSPHRASE: Final = "correct hörse battery"
SALT: Final = bytes(range(16))
PRIVATE: Final = Secret(bytes(range(32)))
PUBLIC: Final = public_of(PRIVATE)


def body_of(text: str) -> bytes:
    return b64decode("".join(text.splitlines()[3:-1]))


def cheap(cost: tuple[int, int] = (16_384, 1)) -> str:
    """Return a file whose scrypt takes less time than ours; it is read like any other."""
    how = f"passphrase scrypt {cost[0]} 8 {cost[1]}"
    key = Scrypt(salt=SALT, length=32, n=cost[0], r=8, p=cost[1]).derive(PASSPHRASE.encode())
    sealed = AESGCM(key).encrypt(bytes(12), INSIDE.octets, f"seckex1 provisioningSealed: {how}".encode())
    return provisioning._armour(how, SALT + sealed)


class PassphraseTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        text = seal_with_passphrase(INSIDE, PASSPHRASE, SALT)
        lines = text.splitlines()
        self.assertEqual(lines[1], "Sealed: passphrase scrypt 65536 8 2")
        self.assertEqual(body_of(text)[:16], SALT)
        sealed = read_sealed(text)
        self.assertIsNone(sealed.recipient)
        # However the keyboard composes the letter.
        self.assertEqual(sealed.open_with_passphrase(PASSPHRASE.replace("ö", "o\u0308")), INSIDE)

    def test_the_format_of_the_docstring(self) -> None:
        self.assertEqual(read_sealed(cheap()).open_with_passphrase(PASSPHRASE), INSIDE)

    def test_a_wrong_passphrase_opens_nothing(self) -> None:
        for wrong in ("correct horse battery", PASSPHRASE + " ", "", "x" * 2000, PASSPHRASE + "\ud800"):
            self.assertRaises(AuthenticationFailed, read_sealed(cheap()).open_with_passphrase, wrong)

    def test_a_file_that_was_altered_does_not_open(self) -> None:
        how, octets = read_sealed(cheap()).how, body_of(cheap())
        for at in (0, 16, len(octets) - 1):
            altered = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
            fault = read_sealed(provisioning._armour(how, altered)).open_with_passphrase
            self.assertRaises(AuthenticationFailed, fault, PASSPHRASE)

    def test_what_is_no_passphrase_is_refused(self) -> None:
        for wrong in ("", "short", "x" * 11, "x" * 1025, "twelve chars\n", "twelve char\ud800"):
            self.assertRaises(Unfeasible, seal_with_passphrase, INSIDE, wrong, SALT)
        self.assertRaises(ApiMisuse, seal_with_passphrase, INSIDE, PASSPHRASE, SALT[1:])

    def test_a_key_does_not_open_it(self) -> None:
        self.assertRaises(AuthenticationFailed, read_sealed(cheap()).open_with_key, PRIVATE)

    def test_costs_beyond_bounds_are_refused_unread(self) -> None:
        self.patch(provisioning, "Scrypt", None)
        for how in ("1073741824 8 1", "524288 8 1", "8192 8 1", "65537 8 1", "65536 8 5", "65536 8 0", "65536 16 2"):
            text = cheap_named(f"passphrase scrypt {how}")
            self.assertRaises(Malformed, read_sealed, text)
        for how in ("passphrase argon2 1 1 1", "nothing", "key hpke-x25519 00", "passphrase scrypt \u0661 8 1"):
            self.assertRaises(Malformed, read_sealed, cheap_named(how))


def cheap_named(how: str) -> str:
    return provisioning._armour(how, bytes(100))


class KeyTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        sealed = read_sealed(seal_to_key(INSIDE, PUBLIC))
        self.assertEqual(sealed.recipient, fingerprint_of(PUBLIC))
        self.assertEqual(sealed.open_with_key(PRIVATE), INSIDE)

    def test_each_sealing_is_fresh(self) -> None:
        self.assertNotEqual(seal_to_key(INSIDE, PUBLIC), seal_to_key(INSIDE, PUBLIC))

    def test_another_key_opens_nothing(self) -> None:
        other = Secret(bytes(range(1, 33)))
        sealed = read_sealed(seal_to_key(INSIDE, PUBLIC))
        error = self.assertRaises(AuthenticationFailed, sealed.open_with_key, other)
        self.assertIn(fingerprint_of(PUBLIC), str(error))
        # Nor does it if the line says that it would.
        text = seal_to_key(INSIDE, PUBLIC).replace(fingerprint_of(PUBLIC), fingerprint_of(public_of(other)))
        self.assertRaises(AuthenticationFailed, read_sealed(text).open_with_key, other)
        self.assertRaises(ApiMisuse, sealed.open_with_key, Secret(bytes(31)))

    def test_a_file_that_was_altered_does_not_open(self) -> None:
        text = seal_to_key(INSIDE, PUBLIC)
        octets = body_of(text)
        for at in (0, 32, len(octets) - 1):
            altered = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
            sealed = read_sealed(provisioning._armour(read_sealed(text).how, altered))
            self.assertRaises(AuthenticationFailed, sealed.open_with_key, PRIVATE)

    def test_what_is_no_public_key_is_refused(self) -> None:
        for public in (b"", bytes(31), bytes(33), bytes(32)):
            self.assertRaises(Unfeasible, seal_to_key, INSIDE, public)

    def test_a_passphrase_does_not_open_it(self) -> None:
        self.assertRaises(
            AuthenticationFailed, read_sealed(seal_to_key(INSIDE, PUBLIC)).open_with_passphrase, PASSPHRASE
        )


class ReadingTests(SynchronousTestCase):
    def test_ends_of_lines_and_space_around_do_not_matter(self) -> None:
        text = "\r\n  " + seal_to_key(INSIDE, PUBLIC).replace("\n", "\r\n") + "\n\n"
        self.assertEqual(read_sealed(text).open_with_key(PRIVATE), INSIDE)

    def test_the_largest(self) -> None:
        most = Secret(bytes(MAX_PLAINTEXT))
        text = seal_to_key(most, PUBLIC)
        self.assertLess(len(text), MAX_TEXT)
        self.assertEqual(read_sealed(text).open_with_key(PRIVATE), most)
        more = Secret(bytes(MAX_PLAINTEXT + 1))
        self.assertRaises(ApiMisuse, seal_to_key, more, PUBLIC)
        self.assertRaises(ApiMisuse, seal_with_passphrase, more, PASSPHRASE, SALT)

    def test_what_is_no_such_file(self) -> None:
        text = seal_to_key(INSIDE, PUBLIC)
        lines = text.splitlines()
        for wrong in (
            "",
            "\n".join(lines[1:]),
            "\n".join(lines[:-1]),
            "\n".join([*lines[:2], *lines[3:]]),
            text.replace("Sealed: ", "Opened: "),
            text.replace(lines[3], "*" + lines[3][1:]),
            text.replace(lines[3], lines[3][1:]),
            provisioning._armour(read_sealed(text).how, bytes(47)),
            provisioning._armour(read_sealed(text).how, bytes(MAX_PLAINTEXT + 49)),
            provisioning._armour("passphrase scrypt 65536 8 2", bytes(31)),
            text + " " * MAX_TEXT,
        ):
            self.assertRaises(Malformed, read_sealed, wrong)

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=200), st.integers(0, 120))
    def test_anything_else_is_malformed_or_does_not_open(self, noise: str, at: int) -> None:
        text = seal_to_key(INSIDE, PUBLIC)
        altered = text[:at] + noise + text[at + 1 :]
        try:
            opened = read_sealed(altered).open_with_key(PRIVATE)
        except (Malformed, AuthenticationFailed):
            return
        self.assertEqual(opened, INSIDE)

    def test_nothing_is_shown(self) -> None:
        sealed = read_sealed(cheap())
        self.assertEqual(repr(sealed), "SealedFile(how='passphrase scrypt 16384 8 1')")
        self.assertEqual(repr(sealed.open_with_passphrase(PASSPHRASE)), "<Secret of 10 octets>")
