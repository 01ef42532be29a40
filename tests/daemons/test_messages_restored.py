"""A backup of either end is put back while the other end goes on: what is missing is told, and nothing is repeated."""

from __future__ import annotations

import shutil

from tests.daemons.messaging import MessagingTestCase


class RestoredTests(MessagingTestCase):
    def restore(self, role: str) -> None:
        """Have a daemon go on with its backup."""
        self.stop(self.process(role))
        shutil.rmtree(self.folder / role)
        (self.folder / f"{role}.backup").rename(self.folder / role)
        self.up(role)

    def backup(self, role: str) -> None:
        self.said(role, "backup", str(self.folder / f"{role}.backup"), "--with-key")

    def exchange(self, *payloads: bytes) -> list[str]:
        """Send messages, have each processed, and return their names."""
        names = []
        for payload in payloads:
            names.append(self.send("initiator", payload))
            self.assertEqual(self.one("responder")[0], payload)
            self.until("the verdict", lambda: self.why("initiator", names[-1])["stage"] == "processed")
        return names

    def test_the_receiver_is_restored(self) -> None:
        self.up()
        self.exchange(b"1", b"2")
        self.backup("responder")
        lost = self.exchange(b"3", b"4")
        self.restore("responder")
        names = self.exchange(b"5")
        self.until("word of the gap", lambda: bool(self.events("initiator", "GapAfterRestore")))
        (gap,) = self.events("initiator", "GapAfterRestore")
        numbers = [int(name.rpartition(".o")[2]) for name in lost]
        self.assertEqual([gap["first"], gap["last"]], numbers)
        self.exchange(b"6")
        self.assertNotEqual(names, lost)

    def test_the_sender_is_restored(self) -> None:
        self.up()
        self.exchange(b"1", b"2")
        waits = self.send("initiator", b"3", wait="delivered")
        self.backup("initiator")
        self.assertEqual(self.one("responder")[0], b"3")
        self.exchange(b"4")
        self.restore("initiator")
        # What the backup had is not given again, and new messages have numbers that were never used.
        (name,) = self.exchange(b"5")
        number = int(name.rpartition(".o")[2])
        self.assertGreater(number, 1 << 32)
        self.until("the end of what waited", lambda: self.why("initiator", waits)["stage"] == "processed")
        self.exchange(b"6")
