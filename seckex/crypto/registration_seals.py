"""What is sealed and what is signed in a registration: docs/registration.md, sections 4 to 6.

Three things are sealed, each with AES-256-GCM under a key of its own that serves
nothing else, so that the nonce is 0: the identity block of a request, the home
agent's answer to the node, and its secrets for the foreign agent. Sealing adds 16
octets. Opening raises `AuthenticationFailed` for whatever is not exactly what was
sealed, in the place that it was sealed for.

Agent and home agent sign what they say to each other with the keys of their
certificates (`seckex.crypto.identity`); labels tell the two apart.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.identity import Identity, Voucher
from seckex.crypto.schedule import lp
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256, InvalidTag, new_aead
from seckex.errors import AuthenticationFailed
from seckex.wire.numbers import Suite

_NONCE: Final = bytes(12)
_ANSWER: Final = b"seckex1 answer"
_AGENT: Final = b"seckex1 agent"
_BY_AGENT: Final = b"seckex1 fa"
_BY_HOME: Final = b"seckex1 ha"


def _seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    return new_aead(Suite.AES_256_GCM, key).encrypt(_NONCE, plaintext, associated)


def _open(key: bytes, sealed: bytes, associated: bytes, what: str) -> bytes:
    try:
        return new_aead(Suite.AES_256_GCM, key).decrypt(_NONCE, sealed, associated)
    except InvalidTag:
        raise AuthenticationFailed(f"the seal of {what} does not verify") from None


def _expanded(key: Secret, label: bytes) -> bytes:
    return SHA256.expand(key.octets, label, 32)


def seal_identity(kid: Secret, hd: bytes, plaintext: bytes) -> bytes:
    """Return the identity block sealed; ``hd`` is the request before it."""
    return _seal(kid.octets, plaintext, hd)


def open_identity(kid: Secret, hd: bytes, sealed: bytes) -> bytes:
    """Return the identity block; raises `AuthenticationFailed`."""
    return _open(kid.octets, sealed, hd, "an identity block")


def seal_answer(k: Secret, tr: bytes, header: bytes, plaintext: bytes) -> bytes:
    """Return the home agent's answer sealed for the node; ``header`` is that of the reply."""
    return _seal(_expanded(k, _ANSWER), plaintext, tr + header)


def open_answer(k: Secret, tr: bytes, header: bytes, sealed: bytes) -> bytes:
    """Return the answer; raises `AuthenticationFailed`."""
    return _open(_expanded(k, _ANSWER), sealed, tr + header, "a home agent's answer")


def seal_agent_secrets(ss2: Secret, tr: bytes, header: bytes, plaintext: bytes) -> bytes:
    """Return the secrets for the foreign agent sealed; ``header`` is that of the reply."""
    return _seal(_expanded(ss2, _AGENT), plaintext, tr + header)


def open_agent_secrets(ss2: Secret, tr: bytes, header: bytes, sealed: bytes) -> bytes:
    """Return the secrets; raises `AuthenticationFailed`."""
    return _open(_expanded(ss2, _AGENT), sealed, tr + header, "a foreign agent's secrets")


def _request_digest(agent: str, covered: bytes, home_agent: str) -> bytes:
    return SHA256.digest(lp(agent.encode()), lp(covered), lp(home_agent.encode()))


def _reply_digest(agent: str, request: bytes, covered: bytes) -> bytes:
    return SHA256.digest(lp(agent.encode()), lp(request), lp(covered))


def sign_request(identity: Identity, covered: bytes, home_agent: str) -> bytes:
    """Return the foreign agent's signature over its message ``covered``, up to the signature, to ``home_agent``."""
    return identity.sign(_BY_AGENT, _request_digest(identity.nai, covered, home_agent))


def verify_request(voucher: Voucher, signature: bytes, covered: bytes, home_agent: str) -> None:
    """Raise `AuthenticationFailed` unless the agent of ``voucher`` has signed ``covered`` for ``home_agent``."""
    voucher.verify(signature, _BY_AGENT, _request_digest(voucher.nai, covered, home_agent))


def sign_reply(identity: Identity, agent: str, request: bytes, covered: bytes) -> bytes:
    """Return the home agent's signature over its reply to ``request``, the agent's whole message."""
    return identity.sign(_BY_HOME, _reply_digest(agent, request, covered))


def verify_reply(voucher: Voucher, signature: bytes, agent: str, request: bytes, covered: bytes) -> None:
    """Raise `AuthenticationFailed` unless the home agent of ``voucher`` has so replied to ``agent``."""
    voucher.verify(signature, _BY_HOME, _reply_digest(agent, request, covered))
