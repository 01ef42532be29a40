"""The settings of the daemon that answers negotiations and connects dialogs to the services behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.common import AUTHENTICATIONS, MAX_PEERS
from seckex.config.endpoints import ClientEndpoint
from seckex.config.hops import HopSettings
from seckex.config.kdc import Kdc, kdc_contradictions
from seckex.config.listen import Listen, ListeningLimits
from seckex.config.problems import Problem, nearest, shown
from seckex.config.structure import Unread
from seckex.config.values import SERVICE, Nai, Named, OneOf, ServiceName, Several, Whole

MAX_SERVICES: Final = 1024


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
class ResponderLimits(ListeningLimits):
    """The bounds of the tables of a responder."""

    dialogs_per_service: Annotated[int, Whole(1, 1_000_000)] = 1024
    """Dialogs with one service at once, over all links; a further one is rejected (code 303)."""


@frozen(kw_only=True)
class ResponderSettings(HopSettings):
    """A file with ``role = "responder"``."""

    role: ClassVar[str] = "responder"

    listen: Listen = Factory(Listen)
    peers: Annotated[tuple[ResponderPeer, ...], Several(1, MAX_PEERS)]
    services: Annotated[Mapping[str, Service], Named(SERVICE, MAX_SERVICES)] = Factory(dict)
    kdc: Kdc | None = None
    limits: ResponderLimits = Factory(ResponderLimits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        yield from kdc_contradictions(sections)
        if "listen" in sections:
            yield from sections["listen"].contradictions()
        if "services" not in sections:
            return
        known = list(sections["services"])
        for index, peer in enumerate(sections.get("peers", ())):
            for place, name in enumerate(() if isinstance(peer, Unread) else peer.services):
                if name not in known:
                    advice = nearest(name, known) or "add it as a table of services"
                    path = f"peers[{index}].services[{place}]"
                    yield Problem(path, f"must be one of services, not {shown(name)}; {advice}")
