"""What a download through an agent amounts to, as both ends have it, between real daemons; and what all measure."""

from __future__ import annotations

import json
import os
import signal
from http.client import HTTPConnection
from typing import Any

from seckex.cli.accounting.desk import desks
from seckex.cli.demo.processes import free_port, seckex
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE
from seckex.net.metrics.catalogue import OTHERS
from tests.daemons.forked import run
from tests.daemons.roaming import RoamingTestCase
from tests.daemons.stage import PATIENCE

SIZE = 4_000_000
SIDES = {AGENT: "foreign-agent", HOME: "home-agent"}
ROLES = {NODE: "initiator", AGENT: "agent", HOME: "responder", CENTER: "kdc"}


class AccountingTests(RoamingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.alter(HOME, "[home-agent]", '[home-agent]\nlinks = "through-agents"')
        self.digest = self.serve_files(SIZE)
        self.start_all()

    def end(self, role: str) -> None:
        """End a daemon in order."""
        self.running.remove(self.daemons[role])
        self.daemons[role].stop()

    def accounts(self, role: str) -> list[dict[str, Any]]:
        """Return what a daemon has accounts of."""
        # A home agent may be an agent of its own network as well.
        [desk] = [each for each in desks(self.world.control(role), None) if each.side == SIDES[role]]
        return list(desk.accounts({}))

    def until_finished(self) -> None:
        """Wait until both ends have an account of a passage that has ended, and none that is open."""

        def finished(role: str) -> bool:
            rows = self.accounts(role)
            return bool(rows) and all(row["ended"] is not None for row in rows)

        self.until("accounts that are finished", lambda: finished(AGENT) and finished(HOME))

    def reconciled(self) -> tuple[int, list[dict[str, Any]]]:
        """Export both and reconcile that; return the exit code and what is told."""
        for form, role in (("--csv", AGENT), ("--json", HOME)):
            self.run_("accounting", "export", form, "-o", f"{role}.export", "--config", f"{role}.toml")
        command = [seckex(), "accounting", "reconcile", f"{AGENT}.export", f"{HOME}.export", "--json"]
        ended = run(command, self.folder, PATIENCE)
        return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]

    def test_both_ends_have_the_same_of_a_download(self) -> None:
        self.assertEqual(self.download(), self.digest)
        self.end(NODE)
        self.until_finished()
        [there], [here] = self.accounts(AGENT), self.accounts(HOME)
        self.assertEqual((here["node"], here["agent"]), (self.world.nai(NODE), self.world.nai(AGENT)))
        self.assertEqual((there["node"], there["agent"]), ("", ""))
        self.assertEqual((there["id"], there["pseudonym"]), (here["id"], here["pseudonym"]))
        for row in (there, here):
            self.assertGreater(row["inward"]["proved"], SIZE)
            self.assertTrue(row["whole"], row)
        code, told = self.reconciled()
        self.assertEqual((code, [row.get("verdict") for row in told]), (0, ["equal", None]), told)
        self.assertGreater(told[-1]["inward"]["receipted"], SIZE)
        totals = json.loads(self.run_("accounting", "totals", "--json", "--config", f"{HOME}.toml"))
        self.assertEqual((totals["node"], totals["passages"]), (self.world.nai(NODE), 1))
        self.assertEqual(totals["inward"], here["inward"])
        self.assertIn(self.world.nai(NODE), self.run_("accounting", "show", "--config", f"{HOME}.toml"))
        self.assertNotIn(self.world.nai(NODE), self.run_("accounting", "show", "--config", f"{AGENT}.toml"))

    def test_an_agent_that_is_killed_closes_what_it_left_and_a_home_agent_that_stops_knows_its_end(self) -> None:
        # What is not in its store by then it cannot close.
        self.until("the agent's account", lambda: bool(self.accounts(AGENT)))
        os.kill(self.daemons[AGENT].pid, signal.SIGKILL)
        self.end(AGENT)
        self.start(AGENT)
        self.assertEqual(self.download(), self.digest)
        cut = [row for row in self.accounts(AGENT) if not row["whole"]]
        self.assertEqual(len(cut), 1)
        self.assertIsNotNone(cut[0]["ended"])
        # The home agent stops in order: everything that it had to say is there when it comes back.
        self.end(HOME)
        self.start(HOME)
        rows = self.accounts(HOME)
        self.assertEqual([row for row in rows if not row["whole"]], [])
        # The node may have registered anew meanwhile: then several passages have carried the download.
        self.assertGreater(sum(row["inward"]["carried"] for row in rows), SIZE)
        self.end(NODE)
        self.until_finished()
        _, told = self.reconciled()
        verdicts = {row["id"]: row["verdict"] for row in told[:-1]}
        self.assertLessEqual({cut[0]["id"], *(row["id"] for row in rows)}, set(verdicts))
        self.assertEqual(told[-1]["passages"]["agent-only"] + told[-1]["passages"]["home-only"], 0)
        self.assertGreater(told[-1]["inward"]["reconciled"], 0)


