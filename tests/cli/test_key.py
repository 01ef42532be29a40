"""``seckex key new``: a fresh key in a private file, shown to nobody unasked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.config.key0 import parse_key0
from seckex.config.load import read_key0

BOTH = ("--initiator", "node@example.net", "--responder", "home@example.org")


class NewKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def new(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["key", "new", *arguments])

    def test_a_key_is_made_and_not_shown(self) -> None:
        result = self.new(*BOTH, "-o", str(self.file))
        key0 = read_key0(self.file)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(
            result.stdout,
            f"{self.file}: KEY 0 between node@example.net and home@example.org, SPI {key0.spi:#010x}, kvno 1\n",
        )
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertGreater(key0.spi, 255)
        self.assertNotIn(key0.key.octets.hex(), result.output)

    def test_no_two_are_alike(self) -> None:
        first = self.new(*BOTH, "--print").stdout
        second = self.new(*BOTH, "--print").stdout
        left, right = (parse_key0(text.encode(), self.file) for text in (first, second))
        self.assertNotEqual(left.key, right.key)
        self.assertNotEqual(left.spi, right.spi)

    def test_a_file_is_never_overwritten(self) -> None:
        self.new(*BOTH, "-o", str(self.file))
        before = self.file.read_text()
        result = self.new(*BOTH, "-o", str(self.file))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertEqual(result.stderr, f"seckex: {self.file} exists and is left as it is: choose another with -o\n")
        self.assertEqual(self.file.read_text(), before)

    def test_where_no_file_can_be_made(self) -> None:
        result = self.new(*BOTH, "-o", str(self.file / "x"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("cannot be made: No such file or directory", result.stderr)

    def test_the_umask_does_not_matter(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.new(*BOTH, "-o", str(self.file))
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_printed_only_when_asked(self) -> None:
        with CliRunner().isolated_filesystem(os.path.dirname(self.file)):
            self.assertEqual(self.new(*BOTH, "--print").exit_code, 0)
            self.assertEqual(os.listdir(), [])
            self.assertEqual(self.new(*BOTH).exit_code, 0)
            self.assertEqual(os.listdir(), ["key0.toml"])
        result = self.new(*BOTH, "-o", str(self.file), "--print")
        self.assertEqual(result.stdout, self.file.read_text())

    def test_json(self) -> None:
        about = json.loads(self.new(*BOTH, "-o", str(self.file), "--kvno", "7", "--json").stdout)
        key0 = read_key0(self.file)
        self.assertEqual(
            about,
            {
                "schema": "seckex.key-new/1",
                "file": str(self.file),
                "spi": key0.spi,
                "kvno": 7,
                "initiator": "node@example.net",
                "responder": "home@example.org",
            },
        )
        printed = json.loads(self.new(*BOTH, "--print", "--json").stdout)
        self.assertEqual((printed["file"], len(printed["key"])), (None, 64))

    def test_usage(self) -> None:
        for arguments in (
            (),
            ("--initiator", "node@example.net"),
            ("--initiator", "node", "--responder", "home@example.org"),
            ("--initiator", "a@b", "--responder", "a@b"),
            (*BOTH, "--kvno", "-1"),
        ):
            self.assertEqual(self.new(*arguments).exit_code, 2)
