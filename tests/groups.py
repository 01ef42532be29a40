"""User-defined groups that tests share, of a size that is checked fast and of one that is heavy."""

from __future__ import annotations

from typing import Any, Final

import gmpy2
from attrs import evolve

from seckex.crypto.groups.modp import MODP_768, MODP_1024, prime_from_pi
from seckex.crypto.groups.user import Parameters
from seckex.sa.algorithms import ANY_USER_GROUP, user_group
from seckex.sa.policy import Policy
from seckex.wire.numbers import ProtocolId
from tests.conversation import policy, proposal

#: RFC 3526, sections 5 and 7: the primes of groups 16 and 18.
PRIME_4096: Final = prime_from_pi(4096, 240904)
PRIME_8192: Final = prime_from_pi(8192, 4743158)

HEAVY: Final = Parameters.of(PRIME_4096, 2)
#: The same of the prime of group 2, with generators of the order q and 2q.
LIGHT: Final = Parameters.of(MODP_1024.prime, 9)
ROOT: Final = Parameters.of(MODP_1024.prime, next(g for g in range(3, 99) if gmpy2.jacobi(g, MODP_1024.prime) == -1))
SMALL: Final = Parameters.of(MODP_768.prime, 9)


def using(parameters: Parameters, encryption: str = "aes-256-gcm") -> str:
    """Return the algorithms of a proposal with a user-defined group."""
    return f"{encryption} prf-hmac-sha-256 {user_group(parameters.fingerprint).name}"


def naming(*groups: Parameters, encryption: str = "aes-256-gcm", **more: Any) -> Policy:
    """Return a policy of one proposal for each of ``groups``, which it names."""
    proposals = (proposal(using(group, encryption)) for group in groups)
    return policy(*proposals, groups={group.fingerprint: group for group in groups}, **more)


def anyone(fewest: int = 1024, others: str = "x25519") -> Policy:
    """Return a policy that takes any group of at least ``fewest`` bits, and ``others``."""
    taken = proposal(f"aes-256-gcm prf-hmac-sha-256 {others}")
    groups = (*taken.algorithms[ProtocolId.KEY_AGREEMENT], ANY_USER_GROUP)
    algorithms = {**taken.algorithms, ProtocolId.KEY_AGREEMENT: groups}
    return policy(evolve(taken, algorithms=algorithms), prime_bits=(fewest, 8192))
