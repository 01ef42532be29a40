"""Whose fault it is.

One class for each party that can be at fault, so that a caller can tell a
broken datagram from a broken peer from a broken program, and one function that
turns a fault into the code that a peer may be told (docs/protocol.md, section
11). No message holds a secret: text is made of names, numbers and reasons.
"""

from __future__ import annotations

from enum import Enum

from seckex.wire.numbers import Code


class SeckexError(Exception):
    """The root of all that this package raises on purpose."""


class Malformed(SeckexError):
    """Octets that are not a message.

    ``offset`` counts octets from the start of the outermost message, ``field``
    is the name the field has in docs/protocol.md.
    """

    def __init__(self, field: str, offset: int, why: str) -> None:
        super().__init__(f"{field} at octet {offset}: {why}")
        self.field = field
        self.offset = offset
        self.why = why


class UnsupportedVersion(SeckexError):
    """A message of another version of the protocol, readable as far as its invariants go."""

    def __init__(self, version: int, identification: int = 0) -> None:
        super().__init__(f"protocol version {version} is not spoken here")
        self.version = version
        self.identification = identification


class PeerFault(SeckexError):
    """An authenticated peer asked for what it cannot have."""

    def __init__(self, code: Code, why: str, proposal: int = 0, transform: int = 0) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.proposal = proposal
        self.transform = transform


class PeerMisbehaved(PeerFault):
    """The peer broke a rule of the protocol: a fault in its program, or an attack."""


class PeerIncompatible(PeerFault):
    """The peer is well-behaved, but wants what this side does not have or allow."""


class Flaw(Enum):
    """What is wrong with a certificate, a chain of them, or what would have to vouch for it."""

    MALFORMED = "malformed"
    TOO_LONG = "too-long"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation-unknown"
    UNKNOWN_ISSUER = "unknown-issuer"
    WRONG_NAME = "wrong-name"
    WRONG_KEY = "wrong-key"
    WRONG_USAGE = "wrong-usage"


class BadCertificate(PeerFault):
    """A certificate that does not prove a name; ``flaw`` is the kind of reason, for programs."""

    def __init__(self, flaw: Flaw, why: str) -> None:
        super().__init__(Code.BAD_CERTIFICATE, why)
        self.flaw = flaw


class AuthenticationFailed(SeckexError):
    """An authenticator or tag did not verify; nothing about the message is known."""


class ApiMisuse(SeckexError):
    """A mistake in the calling program, never in what a peer sent."""


class Unfeasible(SeckexError):
    """What an operator asks for cannot be done now; the text says why, and what would help."""


class StoreFailed(SeckexError):
    """What had to be made durable could not be: full disk, damaged or locked database."""


def reply_code(error: SeckexError) -> Code | None:
    """Return what an authenticated peer is told about ``error``; None means silence."""
    if isinstance(error, PeerFault):
        return error.code
    if isinstance(error, Malformed):
        return Code.POORLY_FORMED
    if isinstance(error, StoreFailed):
        return Code.INSUFFICIENT_RESOURCES
    if isinstance(error, AuthenticationFailed | UnsupportedVersion):
        return None
    return Code.UNSPECIFIED
