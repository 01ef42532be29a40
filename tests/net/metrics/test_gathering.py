"""What is measured: how long registering took, how long dialogs stood still, how late the reactor is."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.events import NegotiationFailed
from seckex.events.mobile_node import Moved, Registered, RegistrationSent
from seckex.net.log import EventLog
from seckex.net.metrics.ports import Lag
from seckex.net.usage import Traffic
from tests.net.metrics.parts import Told

HOME = "home@example.org"

REGISTERED = Registered(HOME, "a@x", "192.0.2.1", "", 60, "stateless", "x25519", 1, {}, 1, 2)


def sent(round_: int = 1, lifetime: int = 60) -> RegistrationSent:
    return RegistrationSent(HOME, "agent@visited.example", "192.0.2.1", round_, lifetime, False, "an offer")


class DurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told = Told("initiator")
        self.log = EventLog("error", lambda: 0.0)
        self.end = self.told.durations.watch(self.log)

    def report(self, *events: Any) -> None:
        """Report events, a second apart."""
        for event in events:
            self.log.report(event)
            self.told.monotonic += 1.0

    def test_registering_is_from_the_first_request_to_the_keys(self) -> None:
        heard = self.told.durations._heard
        for event in (sent(), sent(2), sent(2), REGISTERED):
            heard(0.0, event)
            self.told.monotonic += 1.0
        self.assertEqual(
            (self.told.durations.registration.total, self.told.durations.registration.cumulated()[-1]), (3.0, 1)
        )

    def test_what_fails_and_what_ends_a_registration_is_not_counted(self) -> None:
        heard = self.told.durations._heard
        for event in (
            sent(),
            NegotiationFailed(HOME, "no answer", ()),
            REGISTERED,
            sent(lifetime=0),
            REGISTERED,
        ):
            heard(0.0, event)
        self.assertEqual(self.told.durations.registration.cumulated()[-1], 0)

    def test_moves_tell_their_pause(self) -> None:
        self.report(Moved(HOME, "a@x", "b@x", "why", 0.5, 0.02, 2, 1, 100))
        self.assertEqual(self.told.durations.pause.total, 0.02)
        self.end()
        self.report(Moved(HOME, "a@x", "b@x", "why", 0.5, 0.02, 2, 1, 100))
        self.assertEqual(self.told.durations.pause.cumulated()[-1], 1)


class LagTests(SynchronousTestCase):
    def test_a_reactor_in_time_is_not_late(self) -> None:
        clock = Clock()
        lag = Lag(clock)
        lag.start()
        clock.pump([1.0] * 5)
        self.assertEqual(lag.latest(), 0.0)

    def test_the_latest_of_a_minute(self) -> None:
        clock = Clock()
        lag = Lag(clock)
        lag.start()
        clock.advance(3.5)
        self.assertEqual(lag.latest(), 2.5)
        clock.pump([1.0] * 59)
        self.assertEqual(lag.latest(), 2.5)
        clock.pump([1.0] * 2)
        self.assertEqual(lag.latest(), 0.0)
        lag.stop()
        self.assertEqual(clock.getDelayedCalls(), [])


class _Link:
    """A link as far as it is counted."""

    def __init__(self, here: int, octets: int) -> None:
        self.association = type("Association", (), {"here": here})()
        self.octets_in, self.octets_out = octets, 2 * octets
        self.dialogs = (object(), object())


class TrafficTests(SynchronousTestCase):
    def test_links_count_while_they_are_open_and_their_octets_after_that(self) -> None:
        nobody: Any = None
        traffic, one, two = Traffic(nobody), _Link(1, 10), _Link(2, 5)
        links: list[Any] = [one, two]
        for each in links:
            traffic.opened(each)
        self.assertEqual((traffic.open_links, traffic.open_dialogs, traffic.in_all()), (2, 4, (15, 30)))
        traffic.closed(links[0], None)
        two.octets_in += 1
        self.assertEqual((traffic.open_links, traffic.open_dialogs, traffic.in_all()), (1, 2, (16, 30)))
        traffic.closed(links[0], None)
        self.assertEqual(traffic.in_all(), (16, 30))
