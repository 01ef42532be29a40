"""Key files: read whole or refused, and never repeated."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.files import create_private, read_private
from seckex.config.key0 import Key0, parse_key0, render_key0
from seckex.config.load import read_key0
from seckex.config.problems import ConfigInvalid
from seckex.crypto.secrets import Secret
from tests.config.written import KEY, key0_text, write_private

FILE = Path("key0.toml")


def refusal(octets: bytes) -> str:
    """Return everything that an error about a key file could put into a log."""
    try:
        parse_key0(octets, FILE)
    except ConfigInvalid as error:
        return "".join(traceback.format_exception(error)) + repr(error.problems)
    return ""


class TextTests(SynchronousTestCase):
    def test_what_is_rendered_is_read(self) -> None:
        key0 = Key0(spi=256, kvno=7, initiator='a"\\b@x', responder="é@y", key=Secret(bytes(range(32))))
        self.assertEqual(parse_key0(render_key0(key0).encode(), FILE), key0)
        self.assertEqual(key0.principals, {'a"\\b@x', "é@y"})

    def test_the_key_does_not_show(self) -> None:
        key0 = parse_key0(key0_text().encode(), FILE)
        self.assertEqual(key0.key.octets.hex(), KEY)
        self.assertNotIn(KEY[:8], repr(key0))

    def test_each_entry_is_judged(self) -> None:
        text = 'version = 1\nspi = 255\ninitiator = "nobody"\nresponder = "r@x"\nkey = "12"\nextra = 1\n'
        with self.assertRaises(ConfigInvalid) as caught:
            parse_key0(text.encode(), FILE)
        self.assertEqual(
            [str(problem) for problem in caught.exception.problems],
            [
                "spi: must be a whole number from 256 to 4294967295",
                "kvno: is required: a whole number from 0 to 4294967295",
                'initiator: must be a network access identifier such as "name@example.org", at most 253 octets',
                "key: must be 64 hexadecimal digits",
                "has a key that is none of spi, kvno, initiator, responder, key",
            ],
        )

    def test_other_refusals(self) -> None:
        for text, why in {
            key0_text(version=2): "version: must be 1",
            key0_text(version="true"): "version: must be 1",
            key0_text().replace("version = 1", ""): "version: must be 1",
            key0_text(responder="node@example.net"): "responder: must be another than the initiator",
            key0_text(key=KEY[:-1]): "key: must be 64 hexadecimal digits",
            key0_text(key=KEY[:-1] + "g"): "key: must be 64 hexadecimal digits",
            "key = " + "[" * 4000: "is not TOML",
        }.items():
            self.assertIn(why, refusal(text.encode()))
        self.assertIn("is not UTF-8 text", refusal(b"\xff" + KEY.encode()))

    def test_no_error_repeats_the_file(self) -> None:
        whole = key0_text()
        for text in (
            whole.replace(f'"{KEY}"', KEY),
            whole.replace(f'"{KEY}"', f'"{KEY}'),
            whole.replace('key = "', '"'),
            whole.replace("key = ", f"{KEY} = 1\nkey = "),
            whole.replace("key = ", "spi = "),
            whole.replace("spi = 4097", f'spi = "{KEY}"'),
            whole.replace("node@example.net", KEY),
            whole.replace("version = 1", f'version = "{KEY}"'),
            whole + f"[{KEY}]\n[{KEY}]\n",
            whole[:-20],
        ):
            said = refusal(text.encode())
            self.assertTrue(said, text)
            self.assertNotIn(KEY[:8], said)

    @given(st.integers(0, len(key0_text()) - 1), st.binary(max_size=3))
    @settings(max_examples=200, deadline=None)
    def test_damage_is_survived_in_silence(self, place: int, damage: bytes) -> None:
        octets = key0_text().encode()
        self.assertNotIn(KEY[:8], refusal(octets[:place] + damage + octets[place + 1 :]))


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def refused(self) -> str:
        with self.assertRaises(ConfigInvalid) as caught:
            read_key0(self.file)
        return str(caught.exception)

    def test_a_private_file_is_read(self) -> None:
        write_private(self.file, key0_text())
        self.assertEqual(read_key0(self.file).spi, 4097)
        os.chmod(self.file, 0o400)
        self.assertEqual(read_key0(self.file).spi, 4097)
        link = Path(self.mktemp())
        link.symlink_to(self.file.absolute())
        self.assertEqual(read_key0(link).spi, 4097)

    def test_an_open_file_is_refused_with_the_cure(self) -> None:
        write_private(self.file, key0_text())
        for mode in (0o640, 0o604, 0o620, 0o700):
            os.chmod(self.file, mode)
            self.assertIn(f"has mode {mode:04o}, too open for a secret: run chmod 0600 {self.file}", self.refused())

    def test_somebody_elses_file_is_refused(self) -> None:
        write_private(self.file, key0_text())
        real = os.fstat

        def stranger(descriptor: int) -> os.stat_result:
            fields = list(real(descriptor))
            fields[4] = os.geteuid() + 1
            return os.stat_result(fields)

        self.patch(os, "fstat", stranger)
        self.assertIn(f"belongs to user {os.geteuid() + 1}", self.refused())

    def test_what_is_no_such_file(self) -> None:
        self.assertIn("cannot be read: No such file or directory", self.refused())
        self.file.mkdir()
        self.assertIn("is not a regular file", self.refused())
        self.file.rmdir()
        os.mkfifo(self.file, 0o600)
        self.assertIn("is not a regular file", self.refused())

    def test_a_long_file_is_not_read(self) -> None:
        write_private(self.file, key0_text() + "#" * 5000)
        self.assertIn("is longer than 4096 octets", self.refused())
        write_private(self.file, "1234")
        self.assertEqual(read_private(self.file, 4), b"1234")

    def test_a_new_file_is_private_and_new(self) -> None:
        create_private(self.file, b"secret")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(read_private(self.file, 6), b"secret")
        self.assertRaises(FileExistsError, create_private, self.file, b"other")
        self.assertEqual(self.file.read_bytes(), b"secret")

    def test_a_full_disk_leaves_no_half_file(self) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertRaises(OSError, create_private, self.file, b"secret")
        self.assertFalse(self.file.exists())
