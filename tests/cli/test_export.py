"""``seckex export``: into a private file, or printed, and only when asked."""

from __future__ import annotations

import json

from tests.cli.test_lifecycle import HOME
from tests.cli.test_status import StatusCase

KEY = "5a" * 32
ANSWER = {
    "schema": "seckex.export/1",
    "peer": HOME,
    "spi_in": 0x1000,
    "spi_out": 0x2000,
    "label": "psk",
    "length": 32,
    "key": KEY,
}


class ExportTests(StatusCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.home / "psk"

    def test_into_a_file(self) -> None:
        self.daemon("initiator", ANSWER)
        result = self.run_command("export", HOME, "psk", "-o", str(self.file))
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        line = f"{self.file}: 32 octets from the association with {HOME}, SPI in 0x00001000, out 0x00002000\n"
        self.assertEqual(result.stdout, line)
        self.assertEqual((self.file.read_bytes().hex(), self.file.stat().st_mode & 0o777), (KEY, 0o600))

    def test_printed_only_when_asked(self) -> None:
        self.daemon("initiator", ANSWER)
        self.assertEqual(self.run_command("export", HOME, "psk", "--print").stdout, f"{KEY}\n")
        told = json.loads(self.run_command("export", HOME, "psk", "-o", str(self.file), "--json").stdout)
        self.assertNotIn("key", told)
        self.assertEqual((told["file"], told["length"]), (str(self.file), 32))
        told = json.loads(self.run_command("export", HOME, "psk", "--print", "--json").stdout)
        self.assertEqual((told["file"], told["key"]), (None, KEY))

    def test_a_file_is_never_overwritten_and_then_nothing_is_exported(self) -> None:
        self.file.write_text("precious")
        result = self.run_command("export", HOME, "psk", "-o", str(self.file))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("exists and is left as it is", result.stderr)
        self.assertEqual(self.file.read_text(), "precious")

    def test_usage(self) -> None:
        for more in ((), ("--print", "--length", "31"), ("--print", "--length", "x"), ("--print", "--length", "8161")):
            self.assertEqual(self.run_command("export", HOME, "psk", *more).exit_code, 2, more)

    def test_words_that_the_daemon_has_no_use_for_are_wrong_usage(self) -> None:
        why = "context must be hexadecimal digits of at most 1024 octets"
        self.daemon("initiator", {"schema": "seckex.error/1", "error": why, "word": "unfit"})
        result = self.run_command("export", HOME, "psk", "--print", "--context", "zz")
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn(why, result.stderr)

    def test_without_a_daemon_it_says_what_to_do(self) -> None:
        result = self.run_command("export", HOME, "psk", "--print")
        self.assertEqual(result.exit_code, 3)
        self.assertTrue(result.stderr.endswith(": start one, or say with --config or --socket where it is\n"))

    def test_answers_without_a_key(self) -> None:
        for key in (None, 7, "zz"):
            self.setUp()
            self.daemon("initiator", ANSWER | {"key": key})
            self.assertEqual(self.run_command("export", HOME, "psk", "--print").exit_code, 1)
