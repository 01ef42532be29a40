"""Key material that cannot be shown by accident.

A `Secret` redacts itself in ``repr`` and ``str``, refuses pickling and
copying into formatted text, and compares in constant time. Python cannot
promise to erase memory; what can be done is not to keep references, which the
schedule does by handing each stage's secret on and forgetting it.
"""

from __future__ import annotations

from typing import Final, NoReturn

from cryptography.hazmat.primitives.constant_time import bytes_eq

from seckex.errors import ApiMisuse

KEY0_SIZE: Final = 32


class Secret:
    """Octets that must not be seen; ``octets`` is the one way to them."""

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __len__(self) -> int:
        return len(self.octets)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.octets)} octets>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return bytes_eq(self.octets, other.octets)

    # A hash would invite secrets into dictionaries, where comparison is not in constant time.
    __hash__ = None  # type: ignore[assignment]  # the documented way to make a class unhashable

    def __reduce__(self) -> NoReturn:
        raise ApiMisuse("secrets are not pickled")


def equal(left: bytes, right: bytes) -> bool:
    """Compare two octet strings in constant time; strings of different length are unequal."""
    return bytes_eq(left, right)
