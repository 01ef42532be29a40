"""The settings of an agent's daemon: a foreign agent, an AAA relay, a key distribution center, or several of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from attrs import Factory, frozen

from seckex.config.aaa import Aaa, aaa_contradictions
from seckex.config.accounting import Accounting
from seckex.config.common import Identity
from seckex.config.foreign_agent import ForeignAgent, foreign_agent_contradictions
from seckex.config.kdc import Kdc, kdc_contradictions
from seckex.config.listen import ListeningLimits, ListeningSettings
from seckex.config.problems import Problem
from seckex.config.structure import Unread
from seckex.config.values import Whole


@frozen(kw_only=True)
class AgentLimits(ListeningLimits):
    """The bounds of the tables of an agent; on a visited link each address is a node's own."""

    source_ipv4_prefix: Annotated[int, Whole(8, 32)] = 32
    """How many leading bits of an IPv4 address tell the part of the net."""

    source_ipv6_prefix: Annotated[int, Whole(16, 128)] = 128
    """The same for IPv6."""


@frozen(kw_only=True)
class AgentSettings(ListeningSettings):
    """A file with ``role = "agent"``."""

    role: ClassVar[str] = "agent"

    foreign_agent: ForeignAgent | None = None
    aaa: Aaa = Factory(Aaa)
    kdc: Kdc | None = None
    accounting: Accounting = Factory(Accounting)
    limits: AgentLimits = Factory(AgentLimits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        yield from kdc_contradictions(sections)
        hops = sections.get("hops", ())
        neighbours = [hop.nai for hop in hops if not isinstance(hop, Unread)]
        if len(neighbours) == len(hops):
            # A neighbour whose table cannot be read may be the one that is meant.
            yield from foreign_agent_contradictions(sections, neighbours)
            identity: Identity | None = sections.get("identity")
            if "aaa" in sections and identity is not None:
                yield from aaa_contradictions(sections["aaa"], identity.nai, neighbours)
        parts = ("foreign_agent", "aaa", "kdc")
        if all(name in sections for name in parts):
            does = sections["foreign_agent"] or sections["kdc"] or sections["aaa"].relays
            if not does:
                yield Problem("foreign-agent", "is required, or aaa or kdc: this agent would do nothing")

    @classmethod
    def by_certificate(cls, sections: Mapping[str, Any]) -> Iterator[str]:
        """Yield whom our certificate is for, in words."""
        yield from super().by_certificate(sections)
        if sections.get("foreign_agent") is not None:
            yield "foreign-agent signs with it"
