"""Daemons that exchange messages are killed at random, many times, and are watched for what is lost or comes twice.

It ends with the first message that is lost, comes again after a verdict that was taken, or is out of order; and when
nothing comes for as long as `tests.daemons.stage.PATIENCE`.
"""

from __future__ import annotations

import secrets
import sys
import time

from tests.daemons.killing import Killed, KillingTestCase
from tests.soak.figures import Figure

KILLS = 1000


class MessagesTests(KillingTestCase):
    """Not found by trial under ``tests`` by its name: it takes minutes."""

    kills = KILLS
    killed = Killed()

    def runTest(self) -> None:
        """Kill, and look."""
        self.killed = self.kill_at_random(self.kills, secrets.randbelow(1 << 32), self.tell)

    def tell(self, kills: int) -> None:
        """Show that it goes on."""
        if kills % 100 == 0:
            print(f"  {kills} kills", file=sys.stderr, flush=True)


def run(kills: int = KILLS) -> list[Figure]:
    """Return how often daemons were killed, and what came through."""
    case = MessagesTests()
    case.kills = kills
    began = time.monotonic()
    case.debug()
    killed = case.killed
    return [
        Figure("kills", killed.kills, "", least=kills),
        Figure("kills before anything was exchanged again", killed.hasty, ""),
        Figure("messages there, and answers back", killed.messages, "", least=kills),
        Figure("messages sent again by their program, for want of an answer", killed.repeated, ""),
        Figure("messages given again, for want of a verdict", killed.again, ""),
        Figure("time for each kill", (time.monotonic() - began) / max(killed.kills, 1), "s"),
    ]
