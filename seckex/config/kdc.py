"""The settings of a key distribution center: a daemon of its own, or a part of a home agent's or an AAA server's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.common import Identity, State
from seckex.config.hops import HopSettings, HopsListen
from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.structure import Unread
from seckex.config.values import NAI, Nai, OneOf, Seconds, Several, Whole, Words
from seckex.wire.numbers import Keying

#: The modes in which a center has a part (docs/registration.md, section 7), by their names.
MODES: Final[Mapping[str, Keying]] = {"stateful": Keying.STATEFUL, "semi-stateful": Keying.SEMI_STATEFUL}
MAX_REPLICAS: Final = 64

_CENTER: Final = Words(f'{NAI.expected}, or ""', lambda text: not text or NAI.fits(text))


@frozen(kw_only=True)
class Kdc:
    """What a key distribution center does; the section is what makes a daemon one."""

    keying: Annotated[tuple[Annotated[str, OneOf(tuple(MODES))], ...], Several(1, len(MODES))] = tuple(MODES)
    """In which modes keys are issued; another is refused (code 129)."""

    longest_lifetime: Annotated[int, Seconds(60, 28800)] = 28800
    """Keys for a longer registration are refused (code 276)."""

    replicates: Annotated[str, _CENTER] = ""
    """Another center, whose nodes this one knows and issues keys for; without one it has nodes of its own."""

    replicas: Annotated[tuple[Nai, ...], Several(0, MAX_REPLICAS)] = ()
    """Centers that are told of all nodes, since they replicate this one."""

    principals: Annotated[int, Whole(1, 10_000_000)] = 100_000
    """Nodes at most; a further one is not taken."""

    issue_rate: Annotated[int, Whole(0, 60_000)] = 60
    """Registrations of one node for which keys are issued, a minute; more are refused (code 130). 0: any number."""

    issue_burst: Annotated[int, Whole(1, 60_000)] = 60
    """So many may come at once, after which it is ``issue_rate``."""

    issued: Annotated[int, Whole(1024, 10_000_000)] = 262_144
    """Requests whose keys are remembered, for 60 s each; of more, the oldest is forgotten and would get other keys."""


def kdc_contradictions(sections: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with ``[kdc]`` and what stands beside it."""
    kdc: Kdc | None = sections.get("kdc")
    if kdc is None:
        return
    hops = sections.get("hops", ())
    neighbours = [hop.nai for hop in hops if not isinstance(hop, Unread)]
    if kdc.replicates and kdc.replicates not in neighbours and len(neighbours) == len(hops):
        advice = nearest(kdc.replicates, neighbours) or "add it to hops"
        yield Problem("kdc.replicates", f"must be one of hops, not {shown(kdc.replicates)}; {advice}")
    identity: Identity | None = sections.get("identity")
    state: State | None = sections.get("state")
    yield from repeated(kdc.keying, "kdc.keying[{}]".format)
    yield from repeated(kdc.replicas, "kdc.replicas[{}]".format)
    if kdc.replicates and kdc.replicas:
        yield Problem("kdc.replicas", "must go: a replica has none itself, let them replicate kdc.replicates")
    if identity is not None:
        if identity.nai == kdc.replicates:
            yield Problem("kdc.replicates", "must be somebody else: this is identity.nai")
        for index, nai in enumerate(kdc.replicas):
            if nai == identity.nai:
                yield Problem(f"kdc.replicas[{index}]", "must be somebody else: this is identity.nai")
    if state is not None and state.worker:
        yield Problem("state.worker", "must be 0: a center is one process; have several centers, as replicas")


@frozen(kw_only=True)
class KdcSettings(HopSettings):
    """A file with ``role = "kdc"``."""

    role: ClassVar[str] = "kdc"

    kdc: Kdc = Factory(Kdc)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        yield from kdc_contradictions(sections)
        for index, hop in enumerate(sections.get("hops", ())):
            if not isinstance(hop, Unread) and hop.security != "tls":
                yield Problem(f"hops[{index}].security", 'must be "tls": a center alone negotiates no associations')
        listen: HopsListen | None = sections.get("hops_listen")
        if listen is not None and not listen.addresses:
            yield Problem("hops-listen.addresses", "is required: home agents could not ask")
