"""The policy of a file: what is offered and what is taken (docs/protocol.md, section 8).

Without a ``[policy]`` there is one proposal with every algorithm that is safe
with every other. In a proposal a list that is left out has its default, and an
empty list leaves its protocol out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from attrs import frozen

from seckex.config.problems import Problem, Unfit, nearest, repeated
from seckex.config.values import MEBIOCTET, Octets, Seconds, Several, Whole, duration
from seckex.sa.algorithms import ALL, BY_NAME, PROTOCOL_NAMES, Algorithm
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import MAX_TRANSFORMS, ProtocolId

MAX_PROPOSALS: Final = 8
_DAY: Final = 86400
_LONGEST: Final = 30 * _DAY

# docs/protocol.md, section 7: keys are derived with the PRF from the key agreement's secret, and section 10 seals with
# the encryption; without one of them there is no association to speak of.
INDISPENSABLE: Final = (ProtocolId.ENCRYPTION, ProtocolId.KEY_AGREEMENT, ProtocolId.PRF)


@frozen
class AlgorithmName:
    """Reads the name of an algorithm that serves ``protocol``."""

    protocol: ProtocolId

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        names = ", ".join(f'"{algorithm}"' for algorithm in ALL if algorithm.protocol == self.protocol)
        return f"an algorithm for {PROTOCOL_NAMES[self.protocol]} ({names})"

    def read(self, raw: object) -> Algorithm:
        """Return the algorithm."""
        known = BY_NAME.get(raw) if isinstance(raw, str) else None
        if known is None:
            raise Unfit(self.expected, raw, nearest(raw, BY_NAME) if isinstance(raw, str) else "")
        if known.protocol != self.protocol:
            raise Unfit(self.expected, raw, f"that is one for {PROTOCOL_NAMES[known.protocol]}")
        return known


@frozen
class ProtocolName:
    """Reads the name of a protocol."""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return "one of " + ", ".join(f'"{name}"' for name in PROTOCOL_NAMES.values())

    def read(self, raw: object) -> ProtocolId:
        """Return the protocol."""
        for protocol, name in PROTOCOL_NAMES.items():
            if raw == name:
                return protocol
        raise Unfit(self.expected, raw, nearest(raw, PROTOCOL_NAMES.values()) if isinstance(raw, str) else "")


def _named(*names: str) -> tuple[Algorithm, ...]:
    return tuple(BY_NAME[name] for name in names)


_ENCRYPTION: Final = AlgorithmName(ProtocolId.ENCRYPTION)
_AUTHENTICATION: Final = AlgorithmName(ProtocolId.AUTHENTICATION)
_PRF: Final = AlgorithmName(ProtocolId.PRF)
_KEY_AGREEMENT: Final = AlgorithmName(ProtocolId.KEY_AGREEMENT)
_ALTERNATIVES: Final = Several(0, MAX_TRANSFORMS)


@frozen(kw_only=True)
class ProposalSettings:
    """One combination that is acceptable; the algorithms of a list are alternatives, the best first."""

    encryption: Annotated[tuple[Annotated[Algorithm, _ENCRYPTION], ...], _ALTERNATIVES] = _named(
        "aes-256-gcm", "chacha20-poly1305", "aes-128-gcm"
    )
    """What seals the records of links."""

    authentication: Annotated[tuple[Annotated[Algorithm, _AUTHENTICATION], ...], _ALTERNATIVES] = _named(
        "hmac-sha-256", "hmac-sha-384"
    )
    """What authenticates control messages between the two."""

    prf: Annotated[tuple[Annotated[Algorithm, _PRF], ...], _ALTERNATIVES] = _named(
        "prf-hmac-sha-256", "prf-hmac-sha-384"
    )
    """What keys are derived with."""

    key_agreement: Annotated[tuple[Annotated[Algorithm, _KEY_AGREEMENT], ...], _ALTERNATIVES] = _named("x25519")
    """What gives forward secrecy."""

    lifetime: Annotated[int, Seconds(1, _LONGEST)] = 8 * 3600
    """The longest that the association may live; the lower of both sides' holds."""

    octets: Annotated[int, Octets(16 * MEBIOCTET, 2**50, step=MEBIOCTET, unbounded=True)] = 0
    """The most that the association may carry, 0 for no bound; the lower of both sides' holds."""

    def algorithms(self) -> dict[ProtocolId, tuple[Algorithm, ...]]:
        """Return the lists by protocol, empty ones included."""
        return {
            ProtocolId.ENCRYPTION: self.encryption,
            ProtocolId.AUTHENTICATION: self.authentication,
            ProtocolId.PRF: self.prf,
            ProtocolId.KEY_AGREEMENT: self.key_agreement,
        }


@frozen(kw_only=True)
class PolicySettings:
    """All that is acceptable, in order of preference."""

    mandatory: Annotated[tuple[Annotated[ProtocolId, ProtocolName()], ...], Several(0, len(PROTOCOL_NAMES))] = (
        INDISPENSABLE
    )
    """What every agreement must have; only authentication can be left to the other side."""

    shortest_lifetime: Annotated[int, Seconds(1, _LONGEST)] = 60
    """An association that would live shorter is refused."""

    open_with: Annotated[int, Whole(0, MAX_PROPOSALS)] = 0
    """How many of the proposals a first offer has, 0 for all; the others are for what a counter-offer asks."""

    proposals: Annotated[tuple[ProposalSettings, ...], Several(1, MAX_PROPOSALS)] = (ProposalSettings(),)
    """The combinations, the best first."""

    def as_policy(self) -> Policy:
        """Return the policy that negotiations take."""
        return Policy(
            proposals=tuple(
                PolicyProposal(
                    algorithms={protocol: names for protocol, names in proposal.algorithms().items() if names},
                    lifetime=proposal.lifetime,
                    mebioctets=proposal.octets // MEBIOCTET,
                )
                for proposal in self.proposals
            ),
            mandatory=frozenset(self.mandatory),
            shortest_lifetime=self.shortest_lifetime,
            open_with=self.open_with,
        )

    def contradictions(self) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        for protocol in INDISPENSABLE:
            if protocol not in self.mandatory:
                yield Problem(
                    "policy.mandatory", f'must contain "{PROTOCOL_NAMES[protocol]}": no keys come about without'
                )
        yield from repeated(map(PROTOCOL_NAMES.__getitem__, self.mandatory), "policy.mandatory[{}]".format)
        if self.open_with > len(self.proposals):
            yield Problem("policy.open-with", f"must be at most {len(self.proposals)}, the number of proposals")
        for index, proposal in enumerate(self.proposals):
            path = f"policy.proposals[{index}]"
            if proposal.lifetime < self.shortest_lifetime:
                shortest = duration(self.shortest_lifetime)
                yield Problem(f"{path}.lifetime", f'must be at least policy.shortest-lifetime, "{shortest}"')
            yield from self._incomplete(path, proposal.algorithms())

    def _incomplete(self, path: str, algorithms: Mapping[ProtocolId, tuple[Algorithm, ...]]) -> Iterator[Problem]:
        if not any(algorithms.values()):
            yield Problem(path, "is empty: a proposal needs algorithms")
            return
        for protocol, names in algorithms.items():
            place = f"{path}.{PROTOCOL_NAMES[protocol]}"
            if protocol in self.mandatory and not names:
                yield Problem(place, "must not be empty: it is in policy.mandatory")
            yield from repeated(map(str, names), f"{place}[{{}}]".format)
