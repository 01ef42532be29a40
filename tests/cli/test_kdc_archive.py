"""``seckex kdc dump`` and ``load``: all nodes go away sealed and come back whole, or not at all."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path

from click.testing import Result

from seckex.config.devicekey import render_private, render_public
from seckex.config.provision import parse_provision
from seckex.crypto.provisioning import public_of, read_sealed
from seckex.crypto.secrets import Secret
from seckex.net import kdc_archive
from seckex.storage import rows, sqlite
from tests.cli.test_kdc import HOME, KdcCase

PASSPHRASE = b"correct horse battery staple\n"
PRIVATE = Secret(bytes(range(32)))


class ArchiveTests(KdcCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(kdc_archive, "PORTION", 3)
        self.init()
        table = self.directory / "nodes.csv"
        table.write_text("nai,home_agent\n" + "".join(f"n{number}@example.org,{HOME}\n" for number in range(7)))
        self.kdc("enrol", str(table))
        self.file = self.directory / "all.archive"
        self.passphrase = ["--passphrase-file", self.secret("passphrase", PASSPHRASE)]
        public = self.directory / "k.pub"
        public.write_bytes(render_public(public_of(PRIVATE)))
        self.to = ["--to", str(public)]
        self.key = ["--key", self.secret("k", render_private(PRIVATE))]

    def dump(self) -> None:
        self.kdc("dump", str(self.file), *self.to)

    def load(self, *more: str, code: int = 0) -> Result:
        return self.kdc("load", str(self.file), *self.key, *more, code=code)

    def elsewhere(self) -> None:
        """Have another center, without nodes."""
        shutil.move(self.state, self.directory / "before")
        self.init()

    def listed(self) -> dict[str, tuple[str, int]]:
        lines = self.kdc("list", "--json").stdout.splitlines()
        each = [json.loads(line) for line in lines]
        return {
            one["principal"]: (one["state"] if "state" in one else str(one["enabled"]), one["kvno"]) for one in each
        }

    def exported(self, nai: str) -> bytes:
        """Return the KEY 0 of a node."""
        file = self.directory / "one.provision"
        file.unlink(missing_ok=True)
        self.kdc("export", nai, "-o", str(file), *self.to)
        octets = read_sealed(file.read_text()).open_with_key(PRIVATE)
        return parse_provision(octets.octets, file).key0.octets

    def test_there_and_back(self) -> None:
        self.kdc("disable", "n1@example.org")
        self.kdc("rotate", "n2@example.org")
        self.kdc("revoke", "n3@example.org")
        before, key = self.listed(), self.exported("n2@example.org")
        self.dump()
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        content = self.file.read_bytes()
        for secret in (key, b"n2@example.org", HOME.encode()):
            self.assertNotIn(secret, content)
        self.elsewhere()
        begun = int(time.time() * 1000)
        said = self.load().stdout
        self.assertIn("7 node(s) were taken over from the archive of kdc@example.org", said)
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.exported("n2@example.org"), key)
        # Serials begin at the clock, so that home agents are told of all.
        serials = [json.loads(line)["serial"] for line in self.kdc("list", "--json").stdout.splitlines()]
        self.assertGreater(min(serials), begun)
        self.assertEqual(len(set(serials)), 7)
        self.assertIn("loaded", self.kdc("audit", "show").stdout)
        self.kdc("audit", "verify")

    def test_under_a_passphrase(self) -> None:
        self.kdc("dump", str(self.file), *self.passphrase)
        self.elsewhere()
        self.assertIn("give --passphrase-file", self.load(code=1).stderr)
        other = self.secret("other", b"another passphrase\n")
        said = self.kdc("load", str(self.file), "--passphrase-file", other, code=1).stderr
        self.assertIn("the passphrase is wrong, or the archive was altered", said)
        self.kdc("load", str(self.file), *self.passphrase)
        self.assertEqual(len(self.listed()), 7)

    def test_a_center_with_nodes_is_replaced_only_where_that_is_wanted(self) -> None:
        self.kdc("revoke", "n5@example.org")
        self.kdc("rotate", "n5@example.org")
        self.dump()
        self.add("later@example.org")
        self.kdc("revoke", "n3@example.org")
        self.kdc("delete", "n4@example.org")
        self.assertIn("only --replace gives up", self.load(code=1).stderr)
        said = self.load("--replace").stdout
        self.assertIn("1 that it does not have were deleted, 2 stay deleted or revoked", said)
        names = self.listed()
        self.assertNotIn("later@example.org", names)
        self.assertNotIn("n4@example.org", names)
        # What was done about a theft since is not undone.
        self.assertIn("revoked", self.kdc("show", "n3@example.org").stdout)
        self.assertIn("enabled", self.kdc("show", "n5@example.org").stdout)

    def test_what_was_altered_or_cut_short_changes_nothing(self) -> None:
        self.dump()
        content = self.file.read_bytes()
        self.elsewhere()
        for altered in (content[:-1], content[:-40], content[:-60] + b"x" + content[-59:], content + b"x"):
            self.file.write_bytes(altered)
            refused = self.load(code=1).stderr
            self.assertIn("nothing is taken over", refused)
            self.assertEqual(self.listed(), {})
        self.file.write_bytes(content)
        self.load()
        self.assertEqual(len(self.listed()), 7)

    def test_what_is_there_is_not_overwritten(self) -> None:
        self.file.write_bytes(b"mine")
        self.assertIn("is left as it is", self.kdc("dump", str(self.file), *self.to, code=1).stderr)
        self.assertEqual(self.file.read_bytes(), b"mine")

    def test_what_is_no_archive(self) -> None:
        self.file.write_bytes(b"mine")
        self.assertIn("is no archive", self.load(code=1).stderr)
        self.file.unlink()
        self.assertIn("cannot be read", self.load(code=1).stderr)

    def test_both_ways_of_sealing_at_once(self) -> None:
        self.kdc("dump", str(self.file), *self.passphrase, "--to", "x", code=2)
        self.kdc("load", str(self.file), *self.passphrase, "--key", "x", code=2)

    def test_more_than_a_center_may_have(self) -> None:
        self.dump()
        self.elsewhere()
        self.config.write_text(self.config.read_text() + "[kdc]\nprincipals = 5\n")
        self.assertIn("more nodes than", self.load(code=1).stderr)
        self.assertEqual(self.listed(), {})

    def test_a_disk_that_fails_in_the_middle_changes_nothing(self) -> None:
        self.dump()
        self.elsewhere()
        whole = rows.record_row
        left = [4]

        def failing(*args: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
                raise error
            return whole(*args)  # type: ignore[arg-type]  # passed on

        self.patch(sqlite, "record_row", failing)
        self.assertIn("is full", self.load(code=1).stderr)
        self.patch(sqlite, "record_row", whole)
        self.assertEqual(self.listed(), {})
        self.assertNotIn("loaded", self.kdc("audit", "show").stdout)
        self.kdc("audit", "verify")

    def test_dumping_is_entered_before_anything_leaves(self) -> None:
        self.dump()
        self.assertIn("dumped", self.kdc("audit", "show").stdout)
        self.assertFalse(Path(f"{self.directory}/.all.archive.draft").exists())
