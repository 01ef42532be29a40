"""``seckex up``, ``rekey`` and ``down``: what is asked, what is printed, how they end."""

from __future__ import annotations

import json
from typing import Any

import click

from seckex.cli.main import main
from tests.cli.test_status import StatusCase
from tests.config.written import RESPONDER, write_all

HOME = "home@example.org"

ASSOCIATION: dict[str, Any] = {
    "peer": HOME,
    "spi_in": 0x1000,
    "spi_out": 0x2000,
    "transforms": {"encryption": "aes-256-gcm", "prf": "prf-hmac-sha-256"},
    "lifetime_left": 28800,
    "octets_bound": None,
    "confirmed": True,
    "authority": "key0 0x00001001 kvno 1",
}

FAILURE: dict[str, Any] = {
    "how": "refused",
    "by": HOME,
    "code": 256,
    "label": "nothing-acceptable",
    "reason": "no\x1b[31m proposal",
    "detail": ["proposal 1: aes-128-gcm is not in the policy"],
    "acceptable": [{"side": HOME, "offers": "#1: aes-256-gcm; #2: chacha20-poly1305"}],
    "causes": ["a firewall"],
    "hints": [],
}


def outcome(command: str, **more: Any) -> dict[str, Any]:
    """Return what a daemon answers."""
    return {
        "schema": f"seckex.{command}/1",
        "peer": HOME,
        "done": False,
        "already": False,
        "association": None,
        "failure": None,
        "pending": None,
        "events": [],
    } | more


class LifecycleTests(StatusCase):
    def test_what_is_asked(self) -> None:
        for command in ("up", "rekey", "down"):
            self.setUp()
            path = self.daemon("initiator", outcome(command, done=True))
            result = self.run_command(command, HOME, "--wait", "7", "--control", str(path))
            self.assertEqual((result.exit_code, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith(f"{HOME}: "))

    def test_what_was_agreed(self) -> None:
        self.daemon("initiator", outcome("up", done=True, association=ASSOCIATION))
        result = self.run_command("up", HOME)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "home@example.org: associated",
                "  encryption     aes-256-gcm",
                "  prf            prf-hmac-sha-256",
                "  lifetime       8h 00m left",
                "  SPI            in 0x00001000, out 0x00002000",
                "  authenticated  by key0 0x00001001 kvno 1",
                "  confirmed      by both",
            ],
        )

    def test_who_refused_and_what_would_have_been_acceptable(self) -> None:
        self.daemon("initiator", outcome("up", failure=FAILURE))
        result = self.run_command("up", HOME)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertEqual(
            result.stderr.splitlines(),
            [
                "home@example.org: home@example.org refuses with 256 nothing-acceptable: no\\x1b[31m proposal",
                "    because proposal 1: aes-128-gcm is not in the policy",
                "    home@example.org would take:",
                "      #1: aes-256-gcm",
                "      #2: chacha20-poly1305",
                "    likely causes:",
                "      a firewall",
            ],
        )

    def test_nothing_settled_yet(self) -> None:
        self.daemon("initiator", outcome("rekey", pending="nothing is settled after 35 s"))
        result = self.run_command("rekey", HOME)
        self.assertEqual((result.exit_code, result.stderr), (5, f"{HOME}: nothing is settled after 35 s\n"))

    def test_json_is_what_the_daemon_said(self) -> None:
        answer = outcome("up", failure=FAILURE)
        self.daemon("initiator", answer)
        result = self.run_command("up", HOME, "--json")
        self.assertEqual((result.exit_code, json.loads(result.stdout), result.stderr), (1, answer, ""))

    def test_the_daemon_that_knows_the_peer_is_the_one(self) -> None:
        refusal = {"schema": "seckex.error/1", "error": "no peer of node@example.net", "word": "unknown-peer"}
        self.daemon("initiator", refusal)
        self.daemon("responder", outcome("down", done=True))
        self.assertEqual(self.run_command("down", HOME).stdout, f"{HOME}: ended\n")

    def test_a_peer_that_nobody_knows(self) -> None:
        refusal = {"schema": "seckex.error/1", "error": "no peer of node@example.net", "word": "unknown-peer"}
        self.daemon("initiator", refusal)
        result = self.run_command("down", HOME)
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: no peer of node@example.net\n"))

    def test_a_daemon_that_declines(self) -> None:
        path = self.daemon(
            "responder", {"schema": "seckex.error/1", "error": "it has no address", "word": "no-address"}
        )
        result = self.run_command("up", HOME, "--socket", str(path))
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: it has no address\n"))

    def test_exit_codes_of_what_is_not_there(self) -> None:
        self.assertEqual(self.run_command("up", HOME).exit_code, 3)
        self.assertEqual(self.run_command("up", HOME, "--config", str(self.home / "none.toml")).exit_code, 4)
        wrong = write_all(self.home / "x", RESPONDER + "[lok]")
        self.assertEqual(self.run_command("up", HOME, "--config", str(wrong)).exit_code, 4)
        self.assertEqual(self.run_command("up").exit_code, 2)
        self.assertEqual(self.run_command("up", HOME, "--wait", "0").exit_code, 2)
        self.assertEqual(self.run_command("up", HOME, "--socket", "a", "--config", "b").exit_code, 2)

    def test_help_says_what_they_are_for(self) -> None:
        for command in ("up", "rekey", "down"):
            self.assertIn("PEER", self.run_command(command, "--help").stdout)
            self.assertIn(command, main.list_commands(click.Context(main)))
