"""The settings of what is told to Prometheus and to whoever watches that daemons live; without any nothing listens."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Final

from attrs import frozen

from seckex.config.problems import Problem, Unfit, repeated
from seckex.config.values import Several, is_address

MAX_PLACES: Final = 16


def place_of(text: str) -> tuple[str, int] | None:
    """Return address and port of ``127.0.0.1:9464`` or ``[::1]:9464``, None for anything else."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not is_address(bare) or (":" in bare) != (bare != host):
        return None
    right = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    return (bare, int(port)) if right else None


@frozen
class Place:
    """Reads an address and a port; the value is as it was written."""

    expected: str = 'an address and a port, such as "127.0.0.1:9464" or "[::1]:9464"'

    def read(self, raw: object) -> str:
        """Return the text."""
        if not isinstance(raw, str) or place_of(raw) is None:
            raise Unfit(self.expected, raw)
        return raw


@frozen(kw_only=True)
class Metrics:
    """Where metrics, liveness and readiness are served, over HTTP."""

    listen: Annotated[tuple[Annotated[str, Place()], ...], Several(0, MAX_PLACES)] = ()
    """Addresses and TCP ports; without any there are none. Whoever can connect may read all that is there."""

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Addresses and ports."""
        return tuple(place for place in map(place_of, self.listen) if place is not None)

    @property
    def open_to_others(self) -> tuple[str, ...]:
        """Those of them that other machines may reach."""
        pairs = zip(self.listen, self.places, strict=True)
        return tuple(text for text, (host, _) in pairs if not ip_address(host).is_loopback)

    def contradictions(self) -> Iterator[Problem]:
        """Yield what is there twice."""
        yield from repeated(self.listen, "metrics.listen[{}]".format)
