"""``seckex status``: for people, for pipes and for programs."""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.cli.output import print_tables
from seckex.cli.status_view import amount, span, status_tables
from tests.cli.daemons import ScriptedDaemon
from tests.config.written import RESPONDER, write_all

STATUS: dict[str, Any] = {
    "schema": "seckex.status/1",
    "daemon": {
        "role": "responder",
        "nai": "home@example.org",
        "version": "0.1.0",
        "pid": 42,
        "worker": 0,
        "started": 1750000000,
        "uptime": 7500.5,
        "listening": ["127.0.0.1:4434", "[::1]:4434"],
    },
    "associations": [
        {
            "peer": "node@example.net",
            "role": "responder",
            "spi_in": 0x1000,
            "spi_out": 0xABCDEF01,
            "transforms": {"encryption": "aes-256-gcm", "prf": "prf-hmac-sha-256"},
            "created": 1750000000,
            "age": 65,
            "lifetime_left": 28735,
            "octets_in": 1536,
            "octets_out": 5 * 2**30,
            "octets_bound": 64 * 2**30,
            "confirmed": False,
            "dialogs": [{"id": "d1a1", "service": "web", "octets_in": 10, "octets_out": 2**20, "age": 3}],
        }
    ],
    "forwards": [],
    "services": [{"name": "web", "connect": "tcp:127.0.0.1:8000", "dialogs": 1}],
    "refusals": [
        {
            "at": 1750000100.25,
            "peer": "evil@example.net",
            "code": 256,
            "label": "nothing-acceptable",
            "side": "ours",
            "reason": "no proposal would do",
            "detail": ["proposal 1: aes-128-gcm is not in our policy", "a\x1b[31mred"],
        }
    ],
    "counters": {"offers": 3, "replays": 0},
    "truncated": {"refusals": 77},
}


class Screen(io.StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class StatusCase(SynchronousTestCase):
    def setUp(self) -> None:
        # Sockets need short paths; trial's own directories have long ones.
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)

    def daemon(self, role: str = "responder", answer: Any = STATUS) -> Path:
        directory = self.home / "seckex" / role
        directory.mkdir(parents=True)
        path = directory / "control.sock"
        ScriptedDaemon(self, path, json.dumps(answer).encode() + b"\n")
        return path

    def run_command(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={"XDG_STATE_HOME": str(self.home)})


class FindingTests(StatusCase):
    def test_without_a_command_the_default_daemons_are_asked(self) -> None:
        self.daemon()
        self.daemon("initiator", STATUS | {"daemon": {"role": "initiator", "nai": "node@example.net"}})
        result = self.run_command()
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn("initiator node@example.net", result.stdout)
        self.assertIn("\n\nresponder home@example.org", result.stdout)

    def test_one_of_the_two_is_enough(self) -> None:
        self.daemon()
        result = self.run_command("status")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertTrue(result.stdout.startswith("responder home@example.org"))

    def test_every_worker_of_the_default_place_is_asked(self) -> None:
        first = self.daemon()
        answer = json.dumps(STATUS | {"daemon": {"role": "responder", "nai": "home@example.org", "worker": 1}})
        ScriptedDaemon(self, first.with_name("control-1.sock"), answer.encode() + b"\n")
        self.assertEqual(self.run_command("status").stdout.count("responder home@example.org"), 2)

    def test_no_daemon(self) -> None:
        for arguments in ((), ("status",), ("--json",), ("status", "--socket", str(self.home / "x"))):
            result = self.run_command(*arguments)
            self.assertEqual((result.exit_code, result.stdout), (3, ""))
            self.assertEqual(result.stderr.count("\n"), 1)
            self.assertTrue(result.stderr.startswith("seckex: no daemon answers on "))

    def test_by_socket_and_by_configuration(self) -> None:
        path = self.daemon()
        self.assertEqual(self.run_command("--socket", str(path)).exit_code, 0)
        file = write_all(self.home, RESPONDER.replace("/run/seckex.sock", str(path)))
        (self.home / "key0.toml").unlink()
        self.assertEqual(self.run_command("status", "--config", str(file)).exit_code, 0)
        self.assertEqual(self.run_command("--socket", "a", "--config", "b").exit_code, 2)

    def test_a_bad_configuration(self) -> None:
        result = self.run_command("status", "--config", str(self.home / "none.toml"))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("cannot be read", result.stderr)
        result = self.run_command("--config", str(write_all(self.home, RESPONDER + "[lok]")))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn('lok: is not a setting; did you mean "log"?', result.stderr)

    def test_nowhere_to_look(self) -> None:
        self.patch(
            importlib.import_module("seckex.cli.finding"),
            "default_state",
            lambda _: Path("~nobody-of-that-name").expanduser(),
        )
        result = self.run_command()
        self.assertEqual(result.exit_code, 1)
        self.assertIn("give --socket or --config", result.stderr)

    def test_a_key_log_is_told_of(self) -> None:
        self.daemon("responder", STATUS)
        self.assertNotIn("WARNING", self.run_command("status").stdout)
        self.daemon("initiator", STATUS | {"daemon": {"role": "initiator", "key_log": "/var/tmp/keys.log"}})
        told = self.run_command("status").stdout
        self.assertIn("WARNING: the keys of all links are written to /var/tmp/keys.log (debug.key-log)", told)

    def test_how_far_the_exchange_of_the_master_key_is(self) -> None:
        key = {"exchanging": True, "passes": 1, "part": 0.42, "trouble": "the disk is full\x1b"}
        for told, said in (
            ({"master_key": key}, "the master key is being exchanged: pass 1, 42%; the disk is full\\x1b"),
            ({"master_key": key | {"exchanging": False}}, ""),
            ({"master_key": None}, ""),
        ):
            lines = "".join(str(each) for each in status_tables(STATUS | told, boxed=False))
            self.assertEqual("master key" in lines, bool(said))
            self.assertIn(said, lines)

    def test_a_daemon_that_refuses(self) -> None:
        path = self.daemon(answer={"schema": "seckex.error/1", "error": "busy"})
        result = self.run_command("--socket", str(path))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertEqual(result.stderr, f"seckex: the daemon on {path} refuses: busy\n")


