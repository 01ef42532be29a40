"""``seckex cert status``: what a daemon has, until when, and what it exits with."""

from __future__ import annotations

import json
import time
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.config.pairs import pair_file
from seckex.crypto.identity import Identity
from seckex.crypto.issuing import Authority, Issued, issue_alone
from seckex.crypto.pairing import make_card
from seckex.wire.pairing import armour
from tests.config.written import RESPONDER, write_all

HOME, NODE = "home@example.org", "node@example.net"
DAY = 86400
FILES = 'certificate = "home.pem"\nprivate-key = "home.key"\ntrust = ["ca.pem"]\nrevocation = ["ca.crl"]\n'


class StatusCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.now = time.time()
        self.authority(3650)
        self.write("home", self.issuer.issue(HOME, self.now, 365))
        (self.directory / "ca.crl").write_bytes(self.issuer.issue_list(None, (), self.now, 90))
        self.config = write_all(self.directory, RESPONDER.replace("[identity]\n", f"[identity]\n{FILES}"))

    def authority(self, days: int) -> None:
        issued = Authority.issue_itself("root", self.now, days)
        self.issuer = Authority.from_pem(issued.certificate, issued.key.octets)
        self.write("ca", issued)

    def write(self, name: str, issued: Issued) -> None:
        for suffix, octets in ((".pem", issued.certificate), (".key", issued.key.octets)):
            file = self.directory / f"{name}{suffix}"
            file.write_bytes(octets)
            file.chmod(0o600)

    def paired(self, since: float, days: int) -> Path:
        issued = issue_alone(NODE, since, days)
        own = Identity.from_pem(issued.certificate, issued.key.octets)
        file = pair_file(self.directory / "state", NODE)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.parent.chmod(0o700)
        file.write_text(armour(make_card(own, "")))
        file.chmod(0o600)
        return file

    def status(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["cert", "status", "--config", str(self.config), *arguments])

    def told(self, *arguments: str) -> tuple[int, dict[str, str]]:
        """Return the exit code, and the state of what is used for each thing."""
        result = self.status("--json", *arguments)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, {line["use"]: line["state"] for line in lines if "use" in line}


class StatusTests(StatusCase):
    def test_everything_is_shown(self) -> None:
        self.paired(self.now, 100)
        names = ("identity.certificate", "identity.trust", "identity.revocation", "pair")
        self.assertEqual(self.told(), (0, dict.fromkeys(names, "good")))
        result = self.status()
        for text in (f"principal {HOME}", "authority CN=root", "revocation list of CN=root", f"principal {NODE}"):
            self.assertIn(text, result.stdout)

    def test_what_expires_soon(self) -> None:
        self.write("home", self.issuer.issue(HOME, self.now, 29))
        code, told = self.told()
        self.assertEqual((code, told["identity.certificate"]), (6, "expires-soon"))
        code, told = self.told("--soon", "20")
        self.assertEqual((code, told["identity.certificate"]), (0, "good"))
        self.assertEqual(self.told("--soon", "100")[1]["identity.revocation"], "expires-soon")

    def test_what_has_expired(self) -> None:
        self.paired(self.now - 20 * DAY, 10)
        code, told = self.told()
        self.assertEqual((code, told["pair"]), (1, "expired"))
        self.assertIn("EXPIRED", self.status().stdout)

    def test_what_cannot_be_read(self) -> None:
        self.paired(self.now, 100).write_text("nothing")
        (self.directory / "ca.pem").write_text("nothing")
        result = self.status()
        self.assertEqual((result.exit_code, len(result.stderr.splitlines())), (1, 2))
        self.assertIn(f"principal {HOME}", result.stdout)

    def test_without_certificates_there_is_nothing(self) -> None:
        self.config.write_text(RESPONDER)
        result = self.status()
        self.assertEqual((result.exit_code, result.output), (0, ""))
