"""Messages between real daemons: from a shell, through kills, rotation, full disks, bad input and backups."""

from __future__ import annotations

from tests.daemons.killing import KillingTestCase

KILLS = 50


class KilledTests(KillingTestCase):
    def test_nothing_is_lost_and_nothing_comes_twice(self) -> None:
        killed = self.kill_at_random(KILLS, seed=1)
        self.assertGreaterEqual(killed.kills, KILLS)
        # It was close: what was under way was written, and read, again.
        self.assertGreater(killed.repeated, 0)
        self.assertGreater(killed.again, 0)
