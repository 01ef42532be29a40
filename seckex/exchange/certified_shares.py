"""Key agreement in exchanges by certificates, where it is mandatory: without it there would be no secret at all."""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve

from seckex.crypto.agreement import X25519, X25519_SIZE
from seckex.crypto.secrets import Secret
from seckex.errors import PeerIncompatible
from seckex.exchange.terms import Terms
from seckex.sa.offer import Alternative, Offer, numbered
from seckex.sa.selector import Selected
from seckex.wire.numbers import GROUP_X25519, PRF_HMAC_SHA2_256, Code, ProtocolId

Held: TypeAlias = X25519


def with_shares(offer: Offer, terms: Terms) -> tuple[Offer, Held]:
    """Return ``offer`` with key exchange values, and what they were made of."""
    share = X25519(terms.entropy(X25519_SIZE))
    agreeing = (each for each in offer.alternatives if _agrees(each))
    return numbered(evolve(each, shares={GROUP_X25519: share.value}) for each in agreeing), share


def _agrees(alternative: Alternative) -> bool:
    return any(member.protocol is ProtocolId.KEY_AGREEMENT for member in alternative.protocols)


def respond(selected: Selected, terms: Terms) -> tuple[bytes, Secret]:
    """Return the responder's value and the secret; raises `PeerMisbehaved` for a bad value of the initiator."""
    share = X25519(terms.entropy(X25519_SIZE))
    return share.value, share.agree(selected.share)


def finish(held: Held, chosen: Alternative, _terms: Terms) -> tuple[int, Secret]:
    """Return the PRF's transform ID and the secret of a choice; raises `PeerFault`."""
    algorithms = {member.protocol: member.transforms[0].algorithm for member in chosen.protocols if member.transforms}
    group, prf = algorithms.get(ProtocolId.KEY_AGREEMENT), algorithms.get(ProtocolId.PRF)
    if group is None:
        raise PeerIncompatible(Code.NOTHING_ACCEPTABLE, "a choice without key agreement, which certificates need")
    return prf.transform_id if prf else PRF_HMAC_SHA2_256, held.agree(chosen.shares.get(group.transform_id, b""))
