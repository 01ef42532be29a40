"""The settings of the daemon that answers negotiations and connects dialogs to the services behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.accounting import Accounting
from seckex.config.common import MAX_PEERS, OF_PEERS
from seckex.config.endpoints import ClientEndpoint
from seckex.config.foreign_agent import ForeignAgent, foreign_agent_contradictions
from seckex.config.home_agent import HomeAgent, home_agent_contradictions
from seckex.config.kdc import Kdc, kdc_contradictions
from seckex.config.listen import ListeningLimits, ListeningSettings
from seckex.config.messages import Messages, messages_contradictions
from seckex.config.problems import Problem, nearest, shown
from seckex.config.structure import Unread
from seckex.config.values import SERVICE, Nai, Named, OneOf, ServiceName, Several, Whole

MAX_SERVICES: Final = 1024


@frozen(kw_only=True)
class ResponderPeer:
    """A principal that may negotiate and open dialogs."""

    nai: Nai
    """Its network access identifier; ``*@realm`` is everybody of that realm who has a certificate or has registered."""

    authentication: Annotated[str, OneOf(OF_PEERS)] = "key0"
    """What each proves its name by: a KEY 0 that both share, or a certificate of its own (see ``[identity]``); with
    "registration" it is a mobile node that registers here (see ``[home-agent]``)."""

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
class ResponderSettings(ListeningSettings):
    """A file with ``role = "responder"``."""

    role: ClassVar[str] = "responder"

    peers: Annotated[tuple[ResponderPeer, ...], Several(0, MAX_PEERS)] = ()
    services: Annotated[Mapping[str, Service], Named(SERVICE, MAX_SERVICES)] = Factory(dict)
    home_agent: HomeAgent | None = None
    foreign_agent: ForeignAgent | None = None
    kdc: Kdc | None = None
    messages: Messages | None = None
    accounting: Accounting = Factory(Accounting)
    limits: ResponderLimits = Factory(ResponderLimits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        yield from kdc_contradictions(sections)
        yield from messages_contradictions(sections, listens=True)
        yield from _home_agent(sections)
        if "services" not in sections:
            return
        known = list(sections["services"])
        for index, peer in enumerate(sections.get("peers", ())):
            for place, name in enumerate(() if isinstance(peer, Unread) else peer.services):
                if name not in known:
                    advice = nearest(name, known) or "add it as a table of services"
                    path = f"peers[{index}].services[{place}]"
                    yield Problem(path, f"must be one of services, not {shown(name)}; {advice}")

    @classmethod
    def by_certificate(cls, sections: Mapping[str, Any]) -> Iterator[str]:
        """Yield whom our certificate is for, in words."""
        yield from super().by_certificate(sections)
        if sections.get("home_agent") is not None:
            yield "home-agent signs with it"


def _home_agent(sections: Mapping[str, Any]) -> Iterator[Problem]:
    hops = sections.get("hops", ())
    neighbours = tuple(hop.nai for hop in hops if not isinstance(hop, Unread))
    if len(neighbours) == len(hops):
        # A neighbour whose table cannot be read may be the one that is meant.
        yield from home_agent_contradictions(sections, neighbours)
        yield from foreign_agent_contradictions(sections, neighbours)
    if sections.get("foreign_agent") is not None and "home_agent" in sections and sections["home_agent"] is None:
        yield Problem("foreign-agent", "must go, or home-agent be there: an agent alone is the daemon seckex-agent")
    if "home_agent" in sections and sections["home_agent"] is None:
        for index, peer in enumerate(sections.get("peers", ())):
            if not isinstance(peer, Unread) and peer.authentication == "registration":
                why = 'must be another: "registration" is for the nodes of a home agent, [home-agent]'
                yield Problem(f"peers[{index}].authentication", why)
