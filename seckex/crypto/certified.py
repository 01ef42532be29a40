"""What vouches for an exchange by certificates, and its keys until there is an association.

`Certificates` take the place of a shared secret: there is none, so that they
authenticate no offer and seal no name under KEY 0's keys, and the exchange has
messages of its own (docs/protocol.md, section 14). An association that comes of
it keeps the peer's chain as the root of its trust, by which it is found out,
after a restart or when trust was reloaded, whether anybody still vouches for it.

A `Handshake` goes from the key agreement's secret to the keys that seal
identities and authenticate what is said before both are known.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final, NoReturn

from attrs import field, frozen

from seckex.crypto.authority import Authority
from seckex.crypto.certificates import fingerprint
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.schedule import PRF_HASHES, lp
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, BadCertificate, Flaw, Malformed
from seckex.wire.identity import decode_chain, encode_chain
from seckex.wire.numbers import Role

#: Begins the transcript of such an exchange, before any name is known.
BINDING: Final = b"seckex1 certificates"

_ROOT: Final = "certificate"
_SEAL_KEY: Final = 32


def root_of(chain: Sequence[bytes]) -> str:
    """Return the root of an association with whom ``chain`` names: its fingerprint for people, and all of it."""
    return f"{_ROOT} {fingerprint(chain[0])[:16]} {b64encode(encode_chain(chain)).decode()}"


def chain_of(root: str) -> tuple[bytes, ...]:
    """Return the chain in a root; raises `BadCertificate` for a root of another kind."""
    word, _, rest = root.partition(" ")
    try:
        if word == _ROOT:
            return decode_chain(b64decode(rest.partition(" ")[2], validate=True))
    except (ValueError, Malformed):
        pass
    raise BadCertificate(Flaw.MALFORMED, "the association does not come of certificates")


class Certificates(Authority):
    """Our identity and whom we trust, towards ``peer``: a NAI, or ``*@realm`` for all of a realm."""

    __slots__ = ("identity", "trust")

    def __init__(self, identity: Identity, trust: Trust, peer: str) -> None:
        # Nothing of an `Authority` of a shared secret is made: there is none.
        self.spi = 0
        self.names = (identity.nai, peer)
        self.root = _ROOT
        self.binding = BINDING
        self.identity = identity
        self.trust = trust

    def __str__(self) -> str:
        return f"the certificate of {self.identity.nai}"

    def authenticate(self, role: Role, label: bytes, transcript: bytes) -> NoReturn:  # noqa: ARG002  # the interface's
        """Raise `ApiMisuse`: nothing is shared."""
        raise ApiMisuse("certificates share no secret")

    def extension_key(self, role: Role, identification: int, nonce: bytes) -> NoReturn:  # noqa: ARG002  # the same
        """Raise `ApiMisuse`: nothing is shared."""
        raise ApiMisuse("certificates share no secret")

    def voucher(self, root: str, now: float) -> Voucher:
        """Return what the chain in an association's root still proves; raises `BadCertificate`."""
        return self.trust.verify(chain_of(root), now)

    def not_after(self, root: str, peer: str, now: float) -> float:
        """Return until when both certificates vouch for an association; raises `BadCertificate`."""
        voucher = self.voucher(root, now)
        if voucher.nai != peer:
            raise BadCertificate(Flaw.WRONG_NAME, f"the certificate is of {voucher.nai}, not of {peer}")
        return min(voucher.not_after, self.identity.not_after)


@frozen
class Handshake:
    """The keys of an exchange by certificates: from the secret ``hs`` of section 14, which is all that is kept."""

    prf: int
    secret: Secret = field(repr=False)

    @classmethod
    def of(cls, prf: int, shared: Secret, transcript: bytes) -> Handshake:
        """Return the handshake of a key agreement's secret; ``transcript`` is T up to CHOICE's seal."""
        return cls(prf, Secret(PRF_HASHES[prf].extract(transcript, lp(shared.octets))))

    def _expand(self, label: bytes, context: bytes, length: int) -> bytes:
        return PRF_HASHES[self.prf].expand(self.secret.octets, label + context, length)

    def identity_key(self, role: Role, transcript: bytes) -> bytes:
        """Return the key that seals the identity of ``role``, of one message only."""
        label = b"seckex1 identity i" if role is Role.INITIATOR else b"seckex1 identity r"
        return self._expand(label, transcript, _SEAL_KEY)

    def mac(self, label: bytes, transcript: bytes, nai: str) -> bytes:
        """Return the responder's MAC before there is an association."""
        function = PRF_HASHES[self.prf]
        key = self._expand(b"seckex1 certified r", b"", function.size)
        return function.mac(key, label, transcript, lp(nai.encode()))

    @property
    def mix(self) -> Secret:
        """What goes into the keys of the association."""
        return Secret(self._expand(b"seckex1 certified mix", b"", PRF_HASHES[self.prf].size))
