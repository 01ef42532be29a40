"""Traffic through an agent, between real daemons: downloads, an agent that restarts, and one that forgets."""

from __future__ import annotations

import os
import signal

from seckex.cli.demo.roaming.world import AGENT, HOME, NODE
from seckex.net.daemon import DATABASE
from tests.daemons.roaming import RoamingTestCase

SIZE = 8_000_000


class PassageTests(RoamingTestCase):
    def setUp(self) -> None:
        super().setUp()
        # So nothing can come but what comes through the agent.
        self.alter(HOME, "[home-agent]", '[home-agent]\nlinks = "through-agents"')
        self.digest = self.serve_files(SIZE)
        self.start_all()

    def die(self) -> None:
        """Have the agent end as the kernel would."""
        process = self.daemons[AGENT]
        os.kill(process.pid, signal.SIGKILL)
        self.running.remove(process)
        process.stop()

    def proved(self, octets: int) -> bool:
        return all(each["inward_proved"] > octets for role in (AGENT, HOME) for each in self.passages(role))

    def test_downloads_go_through_the_agent_also_where_that_restarts_in_the_middle(self) -> None:
        self.assertEqual(self.download(), self.digest)
        (here,), (between,), (there,) = (self.passages(role) for role in (NODE, AGENT, HOME))
        self.assertEqual((here["agent"], there["agent"]), (self.world.nai(AGENT), self.world.nai(AGENT)))
        self.assertEqual(there["node"], self.world.nai(NODE))
        # Agent and home agent call it the same, and the agent does not know whose it is.
        self.assertEqual((between["passage"], between["node"]), (there["passage"], None))
        self.assertEqual(between["pseudonym"], there["pseudonym"])
        self.assertGreater(there["inward"], SIZE)
        self.assertGreater(here["inward"], SIZE)
        self.until("the last proof", lambda: self.proved(SIZE))

        def restart() -> None:
            self.die()
            self.start(AGENT)

        self.assertEqual(self.download(restart), self.digest)
        self.assertNotEqual(self.passages(NODE)[0]["passage"], here["passage"])

    def test_an_agent_that_is_down_and_then_knows_nobody(self) -> None:
        self.die()
        self.until("the end of the passage", lambda: not self.passages(NODE))
        self.until("a reason", lambda: bool(self.status(NODE)["passages"]["failure"]))
        told = self.run_("explain", self.world.nai(HOME), "--config", f"{NODE}.toml")
        self.assertIn(f"not through {self.world.nai(AGENT)}", told)
        for left in (self.folder / AGENT).glob(f"{DATABASE}*"):
            left.unlink()
        self.start(AGENT)
        # It asks for another registration, which the node makes by itself.
        self.until("another passage", lambda: bool(self.passages(NODE)))
        self.assertEqual(self.download(), self.digest)
        # What would go directly is not taken at home, and the operator there is told so.
        self.alter(NODE, "[registration]", '[registration]\ntraffic = "direct"')
        os.kill(self.daemons[NODE].pid, signal.SIGHUP)
        self.until("a link that is not taken", lambda: self.logged(HOME, "LinkNotThroughAgent"))
