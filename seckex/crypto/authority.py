"""What vouches for an exchange: the secret that its two ends shared before it.

`Key0` is what two principals were provisioned with; `OldAssociation` is what an
earlier exchange left them, by which it is renewed. `Registration` stands where there is no exchange, since
associations come of registering (docs/registration.md). The former give authenticators
of offers and of answers that are no choice, the sealing of extensions, and the
secret that goes into the keys of the association that comes of the exchange.
docs/protocol.md, sections 1 and 7, have the formulas. Every key has a label and the context
that it belongs to.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, NoReturn

from seckex.crypto.schedule import AgreedKeys, lp
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Role


class _Labels(NamedTuple):
    authentication: bytes
    identity: bytes
    mix: bytes


_REGISTRATION: Final = "registration"

_KEY0: Final = _Labels(b"seckex1 key0 authentication", b"seckex1 key0 identity", b"seckex1 key0 mix")
_REKEY: Final = _Labels(b"seckex1 rekey authentication", b"seckex1 rekey identity", b"seckex1 rekey mix")


class Authority:
    """The keys derived from a shared ``secret``, which itself is not kept.

    ``spi`` travels in the header and names it at the responder of the exchange;
    ``names`` are the two NAIs, in any order. ``root`` says for an operator what
    the trust comes from in the end; it stays with the association, which ends
    when that is no longer configured. ``binding`` goes into the transcript's
    beginning.
    """

    __slots__ = ("_auth", "_identity", "binding", "mix", "names", "root", "spi")

    def __init__(
        self, spi: int, names: tuple[str, str], root: str, binding: bytes, labels: _Labels, prk: bytes, context: bytes
    ) -> None:
        self.spi = spi
        self.names = names
        self.root = root
        self.binding = binding
        low, high = sorted(name.encode() for name in names)
        context = lp(low) + lp(high) + context
        auth = SHA256.expand(prk, labels.authentication + context, 32)
        self._auth = {
            Role.INITIATOR: SHA256.expand(auth, b"seckex1 initiator", 32),
            Role.RESPONDER: SHA256.expand(auth, b"seckex1 responder", 32),
        }
        self._identity = SHA256.expand(prk, labels.identity + context, 32)
        self.mix = Secret(SHA256.expand(prk, labels.mix + context, 32))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'root', '')!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__} with SPI {self.spi:#010x}"

    def not_after(self, root: str, peer: str, now: float) -> float:  # noqa: ARG002  # of use to certificates
        """Return until when an association with ``peer`` of that ``root`` is vouched for, in wall-clock seconds.

        Raises `AuthenticationFailed` where it is not any more.
        """
        if root != self.root:
            raise AuthenticationFailed(f"nothing vouches for the association with {peer} any more")
        return math.inf

    def authenticate(self, role: Role, label: bytes, transcript: bytes) -> bytes:
        """Return the MAC by ``role`` over ``transcript``: 32 octets."""
        return SHA256.mac(self._auth[role], label, transcript)

    def extension_key(self, role: Role, identification: int, nonce: bytes) -> bytes:
        """Return the key that seals the extensions of one message of ``role``."""
        prk = SHA256.extract(identification.to_bytes(8, "big") + nonce, self._identity)
        return SHA256.expand(prk, b"seckex1 extensions" + role.to_bytes(1, "big"), 32)


class Key0(Authority):
    """The keys of KEY 0 (docs/protocol.md, section 1)."""

    __slots__ = ("kvno",)

    def __init__(self, key: Secret, spi: int, kvno: int, names: tuple[str, str]) -> None:
        if len(key) != KEY0_SIZE:
            raise ApiMisuse(f"KEY 0 has {KEY0_SIZE} octets")
        if not 0 <= kvno < 1 << 32:
            raise ApiMisuse("kvno has 32 bits")
        self.kvno = kvno
        prk = SHA256.extract(b"seckex1 key 0", key.octets)
        # Another key under the same SPI and kvno is another root: its check value tells them apart.
        check = SHA256.mac(prk, b"seckex1 key0 check")[:4].hex()
        root = f"key0 {spi:#010x} kvno {kvno} check {check}"
        super().__init__(spi, names, root, b"", _KEY0, prk, kvno.to_bytes(4, "big"))

    def __str__(self) -> str:
        return f"KEY 0 with SPI {self.spi:#010x}, kvno {self.kvno}"


class OldAssociation(Authority):
    """The keys by which an association vouches for the one that replaces it (docs/protocol.md, section 7).

    ``spi`` is its SPI at the end that responds now, ``names`` and ``spis`` are
    those of its own (initiator, responder), ``root`` is what vouched for it.
    """

    __slots__ = ()

    def __init__(self, keys: AgreedKeys, spi: int, names: tuple[str, str], spis: tuple[int, int], root: str) -> None:
        pair = spis[0].to_bytes(4, "big") + spis[1].to_bytes(4, "big")
        prk = SHA256.extract(b"seckex1 association", keys.rekey.octets)
        super().__init__(spi, names, root, pair, _REKEY, prk, pair)

    def __str__(self) -> str:
        return f"the association with SPI {self.spi:#010x}"


def registration_root(kvno: int) -> str:
    """Return the root of an association that came of registering under KEY 0 of this version."""
    return f"{_REGISTRATION} kvno {kvno}"


class Registration(Authority):
    """Registering, between ``local`` and ``peer``: a NAI, or ``*@realm`` for all mobile nodes of a realm.

    It vouches for associations and for no exchange: another association comes of registering again.
    """

    __slots__ = ()

    def __init__(self, local: str, peer: str) -> None:
        # Nothing of an `Authority` of a shared secret is made: it is the business of whoever registers.
        self.spi = 0
        self.names = (local, peer)
        self.root = _REGISTRATION
        self.binding = b""

    def __str__(self) -> str:
        return "registration"

    def not_after(self, root: str, peer: str, now: float) -> float:  # noqa: ARG002  # of use to certificates
        """See `Authority.not_after`; whoever may not register any more is released by the home agent."""
        if root.partition(" ")[0] != self.root:
            raise AuthenticationFailed(f"the association with {peer} does not come of registering")
        return math.inf

    def authenticate(self, role: Role, label: bytes, transcript: bytes) -> NoReturn:  # noqa: ARG002  # the interface's
        """Raise `ApiMisuse`: no exchange is vouched for."""
        raise ApiMisuse("associations with this peer come of registering")

    def extension_key(self, role: Role, identification: int, nonce: bytes) -> NoReturn:  # noqa: ARG002  # the same
        """Raise `ApiMisuse`: no exchange is vouched for."""
        raise ApiMisuse("associations with this peer come of registering")
