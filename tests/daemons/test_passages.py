"""Traffic through an agent, between real daemons: a download, agents that restart, registrations that end."""

from __future__ import annotations

import os
import signal

from seckex.cli.demo.roaming.world import AGENT, HOME, NODE
from tests.daemons.roaming import RoamingTestCase

SIZE = 8_000_000


class DownloadTests(RoamingTestCase):
    def setUp(self) -> None:
        super().setUp()
        # So nothing can come but what comes through the agent.
        self.alter(HOME, "[home-agent]", '[home-agent]\nlinks = "through-agents"')
        self.digest = self.serve_files(SIZE)
        self.start_all()

    def test_a_download_goes_through_the_agent(self) -> None:
        self.assertEqual(self.download(), self.digest)
        (here,), (between,), (there,) = (self.passages(role) for role in (NODE, AGENT, HOME))
        self.assertEqual(here["agent"], self.world.nai(AGENT))
        self.assertEqual(there["node"], self.world.nai(NODE))
        # Agent and home agent call it the same, and the agent does not know whose it is.
        self.assertEqual(between["passage"], there["passage"])
        self.assertEqual(between["node"], None)
        self.assertEqual(between["pseudonym"], there["pseudonym"])
        self.assertGreater(there["inward"], SIZE)
        self.assertGreater(here["inward"], SIZE)
        self.until("the last proof", lambda: self.proved(SIZE))

    def proved(self, octets: int) -> bool:
        return all(each["inward_proved"] > octets for role in (AGENT, HOME) for each in self.passages(role))

    def test_an_agent_that_restarts_in_the_middle(self) -> None:
        first = self.passages(NODE)[0]["passage"]

        def restart() -> None:
            os.kill(self.daemons[AGENT].pid, signal.SIGKILL)
            self.running.remove(self.daemons[AGENT])
            self.daemons[AGENT].stop()
            self.start(AGENT)

        self.assertEqual(self.download(restart), self.digest)
        self.assertNotEqual(self.passages(NODE)[0]["passage"], first)