class OutputTests(StatusCase):
    def test_json_is_what_the_daemon_said(self) -> None:
        self.daemon()
        result = self.run_command("--json")
        self.assertEqual([json.loads(line) for line in result.stdout.splitlines()], [STATUS])

    def test_into_a_pipe_goes_plain_text(self) -> None:
        self.daemon()
        lines = self.run_command().stdout.splitlines()
        self.assertEqual(lines[0], "responder home@example.org  seckex 0.1.0, pid 42, worker 0, up 2h 05m")
        self.assertEqual(lines[1], "listening on 127.0.0.1:4434, [::1]:4434")
        self.assertEqual(lines[3], "associations: 1")
        self.assertEqual(
            lines[5],
            "node@example.net  responder, unconfirmed  0x00001000  0xabcdef01  aes-256-gcm prf-hmac-sha-256  1m 05s"
            "  7h 58m  1.5 KiB  5.0 GiB  64.0 GiB  1",
        )
        text = "\n".join(lines)
        self.assertIn("node@example.net  web      d1a1    10 B  1.0 MiB  3s", text)
        self.assertIn("web   tcp:127.0.0.1:8000  1", text)
        self.assertIn("last refusals: 1 of 77", text)
        self.assertIn("  evil@example.net  256 nothing-acceptable (ours)\n  no proposal would do\n", text)
        self.assertIn("offers  3", text)
        self.assertNotIn("replays", text)
        self.assertNotIn("\x1b", text)
        self.assertIn("a\\x1b[31mred", text)
        self.assertEqual([line for line in lines if line != line.rstrip()], [])

    def test_a_terminal_gets_a_table_of_its_width(self) -> None:
        screen = Screen()
        self.patch(sys, "stdout", screen)
        print_tables(status_tables(STATUS, boxed=True))
        self.assertIn("\x1b[1m", screen.getvalue())
        self.assertIn("─", screen.getvalue())

    def test_spans_and_amounts(self) -> None:
        self.assertEqual(
            [span(each) for each in (0.4, 59, 60, 3600, 90061, -5, None)],
            ["0s", "59s", "1m 00s", "1h 00m", "1d 01h", "0s", "-"],
        )
        self.assertEqual(
            [amount(each) for each in (0, 1023, 1024, 2**60, "x")], ["0 B", "1023 B", "1.0 KiB", "1024.0 PiB", "-"]
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from([*STATUS, "dialogs", "at", "transforms", "x"]), inner, max_size=4)
            ),
            max_leaves=15,
        )
    )
    @settings(max_examples=100, deadline=None)
    def test_whatever_a_daemon_says_can_be_shown(self, value: Any) -> None:
        for answer in (dict.fromkeys(STATUS, value), {key: [value] for key in STATUS}, value):
            if isinstance(answer, dict):
                console = Console(width=80)
                with console.capture():
                    console.print(*status_tables(answer, boxed=False))
