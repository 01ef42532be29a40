"""What the tests of this room share: offers and policies by the names of their algorithms, and all sorts of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations as combinations_of
from itertools import permutations
from typing import Final

from attrs import evolve
from hypothesis import strategies as st

from seckex.sa.algorithms import ALL, BY_NAME, PROTOCOL_NAMES, Algorithm
from seckex.sa.association import Agreement
from seckex.sa.offer import Alternative, Offer, OfferedProtocol, OfferedTransform, describe, numbered
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import ProtocolId

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
    """One proposal number of an offer; each key agreement comes with a key exchange."""
    listed = by_protocol(names)
    return _known(listed, lifetime, mebioctets, share)


def offer(*alternatives: Alternative) -> Offer:
    """Return an offer of alternatives, numbered from 1."""
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


# -- all sorts of offers and policies, from flat strategies: they are drawn by the thousand

lifetimes: Final = st.sampled_from((0, 59, 60, HOUR, HOUR, 2 * HOUR, 2**32 - 1))
bounds: Final = st.sampled_from((0, 1, 2, 1000, 2**16 - 1, 2**16, 2**40 - 1))

_PROTOCOLS: Final = tuple(PROTOCOL_NAMES)


def _orders(protocol: ProtocolId) -> tuple[tuple[Algorithm, ...], ...]:
    """Return every list of some of a protocol's first three algorithms, none of them first."""
    listed = [algorithm for algorithm in ALL if algorithm.protocol == protocol][:3]
    return tuple(order for count in range(len(listed) + 1) for order in permutations(listed, count))


def _combination(lists: tuple[tuple[Algorithm, ...], ...]) -> dict[ProtocolId, tuple[Algorithm, ...]]:
    combination = {protocol: order for protocol, order in zip(_PROTOCOLS, lists, strict=True) if order}
    return combination or {ENCRYPTION: (BY_NAME["aes-256-gcm"],)}


#: Some protocols, at least one, each with some of its algorithms in any order.
combinations: Final = st.tuples(*(st.sampled_from(_orders(protocol)) for protocol in _PROTOCOLS)).map(_combination)


#: Three algorithms of each protocol, in any order.
complete: Final = st.tuples(
    *(
        st.sampled_from([order for order in _orders(protocol) if len(order) == len(_orders(protocol)[-1])])
        for protocol in _PROTOCOLS
    )
).map(_combination)


def _known(
    algorithms: Mapping[ProtocolId, tuple[Algorithm, ...]], lifetime: int, mebioctets: int, share: bool
) -> Alternative:
    shares = {algorithm.group: SHARE for algorithm in algorithms.get(KEY_AGREEMENT, ()) if share}
    return evolve(describe(algorithms, lifetime, mebioctets), shares=shares)


def _strange(known: Alternative, at: int, how: str, place: int) -> Alternative:
    at %= len(known.protocols)
    member = known.protocols[at]
    unknown = OfferedTransform(1, None, "transform 99")
    if how == "transform":
        transforms = list(member.transforms)
        transforms.insert(place, unknown)
        member = evolve(member, transforms=tuple(evolve(t, number=n) for n, t in enumerate(transforms, start=1)))
    elif how == "protocol":
        member = OfferedProtocol(member.number, None, "protocol 9", (unknown,))
    else:
        member = evolve(member, transforms=member.transforms[:place], bundle=7)
    return evolve(known, protocols=(*known.protocols[:at], member, *known.protocols[at + 1 :]))


#: Alternatives whose every transform is known, with their key exchange or without.
known_alternatives: Final = st.builds(_known, combinations, lifetimes, bounds, st.booleans())
#: Alternatives of which one member is not quite known here.
strange_alternatives: Final = st.builds(
    _strange,
    known_alternatives,
    st.integers(0, 3),
    st.sampled_from(("transform", "protocol", "bundle")),
    st.integers(0, 3),
)
known_offers: Final = st.lists(known_alternatives, min_size=1, max_size=3).map(numbered)
offers: Final = st.lists(known_alternatives | strange_alternatives, min_size=1, max_size=3).map(numbered)


def _policy(
    proposals: list[tuple[dict[ProtocolId, tuple[Algorithm, ...]], int, int]],
    mandatory: frozenset[ProtocolId],
    shortest: int,
) -> Policy:
    defaults = {protocol: _orders(protocol)[1] for protocol in mandatory}
    return Policy(
        tuple(
            PolicyProposal({**defaults, **algorithms}, shortest + more, mebioctets)
            for algorithms, more, mebioctets in proposals
        ),
        mandatory,
        shortest,
    )


#: Policies as a configuration can have them: each proposal has what is mandatory and lives long enough.
policies: Final = st.builds(
    _policy,
    st.lists(st.tuples(combinations | complete, st.sampled_from((0, 1, HOUR)), bounds), min_size=1, max_size=3),
    st.sampled_from([frozenset(some) for count in range(5) for some in combinations_of(_PROTOCOLS, count)]),
    st.sampled_from((1, 1, 60, HOUR)),
)
