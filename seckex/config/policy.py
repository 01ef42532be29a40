"""The policy of a file: what is offered and what is taken (docs/protocol.md, section 8).

Without a ``[policy]`` there is one proposal with every algorithm that is safe
with every other. In a proposal a list that is left out has its default, and an
empty list leaves its protocol out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from attrs import Factory, fields, frozen

from seckex.config.algorithms import (
    ALTERNATIVES,
    AUTHENTICATION,
    ENCRYPTION,
    KEY_AGREEMENT,
    OWN_NAME,
    PRF,
    BundleSettings,
    GroupName,
    UserGroup,
    by_protocol,
)
from seckex.config.problems import Problem, Unfit, key_path, nearest, repeated, shown
from seckex.config.values import MEBIOCTET, Named, Octets, Seconds, Several, Whole, Words, duration
from seckex.crypto.groups.user import FEWEST_BITS, MOST_BITS
from seckex.sa.algorithms import ANY_USER_GROUP, BY_NAME, PROTOCOL_NAMES, Algorithm, user_group
from seckex.sa.policy import Policy, PolicyProposal
from seckex.wire.numbers import ProtocolId

MAX_PROPOSALS: Final = 8
MAX_GUESSES: Final = 4
MAX_OWN: Final = 16
_DAY: Final = 86400
_LONGEST: Final = 30 * _DAY

# docs/protocol.md, section 7: keys are derived with the PRF from the key agreement's secret, and section 10 seals with
# the encryption; without one of them there is no association to speak of.
INDISPENSABLE: Final = (ProtocolId.ENCRYPTION, ProtocolId.KEY_AGREEMENT, ProtocolId.PRF)


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


@frozen(kw_only=True)
class ProposalSettings:
    """One combination that is acceptable; the algorithms of a list are alternatives, the best first."""

    encryption: Annotated[tuple[Annotated[Algorithm, ENCRYPTION], ...], ALTERNATIVES] = _named(
        "aes-256-gcm", "chacha20-poly1305", "aes-128-gcm"
    )
    """What seals the records of links."""

    authentication: Annotated[tuple[Annotated[Algorithm, AUTHENTICATION], ...], ALTERNATIVES] = _named(
        "hmac-sha-256", "hmac-sha-384"
    )
    """What authenticates control messages between the two."""

    prf: Annotated[tuple[Annotated[Algorithm, PRF], ...], ALTERNATIVES] = _named("prf-hmac-sha-256", "prf-hmac-sha-384")
    """What keys are derived with."""

    key_agreement: Annotated[tuple[Annotated[Algorithm | GroupName, KEY_AGREEMENT], ...], ALTERNATIVES] = _named(
        "x25519"
    )
    """What gives forward secrecy."""

    lifetime: Annotated[int, Seconds(1, _LONGEST)] = 8 * 3600
    """The longest that the association may live; the lower of both sides' holds."""

    octets: Annotated[int, Octets(16 * MEBIOCTET, 2**50, step=MEBIOCTET, unbounded=True)] = 0
    """The most that the association may carry, 0 for no bound; the lower of both sides' holds."""

    bundle: Annotated[str, Words('the name of one of policy.bundles, or ""', lambda _: True)] = ""
    """Takes the place of the lists: both sides know it by its number."""

    def algorithms(self) -> dict[ProtocolId, tuple[Algorithm | GroupName, ...]]:
        """Return the lists by protocol, empty ones included; they do not hold where there is a bundle."""
        return by_protocol(self.encryption, self.authentication, self.prf, self.key_agreement)

    @property
    def writes_lists(self) -> bool:
        """Whether one of the lists is not at its default."""
        names = ("encryption", "authentication", "prf", "key_agreement")
        return any(getattr(self, name) != getattr(fields(ProposalSettings), name).default for name in names)


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

    guesses: Annotated[int, Whole(1, MAX_GUESSES)] = 1
    """For how many groups an offer holds key exchanges; where the guess is wrong the responder names the group."""

    shortest_prime: Annotated[int, Whole(768, MOST_BITS)] = FEWEST_BITS
    """What the prime of a user-defined group has at least, in bits."""

    longest_prime: Annotated[int, Whole(768, MOST_BITS)] = MOST_BITS
    """What it has at most."""

    groups: Annotated[Mapping[str, UserGroup], Named(OWN_NAME, MAX_OWN)] = Factory(dict)
    """Groups of one's own, to be named in key-agreement."""

    bundles: Annotated[Mapping[str, BundleSettings], Named(OWN_NAME, MAX_OWN)] = Factory(dict)
    """Bundles that peers know under the same numbers."""

    proposals: Annotated[tuple[ProposalSettings, ...], Several(1, MAX_PROPOSALS)] = (ProposalSettings(),)
    """The combinations, the best first."""

    def as_policy(self) -> Policy:
        """Return the policy that negotiations take."""
        bundles = {bundle.spi: self._resolved(bundle.algorithms()) for bundle in self.bundles.values()}
        proposals = []
        for proposal in self.proposals:
            spi = self.bundles[proposal.bundle].spi if proposal.bundle else 0
            algorithms = bundles[spi] if spi else self._resolved(proposal.algorithms())
            octets = proposal.octets // MEBIOCTET
            proposals.append(PolicyProposal(algorithms, proposal.lifetime, octets, spi))
        named = [group.parameters for group in self.groups.values()]
        return Policy(
            proposals=tuple(proposals),
            mandatory=frozenset(self.mandatory),
            shortest_lifetime=self.shortest_lifetime,
            open_with=self.open_with,
            guesses=self.guesses,
            bundles=bundles,
            groups={parameters.fingerprint: parameters for parameters in named},
            prime_bits=(self.shortest_prime, self.longest_prime),
        )

    def _resolved(
        self, algorithms: Mapping[ProtocolId, tuple[Algorithm | GroupName, ...]]
    ) -> dict[ProtocolId, tuple[Algorithm, ...]]:
        """Return the lists that are not empty, with the groups that their names stand for."""
        return {
            protocol: tuple(
                user_group(self.groups[one].parameters.fingerprint) if isinstance(one, GroupName) else one
                for one in listed
            )
            for protocol, listed in algorithms.items()
            if listed
        }

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
            yield from self._bundled(path, proposal) if proposal.bundle else self._listed(path, proposal.algorithms())
        yield from self._own_problems()

    def _bundled(self, path: str, proposal: ProposalSettings) -> Iterator[Problem]:
        bundle = self.bundles.get(proposal.bundle)
        if bundle is None:
            advice = nearest(proposal.bundle, self.bundles) or "add it as a table"
            yield Problem(f"{path}.bundle", f"must be one of policy.bundles, not {shown(proposal.bundle)}; {advice}")
            return
        if proposal.writes_lists:
            yield Problem(f"{path}.bundle", "has the algorithms: the proposal's own lists must go")
        for protocol, listed in bundle.algorithms().items():
            if protocol in self.mandatory and not listed:
                name = PROTOCOL_NAMES[protocol]
                yield Problem(f"{path}.bundle", f"must have {name}: it is in policy.mandatory")

    def _own_problems(self) -> Iterator[Problem]:
        if self.shortest_prime > self.longest_prime:
            yield Problem("policy.shortest-prime", f"must be at most policy.longest-prime, {self.longest_prime}")
        for name, group in self.groups.items():
            path = key_path("policy.groups", name)
            if name in BY_NAME or name == ANY_USER_GROUP.name:
                yield Problem(path, "must have another name: that one means something already")
            for why in group.objections(self.shortest_prime, self.longest_prime):
                yield Problem(path, f"is not a group that may be used: {why}")
        yield from repeated((str(b.spi) for b in self.bundles.values()), lambda at: f"{self._bundle_path(at)}.spi")
        for at, bundle in enumerate(self.bundles.values()):
            path = self._bundle_path(at)
            if not any(bundle.algorithms().values()):
                yield Problem(path, "is empty: a bundle needs algorithms")
            yield from self._lists(path, bundle.algorithms())

    def _bundle_path(self, at: int) -> str:
        return key_path("policy.bundles", list(self.bundles)[at])

    def _listed(
        self, path: str, algorithms: Mapping[ProtocolId, tuple[Algorithm | GroupName, ...]]
    ) -> Iterator[Problem]:
        if not any(algorithms.values()):
            yield Problem(path, "is empty: a proposal needs algorithms")
            return
        for protocol, listed in algorithms.items():
            place = f"{path}.{PROTOCOL_NAMES[protocol]}"
            if protocol in self.mandatory and not listed:
                yield Problem(place, "must not be empty: it is in policy.mandatory")
        yield from self._lists(path, algorithms)

    def _lists(
        self, path: str, algorithms: Mapping[ProtocolId, tuple[Algorithm | GroupName, ...]]
    ) -> Iterator[Problem]:
        for protocol, listed in algorithms.items():
            place = f"{path}.{PROTOCOL_NAMES[protocol]}"
            yield from repeated(map(str, listed), f"{place}[{{}}]".format)
            for at, one in enumerate(listed):
                if isinstance(one, GroupName) and one not in self.groups:
                    known = (*self.groups, *(name for name, each in BY_NAME.items() if each.protocol is protocol))
                    advice = nearest(one, known) or "add it as a table of policy.groups"
                    yield Problem(
                        f"{place}[{at}]", f"must be {KEY_AGREEMENT.expected}, not {shown(str(one))}; {advice}"
                    )
            if listed == (ANY_USER_GROUP,):
                yield Problem(place, f'must have more than "{ANY_USER_GROUP}", which cannot be offered')
