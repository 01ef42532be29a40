"""Whatever is lost, repeated, reordered or crashes: each message that was accepted has its effect once, in order."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.faces import Incoming, Verdict
from seckex.delivery.flow import assembling
from seckex.delivery.flow.receiving import ReceivingTerms
from seckex.wire.numbers import Code
from tests.delivery.flow.parts import Dialog, End, Said

TERMS = ReceivingTerms(largest=1 << 22, attempts=3, window=200_000)


class Weather:
    """Both ends of a dialog, and a channel between them that does what it likes."""

    def __init__(self, choices: Random) -> None:
        self.choices = choices
        self.dialog = Dialog(TERMS)
        self.ends = (self.dialog.a, self.dialog.b)
        self.dialog.a.terms = self.dialog.a.receiving.terms = TERMS
        self.channel: tuple[list[Said], list[Said]] = ([], [])
        self.dead: tuple[set[int], set[int]] = (set(), set())
        self.files = 0
        for end in self.ends:
            end.automatic = False
            end.at_once = 2

    def act(self) -> None:
        """Let something happen to one of the ends."""
        choices = self.choices
        side = choices.randrange(2)
        end, channel = self.ends[side], self.channel[side]
        match choices.randrange(15):
            case 0 | 1:
                self.send(end)
            case 2 | 3:
                end.begin_commit()
            case 4 | 5:
                end.end_commit()
            case 6:
                end.fail_commit()
            case 7 | 8:
                channel += end.says(choices.randrange(1, 6))
            case 9 | 10:
                self.carry(side)
            case 11:
                self.judge(end)
            case 12:
                self.dialog.clock.passed += choices.choice((1, 20, 400))
                for each in self.ends:
                    each.tick()
            case 13:
                self.dialog.connect()
            case 14:
                self.crash(end)

    def send(self, end: End) -> None:
        """Send a few messages of any size; some expire soon."""
        sizes = (0, 1, 300, 20_000, 61_441, 130_000, 250_000)
        for _ in range(self.choices.randrange(1, 5)):
            payload = self.choices.randbytes(8) + bytes(self.choices.choice(sizes))
            expires = end.now.wall + self.choices.choice((1, 30)) if self.choices.randrange(4) == 0 else 0.0
            if len(payload) > 100_000:
                self.files += 1
                end.send(end.spool.put(f"file {self.files}", payload), expires=expires)
            else:
                end.send(payload, expires=expires)

    def carry(self, side: int) -> None:
        """Hand over, lose or repeat something that was said, in any order."""
        channel, other = self.channel[side], self.ends[1 - side]
        for _ in range(self.choices.randrange(1, 6)):
            if not channel:
                return
            at = self.choices.randrange(min(len(channel), 3))
            fate = self.choices.randrange(8)
            if fate != 1:
                other.hears(channel[at])
            if fate:
                del channel[at]
            other.write()

    def judge(self, end: End) -> None:
        """Let a program receive, and say this and that."""

        def answer(_: Incoming) -> Verdict | None:
            return self.choices.choice((Verdict.DONE, Verdict.DONE, Verdict.DONE, Verdict.RETRY, None))

        end.answer = answer
        for _ in range(4):
            end.give()
        if not self.choices.randrange(4):
            end.receiving.take_back(end.now, counted=False)

    def crash(self, end: End) -> None:
        """End a process; what was said before may still arrive."""
        end.crash()
        other = self.ends[1] if end is self.ends[0] else self.ends[0]
        other.disconnect()
        if self.choices.randrange(2):
            self.dialog.connect()

    def heal(self) -> None:
        """Let there be a good connection, and programs that do their work."""
        for end in self.ends:
            end.end_commit()
            end.automatic = True
            end.answer = lambda _: Verdict.DONE
            end.receiving.take_back(end.now, counted=False)
        self.dialog.connect()
        self.dialog.settle()
        for _ in range(40):
            self.dialog.wait(2)
            if not any(end.sending.waiting or end.receiving.waiting for end in self.ends):
                return
            self.dialog.clock.passed += 320


class ExactlyOnceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(assembling, "SPOOLED_ABOVE", 100_000)

    @settings(max_examples=40, deadline=None)
    @given(st.randoms(use_true_random=True), st.integers(20, 220))
    def test_in_any_weather(self, choices: Random, acts: int) -> None:
        weather = Weather(choices)
        for _ in range(acts):
            weather.act()
        weather.heal()
        a, b = weather.ends
        for end, other in ((a, b), (b, a)):
            left_out = {each.number for each in end.failed if each.why == "expired before it was sent"}
            dead = {each.number for each in other.dead}
            self.assertFalse(left_out & dead)
            self.assertLessEqual({each.code for each in other.dead}, {Code.EXPIRED, Code.RESET_BY_PROGRAM})
            expected = [payload for number, payload in sorted(end.durable.items()) if number not in dead | left_out]
            self.assertEqual([each[:8] for each in other.effects], [each[:8] for each in expected])
            self.assertEqual(other.effects, expected)
            last = max(end.durable, default=0)
            self.assertEqual(end.stages, dict.fromkeys(end.stages, last))
            self.assertEqual((end.sending.waiting, end.receiving.waiting, end.room.used), (0, 0, 0))
            self.assertEqual((end.store.load(0, end.now.wall).segments, end.receiving.octets), ((), 0))
            self.assertEqual(end.spool.files.keys(), end.store.spools(0))
