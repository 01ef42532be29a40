"""Peers by certificate: what their settings need of each other, and what is wrong with the files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.load import load, load_any
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderSettings
from tests.config.written import INITIATOR, RESPONDER, write_all, write_private
from tests.crypto.certified import NOW, Maker, key, key_pem, pem

HOME, NODE = "home@example.org", "node@example.net"
FILES = 'certificate = "home.pem"\nprivate-key = "home.key"\ntrust = ["ca.pem"]\n'
BY_CERTIFICATE = RESPONDER.replace('key0 = "key0.toml"', 'authentication = "certificate"')
WHOLE = BY_CERTIFICATE.replace("[identity]\n", f"[identity]\n{FILES}")


class CredentialsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.root = Maker.root()
        self.write("home.pem", pem(self.root.certify(HOME)), 0o644)
        self.write("home.key", key_pem(key(f"principal {HOME}")))
        self.write("ca.pem", pem(self.root.certificate), 0o444)
        self.write("ca.crl", pem(self.root.revoked()), 0o644)

    def write(self, name: str, octets: bytes, mode: int = 0o600) -> None:
        file = self.directory / name
        file.unlink(missing_ok=True)
        write_private(file, octets.decode()).chmod(mode)

    def problems(self, text: str = WHOLE) -> list[str]:
        file = write_all(self.directory, text)
        error = self.assertRaises(ConfigInvalid, load_any, file)
        return [str(problem).replace(f"{self.directory}/", "") for problem in error.problems]


class RightTests(CredentialsCase):
    def test_a_peer_by_certificate(self) -> None:
        loaded = load_any(write_all(self.directory, WHOLE))
        assert loaded.credentials is not None
        self.assertEqual(loaded.credentials.identity.nai, HOME)
        self.assertEqual(loaded.keys, {})
        peer = self.root.identity(NODE)
        self.assertEqual(loaded.credentials.trust.verify(peer.chain, NOW).nai, NODE)

    def test_both_kinds_of_peers(self) -> None:
        more = '[[peers]]\nnai = "*@example.com"\nauthentication = "certificate"\nservices = ["web"]\n'
        text = RESPONDER.replace("[identity]\n", f"[identity]\n{FILES}") + more
        loaded = load(write_all(self.directory, text), ResponderSettings)
        self.assertEqual(list(loaded.keys), [NODE])
        self.assertEqual([peer.nai for peer in loaded.settings.peers], [NODE, "*@example.com"])

    def test_revocation(self) -> None:
        text = WHOLE.replace("trust =", 'revocation = ["ca.crl"]\ntrust =')
        loaded = load_any(write_all(self.directory, text))
        assert loaded.credentials is not None
        self.assertEqual(loaded.credentials.trust.verify(self.root.identity(NODE).chain, NOW).nai, NODE)

    def test_nobody_needs_certificates(self) -> None:
        self.assertIsNone(load_any(write_all(self.directory, RESPONDER)).credentials)


class WrongTests(CredentialsCase):
    def test_settings_that_need_each_other(self) -> None:
        missing = [
            f"identity.{name}: is required: the peer {NODE} is authenticated by certificate"
            for name in ("certificate", "private-key", "trust")
        ]
        self.assertEqual(self.problems(BY_CERTIFICATE), missing)
        for line in FILES.splitlines():
            name = line.split(" ")[0]
            one = [f"identity.{name}: is required: the peer {NODE} is authenticated by certificate"]
            self.assertEqual(self.problems(WHOLE.replace(f"{line}\n", "")), one)
        self.assertEqual(
            self.problems(RESPONDER.replace("[identity]\n", '[identity]\ntrust = ["ca.pem"]\n')),
            [f"identity.{name}: is required: the others are there" for name in ("certificate", "private-key")],
        )
        self.assertEqual(
            self.problems(RESPONDER.replace("[identity]\n", '[identity]\nrevocation = ["ca.crl"]\n')),
            ["identity.revocation: is of no use without identity.trust"],
        )

    def test_peers(self) -> None:
        for text, problem in (
            (
                WHOLE.replace("authentication", 'key0 = "key0.toml"\nauthentication'),
                'peers[0].key0: must go: authentication is "certificate"',
            ),
            (
                RESPONDER.replace('key0 = "key0.toml"\n', ""),
                'peers[0].key0: is required: the path of a file, or authentication = "certificate"',
            ),
            (
                RESPONDER.replace(NODE, "*@example.net").replace('key0 = "key0.toml"\n', ""),
                "peers[0].nai: must be one principal: only certificates prove who is any of *@example.net, "
                'authentication = "certificate"',
            ),
            (
                WHOLE.replace('"certificate"', '"certficate"'),
                'peers[0].authentication: must be one of "key0", "certificate", "registration", not "certficate": '
                'did you mean "certificate"?',
            ),
            (
                INITIATOR.replace(HOME, "*@example.org"),
                "peers[0].nai: must be one principal, whom associations are opened with",
            ),
        ):
            self.assertIn(problem, self.problems(text))

    def test_files_are_all_looked_at(self) -> None:
        self.write("home.pem", pem(self.root.certify(NODE)), 0o644)
        self.write("ca.pem", pem(self.root.certify(HOME)))
        self.write("ca.crl", b"nothing")
        text = WHOLE.replace("trust =", 'revocation = ["ca.crl", "none.crl"]\ntrust =')
        self.assertEqual(
            self.problems(text),
            [
                "identity.certificate: the private key is not that of the certificate of CN=principal",
                "identity.revocation[0]: ca.crl: holds no revocation list in PEM form",
                "identity.revocation[1]: none.crl: cannot be read: No such file or directory",
            ],
        )
        self.write("home.key", key_pem(key(f"principal {NODE}")))
        self.assertEqual(
            self.problems(),
            [
                f"identity.certificate: home.pem is of {NODE}, not of {HOME}",
                "identity.trust: CN=principal is no certificate authority",
            ],
        )

    def test_modes(self) -> None:
        (self.directory / "home.key").chmod(0o640)
        (self.directory / "home.pem").chmod(0o664)
        (self.directory / "ca.pem").chmod(0o646)
        self.assertEqual(
            [problem.partition(": run")[0] for problem in self.problems()],
            [
                "identity.certificate: home.pem: has mode 0664, too open for a file that is trusted",
                "identity.private-key: home.key: has mode 0640, too open for a secret",
                "identity.trust[0]: ca.pem: has mode 0646, too open for a file that is trusted",
            ],
        )

    def test_files_of_somebody_else(self) -> None:
        file = write_all(self.directory, WHOLE)
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        if os.getuid() == 0:
            for name in ("home.pem", "home.key", "ca.pem"):
                os.chown(self.directory / name, 12345, -1)
        error = self.assertRaises(ConfigInvalid, load_any, file)
        self.assertIn("neither to user", str(error))

    def test_nothing_of_a_key_is_repeated(self) -> None:
        held = key_pem(key(f"principal {HOME}"))
        self.write("home.key", held.replace(b"BEGIN", b"BEGUN"))
        self.write("home.pem", held, 0o644)
        for problem in self.problems():
            for line in held.decode().splitlines()[1:-1]:
                self.assertNotIn(line[:12], problem)
