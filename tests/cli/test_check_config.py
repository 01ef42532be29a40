"""``seckex check-config``: all that is wrong, or what the file means."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.check_config import home_agent_lines
from seckex.cli.main import main
from seckex.config.home_agent import HomeAgent
from tests.config.written import INITIATOR, KEY, RESPONDER, write_all


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()

    def check(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["check-config", *arguments])

    def test_a_responder_that_is_right(self) -> None:
        more = '[[policy.proposals]]\nencryption = ["aes-128-gcm"]\noctets = "1 GiB"'
        file = write_all(self.directory, RESPONDER + more)
        result = self.check(str(file))
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(
            result.stdout,
            f"{file}: right, for the responder home@example.org\n"
            "  listens on  127.0.0.1 port 4434\n"
            "              ::1 port 4434\n"
            "  peers       node@example.net, KEY 0 SPI 0x00001001 kvno 1: web\n"
            "  services    web -> tcp:127.0.0.1:8000\n"
            "  policy      1: aes-128-gcm; hmac-sha-256 or hmac-sha-384; prf-hmac-sha-256 or prf-hmac-sha-384; x25519;"
            " for 8h and 1 GiB\n"
            f"  state       {self.directory}/state\n",
        )

    def test_where_metrics_are_served_and_who_may_read_them(self) -> None:
        listen = '[metrics]\nlisten = ["127.0.0.1:9464", "0.0.0.0:9465"]\n'
        result = self.check(str(write_all(self.directory, RESPONDER + listen)))
        self.assertIn(
            "  metrics     127.0.0.1:9464\n              0.0.0.0:9465, for other machines too\n", result.stdout
        )
        wrong = write_all(self.directory, RESPONDER + listen.replace("9465", "nine"))
        self.assertIn("metrics.listen[1]", self.check(str(wrong)).stderr)

    def test_a_bundle_is_told_by_its_name(self) -> None:
        bundle = (
            '[policy.bundles.strong]\nspi = 7\nencryption = ["aes-256-gcm"]\nprf = ["prf-hmac-sha-384"]\n'
            'key-agreement = ["p-256"]\n[[policy.proposals]]\nbundle = "strong"\n'
        )
        result = self.check(str(write_all(self.directory, RESPONDER + bundle)))
        self.assertIn("  policy      1: bundle strong; for 8h\n", result.stdout)

    def test_an_initiator_that_is_right(self) -> None:
        result = self.check(str(write_all(self.directory, INITIATOR)))
        self.assertEqual(result.exit_code, 0)
        self.assertIn(
            "  peers       home@example.org at 192.0.2.1 port 4434, KEY 0 SPI 0x00001001 kvno 1\n", result.stdout
        )
        self.assertIn("  forwards    tcp:8080:interface=127.0.0.1 -> web of home@example.org\n", result.stdout)
        self.assertNotIn(KEY[:8], result.output)

    def test_a_home_agent_says_whose_nodes_and_which_agents(self) -> None:
        for settings, by in (
            ({}, "by way of any agent of any domain"),
            ({"domains": ("v.example", "w.example")}, "by way of any agent of v.example, w.example and its own"),
            (
                {"agents": ("fa@v.example",), "links": "through-agents"},
                "by way of fa@v.example; their links come through agents only",
            ),
        ):
            agent = HomeAgent(kdcs=("kdc@example.org",), keying="stateful", longest_registration=3600, **settings)
            self.assertEqual(home_agent_lines(agent), ["stateful keys; nodes of kdc@example.org, for 1h at most", by])

    def test_who_owns_the_files_is_judged_for_the_user_that_is_named(self) -> None:
        file = write_all(self.directory, RESPONDER)
        (self.directory / "state").mkdir(mode=0o700)
        ours = pwd.getpwuid(os.geteuid()).pw_name
        self.assertEqual(self.check(str(file), "--user", ours).exit_code, 0)
        other = next((each for each in pwd.getpwall() if each.pw_uid not in (0, os.geteuid())), None)
        if other is not None:
            result = self.check(str(file), "--user", other.pw_name)
            self.assertEqual(result.exit_code, 1)
            self.assertIn(f"not to user {other.pw_uid} who runs this", result.stderr)
        result = self.check(str(file), "--user", "no-such-user-here")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("there is no user no-such-user-here", result.stderr)

    def test_every_problem_is_a_line(self) -> None:
        file = write_all(self.directory, RESPONDER.replace('nai = "home', 'nia = "home') + "[limits]\nlinks = 0")
        result = self.check(str(file))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertEqual(
            [line.removeprefix(f"{file}: ").split(": ")[0] for line in result.stderr.splitlines()],
            ["identity.nai", "identity.nia", "limits.links"],
        )

    def test_one_bad_file_spoils_the_result_and_not_the_others(self) -> None:
        file = write_all(self.directory, RESPONDER)
        result = self.check(str(self.directory / "none"), str(file))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("none: cannot be read", result.stderr)
        self.assertIn("right, for the responder", result.stdout)

    def test_json(self) -> None:
        right = write_all(self.directory, RESPONDER)
        wrong = self.directory / "wrong.toml"
        wrong.write_text('role = "initiator"\n')
        result = self.check("--json", str(right), str(wrong))
        first, second = map(json.loads, result.stdout.splitlines())
        about = {"schema": "seckex.check-config/1", "file": str(right), "right": True, "problems": []}
        self.assertEqual(first, about | {"role": "responder", "nai": "home@example.org"})
        self.assertEqual((second["right"], result.exit_code), (False, 1))
        self.assertEqual([problem["path"] for problem in second["problems"]], ["identity", "peers"])

    def test_what_a_file_holds_cannot_move_the_cursor(self) -> None:
        file = write_all(self.directory, 'role = "responder"\n"\\u001b[2J" = 1')
        self.assertNotIn("\x1b", self.check(str(file)).output)

    def test_usage(self) -> None:
        self.assertEqual(self.check().exit_code, 2)
