"""How single values are read: bounded numbers, durations, sizes, names.

A setting's type carries its reader, as in ``Annotated[int, Seconds(10, 3600)]``:
the limit stands beside the default, and the same reader says in an error what
would have been right. Readers are strict, nothing is converted by accident: a
number in quotes is not a number, ``true`` is not 1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol, runtime_checkable

from attrs import frozen

from seckex.config.problems import Unfit, nearest
from seckex.wire.info import is_nai
from seckex.wire.numbers import MAX_NAI, MAX_SERVICE

_QUANTITY: Final = re.compile(r"([0-9]{1,18}) ?([A-Za-z]{1,3})")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OCTETS: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
MEBIOCTET: Final = 2**20


@runtime_checkable
class Reader(Protocol):
    """Turns what TOML had into the value of a setting, or raises `Unfit`."""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        ...

    def read(self, raw: object) -> Any:
        """Return the value."""
        ...


@frozen
class Whole:
    """A whole number between two limits, both allowed."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, raw: object) -> int:
        """Return the number."""
        if not isinstance(raw, int) or isinstance(raw, bool) or not self.low <= raw <= self.high:
            raise Unfit(self.expected, raw)
        return raw


def _quantity(raw: object, units: dict[str, int]) -> int | None:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    match = _QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
    if match is None or match[2] not in units:
        return None
    return int(match[1]) * units[match[2]]


def duration(seconds: int) -> str:
    """Return ``seconds`` in the largest unit that divides them: ``"8h"``."""
    return _in_units(seconds, _SECONDS, "")


def size(octets: int) -> str:
    """Return ``octets`` in the largest unit that divides them: ``"64 GiB"``."""
    return _in_units(octets, _OCTETS, " ")


def _in_units(amount: int, units: dict[str, int], gap: str) -> str:
    whole = (name for name, unit in units.items() if amount >= unit and amount % unit == 0)
    name = max(whole, key=units.__getitem__, default=next(iter(units)))
    return f"{amount // units[name]}{gap}{name}"


@frozen
class Seconds:
    """A duration between two limits in seconds: ``300`` or ``"5m"``; units s, m, h, d."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f'a duration from "{duration(self.low)}" to "{duration(self.high)}" (a number of seconds, or s, m, h, d)'

    def read(self, raw: object) -> int:
        """Return the seconds."""
        seconds = _quantity(raw, _SECONDS)
        if seconds is None or not self.low <= seconds <= self.high:
            raise Unfit(self.expected, raw)
        return seconds


@frozen
class OneDuration:
    """One of a few durations, in seconds: ``1800`` or ``"30m"``."""

    seconds: tuple[int, ...]

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return "one of " + ", ".join(f'"{duration(each)}"' for each in self.seconds)

    def read(self, raw: object) -> int:
        """Return the seconds."""
        seconds = _quantity(raw, _SECONDS)
        if seconds not in self.seconds:
            raise Unfit(self.expected, raw)
        return seconds


@frozen
class Octets:
    """A size between two limits in octets, in steps of ``step``: ``65536`` or ``"64 KiB"``; 0 if ``unbounded``."""

    low: int
    high: int
    step: int = 1
    unbounded: bool = False

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        multiple = f" in steps of {size(self.step)}" if self.step > 1 else ""
        no_bound = ", or 0 for no bound" if self.unbounded else ""
        limits = f'from "{size(self.low)}" to "{size(self.high)}"'
        return f"a size {limits}{multiple} (a number of octets, or KiB, MiB, GiB, TiB){no_bound}"

    def read(self, raw: object) -> int:
        """Return the octets."""
        octets = _quantity(raw, _OCTETS)
        if octets == 0 and self.unbounded:
            return octets
        if octets is None or octets % self.step or not self.low <= octets <= self.high:
            raise Unfit(self.expected, raw)
        return octets


@frozen
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return "one of " + ", ".join(f'"{word}"' for word in self.words)

    def read(self, raw: object) -> str:
        """Return the word."""
        if not isinstance(raw, str):
            raise Unfit(self.expected, raw)
        if raw not in self.words:
            raise Unfit(self.expected, raw, nearest(raw, self.words))
        return raw


@frozen
class Words:
    """A text that ``fits``; ``expected`` describes it."""

    expected: str
    fits: Callable[[str], bool]

    def read(self, raw: object) -> str:
        """Return the text."""
        if not isinstance(raw, str) or not self.fits(raw):
            raise Unfit(self.expected, raw)
        return raw


@frozen
class Several:
    """A list with a least and a greatest length; its elements have readers of their own."""

    least: int
    most: int

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f"a list of {self.least} to {self.most}"

    def check(self, raw: object) -> None:
        """Raise `Unfit` for what is no list, or one of the wrong length."""
        if not isinstance(raw, list) or not self.least <= len(raw) <= self.most:
            raise Unfit(self.expected, raw)


@frozen
class Named:
    """A table of tables whose keys are names; ``name`` reads them."""

    name: Reader
    most: int

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f"a table of at most {self.most}"

    def check(self, raw: object) -> None:
        """Raise `Unfit` for what is no table, has too many entries or a name that will not do."""
        if not isinstance(raw, dict) or len(raw) > self.most:
            raise Unfit(self.expected, raw)
        for key in raw:
            try:
                self.name.read(key)
            except Unfit as error:
                raise Unfit(f"a table whose names are each {error.expected}", raw) from None


def _is_nai(text: str) -> bool:
    if not is_nai(text) or not text.isprintable():
        return False
    labels = text.partition("@")[2].split(".")
    return all(label.replace("-", "").isalnum() and label.strip("-") == label for label in labels)


def is_realm(text: str) -> bool:
    """Tell whether ``text`` is what stands behind the @ of a NAI."""
    return "@" not in text and _is_nai(f"x@{text}")


def is_address(text: str) -> bool:
    """Tell whether ``text`` is an IPv4 or IPv6 literal."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Tell whether ``text`` is an address literal or could be a DNS name."""
    if is_address(text):
        return True
    labels = text.removesuffix(".").split(".")
    # A name that ends in a number is a mistyped IPv4 address, as in "127.0.0.256".
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _is_service(text: str) -> bool:
    return text.isprintable() and 1 <= len(text.encode()) <= MAX_SERVICE


NAI: Final = Words(f'a network access identifier such as "name@example.org", at most {MAX_NAI} octets', _is_nai)
SERVICE: Final = Words(f"the name of a service, 1 to {MAX_SERVICE} octets of printable text", _is_service)

Nai = Annotated[str, NAI]
ServiceName = Annotated[str, SERVICE]
Address = Annotated[str, Words('an IP address such as "127.0.0.1" or "::1"', is_address)]
Host = Annotated[str, Words('an IP address or a DNS name, without a port or brackets, such as "192.0.2.1"', is_host)]
Port = Annotated[int, Whole(1, 65535)]
