"""How the names of algorithms are read, and what a policy may add to them: user-defined groups and bundles.

A user-defined group is written down with its prime and its generator and has a
name in its file only; on the wire it is named by its fingerprint. It is
verified when the file is read, so a daemon starts with good groups or not at
all. A bundle is a list of algorithms that both sides have written down under
one number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Final

from attrs import frozen

from seckex.config.problems import Unfit, nearest
from seckex.config.values import Several, Whole, Words
from seckex.crypto.groups.user import MOST_BITS, Parameters
from seckex.errors import PeerIncompatible
from seckex.sa.algorithms import ALL, ANY_USER_GROUP, BY_NAME, PROTOCOL_NAMES, Algorithm
from seckex.wire.numbers import LOWEST_SPI, MAX_TRANSFORMS, ProtocolId

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_MOST_DIGITS: Final = MOST_BITS // 4


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


class GroupName(str):
    """The name that a user-defined group has in its file; whether there is one is asked later."""

    __slots__ = ()


@frozen
class GroupReader:
    """Reads the name of a key agreement: a group with a number, one of the file's own, or any of the peer's."""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        known = AlgorithmName(ProtocolId.KEY_AGREEMENT).expected
        return f'{known[:-1]}), "{ANY_USER_GROUP}" or the name of one of policy.groups'

    def read(self, raw: object) -> Algorithm | GroupName:
        """Return the algorithm, or the name."""
        if raw == ANY_USER_GROUP.name:
            return ANY_USER_GROUP
        known = BY_NAME.get(raw) if isinstance(raw, str) else None
        if known is not None and known.protocol is ProtocolId.KEY_AGREEMENT:
            return known
        if known is not None:
            raise Unfit(self.expected, raw, f"that is one for {PROTOCOL_NAMES[known.protocol]}")
        if not isinstance(raw, str) or not _NAME.fullmatch(raw):
            raise Unfit(self.expected, raw)
        return GroupName(raw)


@frozen
class Number:
    """Reads a number of at most 8192 bits: a positive whole number, or hexadecimal digits with any white space."""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f"a whole number, or hexadecimal digits in quotes, at most {_MOST_DIGITS} of them"

    def read(self, raw: object) -> int:
        """Return the number."""
        digits = "".join(raw.split()) if isinstance(raw, str) else ""
        if 0 < len(digits) <= _MOST_DIGITS and re.fullmatch("[0-9a-fA-F]+", digits):
            raw = int(digits, 16)
        if not isinstance(raw, int) or isinstance(raw, bool) or raw < 1:
            raise Unfit(self.expected, raw)
        return raw


OWN_NAME: Final = Words("a name of letters, digits and _.-, at most 63", lambda text: bool(_NAME.fullmatch(text)))
ENCRYPTION: Final = AlgorithmName(ProtocolId.ENCRYPTION)
AUTHENTICATION: Final = AlgorithmName(ProtocolId.AUTHENTICATION)
PRF: Final = AlgorithmName(ProtocolId.PRF)
KEY_AGREEMENT: Final = GroupReader()
ALTERNATIVES: Final = Several(0, MAX_TRANSFORMS)


@frozen(kw_only=True)
class UserGroup:
    """A group of one's own: P = 2q + 1, both prime."""

    prime: Annotated[int, Number()]
    """P."""

    generator: Annotated[int, Number()] = 2
    """G, from 2 to P - 2."""

    @property
    def parameters(self) -> Parameters:
        """P and G as they travel."""
        return Parameters.of(self.prime, self.generator)

    def objections(self, fewest: int, most: int) -> Iterator[str]:
        """Yield what is wrong with it, ``fewest`` and ``most`` bits being allowed; takes a while."""
        why = self.parameters.objection(fewest, most) or _no_group(self.parameters)
        if why:
            yield why


# A file is read again when the daemon is told to, and its groups are mostly the same ones.
@lru_cache(maxsize=64)
def _no_group(parameters: Parameters) -> str:
    try:
        parameters.verified()
    except PeerIncompatible as error:
        return error.why.partition(": ")[2]
    return ""


@frozen(kw_only=True)
class BundleSettings:
    """Algorithms that a peer has written down under the same number."""

    spi: Annotated[int, Whole(1, LOWEST_SPI - 1)]
    """The number."""

    encryption: Annotated[tuple[Annotated[Algorithm, ENCRYPTION], ...], ALTERNATIVES] = ()
    authentication: Annotated[tuple[Annotated[Algorithm, AUTHENTICATION], ...], ALTERNATIVES] = ()
    prf: Annotated[tuple[Annotated[Algorithm, PRF], ...], ALTERNATIVES] = ()
    key_agreement: Annotated[tuple[Annotated[Algorithm | GroupName, KEY_AGREEMENT], ...], ALTERNATIVES] = ()

    def algorithms(self) -> dict[ProtocolId, tuple[Algorithm | GroupName, ...]]:
        """Return the lists by protocol, empty ones included."""
        return by_protocol(self.encryption, self.authentication, self.prf, self.key_agreement)


def by_protocol(
    encryption: tuple[Algorithm, ...],
    authentication: tuple[Algorithm, ...],
    prf: tuple[Algorithm, ...],
    key_agreement: tuple[Algorithm | GroupName, ...],
) -> dict[ProtocolId, tuple[Algorithm | GroupName, ...]]:
    """Return four lists by their protocols."""
    return {
        ProtocolId.ENCRYPTION: encryption,
        ProtocolId.AUTHENTICATION: authentication,
        ProtocolId.PRF: prf,
        ProtocolId.KEY_AGREEMENT: key_agreement,
    }