class MetricsTests(RoamingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.digest = self.serve_files(SIZE)
        self.metrics = {role: free_port() for role in ROLES}
        for role, port in self.metrics.items():
            file = self.world.config(role)
            file.write_text(f'{file.read_text()}\n[metrics]\nlisten = ["127.0.0.1:{port}"]\n')

    def get(self, role: str, path: str) -> tuple[int, str]:
        """Ask a daemon for something."""
        connection = HTTPConnection("127.0.0.1", self.metrics[role], timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def value(self, role: str, sample: str) -> float:
        """Return a sample of a scrape."""
        found = [line for line in self.get(role, "/metrics")[1].splitlines() if line.startswith(f"{sample} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def test_every_role_can_be_watched(self) -> None:
        self.start_all()
        self.assertEqual(self.download(), self.digest)
        for role, name in ROLES.items():
            status, text = self.get(role, "/metrics")
            self.assertEqual(status, 200)
            self.assertIn(f'seckex_info{{role="{name}",version="', text)
            self.assertNotIn(f"{OTHERS.shown}{{", text)
            for identity in (*map(self.world.nai, ROLES), "example", "127.0.0.1", "@"):
                self.assertNotIn(identity, text, role)
            self.assertEqual(json.loads(self.get(role, "/livez")[1])["live"], True)
            status, text = self.get(role, "/readyz")
            self.assertEqual((status, json.loads(text)["ready"]), (200, True), text)
        self.assertEqual(self.value(AGENT, 'seckex_foreign_agent_visitors{role="agent"}'), 1)
        self.assertEqual(self.value(HOME, 'seckex_home_agent_nodes{role="responder",state="registered"}'), 1)
        self.assertEqual(self.value(NODE, 'seckex_registration_seconds_count{role="initiator"}'), 1)
        self.assertEqual(self.value(CENTER, 'seckex_kdc_principals{role="kdc"}'), 1)
        self.assertGreater(self.value(NODE, 'seckex_link_octets_total{direction="in",role="initiator"}'), SIZE)
        self.assertGreater(self.value(HOME, 'seckex_commit_seconds_count{role="responder"}'), 0)
        self.assertEqual(self.value(AGENT, 'seckex_foreign_agent_accounts{role="agent",state="open"}'), 1)
        said = self.run_("doctor", "--config", f"{HOME}.toml")
        self.assertIn("says that the daemon is ready", said)

    def test_who_is_not_ready_says_why(self) -> None:
        self.start(HOME)
        status, text = self.get(HOME, "/readyz")
        lacking = [check for check in json.loads(text)["checks"] if not check["ready"]]
        self.assertEqual((status, [check["check"] for check in lacking]), (503, ["nodes"]))
        self.assertEqual(self.get(HOME, "/livez")[0], 200)
        # Reloading without a place to listen at closes it, and with one opens it again.
        file = self.world.config(HOME)
        text = file.read_text()
        file.write_text(text.replace(f'listen = ["127.0.0.1:{self.metrics[HOME]}"]', ""))
        self.run_("reload", "--config", f"{HOME}.toml")
        self.assertRaises(ConnectionError, self.get, HOME, "/livez")
        file.write_text(text)
        self.run_("reload", "--config", f"{HOME}.toml")
        self.assertEqual(self.get(HOME, "/livez")[0], 200)
