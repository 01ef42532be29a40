"""What a principal is willing to agree on.

A policy is a list of proposals in order of preference; each lists, for every
protocol, the algorithms that may be chosen with it. It is the same shape as an
offer, so one function serves both directions of a negotiation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from seckex.crypto.groups.user import FEWEST_BITS, MOST_BITS, Parameters
from seckex.sa.algorithms import Algorithm
from seckex.wire.numbers import ProtocolId

# What a predefined bundle stands for: its transforms for each protocol, numbered from 1 in this order.
Bundle: TypeAlias = Mapping[ProtocolId, tuple[Algorithm, ...]]


@frozen
class PolicyProposal:
    """One acceptable combination: an AND over protocols of an OR over algorithms.

    ``lifetime`` is the longest that the association may live, in seconds;
    ``mebioctets`` the most that it may carry, in units of 2^20 octets, 0 for no
    bound. With a ``bundle`` the algorithms are those of that bundle and are
    offered by its number.
    """

    algorithms: Mapping[ProtocolId, tuple[Algorithm, ...]]
    lifetime: int
    mebioctets: int = 0
    bundle: int = 0


@frozen
class Policy:
    """All that is acceptable.

    ``mandatory`` protocols must be in every agreement. ``shortest_lifetime``
    in seconds: less is refused. ``open_with`` is how many of the proposals go
    into a first offer (0: all); the others are what a counter-offer may still
    ask for. ``guesses`` is for how many groups an offer holds key exchanges.
    ``bundles`` are the predefined ones by their SPI; ``groups`` the user-defined groups that
    the proposals name, by fingerprint, known to be good; ``prime_bits`` what the P of any other may
    have at least and at most.
    """

    proposals: tuple[PolicyProposal, ...]
    mandatory: frozenset[ProtocolId]
    shortest_lifetime: int = 60
    open_with: int = 0
    guesses: int = 1
    bundles: Mapping[int, Bundle] = field(factory=dict)
    groups: Mapping[bytes, Parameters] = field(factory=dict)
    prime_bits: tuple[int, int] = (FEWEST_BITS, MOST_BITS)
