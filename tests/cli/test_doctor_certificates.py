"""What the doctor says of certificates and revocation lists as time goes by."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.doctor import certificates
from seckex.cli.main import main
from seckex.config.common import Identity
from seckex.config.pairs import pair_file
from seckex.crypto.identity import Identity as PrincipalIdentity
from seckex.crypto.issuing import issue_alone
from seckex.crypto.pairing import make_card
from seckex.wire.pairing import armour

NODE = "node@example.net"
DAY = 86400


class LifeTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        ca = directory / "ca"
        own = directory / "node.pem"
        for command in (
            ["ca", "-d", str(ca), "--days", "1000"],
            ["new", NODE, "-d", str(ca), "-o", str(own), "--days", "100"],
            ["crl", "-d", str(ca), "--days", "40"],
        ):
            result = CliRunner().invoke(main, ["cert", *command])
            self.assertEqual(result.exit_code, 0, result.output)
        self.state = directory / "state"
        self.identity = Identity(
            nai=NODE,
            certificate=own,
            private_key=own.with_suffix(".key"),
            trust=(ca / "ca.pem",),
            revocation=(ca / "ca.crl",),
        )

    def healths(self, days: float) -> list[str]:
        """Return how our certificate, the authority's and its list are after so many days."""
        now = time.time() + days * DAY
        self.patch(certificates, "time", SimpleNamespace(time=lambda: now))
        self.found = list(certificates.certificates(self.identity, self.state))
        self.assertEqual({one.check for one in self.found}, {"certificates"})
        return [one.health.value for one in self.found]

    def test_of_those_that_were_paired_with(self) -> None:
        issued = issue_alone("home@example.org", time.time(), 100)
        home = PrincipalIdentity.from_pem(issued.certificate, issued.key.octets)
        file = pair_file(self.state, home.nai)
        file.parent.mkdir(mode=0o700, parents=True)
        file.touch(0o600)
        file.write_text(armour(make_card(home, "")))
        self.assertEqual(self.healths(1)[3:], ["good"])
        self.assertEqual(self.healths(80)[3:], ["doubtful"])
        self.assertIn("pair anew", self.found[3].advice)
        self.assertEqual(self.healths(101)[3:], ["bad"])

    def test_as_time_goes_by(self) -> None:
        for days, healths in (
            (1, ["good", "good", "good"]),
            (20, ["good", "good", "good"]),
            (30, ["good", "good", "doubtful"]),
            (50, ["good", "good", "bad"]),
            (80, ["doubtful", "good", "bad"]),
            (101, ["bad", "good", "bad"]),
            (1001, ["bad", "bad", "bad"]),
        ):
            self.assertEqual(self.healths(days), healths, days)

    def test_what_is_said(self) -> None:
        self.healths(101)
        own, authority, revocations = self.found
        self.assertIn(f"principal of {NODE}, EXPIRED at ", own.what)
        self.assertIn("seckex cert new", own.advice)
        self.assertIn("authority of ", authority.what)
        self.assertEqual(authority.advice, "")
        self.assertIn("revocation list of ", revocations.what)
        self.assertIn("seckex cert crl", revocations.advice)

    def test_a_clock_that_is_set_back(self) -> None:
        self.assertEqual(self.healths(-10), ["bad", "bad", "good"])
        self.assertIn("clock", self.found[0].advice)

    def test_what_cannot_be_read_is_told_of_elsewhere(self) -> None:
        (self.identity.certificate or Path()).write_text("rubbish")
        self.assertEqual(self.healths(1), ["good", "good"])

    def test_without_any(self) -> None:
        self.identity = Identity(nai=NODE)
        self.assertEqual(list(certificates.certificates(self.identity, self.state)), [])
