"""Kills of daemons that exchange numbered messages, at moments that nobody has chosen."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from attrs import define

from seckex.cli.output import Fault
from tests.daemons.messaging import SIDES, MessagingTestCase
from tests.daemons.numbered import Numbered, Reader, Writer
from tests.daemons.stage import HOME

#: Of kills that come before anything was exchanged again, and of messages that are exchanged first otherwise.
HASTY: Final = 0.25
MOST_BETWEEN: Final = 12
#: Of kills of both.
BOTH: Final = 0.2


@define
class Killed:
    """What was done."""

    kills: int = 0
    hasty: int = 0
    repeated: int = 0
    again: int = 0
    messages: int = 0


class KillingTestCase(MessagingTestCase):
    """Kills daemons while messages go there and answers come back."""

    def flow(self, **said: Any) -> Numbered:
        """Return programs that write to the responder's service and are answered; ``said`` is of the writer."""
        here, there = self.client("initiator"), self.client("responder")
        writer = Writer(here, HOME, "orders", own="receipts", **said)
        flow = Numbered(writer, Reader(there, "orders", answers=True), Reader(here, "receipts"))
        self.addCleanup(flow.stop)
        return flow

    def kill_at_random(self, kills: int, seed: int, told: Callable[[int], None] = lambda _: None) -> Killed:
        """Kill one daemon or both and start it again, so many times; insist on progress in between.

        Nothing may be lost, come twice or in another order.
        """
        choose = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self.up()
        flow = self.flow()
        flow.start()
        self.progress(flow, 1)
        killed = Killed()
        while killed.kills < kills:
            if choose.random() < HASTY:
                killed.hasty += 1
            else:
                self.progress(flow, choose.randint(1, MOST_BETWEEN))
            for role in SIDES if choose.random() < BOTH else (choose.choice(tuple(SIDES)),):
                self.kill(self.process(role))
                killed.kills += 1
                self.daemon(role)
            told(killed.kills)
        self.settle(flow)
        killed.repeated, killed.messages = flow.writer.repeated, flow.there.seen
        killed.again = flow.there.again + flow.back.again
        return killed

    def settle(self, flow: Numbered) -> None:
        """Write no more, wait for all that is under way, and insist that it is all, once, in order."""
        flow.stop_writing()
        self.until("all that was sent", lambda: self.sound(flow) and flow.is_whole)
        # The last may have been accepted without an answer, and be on its way.
        self.until("an empty outbox of the initiator", lambda: self.is_empty("initiator"))
        self.until("the last answer", lambda: self.sound(flow) and flow.back.seen == flow.there.seen)
        self.until("an empty outbox of the responder", lambda: self.is_empty("responder"))
        flow.stop()
        self.sound(flow)
        # One that was sent and not answered may have been accepted as well.
        self.assertIn(flow.there.seen - flow.writer.accepted, (0, 1))

    def sound(self, flow: Numbered) -> bool:
        """Fail where something is wrong already."""
        self.assertEqual(flow.trouble, [])
        return True

    def progress(self, flow: Numbered, count: int) -> None:
        """Wait until some more have come there and back."""
        wanted = flow.done + count
        self.until(f"message {wanted} there and back", lambda: self.sound(flow) and flow.done >= wanted)

    def is_empty(self, role: str) -> bool:
        """Tell whether nothing waits in a daemon's outbox."""
        try:
            return not self.client(role).ask("GET", "/v1/outbox").told["messages"]
        except Fault:
            return False
