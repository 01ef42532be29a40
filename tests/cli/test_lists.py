"""``seckex algs``, ``counters``, ``reload`` and ``completion``."""

from __future__ import annotations

import importlib
import json

from click.testing import CliRunner

from seckex.cli.counters import MEANINGS
from seckex.cli.main import main
from seckex.sa.algorithms import ALL
from tests.cli.test_status import STATUS, StatusCase


class AlgsTests(StatusCase):
    def test_every_algorithm_is_listed_with_its_number(self) -> None:
        told = json.loads(self.run_command("algs", "--json").stdout)
        self.assertEqual(told["schema"], "seckex.algs/1")
        self.assertEqual([one["name"] for one in told["algorithms"]], [algorithm.name for algorithm in ALL])
        by_name = {one["name"]: one for one in told["algorithms"]}
        self.assertEqual((by_name["x25519"]["number"], by_name["x25519"]["default"]), (31, True))
        self.assertEqual(by_name["aes-128-gcm"]["key_bits"], 128)

    def test_for_people(self) -> None:
        lines = self.run_command("algs").stdout.splitlines()
        self.assertEqual(len(lines), 1 + len(ALL))
        self.assertEqual(lines[1].split(), ["encryption", "aes-256-gcm", "20", "256", "yes"])


class CountersTests(StatusCase):
    def test_every_counter_is_told_with_its_meaning_also_those_that_are_not_known(self) -> None:
        self.daemon(answer=STATUS | {"counters": {"associations": 3, "dropped.replay": 2, "of.tomorrow": 1}})
        told = json.loads(self.run_command("counters", "--json").stdout)
        self.assertEqual((told["schema"], told["role"]), ("seckex.counters/1", "responder"))
        counts = {one["name"]: one["count"] for one in told["counters"]}
        self.assertEqual(set(counts), {*MEANINGS, "of.tomorrow"})
        self.assertEqual(
            (counts["associations"], counts["dropped.replay"], counts["of.tomorrow"], counts["half-open"]), (3, 2, 1, 0)
        )
        text = self.run_command("counters").stdout
        self.assertIn("responder home@example.org", text)
        self.assertRegex(text, f"(?m)^dropped.replay +2 +{MEANINGS['dropped.replay']}$")

    def test_nobody_there(self) -> None:
        self.assertEqual(self.run_command("counters").exit_code, 3)

    def test_a_daemon_that_refuses(self) -> None:
        self.daemon(answer={"schema": "seckex.error/1", "error": "busy"})
        self.assertEqual(self.run_command("counters").exit_code, 1)


class ReloadTests(StatusCase):
    def reloaded(self, **answer: object) -> tuple[int, str, str]:
        path = self.daemon(answer={"schema": "seckex.reload/1"} | answer)
        result = self.run_command("reload", "--socket", str(path))
        return result.exit_code, result.stdout, result.stderr

    def setUp(self) -> None:
        super().setUp()
        # Which daemon is there is asked with another request, which a scripted one cannot tell apart.
        self.patch(importlib.import_module("seckex.cli.reload"), "live", lambda sockets: sockets[0])

    def test_what_was_changed_and_what_was_kept(self) -> None:
        kept = "state.worker: only a restart changes it"
        said = self.reloaded(done=True, changed=["peers"], kept=[kept], problems=[])
        self.assertEqual(said, (0, f"changed: peers\nkept as it was: {kept}\n", ""))

    def test_nothing_new(self) -> None:
        self.assertEqual(self.reloaded(done=True, changed=[], kept=[]), (0, "nothing has changed\n", ""))

    def test_a_configuration_that_is_wrong(self) -> None:
        said = self.reloaded(done=False, problems=["lok: is not a setting"])
        kept = "nothing was changed: the configuration of before stays, whole\n"
        self.assertEqual(said, (1, "", f"lok: is not a setting\n{kept}"))

    def test_a_daemon_that_cannot(self) -> None:
        code, _, said = self.reloaded(schema="seckex.error/1", error="the command is one of", word="unknown-command")
        self.assertEqual((code, said), (1, "seckex: the daemon cannot reload: stop it and start it again\n"))


class CompletionTests(StatusCase):
    def test_what_shells_need(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            result = self.run_command("completion", shell)
            self.assertEqual(result.exit_code, 0)
            self.assertIn("_SECKEX_COMPLETE", result.stdout)
        self.assertEqual(self.run_command("completion", "tcsh").exit_code, 2)

    def test_commands_are_completed_and_not_the_default_ones_options(self) -> None:
        environment = {"_SECKEX_COMPLETE": "bash_complete", "COMP_WORDS": "seckex ex", "COMP_CWORD": "1"}
        result = CliRunner().invoke(main, [], prog_name="seckex", env=environment)
        self.assertEqual(result.stdout.split(), ["plain,explain", "plain,export"])
