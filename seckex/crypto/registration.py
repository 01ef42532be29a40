"""The keys of a registration: docs/registration.md, section 7.

What a node and its home agent share is a `Root`, which comes of KEY 0 and heals
with every registration. With the secrets of one registration's KEM ciphertexts it
gives the keys of the request and of the answer, and these, with what the home
agent or a key distribution center drew, KEY 1 to 3. es is sealed to the home
agent's static key, ee, ss2 and ss3 to keys that live for one registration; tr is
the transcript.

All of it is HKDF and HMAC with SHA-256, the transcript SHA-384, and the `secret`
of an association has the hash of the PRF that was chosen for it. How the chain of
one-time SPIs goes on is in `seckex.crypto.spichain`, what is sealed and signed in
`seckex.crypto.registration_seals`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from seckex.crypto.schedule import AgreedKeys, agree, lp
from seckex.crypto.secrets import KEY0_SIZE, Secret, equal
from seckex.crypto.suites import SHA256, SHA384
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import SaContent

KEY_SIZE: Final = 32
MAC_SIZE: Final = 16
NO_PREVIOUS: Final = bytes(32)

_NOTHING: Final = Secret(b"")


def _key(prk: bytes, info: bytes) -> Secret:
    return Secret(SHA256.expand(prk, info, KEY_SIZE))


def _context(names: tuple[str, str], kvno: int) -> bytes:
    low, high = sorted(name.encode() for name in names)
    return lp(low) + lp(high) + kvno.to_bytes(4, "big")


class RequestKeys(NamedTuple):
    """The keys of one request: ``ka`` authenticates it, ``kid`` seals the identity block."""

    ka: Secret
    kid: Secret


class Root:
    """What a node and its home agent have in common, 32 octets; ``names`` are their NAIs, in any order.

    Keys are derived when they are asked for: a home agent tries roots that turn
    out to be those of others.
    """

    __slots__ = ("_context", "secret")

    def __init__(self, secret: Secret, names: tuple[str, str], kvno: int) -> None:
        if len(secret) != KEY_SIZE:
            raise ApiMisuse(f"a root has {KEY_SIZE} octets")
        self.secret = secret
        self._context = _context(names, kvno)

    def __repr__(self) -> str:
        return "<Root>"

    def _derived(self, label: bytes) -> bytes:
        return SHA256.expand(self.secret.octets, label + self._context, KEY_SIZE)

    def request_keys(self, es: Secret, hd: bytes) -> RequestKeys:
        """Return the keys of the request that begins with ``hd``."""
        digest = SHA256.digest(hd)
        auth, identity = self._derived(b"seckex1 registration auth"), self._derived(b"seckex1 registration id")
        return RequestKeys(
            _key(SHA256.extract(es.octets, auth), b"seckex1 ka" + digest),
            _key(SHA256.extract(es.octets, identity), b"seckex1 kid" + digest),
        )

    def reply_key(self, es: Secret, ee: Secret, tr: bytes) -> Secret:
        """Return k, which seals the answer and goes into KEY 1."""
        mix = self._derived(b"seckex1 registration mix")
        return _key(SHA256.extract(tr, lp(mix) + lp(es.octets) + lp(ee.octets)), b"seckex1 registration")

    def healed(self, ee: Secret, tr: bytes) -> Secret:
        """Return the root that follows an accepted registration; who knows this one does not know that one."""
        heal = self._derived(b"seckex1 registration heal")
        return _key(SHA256.extract(ee.octets, heal), b"seckex1 heal" + SHA256.digest(tr))


class Provisioned(NamedTuple):
    """What KEY 0 leaves to a node and its home agent: the first root and the start of the chain of SPIs."""

    root: Secret
    chain: Secret


def provisioned(key0: Secret, names: tuple[str, str], kvno: int) -> Provisioned:
    """Return root_0 and ck_0; KEY 0 itself is not needed after that."""
    if len(key0) != KEY0_SIZE:
        raise ApiMisuse(f"KEY 0 has {KEY0_SIZE} octets")
    prk0, context = SHA256.extract(b"seckex1 key 0", key0.octets), _context(names, kvno)
    return Provisioned(_key(prk0, b"seckex1 registration root" + context), _key(prk0, b"seckex1 spi chain" + context))


def fallback_kid(es: Secret, hd: bytes) -> Secret:
    """Return the key of the identity block of a request whose SPI says nothing: section 8."""
    return _key(SHA256.extract(b"seckex1 fallback", es.octets), b"seckex1 kid" + SHA256.digest(hd))


def mac(ka: Secret, covered: bytes) -> bytes:
    """Return the MAC of a request, 16 octets; ``covered`` is all that stands before it."""
    return SHA256.mac(ka.octets, covered)[:MAC_SIZE]


def verify_mac(ka: Secret, covered: bytes, received: bytes) -> None:
    """Raise `AuthenticationFailed` unless ``received`` is the MAC of ``covered``; takes the same time for all."""
    if not equal(mac(ka, covered), received):
        raise AuthenticationFailed("the MAC of a registration does not verify")


def transcript(req: bytes, shares: bytes, home_share: bytes) -> bytes:
    """Return tr: of the request, the data of the agent's shares and Y."""
    return SHA384.digest(b"seckex1 registration", lp(req), lp(shares), lp(home_share))


