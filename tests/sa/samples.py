"""What the tests of this room share: offers and policies by the names of their algorithms, and all sorts of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve
from hypothesis import strategies as st

from seckex.sa.algorithms import ALL, BY_NAME, PROTOCOL_NAMES, Algorithm
from seckex.sa.association import Agreement
from seckex.sa.offer import Alternative, Offer, OfferedProtocol, OfferedTransform, describe, numbered
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import GROUP_X25519, ProtocolId

HOUR: Final = 3600
SHARE: Final = b"\x55" * 32

ENCRYPTION: Final = ProtocolId.ENCRYPTION
AUTHENTICATION: Final = ProtocolId.AUTHENTICATION
PRF: Final = ProtocolId.PRF
KEY_AGREEMENT: Final = ProtocolId.KEY_AGREEMENT


def by_protocol(names: tuple[str, ...]) -> dict[ProtocolId, tuple[Algorithm, ...]]:
    """Sort algorithms into their protocols, in the order given."""
    sorted_out: dict[ProtocolId, tuple[Algorithm, ...]] = {}
    for name in names:
        algorithm = BY_NAME[name]
        sorted_out[algorithm.protocol] = (*sorted_out.get(algorithm.protocol, ()), algorithm)
    return sorted_out


def alternative(*names: str, lifetime: int = HOUR, mebioctets: int = 0, share: bool = True) -> Alternative:
    """One proposal number of an offer; a key agreement comes with its key exchange."""
    shares = {GROUP_X25519: SHARE} if share and "x25519" in names else {}
    return evolve(describe(by_protocol(names), lifetime, mebioctets), shares=shares)


def offer(*alternatives: Alternative) -> Offer:
    """Number alternatives from 1."""
    return numbered(alternatives)


def proposal(*names: str, lifetime: int = 2 * HOUR, mebioctets: int = 0) -> PolicyProposal:
    """One proposal of a policy."""
    return PolicyProposal(by_protocol(names), lifetime, mebioctets)


def policy(*proposals: PolicyProposal, mandatory: tuple[ProtocolId, ...] = (ENCRYPTION,), shortest: int = 60) -> Policy:
    """Put proposals into a policy."""
    return Policy(proposals, frozenset(mandatory), shortest)


def chosen_names(agreement: Agreement) -> list[str]:
    """Name what was agreed on."""
    return [algorithm.name for algorithm in agreement.algorithms]


# -- all sorts of offers and policies

lifetimes: Final = st.sampled_from((0, 59, 60, 61, HOUR, 2 * HOUR, 2**32 - 1))
bounds: Final = st.sampled_from((0, 1, 2, 1000, 2**16 - 1, 2**16, 2**40))

_LISTS: Final[Mapping[ProtocolId, tuple[Algorithm, ...]]] = {
    protocol: tuple(algorithm for algorithm in ALL if algorithm.protocol == protocol) for protocol in PROTOCOL_NAMES
}


def _lists(protocol: ProtocolId) -> st.SearchStrategy[tuple[Algorithm, ...]]:
    return st.lists(st.sampled_from(_LISTS[protocol]), min_size=1, unique=True).map(tuple)


@st.composite
def combinations(draw: st.DrawFn) -> dict[ProtocolId, tuple[Algorithm, ...]]:
    """Some protocols, at least one, each with some of its algorithms in any order."""
    protocols = draw(st.lists(st.sampled_from(sorted(_LISTS)), min_size=1, unique=True))
    return {protocol: draw(_lists(protocol)) for protocol in protocols}


@st.composite
def known_alternatives(draw: st.DrawFn) -> Alternative:
    """Alternatives whose every transform is known, with their key exchange or without."""
    described = describe(draw(combinations()), draw(lifetimes), draw(bounds))
    serves = any(member.protocol is KEY_AGREEMENT for member in described.protocols)
    shares = {GROUP_X25519: SHARE} if serves and draw(st.booleans()) else {}
    return evolve(described, shares=shares)


@st.composite
def strange_alternatives(draw: st.DrawFn) -> Alternative:
    """Alternatives of which one member is not quite known here: a transform, the protocol, or a bundle."""
    known = draw(known_alternatives())
    at = draw(st.integers(0, len(known.protocols) - 1))
    member = known.protocols[at]
    unknown = OfferedTransform(0, None, "transform 99", draw(bounds))
    match draw(st.sampled_from(("transform", "protocol", "bundle"))):
        case "transform":
            transforms = list(member.transforms)
            transforms.insert(draw(st.integers(0, len(transforms))), unknown)
            member = evolve(member, transforms=tuple(transforms))
        case "protocol":
            member = OfferedProtocol(member.number, None, "protocol 9", (unknown,))
        case _:
            member = evolve(member, transforms=(), bundle=draw(st.integers(1, 255)))
    member = evolve(member, transforms=tuple(evolve(t, number=n) for n, t in enumerate(member.transforms, start=1)))
    return evolve(known, protocols=(*known.protocols[:at], member, *known.protocols[at + 1 :]))


known_offers: Final = st.lists(known_alternatives(), min_size=1, max_size=3).map(numbered)
offers: Final = st.lists(known_alternatives() | strange_alternatives(), min_size=1, max_size=3).map(numbered)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies as a configuration can have them: each proposal has what is mandatory and lives long enough."""
    mandatory = draw(st.sets(st.sampled_from(sorted(_LISTS))))
    shortest = draw(st.sampled_from((1, 60, HOUR)))
    proposals = []
    for algorithms in draw(st.lists(combinations(), min_size=1, max_size=3)):
        complete = {protocol: algorithms.get(protocol) or draw(_lists(protocol)) for protocol in mandatory}
        lifetime = draw(st.integers(shortest, 2 * HOUR))
        proposals.append(PolicyProposal({**algorithms, **complete}, lifetime, draw(bounds)))
    return Policy(tuple(proposals), frozenset(mandatory), shortest)
