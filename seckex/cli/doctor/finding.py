"""What the doctor finds: one thing looked at, how it is, and what to do about it."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Health(Enum):
    """How a thing is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@frozen
class Finding:
    """``check`` is what was looked at, ``what`` how it is, ``advice`` what to do where it is not good."""

    check: str
    health: Health
    what: str
    advice: str = ""


def good(check: str, what: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, Health.GOOD, what)


def doubtful(check: str, what: str, advice: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(check, Health.DOUBTFUL, what, advice)


def bad(check: str, what: str, advice: str) -> Finding:
    """Return a finding that has to be mended."""
    return Finding(check, Health.BAD, what, advice)
