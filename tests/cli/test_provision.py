"""``seckex provision``: what a node takes over, and what it does not."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.config.devicekey import parse_public, render_private
from seckex.config.provision import HomeKey, Provision, render_provision
from seckex.crypto.provisioning import public_of, seal_to_key, seal_with_passphrase
from seckex.crypto.secrets import Secret
from seckex.roles.mobile_node.records import HOME, Home
from seckex.storage.lock import WorkerLock
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore
from tests.config.written import MOBILE_NODE, write_private

KEY0 = bytes(range(32))
WORDS = "correct horse battery staple"
PRIVATE = Secret(bytes(range(1, 33)))


def provision_of(kvno: int = 1, nai: str = "node@example.org", *, keys: bool = True) -> Secret:
    """Return what is inside of a provisioning file."""
    found = Provision(
        nai=nai,
        home_agent="home@example.org",
        kvno=kvno,
        key0=Secret(KEY0),
        addresses=("192.0.2.1",),
        home_keys=(HomeKey(kem=1, until=1_900_000_000, public=bytes(31) + b"\1"),) if keys else (),
    )
    return Secret(render_provision(found))


class ProvisionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.config = self.folder / "node.toml"
        self.config.write_text(MOBILE_NODE.replace('control = "/run/seckex.sock"', ""))
        # A passphrase takes long to be one, so most of this is with a key.
        self.key = write_private(self.folder / "device.key", render_private(PRIVATE).decode())
        self.file = self.folder / "node.provision"
        self.seal()

    def seal(self, inside: Secret | None = None) -> None:
        self.file.write_text(seal_to_key(inside or provision_of(), public_of(PRIVATE)))

    def run_it(self, *arguments: object) -> Result:
        return CliRunner().invoke(main, ["provision", *map(str, arguments)])

    def take(self, *more: object) -> Result:
        return self.run_it(self.file, "--key", self.key, "--config", self.config, *more)

    def stored(self) -> Home:
        state = self.folder / "state"
        database = state / "seckex.db"
        store = SqliteStore(database, load_master_key(state / "master.key", database, os.urandom), os.urandom)
        self.addCleanup(store.close)
        [record] = [each for each in store.load(0, 0.0).records if each.kind == HOME]
        return Home.read(record)

    def test_without_a_daemon_it_goes_into_the_store(self) -> None:
        result = self.take()
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("node@example.org is provisioned for home@example.org, version 1 of KEY 0", result.stdout)
        home = self.stored()
        self.assertEqual((home.node, home.home_agent, home.kvno, home.chain.index), (*self.names(), 1, 0))
        self.assertEqual([str(each) for each in home.addresses], ["192.0.2.1"])

    def names(self) -> tuple[str, str]:
        return "node@example.org", "home@example.org"

    def test_key_0_is_nowhere(self) -> None:
        self.take()
        for file in (self.folder / "state").iterdir():
            octets = file.read_bytes()
            self.assertNotIn(KEY0, octets)
            self.assertNotIn(self.stored().root.octets, octets)

    def test_as_json(self) -> None:
        answer = json.loads(self.take("--json").stdout)
        self.assertEqual(
            answer,
            {
                "schema": "seckex.provision/1",
                "node": "node@example.org",
                "home_agent": "home@example.org",
                "kvno": 1,
                "daemon": False,
            },
        )

    def test_only_a_newer_version_is_taken_over(self) -> None:
        self.take()
        result = self.take()
        self.assertEqual(result.exit_code, 1)
        self.assertIn("version 1 of KEY 0 is in use, this is the same", result.stderr)
        self.seal(provision_of(2))
        self.assertEqual(self.take().exit_code, 0)
        self.assertEqual(self.stored().kvno, 2)

    def test_what_is_for_somebody_else_is_refused(self) -> None:
        self.seal(provision_of(nai="other@example.org"))
        result = self.take()
        self.assertEqual(result.exit_code, 1)
        self.assertIn("it is for other@example.org with home@example.org", result.stderr)

    def test_what_nobody_could_register_with_is_refused(self) -> None:
        self.seal(provision_of(keys=False))
        result = self.take()
        self.assertEqual(result.exit_code, 1)
        self.assertIn("no static key of home@example.org", result.stderr)

    def test_a_passphrase_opens_what_is_sealed_under_it_and_another_does_not(self) -> None:
        self.file.write_text(seal_with_passphrase(provision_of(), WORDS, bytes(16)))
        words = write_private(self.folder / "words", f"in{WORDS}\n")
        arguments = (self.file, "--passphrase-file", words, "--config", self.config)
        result = self.run_it(*arguments)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("the passphrase is wrong", result.stderr)
        self.assertNotIn("staple", result.output)
        write_private(words, f"{WORDS}\n")
        self.assertEqual(self.run_it(*arguments).exit_code, 0)

    def test_a_device_has_a_key_of_its_own(self) -> None:
        key = self.folder / "own.key"
        result = self.run_it("--new-key", key)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        public = self.folder / "own.key.pub"
        self.file.write_text(seal_to_key(provision_of(), parse_public(public.read_bytes(), public)))
        result = self.run_it(self.file, "--config", self.config)
        self.assertEqual(result.exit_code, 2)
        self.assertIn("give it with --key", result.stderr)
        result = self.run_it(self.file, "--key", key, "--config", self.config)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(self.run_it("--new-key", key).exit_code, 1)

    def test_while_a_daemon_has_the_store_it_is_not_touched(self) -> None:
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        lock = WorkerLock(state, 0)
        self.addCleanup(lock.release)
        result = self.take()
        self.assertEqual(result.exit_code, 3)
        self.assertIn("though one runs", result.stderr)
        self.assertFalse((state / "seckex.db").exists())

    def test_a_configuration_of_something_else_is_refused(self) -> None:
        text = MOBILE_NODE.replace('authentication = "registration"', 'authentication = "certificate"')
        self.config.write_text(text.replace('control = "/run/seckex.sock"', ""))
        self.assertNotEqual(self.take().exit_code, 0)

    def test_what_is_no_provisioning_file_is_said_so(self) -> None:
        self.file.write_text("something else")
        self.assertIn("does not begin and end as a sealed provisioning file does", self.take().stderr)

    def test_usage(self) -> None:
        for arguments in ((), (self.file,), (self.file, "--new-key", "x"), (self.file, "--key", "a", "--config", "b")):
            with self.subTest(arguments=arguments):
                self.assertNotEqual(self.run_it(*arguments).exit_code, 0)
