"""The settings of the daemon that answers negotiations and connects dialogs to the services behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.common import AUTHENTICATIONS, MAX_PEERS, Limits
from seckex.config.endpoints import ClientEndpoint
from seckex.config.hops import HopSettings
from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.structure import Unread
from seckex.config.values import SERVICE, Address, Nai, Named, OneOf, Port, Seconds, ServiceName, Several, Whole

MAX_SERVICES: Final = 1024


@frozen(kw_only=True)
class Listen:
    """Where peers find the daemon."""

    addresses: Annotated[tuple[Address, ...], Several(1, 64)] = ("127.0.0.1", "::1")
    """The addresses to listen on; ``0.0.0.0`` and ``::`` are all of the machine's."""

    port: Port = 4434
    """One port for UDP and TCP."""


@frozen(kw_only=True)
class ResponderPeer:
    """A principal that may negotiate and open dialogs."""

    nai: Nai
    """Its network access identifier; with certificates ``*@realm`` is everybody of that realm who has one."""

    authentication: Annotated[str, OneOf(AUTHENTICATIONS)] = "key0"
    """What each proves its name by: a KEY 0 that both share, or a certificate of its own; see ``[identity]``."""

    key0: Path | None = None
    """The file of the KEY 0 shared with it; see ``seckex key new``."""

    services: Annotated[tuple[ServiceName, ...], Several(0, MAX_SERVICES)] = ()
    """The services that it may use; any other is refused (code 129)."""


@frozen(kw_only=True)
class Service:
    """A program that dialogs are connected to."""

    connect: ClientEndpoint
    """Where it listens: a Twisted client endpoint, ``tcp`` or ``unix``; or ``endpoint``: in this process."""


@frozen(kw_only=True)
class ResponderLimits(Limits):
    """The bounds of the tables of a responder."""

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

    dialogs_per_service: Annotated[int, Whole(1, 1_000_000)] = 1024
    """Dialogs with one service at once, over all links; a further one is rejected (code 303)."""


@frozen(kw_only=True)
class ResponderSettings(HopSettings):
    """A file with ``role = "responder"``."""

    role: ClassVar[str] = "responder"

    listen: Listen = Factory(Listen)
    peers: Annotated[tuple[ResponderPeer, ...], Several(1, MAX_PEERS)]
    services: Annotated[Mapping[str, Service], Named(SERVICE, MAX_SERVICES)] = Factory(dict)
    limits: ResponderLimits = Factory(ResponderLimits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        if "listen" in sections:
            addresses = sections["listen"].addresses
            yield from repeated(addresses, "listen.addresses[{}]".format)
            if "::" in addresses and "0.0.0.0" in addresses:  # noqa: S104  # as it was written
                place = addresses.index("0.0.0.0")  # noqa: S104  # the same
                yield Problem(f"listen.addresses[{place}]", 'must go: "::" alone is all addresses of both families')
        if "services" not in sections:
            return
        known = list(sections["services"])
        for index, peer in enumerate(sections.get("peers", ())):
            for place, name in enumerate(() if isinstance(peer, Unread) else peer.services):
                if name not in known:
                    advice = nearest(name, known) or "add it as a table of services"
                    path = f"peers[{index}].services[{place}]"
                    yield Problem(path, f"must be one of services, not {shown(name)}; {advice}")
