"""Selection with a memory.

A principal offers the same each time, save for the values of its key
exchanges. Reading such an offer and choosing from it costs more than the public-key
work of an exchange, and is a pure function of the offer without these
values and of the policy. So what came out is kept, by the offer's octets with
the values blanked: 256 offers, the oldest giving way. Only offers of
authenticated peers get here, so nobody else can crowd them out.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.groups.interface import Group
from seckex.crypto.groups.table import GROUPS
from seckex.crypto.groups.user import Parameters
from seckex.sa.algorithms import GroupKey
from seckex.sa.offer import Offer, from_payload, to_payload
from seckex.sa.policy import Policy
from seckex.sa.proposal import Chosen, Verdict, select
from seckex.wire.numbers import ProtocolId
from seckex.wire.payloads import (
    KeyExchange,
    Proposal,
    SaPayload,
    UserKeyExchange,
    decode_sa,
    encode_sa,
    share_spans,
)

MOST_REMEMBERED: Final = 256


@frozen
class _Memory:
    """What came out: the verdict, which key exchange of the offer it takes, and the choice with a blank value."""

    verdict: Verdict
    place: int = -1
    choice: bytes = b""
    blank: tuple[int, int] = (0, 0)
    group: Group | None = None
    brought: Parameters | None = None


@frozen
class Selected:
    """A verdict on one offer; ``share`` is the initiator's value of the chosen group, empty without one."""

    verdict: Verdict
    share: bytes = field(repr=False)
    _memory: _Memory = field(repr=False)

    @property
    def group(self) -> Group | None:
        """The chosen group, None without one; of one that was `brought` nothing but the sizes may be used."""
        return self._memory.group

    @property
    def brought(self) -> Parameters | None:
        """P and G, where the chosen group is the peer's own and has yet to be verified."""
        return self._memory.brought

    def choice(self, value: bytes) -> bytes:
        """Return the SA payload of CHOICE with ``value`` as the responder's."""
        start, end = self._memory.blank
        return self._memory.choice[:start] + value + self._memory.choice[end:]


class Selector:
    """`seckex.sa.proposal.select` by one policy, from octets."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memories: dict[bytes, _Memory] = {}

    def select(self, payload: bytes, base: int = 0) -> Selected:
        """Answer the offer that an SA payload holds.

        Raises `Malformed`, with offsets from ``base``, and `PeerFault` like the
        functions that it remembers for.
        """
        spans = share_spans(payload)
        blanked = bytearray(payload)
        for start, end in spans:
            blanked[start:end] = bytes(len(payload[start:end]))
        skeleton = bytes(blanked)
        memory = self._memories.get(skeleton)
        if memory is None:
            memory = self._look(decode_sa(payload, base))
            if len(self._memories) == MOST_REMEMBERED:
                del self._memories[next(iter(self._memories))]
            self._memories[skeleton] = memory
        share = b""
        if memory.place >= 0:
            start, end = spans[memory.place]
            share = payload[start:end]
        return Selected(memory.verdict, share, memory)

    def _look(self, payload: SaPayload) -> _Memory:
        verdict = select(from_payload(payload), self._policy)
        if not isinstance(verdict, Chosen):
            return _Memory(verdict)
        algorithm = verdict.agreement.algorithm(ProtocolId.KEY_AGREEMENT)
        if algorithm is None:
            return _Memory(verdict, choice=_choice(verdict, payload))
        key, brought = algorithm.group, None
        if isinstance(key, bytes):
            named = self._policy.groups.get(key)
            if named is None:
                brought = verdict.alternative.parameters[key]
            group: Group = (named or verdict.alternative.parameters[key]).group()
        else:
            group = GROUPS[key]
        # The values of this offer are of no use to the next one.
        blank = {key: bytes(group.responder_size)}
        chosen = evolve(verdict, alternative=evolve(verdict.alternative, shares=blank))
        choice = _choice(chosen, payload)
        place = _place(payload, chosen.alternative.number, key)
        return _Memory(chosen, place, choice, share_spans(choice)[0], group, brought)


def _choice(chosen: Chosen, payload: SaPayload) -> bytes:
    return encode_sa(to_payload(Offer((chosen.alternative,), payload.sub_type)))


def _place(payload: SaPayload, number: int, group: GroupKey) -> int:
    """Return which of the payload's key exchanges serves ``group`` under proposal ``number``: its own, or the first."""
    current = 0
    exchanges: list[tuple[int, GroupKey]] = []
    for part in payload.payloads:
        if isinstance(part, Proposal):
            current = part.number
        elif isinstance(part, KeyExchange):
            exchanges.append((current, part.transform_id))
        elif isinstance(part, UserKeyExchange):
            exchanges.append((current, Parameters(part.prime, part.generator).fingerprint))
    if (number, group) in exchanges:
        return exchanges.index((number, group))
    return [served for _, served in exchanges].index(group)
