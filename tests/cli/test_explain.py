"""``seckex explain``: two files tried against each other, and what a daemon remembers of a peer."""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

from tests.cli.test_lifecycle import ASSOCIATION, FAILURE, HOME
from tests.cli.test_status import StatusCase
from tests.config.written import INITIATOR, RESPONDER, key0_text, write_private

NODE = "node@example.net"
AES = '[[policy.proposals]]\nencryption = ["aes-256-gcm"]\nlifetime = "1h"\noctets = "1 GiB"\n'
CHACHA = '[[policy.proposals]]\nencryption = ["chacha20-poly1305"]\n'


class FileTests(StatusCase):
    def setUp(self) -> None:
        super().setUp()
        self.responder, self.initiator = self.home / "responder.toml", self.home / "initiator.toml"
        self.write()

    def write(self, ours: str = "", theirs: str = "", keys: tuple[str, str] | None = None) -> None:
        self.initiator.write_text(INITIATOR.replace("key0.toml", "ours.key0") + ours)
        self.responder.write_text(RESPONDER.replace("key0.toml", "theirs.key0") + theirs)
        for name, text in zip(("ours", "theirs"), keys or (), strict=False):
            write_private(self.home / f"{name}.key0", text)

    def explain(self, *more: str) -> Any:
        return self.run_command("explain", str(self.initiator), str(self.responder), *more)

    def told(self) -> tuple[int, dict[str, Any]]:
        result = self.explain("--json")
        return result.exit_code, json.loads(result.stdout)

    def test_agreement_with_a_key_that_is_made_up(self) -> None:
        code, told = self.told()
        self.assertEqual((code, told["schema"], told["agreed"]), (0, "seckex.explain-files/1", True))
        self.assertEqual((told["initiator"], told["responder"], told["remarks"]), (NODE, HOME, []))
        self.assertIn("made up for this, since", told["key0"])
        self.assertEqual([step["step"] for step in told["steps"][:3]], ["offer", "choice", "agreement"])
        self.assertEqual(told["agreement"]["transforms"]["encryption"], "aes-256-gcm")
        self.assertEqual(told["agreement"]["lifetime"], 28800)

    def test_the_order_of_the_files_does_not_matter(self) -> None:
        result = self.run_command("explain", str(self.responder), str(self.initiator))
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertTrue(result.stdout.startswith(f"{NODE} begins, {HOME} answers\n"), result.stdout)

    def test_one_file_is_no_peer(self) -> None:
        result = self.run_command("explain", str(self.initiator))
        self.assertEqual(result.exit_code, 2)
        self.assertIn("is a file: give the other side's as well", result.stderr)

    def test_the_story_of_a_counter_offer(self) -> None:
        self.write("[policy]\nopen-with = 1\n" + CHACHA + AES, AES)
        result = self.explain()
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        lines = result.stdout
        self.assertIn("1. node@example.net offers (round 1)\n   #1: chacha20-poly1305 + ", lines)
        self.assertIn("2. home@example.org would not choose, and counters with (round 1)\n   #1: aes-256-gcm", lines)
        self.assertIn(
            "   - proposal 1, transform 1: chacha20-poly1305 is not in the policy, which has aes-256-gcm\n", lines
        )
        self.assertIn("home@example.org chooses (round 2)", lines)
        self.assertIn("encryption      aes-256-gcm\n", lines)
        self.assertIn("lifetime        1h 00m\noctets          1.0 GiB\n", lines)

    def test_nothing_in_common(self) -> None:
        self.write(CHACHA, AES)
        code, told = self.told()
        self.assertEqual((code, told["agreed"], told["agreement"]), (1, False, None))
        self.assertEqual((told["failure"]["by"], told["failure"]["label"]), (NODE, "nothing-acceptable"))
        refusals = [step for step in told["steps"] if step["step"] == "refusal"]
        self.assertIn("chacha20-poly1305", refusals[0]["offer"])
        self.assertIn("the counter-offer is not within our own policy", refusals[0]["reasons"])
        self.assertIn("nothing is agreed\n", self.explain().stdout)

    def test_their_own_keys_are_used_where_both_can_be_read(self) -> None:
        self.write(keys=(key0_text(), key0_text()))
        code, told = self.told()
        self.assertEqual((code, told["key0"]), (0, "each side's own, from its file"))

    def test_keys_that_differ_are_met_with_silence(self) -> None:
        for other in (key0_text(key="11" * 32), key0_text(spi=4098)):
            self.write(keys=(key0_text(), other))
            code, told = self.told()
            self.assertEqual((code, told["failure"]["how"]), (1, "no-answer"))
            self.assertIn("dropped", [step["step"] for step in told["steps"]])
            self.assertNotIn("11" * 32, json.dumps(told))

    def test_what_stands_beside_the_negotiation(self) -> None:
        self.initiator.write_text(
            self.initiator.read_text().replace('address = "192.0.2.1"', 'address = "192.0.2.1"\nport = 4435')
            + '[[forwards]]\nlisten = "tcp:8081:interface=127.0.0.1"\npeer = "home@example.org"\nservice = "mail"\n'
        )
        self.responder.write_text(self.responder.read_text().replace('services = ["web"]', "services = []"))
        code, told = self.told()
        self.assertEqual(code, 0)
        port, web, mail = told["remarks"]
        self.assertIn("asks at port 4435, home@example.org listens on port 4434", port)
        self.assertIn("'web', which node@example.net may not use", web)
        self.assertIn("'mail', which home@example.org does not have", mail)

    def test_strangers_to_each_other(self) -> None:
        self.responder.write_text(self.responder.read_text().replace(f'nai = "{NODE}"', 'nai = "other@example.net"'))
        code, told = self.told()
        self.assertEqual((code, told["steps"]), (1, []))
        self.assertEqual(told["remarks"], [f"{HOME} has no peer {NODE}, and would meet it with silence"])

    def test_what_cannot_be_tried(self) -> None:
        for pair in ((self.initiator, self.initiator), (self.responder, self.responder)):
            result = self.run_command("explain", *map(str, pair))
            self.assertEqual((result.exit_code, result.stdout), (4, ""))
            self.assertIn("the files are of the roles", result.stderr)
        self.responder.write_text("[lok]")
        self.assertEqual(self.explain().exit_code, 4)
        self.assertEqual(self.run_command("explain", "a", "b", "c").exit_code, 2)
        self.assertEqual(self.run_command("explain").exit_code, 2)
        self.assertEqual(self.explain("--config", "x").exit_code, 2)

    def test_nothing_is_written_and_no_daemon_is_needed(self) -> None:
        before = sorted(os.listdir(self.home))
        self.explain()
        self.assertEqual(sorted(os.listdir(self.home)), before)


