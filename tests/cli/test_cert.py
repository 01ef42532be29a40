"""``seckex cert``: an authority in a directory, what it makes, and what is told of certificates."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.crypto.identity import Identity, TrustAnchors
from seckex.errors import BadCertificate, Flaw
from tests.config.written import write_private
from tests.crypto.certified import DAY, NOW, Maker, pem

NODE, HOME = "node@example.net", "home@example.org"


class CertCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.ca = self.directory / "ca"

    def cert(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["cert", *arguments])

    def done(self, *arguments: str) -> Result:
        result = self.cert(*arguments)
        self.assertEqual((result.exit_code, result.stderr), (0, ""), result.output)
        return result

    def failed(self, *arguments: str) -> str:
        result = self.cert(*arguments)
        self.assertEqual((result.exit_code, result.stdout), (1, ""), result.output)
        return result.stderr

    def authority(self) -> None:
        self.done("ca", "-d", str(self.ca))

    def new(self, nai: str = NODE, name: str = "node") -> Path:
        file = self.directory / f"{name}.pem"
        self.done("new", nai, "-d", str(self.ca), "-o", str(file))
        return file

    def verify(self, file: Path, *, lists: bool = True) -> str:
        identity = Identity.from_pem(file.read_bytes(), file.with_suffix(".key").read_bytes())
        revoked = [(self.ca / "ca.crl").read_bytes()] if lists else []
        trust = TrustAnchors.from_pem([(self.ca / "ca.pem").read_bytes()], revoked)
        return trust.verify(identity.chain, time.time()).nai


class MakingTests(CertCase):
    def test_an_authority_certifies_principals(self) -> None:
        self.authority()
        self.assertEqual(self.verify(self.new()), NODE)
        self.assertEqual(self.verify(self.new(HOME, "home")), HOME)

    def test_all_files_are_private(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.authority()
        self.new()
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        self.assertEqual(len(files), 5)
        self.assertEqual({stat.S_IMODE(file.stat().st_mode) for file in files}, {0o600})
        self.assertEqual(stat.S_IMODE(self.ca.stat().st_mode), 0o700)

    def test_nothing_is_overwritten(self) -> None:
        self.authority()
        file = self.new()
        before = {path: path.read_bytes() for path in self.directory.rglob("*.*")}
        self.assertIn("ca.key exists and is left as it is", self.failed("ca", "-d", str(self.ca)))
        self.assertIn("node.pem exists", self.failed("new", NODE, "-d", str(self.ca), "-o", str(file)))
        file.unlink()
        self.assertIn("node.key exists", self.failed("new", NODE, "-d", str(self.ca), "-o", str(file)))
        del before[file]
        self.assertEqual({path: path.read_bytes() for path in self.directory.rglob("*.*")}, before)

    def test_no_key_is_shown(self) -> None:
        self.authority()
        result = self.cert("new", NODE, "-d", str(self.ca), "-o", str(self.directory / "x.pem"))
        held = (self.directory / "x.key").read_text().splitlines()[1]
        self.assertNotIn(held, result.output)
        result = self.cert("show", str(self.directory / "x.key"))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("is a private key, of which nothing is shown", result.stderr)

    def test_a_principal_does_not_outlive_its_authority(self) -> None:
        self.done("ca", "-d", str(self.ca), "--days", "5")
        file = self.new()
        shown = json.loads(self.cert("show", str(file), "--json").stdout)
        above = json.loads(self.cert("show", str(self.ca / "ca.pem"), "--json").stdout)
        self.assertEqual(shown["not-after"], above["not-after"])

    def test_a_long_name(self) -> None:
        self.authority()
        nai = f"{'n' * 60}@{'r' * 60}.example"
        self.assertEqual(self.verify(self.new(nai)), nai)

    def test_without_an_authority(self) -> None:
        for command in (["new", NODE], ["crl"], ["revoke", "x"]):
            self.assertIn("has no authority: make one", self.failed(*command, "-d", str(self.ca)))

    def test_an_authority_whose_key_others_can_read(self) -> None:
        self.authority()
        (self.ca / "ca.key").chmod(0o644)
        self.assertIn("too open for a secret", self.failed("new", NODE, "-d", str(self.ca)))

    def test_usage(self) -> None:
        self.authority()
        for arguments in (
            ("new",),
            ("new", "node"),
            ("new", NODE, "--days", "0"),
            ("new", NODE, "-d", str(self.ca), "-o", str(self.directory / "x.key")),
            ("ca", "--name", "n" * 65),
            ("show",),
        ):
            self.assertEqual(self.cert(*arguments).exit_code, 2, arguments)

    def test_a_name_that_certificates_do_not_hold(self) -> None:
        self.authority()
        self.assertIn("NAI in ASCII", self.failed("new", "n\u00f6de@example.net", "-d", str(self.ca)))


class RevokingTests(CertCase):
    def test_who_was_revoked_stays_so(self) -> None:
        self.authority()
        node, home = self.new(), self.new(HOME, "home")
        result = self.done("revoke", str(node), "-d", str(self.ca))
        serial = json.loads(self.cert("show", "--json", str(node)).stdout)["serial"]
        self.assertIn(f"revoked     {serial}\n", result.stdout)
        for command in ([], ["crl", "-d", str(self.ca)], ["revoke", str(node), "-d", str(self.ca)]):
            if command:
                self.done(*command)
            error = self.assertRaises(BadCertificate, self.verify, node)
            self.assertEqual(error.flaw, Flaw.REVOKED)
            self.assertEqual(self.verify(home), HOME)
        self.assertEqual(self.verify(node, lists=False), NODE)
        self.assertEqual(stat.S_IMODE((self.ca / "ca.crl").stat().st_mode), 0o600)

    def test_a_certificate_of_somebody_else(self) -> None:
        self.authority()
        stranger = write_private(self.directory / "s.pem", pem(Maker.root("other").certify(NODE)).decode())
        before = (self.ca / "ca.crl").read_bytes()
        self.assertIn(
            "was not issued by CN=seckex test authority", self.failed("revoke", str(stranger), "-d", str(self.ca))
        )
        self.assertEqual((self.ca / "ca.crl").read_bytes(), before)

    def test_a_list_of_somebody_else(self) -> None:
        self.authority()
        (self.ca / "ca.crl").write_bytes(pem(Maker.root("other").revoked()))
        self.assertIn("the revocation list is not by", self.failed("crl", "-d", str(self.ca)))


class FreshTests(CertCase):
    def test_what_was_made_just_now_does_not_expire_soon_as_long_as_it_lives(self) -> None:
        self.authority()
        self.new()
        for command in (["crl"], ["crl", "--days", "3"]):
            self.assertNotIn("EXPIRES SOON", self.done(*command, "-d", str(self.ca)).stdout)
            self.done("show", str(self.ca / "ca.crl"), str(self.directory / "node.pem"))

    def test_the_last_third_of_a_short_life(self) -> None:
        self.authority()
        now = time.time()
        for days, exit_code in ((19, 0), (21, 6), (31, 1)):
            self.patch(time, "time", lambda days=days: now + days * DAY)
            self.assertEqual(self.cert("show", str(self.ca / "ca.crl")).exit_code, exit_code, days)


class ShowingTests(CertCase):
    def write(self, name: str, octets: bytes) -> str:
        return str(write_private(self.directory / name, octets.decode()))

    def setUp(self) -> None:
        super().setUp()
        self.patch(time, "time", lambda: NOW)
        self.root = Maker.root()

    def test_states_and_exit_codes(self) -> None:
        for until, options, exit_code, state, words in (
            (NOW + 31 * DAY, (), 0, "good", "31 days from now\n"),
            (NOW + 10 * DAY, (), 6, "expires-soon", "10 days from now, EXPIRES SOON\n"),
            (NOW + 10 * DAY, ("--soon", "5"), 0, "good", "10 days from now\n"),
            (NOW + 50 * DAY, ("--soon", "60"), 6, "expires-soon", "50 days from now, EXPIRES SOON\n"),
            (NOW, (), 1, "expired", "EXPIRED at 2026-09-21 14:13:20 UTC\n"),
        ):
            file = self.write("node.pem", pem(self.root.certify(NODE, since=NOW - 90 * DAY, until=until)))
            result = self.cert("show", file, *options)
            self.assertEqual((result.exit_code, result.stderr), (exit_code, ""))
            self.assertIn(words, result.stdout)
            self.assertIn(f"principal {NODE}, ", result.stdout)
            about = json.loads(self.cert("show", file, "--json", *options).stdout)
            self.assertEqual((about["state"], about["kind"], about["problem"]), (state, "principal", ""))

    def test_not_yet_valid(self) -> None:
        file = self.write("node.pem", pem(self.root.certify(NODE, since=NOW + 1)))
        result = self.cert("show", file)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("NOT YET VALID", result.stdout)

    def test_a_chain_and_a_list(self) -> None:
        site, bad = self.root.under("site"), self.root.certify(HOME)
        chain = self.write("node.pem", pem(site.certify(NODE, until=NOW + 40 * DAY), site.certificate))
        revoked = self.write("ca.crl", pem(self.root.revoked(bad, until=NOW + 40 * DAY)))
        result = self.cert("show", chain, revoked)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("authority CN=site, ", result.stdout)
        self.assertIn("revocation list of CN=root, until 2026-10-31", result.stdout)
        self.assertIn(f"revoked     {bad.serial_number:x}\n", result.stdout)

    def test_what_is_of_no_use(self) -> None:
        file = self.write("x.pem", pem(self.root.certify(NODE, HOME)))
        result = self.cert("show", file)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("good for nothing here: CN=principal has 2 rfc822Names, it must be one, the NAI\n", result.stdout)

    def test_what_cannot_be_read_spoils_the_result_and_not_the_others(self) -> None:
        good = self.write("node.pem", pem(self.root.certify(NODE, until=NOW + 90 * DAY)))
        bad = self.write("x.pem", b"nothing")
        result = self.cert("show", bad, good, str(self.directory / "none"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn(f"principal {NODE}", result.stdout)
        self.assertIn(f"{bad}: holds no certificates in PEM form", result.stderr)
        self.assertIn("none: cannot be read: No such file", result.stderr)
        told = [json.loads(line) for line in self.cert("show", "--json", bad, good).stdout.splitlines()]
        self.assertEqual([each.get("state") for each in told], [None, "good"])
        self.assertIn("holds no certificates", told[0]["problem"])
