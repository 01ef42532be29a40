"""What a daemon tells of its own certificate."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event


@frozen
class CertificateExpires(Event):
    """Our own certificate, or one above it, ends soon or has ended: ``not_after``, in so many whole ``days``."""

    level: ClassVar[str] = "warn"
    nai: str
    not_after: str
    days: int

    def __str__(self) -> str:
        what = f"{self.days} days from now" if self.days >= 0 else "which is over: nobody believes it any more"
        return f"the certificate of {self.nai} is good until {self.not_after}, {what}; have it renewed, then reload"