class PeerTests(StatusCase):
    ANSWER: ClassVar[dict[str, Any]] = {
        "schema": "seckex.explain-peer/1",
        "local": NODE,
        "role": "initiator",
        "peer": HOME,
        "association": None,
        "failures": [FAILURE | {"at": 1750000000.0}],
        "clock": {"at": 1750000000.0, "seconds": 7200},
        "dropped": {"dropped.unauthenticated": 3},
    }

    def test_what_is_remembered(self) -> None:
        self.daemon("initiator", self.ANSWER)
        result = self.run_command("explain", HOME)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertIn(f"{NODE} has no association with {HOME}\n", result.stdout)
        self.assertIn("its clock was 7200 s from ours\n", result.stdout)
        self.assertIn("home@example.org refuses with 256 nothing-acceptable: no\\x1b[31m proposal\n", result.stdout)
        self.assertIn("    home@example.org would take:\n      #1: aes-256-gcm\n", result.stdout)

    def test_nothing_to_remember(self) -> None:
        self.daemon("initiator", self.ANSWER | {"failures": [], "association": ASSOCIATION, "clock": None})
        result = self.run_command("explain", HOME)
        self.assertIn(f"no negotiation with {HOME} has failed", result.stdout)
        self.assertIn("encryption     aes-256-gcm", result.stdout)
        self.assertIn("dropped.unauthenticated 3", result.stdout)

    def test_json_is_what_the_daemon_said(self) -> None:
        self.daemon("initiator", self.ANSWER)
        self.assertEqual(json.loads(self.run_command("explain", HOME, "--json").stdout), self.ANSWER)

    def test_whatever_a_daemon_says_can_be_shown(self) -> None:
        self.daemon(
            "initiator", {"schema": self.ANSWER["schema"], "failures": [{}, 1], "dropped": [], "association": {}}
        )
        self.assertEqual(self.run_command("explain", HOME).exit_code, 0)
