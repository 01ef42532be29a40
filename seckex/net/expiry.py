"""Looks once a day whether our own certificate ends soon, and tells the operator if it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from twisted.application.internet import TimerService

from seckex.config.credentials import Credentials
from seckex.events import Event
from seckex.events.certificates import CertificateExpires

DAY: Final = 86400.0
#: How long before the end it is told of; of a life of less than 90 days, its last third.
SOON: Final = 30 * DAY


def expiring(credentials: Credentials | None, now: float) -> CertificateExpires | None:
    """Return what is to be told at ``now``, wall-clock seconds, if anything."""
    if credentials is None:
        return None
    own = credentials.identity
    left = own.not_after - now
    if left >= min(SOON, (own.not_after - own.not_before) / 3):
        return None
    return CertificateExpires(
        own.nai, f"{datetime.fromtimestamp(own.not_after, UTC):%Y-%m-%d %H:%M:%S} UTC", int(left // DAY)
    )


def daily(
    reactor: Any,
    credentials: Callable[[], Credentials | None],
    wall: Callable[[], float],
    report: Callable[[Event], None],
) -> TimerService:
    """Return the service that looks when it is started, and once a day from then on."""

    def look() -> None:
        event = expiring(credentials(), wall())
        if event is not None:
            report(event)

    service = TimerService(DAY, look)
    service.clock = reactor
    return service
