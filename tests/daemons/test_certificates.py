"""Daemons that share nothing but an authority: association, traffic, revocation while they run, restarts."""

from __future__ import annotations

import os
import signal
from typing import Final

from click.testing import CliRunner

from seckex.cli.main import main
from tests.daemons.stage import HOME, NODE, StageTestCase

IDENTITY: Final = """\
certificate = "{name}.pem"
private-key = "{name}.key"
trust = ["ca/ca.pem"]
revocation = ["ca/ca.crl"]
"""


class CertificateTests(StageTestCase):
    ENDS: Final = (("initiator", HOME), ("responder", NODE))

    def setUp(self) -> None:
        super().setUp()
        self.ca = str(self.folder / "ca")
        self.cert("ca", "-d", self.ca)
        for role, nai, name in (("initiator", NODE, "node"), ("responder", HOME, "home")):
            self.cert("new", nai, "-d", self.ca, "-o", str(self.folder / f"{name}.pem"))
            file = self.folder / f"{role}.toml"
            text = file.read_text().replace("[identity]\n", f"[identity]\n{IDENTITY.format(name=name)}")
            file.write_text(text.replace('key0 = "node.key0"', 'authentication = "certificate"'))
        (self.folder / "node.key0").unlink()

    def cert(self, *arguments: str) -> None:
        result = CliRunner().invoke(main, ["cert", *arguments])
        self.assertEqual(result.exit_code, 0, result.output)

    def test_traffic_between_two_that_share_no_secret(self) -> None:
        digest = self.serve_files(2**20)
        self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)
        self.assertEqual(self.status("responder")["counters"]["replay-records"], 0)
        (ours,), (theirs,) = self.confirmed("initiator"), self.confirmed("responder")
        self.assertEqual((ours["peer"], theirs["peer"]), (HOME, NODE))
        self.assertEqual((ours["spi_in"], ours["spi_out"]), (theirs["spi_out"], theirs["spi_in"]))

    def test_everybody_of_a_realm_and_their_services(self) -> None:
        file = self.folder / "responder.toml"
        file.write_text(file.read_text().replace(f'nai = "{NODE}"', 'nai = "*@example.net"'))
        digest = self.serve_files(2**16)
        responder, _ = self.both()
        self.assertEqual(self.fetch(self.forward_port), digest)
        # Both take it up again, who was let in by a realm as well.
        held = self.confirmed("responder")[0]["spi_in"]
        self.kill(responder)
        self.daemon("responder")
        self.until("the responder's return", lambda: self.asked("responder") is not None)
        self.assertEqual(self.confirmed("responder")[0]["spi_in"], held)

    def test_who_is_revoked_is_out_at_the_next_reload(self) -> None:
        responder, _ = self.both()
        self.cert("revoke", str(self.folder / "node.pem"), "-d", self.ca)
        os.kill(responder.pid, signal.SIGHUP)
        self.until("the end of the association", lambda: not self.status("responder")["associations"])
        self.until("the refusal", lambda: self.logged("initiator", "NegotiationRefused"))
        log = (self.folder / "initiator.log").read_text()
        self.assertIn("was revoked by CN=seckex test authority", log)
        self.assertIn("identity.revocation", (self.folder / "responder.log").read_text())

    def test_a_certificate_that_is_broken_keeps_the_old_one(self) -> None:
        responder, _ = self.both()
        (self.folder / "home.pem").write_text("nothing")
        os.kill(responder.pid, signal.SIGHUP)
        self.until("the complaint", lambda: self.logged("responder", "ConfigurationKept"))
        self.assertIn("holds no certificates in PEM form", (self.folder / "responder.log").read_text())
        self.assertEqual(len(self.confirmed("responder")), 1)

    def test_the_operators_commands_with_a_peer_that_is_known_by_its_realm(self) -> None:
        file = self.folder / "responder.toml"
        file.write_text(file.read_text().replace(f'nai = "{NODE}"', 'nai = "*@example.net"'))
        explained = self.command("explain", str(self.folder / "initiator.toml"), str(file))
        self.assertIn("who they are is proved by certificates", explained)
        self.both()
        exported = [self.command("export", peer, "label", "--print", role=role) for role, peer in self.ENDS]
        self.assertEqual(exported[0], exported[1])
        self.command("rekey", HOME, role="initiator")
        for role, peer in self.ENDS:
            self.assertIn("an association with", self.command("explain", peer, role=role))
            self.assertIn("ok  certificates", self.command("doctor", role=role))
            report = self.command("bugreport", role=role)
            for path in (*self.folder.glob("*.key"), self.folder / "ca" / "ca.key"):
                self.assertNotIn(path.name if path.parent == self.folder else "PRIVATE KEY", report)
                self.assertFalse(any(line in report for line in path.read_text().splitlines()[1:-1]))
        self.command("down", HOME, role="initiator")
        self.until("the end of it at the responder", lambda: not self.status("responder")["associations"])

    def command(self, *arguments: str, role: str = "") -> str:
        """Run a command, against the daemon of ``role`` where it needs one, and return what it prints."""
        more = ["--config", str(self.folder / f"{role}.toml")] if role else []
        result = CliRunner().invoke(main, [*arguments, *more])
        self.assertEqual((result.exit_code, result.stderr), (0, ""), result.output)
        return result.stdout

    def test_a_private_key_that_others_can_read(self) -> None:
        (self.folder / "home.key").chmod(0o644)
        self.assertIn("too open for a secret", self.refused_start("responder"))

    def test_nothing_of_the_keys_is_written(self) -> None:
        self.both()
        for name in ("node", "home"):
            inside = (self.folder / f"{name}.key").read_text().splitlines()[1:-1]
            for path in self.folder.rglob("*"):
                if path.is_file() and path.suffix != ".key":
                    octets = path.read_bytes()
                    self.assertFalse(any(line.encode() in octets for line in inside), str(path))
