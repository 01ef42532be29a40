"""``seckex bugreport``: what is in it, and what never is."""

from __future__ import annotations

import base64
import json
import os
import socket
from typing import Any

from seckex.cli.demo.processes import free_port
from seckex.cli.doctor import network
from seckex.cli.redaction import KNOWN, REDACTED, SECRETS, Redaction
from tests.cli.daemons import ScriptedDaemon
from tests.cli.test_status import StatusCase
from tests.config.written import INITIATOR, KEY, key0_text, write_private


class BugReportTests(StatusCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(network, "WAIT", 0.05)
        self.file = self.home / "seckex.toml"
        self.key = write_private(self.home / "very-private.key0", key0_text())
        self.write(INITIATOR)

    def write(self, text: str) -> None:
        port = free_port(socket.SOCK_DGRAM)
        control = json.dumps(str(self.home / "control.sock"))
        text = text.replace('"/run/seckex.sock"', f'{control}\nmaster-key = "/secret/place/of.key"')
        text = text.replace("tcp:8080:", f"tcp:{free_port()}:")
        text = text.replace("key0.toml", "very-private.key0").replace('"192.0.2.1"', f'"127.0.0.1"\nport = {port}')
        self.file.write_text(text)

    def report(self, *more: str) -> str:
        result = self.run_command("bugreport", "--config", str(self.file), *more)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def assertNothingSecret(self, text: str) -> None:
        octets = bytes.fromhex(KEY)
        for secret in (
            KEY,
            KEY.upper(),
            KEY[:48],
            base64.b64encode(octets).decode(),
            repr(octets)[2:-1],
            str(list(octets))[1:-1],
            "very-private",
            "/secret/place",
        ):
            self.assertNotIn(secret, text)

    def test_what_is_in_it(self) -> None:
        told = json.loads(self.report("--json"))
        self.assertEqual(told["schema"], "seckex.bugreport/1")
        self.assertIn("cryptography", told["versions"])
        (daemon,) = told["daemons"]
        self.assertEqual(set(daemon), {"file", "settings", "status", "events", "doctor"})
        self.assertEqual(daemon["settings"]["peers"][0]["key0"], REDACTED)
        self.assertEqual(daemon["settings"]["peers"][0]["nai"], "home@example.org")
        self.assertEqual(daemon["settings"]["forwards"][0]["service"], "web")
        self.assertIn("no daemon answers", daemon["status"]["error"])
        self.assertIn("ports", [finding["check"] for finding in daemon["doctor"]])

    def test_for_people_and_into_a_file(self) -> None:
        text = self.report()
        self.assertIn("== versions\n", text)
        self.assertIn(f"== doctor of {self.file}\n", text)
        output = self.home / "report"
        self.report("-o", str(output))
        self.assertEqual(output.stat().st_mode & 0o777, 0o600)
        self.assertIn("== versions\n", output.read_text())

    def test_no_secret_and_no_place_of_one_is_in_it(self) -> None:
        for more in ((), ("--json",)):
            self.assertNothingSecret(self.report(*more))

    def test_nor_when_files_are_wrong(self) -> None:
        os.chmod(self.key, 0o644)
        self.assertNothingSecret(self.report())
        write_private(self.key, key0_text().replace("version = 1", "version = 2"))
        self.assertNothingSecret(self.report())
        self.key.unlink()
        self.assertNothingSecret(self.report())

    def test_nor_when_a_key_stands_where_it_should_not(self) -> None:
        for wrong in (
            INITIATOR.replace('"key0.toml"', f'"{KEY}"'),
            INITIATOR.replace('"key0.toml"', f'"key0.toml"\nkey = "{KEY}"'),
            INITIATOR.replace('"key0.toml"', f'"key0.toml"\npassword = "{KEY[:20]}"'),
            INITIATOR.replace('service = "web"', f'service = "{KEY}"'),
            f"{INITIATOR}\nrubbish {KEY}",
        ):
            self.write(wrong)
            text = self.report()
            self.assertNothingSecret(text)
            self.assertNotIn(f'"{KEY[:20]}"', text)

    def test_nor_when_the_daemon_says_it(self) -> None:
        answer: dict[str, Any] = {
            "schema": "seckex.status/1",
            "daemon": {"nai": "node@example.net"},
            "x": [KEY, {KEY: 1}],
        }
        ScriptedDaemon(self, self.home / "control.sock", json.dumps(answer).encode() + b"\n")
        text = self.report("--json")
        self.assertIn('"nai": "node@example.net"', text)
        self.assertNothingSecret(text)


class RedactionTests(StatusCase):
    def test_every_setting_is_kept_or_left_out_on_purpose(self) -> None:
        self.assertLessEqual({"nai", "listen", "proposals", "clock-window", "master-key", "key0"}, KNOWN)
        harmless = {"key-agreement", "keying", "keys", "prekey-lifetime", "prekeys-every"}
        self.assertLessEqual({name for name in KNOWN if "key" in name} - harmless, SECRETS)

    def test_paths_are_found_in_every_form(self) -> None:
        redaction = Redaction(self.home / "seckex.toml")
        redaction.settings({"peers": [{"key0": "keys/a.key0"}]})
        said = redaction.said({f"{self.home}/keys/a.key0 is open": ["see keys/a.key0", 1, None]})
        self.assertEqual(said, {f"{REDACTED} is open": [f"see {REDACTED}", 1, None]})