def next_previous(previous: bytes, req: bytes, answer: bytes) -> bytes:
    """Return the Previous of the round after one with ``req`` and the plaintext ``answer``: section 9."""
    return SHA256.digest(previous, lp(req), lp(answer))


def key1(
    prf: int,
    a1: Secret,
    k: Secret,
    tr: bytes,
    names: tuple[str, str],
    spis: tuple[int, int],
    content: SaContent = SaContent.MN_HA,
) -> AgreedKeys:
    """Return KEY 1; ``names`` and ``spis`` are (node's, home agent's), ``content`` is MN-HA or MN-SMM."""
    return agree(prf, a1, k, tr, names, spis, content)


def key2(
    prf: int, k2: Secret, ss2: Secret | None, tr: bytes, names: tuple[str, str], spis: tuple[int, int]
) -> AgreedKeys:
    """Return KEY 2; ``names`` and ``spis`` are (foreign agent's, home agent's), ``ss2`` None is without mixing."""
    return agree(prf, k2, ss2 or _NOTHING, tr, names, spis, SaContent.FA_HA)


def key3(prf: int, k3: Secret, ss3: Secret, tr: bytes, names: tuple[str, str], spis: tuple[int, int]) -> AgreedKeys:
    """Return KEY 3; ``names`` are (`@realm` of the home agent, foreign agent's)."""
    return agree(prf, k3, ss3, tr, names, spis, SaContent.MN_FA)


class SubSeeds(NamedTuple):
    """What a semi-stateful registration gives its parties instead of keys: two each."""

    mh: Secret
    hf: Secret
    mf: Secret


def sub_seeds(seed: Secret) -> SubSeeds:
    """Return what comes of one registration's seed."""
    if len(seed) != KEY_SIZE:
        raise ApiMisuse(f"a seed has {KEY_SIZE} octets")
    return SubSeeds(*(_key(seed.octets, b"seckex1 " + which) for which in (b"mh", b"hf", b"mf")))


def equation5(
    sub_seed: Secret,
    responder: str,
    initiator: str,
    responder_ip: IPv4Address | IPv6Address,
    initiator_ip: IPv4Address | IPv6Address,
    tr: bytes,
) -> Secret:
    """Return K, in place of a1, k2 or k3: who is who is in the table of section 7."""
    parts = (responder.encode(), initiator.encode(), responder_ip.packed, initiator_ip.packed)
    return Secret(SHA256.mac(sub_seed.octets, *map(lp, parts), tr))
