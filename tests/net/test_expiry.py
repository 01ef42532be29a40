"""A certificate that ends soon is told of once a day, and not before."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.credentials import Credentials
from seckex.events import Event
from seckex.events.certificates import CertificateExpires
from seckex.net.expiry import DAY, daily, expiring
from tests.conversation import HOME
from tests.crypto.certified import NOW, Maker, trust


def credentials(days: float, *, lived: float = 300) -> Credentials:
    """Return credentials that end in so many days from `NOW`."""
    root = Maker.root(until=NOW + 1000 * DAY)
    return Credentials(root.identity(HOME, since=NOW - lived * DAY, until=NOW + days * DAY), trust(root))


class ExpiryTests(SynchronousTestCase):
    def test_within_thirty_days_of_the_end(self) -> None:
        self.assertIsNone(expiring(None, NOW))
        self.assertIsNone(expiring(credentials(30), NOW))
        self.assertEqual(expiring(credentials(29.5), NOW), CertificateExpires(HOME, "2026-10-21 02:13:20 UTC", 29))

    def test_of_a_short_life_within_its_last_third(self) -> None:
        self.assertIsNone(expiring(credentials(4, lived=6), NOW))
        self.assertIsNotNone(expiring(credentials(3, lived=6.5), NOW))

    def test_what_is_over_is_said_to_be(self) -> None:
        event = expiring(credentials(-2), NOW)
        assert event is not None
        self.assertEqual(event.days, -2)
        self.assertIn("is over", str(event))
        self.assertIn("29 days from now", str(expiring(credentials(29.5), NOW)))

    def test_once_a_day_until_there_is_another(self) -> None:
        clock, told = Clock(), list[Event]()
        held = [credentials(31.5)]
        service = daily(clock, lambda: held[0], lambda: NOW + clock.seconds(), told.append)
        service.startService()
        self.addCleanup(service.stopService)
        self.assertEqual(told, [])
        clock.pump([DAY] * 4)
        self.assertEqual([event.days for event in told if isinstance(event, CertificateExpires)], [29, 28, 27])
        held[0] = credentials(365)
        clock.pump([DAY] * 3)
        self.assertEqual(len(told), 3)
