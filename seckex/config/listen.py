"""The settings of a daemon that others ask: where it is found, and how much it lets be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from attrs import Factory, frozen

from seckex.config.common import Limits
from seckex.config.hops import HopSettings, HopsListen
from seckex.config.problems import Problem, repeated
from seckex.config.values import Address, OneOf, Port, Seconds, Several, Whole


@frozen(kw_only=True)
class Listen:
    """Where peers find the daemon."""

    addresses: Annotated[tuple[Address, ...], Several(1, 64)] = ("127.0.0.1", "::1")
    """The addresses to listen on; ``0.0.0.0`` and ``::`` are all of the machine's."""

    port: Port = 4434
    """One port for UDP and TCP."""

    def contradictions(self) -> Iterator[Problem]:
        """Yield what is wrong between addresses that are each right."""
        yield from repeated(self.addresses, "listen.addresses[{}]".format)
        if "::" in self.addresses and "0.0.0.0" in self.addresses:  # noqa: S104  # as it was written
            place = self.addresses.index("0.0.0.0")  # noqa: S104  # the same
            yield Problem(f"listen.addresses[{place}]", 'must go: "::" alone is all addresses of both families')


@frozen(kw_only=True)
class ListeningLimits(Limits):
    """The bounds of the tables of a daemon that others ask."""

    half_open: Annotated[int, Whole(1, 1_000_000)] = 1024
    """Exchanges between a counter-offer and the next offer, at once; the oldest gives way: it can begin anew."""

    replay_records: Annotated[int, Whole(1, 10_000_000)] = 65536
    """Requests remembered against replay, for the window at both sides of now; at the bound new ones are refused."""

    clock_window: Annotated[int, Seconds(10, 3600)] = 300
    """How far a request's clock may be from ours."""

    cookies: Annotated[str, OneOf(("auto", "always", "never"))] = "auto"
    """When an offer over UDP has to prove its address with a cookie: under load, always or never."""

    cookie_threshold: Annotated[int, Whole(1, 1_000_000)] = 200
    """Offers a second without a cookie; more of them are load."""

    source_rate: Annotated[int, Whole(1, 1_000_000)] = 50
    """Offers a second from one part of the net; beyond, cookies are asked for, and then there is silence."""

    source_burst: Annotated[int, Whole(1, 1_000_000)] = 200
    """So many of them at once after a while without."""

    source_ipv4_prefix: Annotated[int, Whole(8, 32)] = 24
    """How many leading bits of an IPv4 address tell the part of the net."""

    source_ipv6_prefix: Annotated[int, Whole(16, 128)] = 48
    """The same for IPv6."""

    sources: Annotated[int, Whole(16, 1_000_000)] = 4096
    """Parts of the net whose rates are remembered; beyond, the one that was heard least recently is forgotten."""

    messages_over_tcp: Annotated[int, Whole(1, 65536)] = 256
    """TCP connections at once for long messages; for a further one another is closed."""

    links: Annotated[int, Whole(1, 65536)] = 1024
    """TCP connections with peers at once; a further one is closed."""


@frozen(kw_only=True)
class ListeningSettings(HopSettings):
    """The settings of a role that others ask."""

    listen: Listen = Factory(Listen)
    limits: ListeningLimits = Factory(ListeningLimits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        listen: Listen | None = sections.get("listen")
        if listen is None:
            return
        yield from listen.contradictions()
        hops: HopsListen | None = sections.get("hops_listen")
        if hops is not None and hops.port == listen.port and any(_meet(listen.addresses, hops.addresses)):
            yield Problem("hops-listen.port", f"must differ from listen.port, {listen.port}: the addresses meet")


def _meet(some: tuple[str, ...], others: tuple[str, ...]) -> Iterator[bool]:
    """Yield for each pair of addresses whether one port cannot be listened on at both."""
    for one in some:
        for other in others:
            same_family = (":" in one) == (":" in other)
            everywhere = "::" in (one, other) or ("0.0.0.0" in (one, other) and same_family)  # noqa: S104  # as written
            yield one == other or everywhere
