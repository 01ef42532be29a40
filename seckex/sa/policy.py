"""What a principal is willing to agree on.

A policy is a list of proposals in order of preference; each lists, for every
protocol, the algorithms that may be chosen with it. It is the same shape as an
offer, so one function serves both directions of a negotiation.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from seckex.sa.algorithms import Algorithm
from seckex.wire.numbers import ProtocolId


@frozen
class PolicyProposal:
    """One acceptable combination: an AND over protocols of an OR over algorithms.

    ``lifetime`` is the longest that the association may live, in seconds;
    ``mebioctets`` the most that it may carry, in units of 2^20 octets, 0 for no
    bound.
    """

    algorithms: Mapping[ProtocolId, tuple[Algorithm, ...]]
    lifetime: int
    mebioctets: int = 0


@frozen
class Policy:
    """All that is acceptable.

    ``mandatory`` protocols must be in every agreement. ``shortest_lifetime``
    in seconds: less is refused. ``open_with`` is how many of the proposals go
    into a first offer (0: all); the others are what a counter-offer may still
    ask for.
    """

    proposals: tuple[PolicyProposal, ...]
    mandatory: frozenset[ProtocolId]
    shortest_lifetime: int = 60
    open_with: int = 0
