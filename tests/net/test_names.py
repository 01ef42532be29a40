"""DNS names: looked up when they are needed, their addresses asked in turn, failures told as such."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.names import RESOLVED_FOR, TRIES, Names


@define
class Resolver:
    """Answers when the test says so."""

    asked: list[tuple[Any, str]] = field(factory=list)

    def resolveHostName(self, receiver: Any, host: str, port: int) -> None:  # noqa: ARG002  # the signature is Twisted's
        self.asked.append((receiver, host))

    def answer(self, *addresses: str) -> None:
        receiver, _ = self.asked.pop(0)
        for address in addresses:
            receiver.addressResolved(IPv4Address("UDP", address, 0))
        receiver.resolutionComplete()


class ResolvingClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ResolvingClock()
        self.names = Names(self.clock)
        self.used: list[str] = []
        self.failed: list[str] = []

    def ask(self, host: str = "home.example.org", times: int = 1) -> None:
        for _ in range(times):
            self.names.ask(host, 4434, self.used.append, self.failed.append)

    def test_once_a_minute(self) -> None:
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1")
        self.ask(times=5)
        self.assertEqual((self.used, self.clock.nameResolver.asked), (["192.0.2.1"] * 6, []))
        self.clock.advance(RESOLVED_FOR)
        self.ask()
        self.assertEqual(len(self.clock.nameResolver.asked), 1)
        self.clock.nameResolver.answer("192.0.2.7")
        self.assertEqual(self.used[-1], "192.0.2.7")

    def test_what_waits_for_one_look_up_makes_no_other_and_is_bounded(self) -> None:
        self.ask(times=100)
        self.assertEqual(len(self.clock.nameResolver.asked), 1)
        self.clock.nameResolver.answer("192.0.2.1")
        self.assertEqual(len(self.used), 16)

    def test_an_address_that_does_not_answer_is_followed_by_the_next(self) -> None:
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.ask(times=6)
        expected = [f"192.0.2.{number}" for number in (1, 2, 3) for _ in range(TRIES)]
        self.assertEqual(self.used, [*expected, "192.0.2.1"])

    def test_the_one_that_answers_stays(self) -> None:
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1", "192.0.2.2")
        self.ask(times=2)
        self.assertEqual(self.used[-1], "192.0.2.2")
        self.names.heard("192.0.2.2")
        self.names.heard("192.0.2.1")
        self.ask(times=TRIES)
        self.assertEqual(set(self.used[-TRIES:]), {"192.0.2.2"})
        self.clock.advance(RESOLVED_FOR)
        self.names.heard("192.0.2.2")
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1", "192.0.2.2")
        self.assertEqual(self.used[-1], "192.0.2.2")

    def test_a_late_answer_of_the_one_before_is_as_good(self) -> None:
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1", "192.0.2.2")
        self.ask(times=2)
        self.names.heard("192.0.2.1")
        self.ask()
        self.assertEqual(self.used[-1], "192.0.2.1")

    def test_a_failure_is_told_as_such_and_the_next_use_tries_again(self) -> None:
        self.ask(times=2)
        self.clock.nameResolver.answer()
        why = "the name home.example.org cannot be looked up, or has no address"
        self.assertEqual((self.used, self.failed), ([], [why, why]))
        self.ask()
        self.clock.nameResolver.answer("192.0.2.1")
        self.assertEqual(self.used, ["192.0.2.1"])

    def test_several_names_may_stand_for_one_address(self) -> None:
        for host in ("a.example", "b.example"):
            self.ask(host)
            self.clock.nameResolver.answer("192.0.2.1", "192.0.2.2")
        self.ask("a.example", TRIES - 1)
        self.names.heard("192.0.2.1")
        self.ask("a.example", TRIES)
        self.ask("b.example", TRIES - 1)
        self.assertEqual(set(self.used), {"192.0.2.1"})
        self.names.heard("198.51.100.1")
