"""The operator's commands against running daemons: what they do is seen at both ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
from typing import Any, TextIO

from seckex.cli.demo.processes import seckex
from seckex.config.load import read_key0
from tests.daemons.forked import Forked, fork, run
from tests.daemons.stage import HOME, NODE, PATIENCE, StageTestCase


class OperatorCase(StageTestCase):
    def run_command(self, *arguments: str, role: str = "initiator") -> subprocess.CompletedProcess[str]:
        """Run the command against the daemon of ``role``."""
        return run([seckex(), *arguments, "--config", f"{role}.toml"], self.folder, 2 * PATIENCE)

    def told(self, *arguments: str, role: str = "initiator") -> Any:
        """Run the command and return the object that it prints."""
        result = self.run_command(*arguments, "--json", role=role)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        return json.loads(result.stdout)

    def spis(self, role: str) -> set[int]:
        return {association["spi_in"] for association in self.status(role)["associations"]}


class LifecycleTests(OperatorCase):
    def test_rekey_puts_another_association_in_place(self) -> None:
        self.both()
        before = self.spis("initiator")
        told = self.told("rekey", HOME)
        self.assertTrue(told["done"])
        self.assertNotIn(told["association"]["spi_in"], before)
        self.until("the responder's new one", lambda: told["association"]["spi_out"] in self.spis("responder"))

    def test_rekey_from_the_responder(self) -> None:
        self.both()
        (before,) = self.spis("responder")
        told = self.told("rekey", NODE, role="responder")
        self.assertEqual((told["done"], told["association"]["replaces"]), (True, before))
        self.until("the initiator's new one", lambda: told["association"]["spi_out"] in self.spis("initiator"))

    def test_down_ends_it_at_both_ends_until_up(self) -> None:
        self.both()
        before = self.spis("initiator")
        self.assertEqual(set(self.told("down", HOME)["ended"]), before)
        self.assertEqual(self.spis("initiator"), set())
        self.until("the end at the responder", lambda: not self.spis("responder"))
        self.assertTrue(self.told("down", HOME)["already"])
        told = self.told("up", HOME)
        self.assertNotIn(told["association"]["spi_in"], before)

    def test_up_at_both_ends_of_an_association(self) -> None:
        self.both()
        for role, peer in (("initiator", HOME), ("responder", NODE)):
            told = self.told("up", peer, role=role)
            self.assertEqual((told["done"], told["already"]), (True, True))

    def test_up_waits_until_the_responder_is_there_or_says_that_it_is_not(self) -> None:
        self.daemon("initiator")
        self.wait_for_control("initiator")
        result = self.run_command("up", HOME, "--wait", "1")
        self.assertEqual((result.returncode, result.stdout), (5, ""))
        self.assertIn("nothing is settled after 1 s", result.stderr)
        self.daemon("responder")
        self.assertTrue(self.told("up", HOME)["done"])

    def test_a_responder_explains_that_it_cannot_call(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        result = self.run_command("up", NODE, role="responder")
        self.assertEqual(result.returncode, 1)
        self.assertIn("has no address in this configuration", result.stderr)


class StatusTests(OperatorCase):
    def test_the_real_port_of_a_forward_and_the_age_of_a_dialog(self) -> None:
        self.write_initiator(
            self.forward("tcp:0:interface=127.0.0.1", "web"), self.forward("tcp:0:interface=127.0.0.1", "web")
        )
        with socket.create_server(("127.0.0.1", self.web_port)) as server:
            self.both()
            first, second = (forward["port"] for forward in self.status("initiator")["forwards"])
            self.assertNotIn(0, (first, second))
            self.assertNotEqual(first, second)
            with socket.create_connection(("127.0.0.1", second), timeout=PATIENCE):
                connection, _ = server.accept()
                with connection:
                    for role in ("initiator", "responder"):
                        self.until("the dialog", lambda role=role: bool(self.dialogs(role)))  # type: ignore[misc]  # a default
                        (dialog,) = self.dialogs(role)
                        self.assertGreaterEqual(dialog["age"], 0)

    def dialogs(self, role: str) -> list[dict[str, Any]]:
        associations = self.status(role)["associations"]
        dialogs = [dialog for association in associations for dialog in association["dialogs"]]
        return [dialog for dialog in dialogs if dialog["age"] is not None]


class ExportTests(OperatorCase):
    def test_both_ends_give_the_same_octets_and_no_log_has_them(self) -> None:
        self.both()
        about = self.told("export", HOME, "ipsec psk", "--context", "c0ffee", "--length", "48", "-o", "psk.bin")
        octets = (self.folder / "psk.bin").read_bytes()
        self.assertEqual((len(octets), (self.folder / "psk.bin").stat().st_mode & 0o777), (48, 0o600))
        theirs = self.told(
            "export", NODE, "ipsec psk", "--context", "c0ffee", "--length", "48", "--print", role="responder"
        )
        self.assertEqual(theirs["key"], octets.hex())
        self.assertEqual((theirs["spi_in"], theirs["spi_out"]), (about["spi_out"], about["spi_in"]))
        self.assertTrue(self.logged("initiator", "KeysExported"))
        for file in self.folder.glob("*.log"):
            self.assertNotIn(octets.hex(), file.read_text())


class ExplainTests(OperatorCase):
    def test_both_ends_remember_what_each_would_have_taken(self) -> None:
        file = self.folder / "responder.toml"
        file.write_text(file.read_text() + '[[policy.proposals]]\nencryption = ["aes-128-gcm"]\n')
        file = self.folder / "initiator.toml"
        file.write_text(file.read_text() + '[[policy.proposals]]\nencryption = ["chacha20-poly1305"]\n')
        self.daemon("responder")
        self.wait_for_control("responder")
        self.daemon("initiator")
        self.wait_for_control("initiator")
        result = self.run_command("up", HOME)
        self.assertIn(result.returncode, (1, 5))
        self.until(
            "the refusal at the responder", lambda: bool(self.told("explain", NODE, role="responder")["failures"])
        )
        for role, peer in (("initiator", HOME), ("responder", NODE)):
            failure = self.told("explain", peer, role=role)["failures"][0]
            self.assertEqual((failure["by"], failure["label"]), (NODE, "nothing-acceptable"))
            offers = {side["side"]: side["offers"] for side in failure["acceptable"]}
            self.assertIn("aes-128-gcm", offers[HOME])
            self.assertIn("chacha20-poly1305", offers[NODE])
        result = run([seckex(), "explain", "initiator.toml", "responder.toml"], self.folder, PATIENCE)
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        self.assertIn("KEY 0: each side's own", result.stdout)


class DoctorTests(OperatorCase):
    def findings(self, role: str) -> tuple[bool, dict[str, set[str]]]:
        result = self.run_command("doctor", "--json", role=role)
        told = json.loads(result.stdout)
        found: dict[str, set[str]] = {}
        for one in told["findings"]:
            found.setdefault(one["check"], set()).add(one["health"])
        self.assertEqual(result.returncode, 0 if told["good"] else 1)
        return told["good"], found

    def test_two_daemons_that_are_well(self) -> None:
        self.both()
        for role in ("responder", "initiator"):
            healthy, found = self.findings(role)
            self.assertTrue(healthy, found)
            self.assertEqual({check: health for check, health in found.items() if health != {"good"}}, {})
        self.assertEqual(found["peers"], {"good"})

    def test_an_initiator_without_its_responder(self) -> None:
        healthy, found = self.findings("initiator")
        self.assertEqual((healthy, found["peers"], found["daemon"]), (False, {"bad"}, {"doubtful"}))

    def test_a_report_of_daemons_that_run_has_no_key_in_it(self) -> None:
        self.both()
        key = read_key0(self.folder / "node.key0").key.octets
        exported = self.told("export", HOME, "label", "--print")["key"]
        for role in ("responder", "initiator"):
            result = self.run_command("bugreport", role=role)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("AssociationEstablished", result.stdout)
            for secret in (key.hex(), base64.b64encode(key).decode(), repr(key)[2:-1], exported, "node.key0"):
                self.assertNotIn(secret, result.stdout)


class MonitorTests(OperatorCase):
    def test_events_come_as_they_happen_and_ctrl_c_ends_it(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        said, saying = os.pipe()
        errors = self.folder / "errors"
        with open(said) as lines, open(saying, "wb") as out, errors.open("wb") as err:
            command = [seckex(), "monitor", "--config", "responder.toml"]
            watching = fork(command, self.folder, out.fileno(), err.fileno())
            self.addCleanup(watching.kill)
            out.close()
            self.check_monitor(watching, lines)
        self.assertEqual(errors.read_text(), "")

    def check_monitor(self, watching: Forked, lines: TextIO) -> None:
        first = json.loads(lines.readline())
        self.assertEqual((first["schema"], first["daemon"]["role"]), ("seckex.monitor/1", "responder"))
        self.daemon("initiator")
        event = json.loads(lines.readline())
        self.assertEqual((event["event"], event["peer"]), ("AssociationEstablished", NODE))
        os.kill(watching.pid, signal.SIGINT)
        self.assertEqual(watching.wait(PATIENCE), 0)
