"""Every number on the wire, its source beside it.

``docs/protocol.md`` is where these are specified. Where IANA has numbers for
IKEv2 (RFC 7296 and its registries) they are used as they are.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

VERSION: Final = 1
VERSIONS_SPOKEN: Final = (1,)

# RFC 4064: message type and non-skippable extension type for experiments.
MESSAGE_TYPE: Final = 255
EXTENSION_TYPE: Final = 127

HEADER_SIZE: Final = 16
ANSWER_FLAG: Final = 0x1

# Limits: docs/protocol.md, section 12.
MAX_MESSAGE: Final = 8192
MAX_DATAGRAM: Final = 1232  # what IPv6 carries everywhere unfragmented (RFC 8200): 1280 less both headers
MAX_COOKIE: Final = 64
MAX_EXTENSIONS: Final = 32
MAX_PAYLOADS: Final = 64
MAX_ATTRIBUTES: Final = 8
MAX_TRANSFORMS: Final = 16
MAX_GROUP_NUMBER: Final = 1024  # octets of P, G or a value of a user-defined group
MAX_NAI: Final = 253
MAX_DETAIL: Final = 512
MAX_SERVICE: Final = 255
MAX_CERTIFICATES: Final = 4
MAX_CHAIN: Final = 6144
MAX_ROUNDS: Final = 3
REQUEST_SIZE: Final = 768
NONCE_SIZE: Final = 32

# SPIs up to 255 name predefined bundles (docs/protocol.md, section 5).
LOWEST_SPI: Final = 256


class Kind(IntEnum):
    """Kinds of general message: docs/protocol.md, section 3."""

    VERSIONS = 0
    OFFER = 1
    CHOICE = 2
    COUNTER = 3
    REFUSAL = 4
    CONFIRM = 5
    CONFIRMED = 6
    ABANDON = 7
    COOKIE = 8
    USE_TCP = 9
    PROBE = 10
    PRESENT = 11
    DELETE = 12
    DELETED = 13
    UNKNOWN = 14
    # Of the roaming network: docs/registration.md, sections 10 to 12.
    SOLICITATION = 15
    ADVERTISEMENT = 16
    RELAY = 17
    RELAYED = 18
    NOT_RELAYED = 19
    KEYS = 20
    ISSUED = 21
    NOT_ISSUED = 22
    NODES = 23
    ENTRIES = 24
    CHANGED = 25
    TRACE = 26
    TRACED = 27
    REVOCATION = 28
    REVOKED = 29


#: Those that negotiations between two principals do not have.
ROAMING_KINDS: Final = frozenset(kind for kind in Kind if kind >= Kind.SOLICITATION)


class Role(IntEnum):
    """Who speaks, as it enters transcripts and keys."""

    INITIATOR = 1
    RESPONDER = 2


class ExtensionSub(IntEnum):
    """Sub-types of our extensions: docs/protocol.md, section 4; 1 to 4 are Fig. 8-11."""

    NAI = 1
    IP = 2
    LAYER2 = 3
    SA = 4
    SA_PAYLOAD = 16
    PROPOSAL_PAYLOAD = 17
    EXCHANGE = 18
    DETAIL = 19
    PADDING = 20
    CLOCK = 21
    AUTHENTICATOR = 22
    COOKIE = 23
    REQUEST_DIGEST = 24
    SEALED_IDENTITY = 25
    # Of registration: docs/registration.md, section 3.
    REGISTRATION = 32
    NODE_SHARES = 33
    IDENTITY_BLOCK = 34
    AGENT_SHARES = 35
    CERTIFICATES = 36
    SIGNATURE = 37
    HOME_SHARE = 38
    SEALED_ANSWER = 39
    AGENT_SECRETS = 40
    ROUTE = 41
    REGISTRATION_MESSAGE = 42
    ADVERTISEMENT = 43
    KEY_REQUEST = 44
    KEY_MATERIAL = 45
    NODE_REQUEST = 46
    NODE_ENTRIES = 47
    TRACE = 48
    HOME_KEYS = 49
    # docs/passages.md
    AGENT_PORT = 50
    REVOCATION = 51


E_FLAG: Final = 0x80


class NaiContent(IntEnum):
    """Fig. 8: whose NAI it is."""

    MOBILE_NODE = 0
    FOREIGN_AGENT = 1
    HOME_AGENT = 2


class IpContent(IntEnum):
    """Fig. 9: whose address it is."""

    NODE = 0
    ROUTER = 1


class Layer2Content(IntEnum):
    """Fig. 10: which kind of layer 2 address it is."""

    ETHERNET = 0
    IMSI = 1
    MIN = 2


class SaContent(IntEnum):
    """Fig. 11 and our additions: between whom the association is."""

    MN_FA = 0
    FA_HA = 1
    MN_HA = 2
    FA_AAA = 3
    AAA_AAA = 4
    HA_KDC = 5
    MN_SMM = 6
    PRINCIPALS = 7


class PayloadType(IntEnum):
    """First octet of the payloads of Fig. 18-22."""

    SA = 1
    PROPOSAL = 2
    TRANSFORM = 3
    KEY_EXCHANGE = 4


class SaSubType(IntEnum):
    """Fig. 18: which two parties negotiate; 7 is ours."""

    MN_HA = 1
    MN_FA = 2
    HA_FA = 3
    MN_SMM = 4
    PRINCIPALS = 7


class KeyExchangeSub(IntEnum):
    """Fig. 21: groups 1 and 2 and the secret over a secure path are the document's, the numbers 4 and 5 are ours."""

    GROUP_1 = 1
    GROUP_2 = 2
    SECRET = 3
    GROUP = 4
    USER_GROUP = 5


class ProtocolId(IntEnum):
    """Fig. 19: authentication and encryption are the document's, the rest is ours."""

    AUTHENTICATION = 1
    ENCRYPTION = 2
    KEY_AGREEMENT = 3
    PRF = 4


class TransformId(IntEnum):
    """IANA's IKEv2 transform IDs; they are unique only within one protocol."""

    ENCR_AES_GCM_16 = 20
    ENCR_CHACHA20_POLY1305 = 28


AUTH_HMAC_SHA2_256_128: Final = 12
AUTH_HMAC_SHA2_384_192: Final = 13
PRF_HMAC_SHA2_256: Final = 5
PRF_HMAC_SHA2_384: Final = 6
GROUP_MODP_768: Final = 1
GROUP_MODP_1024: Final = 2
GROUP_MODP_2048: Final = 14
GROUP_MODP_3072: Final = 15
GROUP_P256: Final = 19
GROUP_X25519: Final = 31
# Private use (RFC 7296, section 3.3.2): IANA numbers the parts of a hybrid, not the whole.
GROUP_X25519_ML_KEM_768: Final = 1024
GROUP_USER: Final = 1025

ATTRIBUTE_KEY_LENGTH: Final = 14  # RFC 7296 section 3.3.5, in bits
ATTRIBUTE_MEBIOCTETS: Final = 16384  # private use: bound on octets carried, in units of 2^20
ATTRIBUTE_FINGERPRINT: Final = 16385  # private use: which user-defined group, 16 octets


class Code(IntEnum):
    """Codes of refusals: docs/protocol.md, section 11, docs/registration.md, section 14; below 256 RFC 5944's."""

    REGISTERED = 0
    AGENT_UNSPECIFIED = 64
    AGENT_PROHIBITED = 65
    AGENT_INSUFFICIENT_RESOURCES = 66
    HOME_AGENT_FAILED_AUTHENTICATION = 68
    AGENT_LIFETIME_TOO_LONG = 69
    AGENT_POORLY_FORMED_REQUEST = 70
    AGENT_POORLY_FORMED_REPLY = 71
    AGENT_TIMEOUT = 78
    HOME_NETWORK_UNREACHABLE = 80
    HOME_AGENT_UNREACHABLE = 81
    UNKNOWN_CHALLENGE = 104
    MISSING_CHALLENGE = 105
    STALE_CHALLENGE = 106
    UNSPECIFIED = 128
    PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    FAILED_AUTHENTICATION = 131
    AGENT_FAILED_AUTHENTICATION = 132
    IDENTIFICATION_MISMATCH = 133
    POORLY_FORMED = 134
    TOO_MANY_BINDINGS = 135
    UNKNOWN_HOME_AGENT = 136
    NOTHING_ACCEPTABLE = 256
    TOO_MANY_ROUNDS = 257
    WRONG_IDENTITY = 258
    BAD_KEY_SHARE = 260
    UNKNOWN_PAYLOAD = 261
    UNKNOWN_EXCHANGE = 262
    COUNTER_OFFER = 263
    BAD_CERTIFICATE = 264
    UNKNOWN_GROUP_PARAMETERS = 265
    REPLACED = 266
    DELETED = 267
    UNKNOWN_REALM = 270
    UNKNOWN_DOMAIN = 271
    AGENT_NOT_ALLOWED = 272
    UNKNOWN_NODE = 273
    DISABLED_NODE = 274
    WRONG_KEY_VERSION = 275
    BAD_LIFETIME = 276
    KDC_UNREACHABLE = 277
    ROUTING_LOOP = 278
    NO_SECURE_HOP = 279
    NEXT_HOP_UNREACHABLE = 280
    AGENT_MISMATCH = 281
    REPLAYED = 282
    BEGIN_ANEW = 283
    UNKNOWN_ASSOCIATION = 300
    UNKNOWN_SERVICE = 301
    CONNECT_FAILED = 302
    TOO_MANY_DIALOGS = 303
    RESET_BY_PROGRAM = 304
    PROTOCOL_ERROR = 305
    SHUTTING_DOWN = 306
    UNKNOWN_DIALOG = 307
    EXPIRED = 308

    @property
    def label(self) -> str:
        """Return the name the code has in docs/protocol.md."""
        return self.name.lower().replace("_", "-")


# Links: docs/protocol.md, section 10.
MAGIC: Final = 0x534B
MAX_BODY: Final = 65536
MIN_LARGEST_BODY: Final = 1024


class Suite(IntEnum):
    """The AEAD of a link's records."""

    AES_256_GCM = 1
    AES_128_GCM = 2
    CHACHA20_POLY1305 = 3


class RecordFlag(IntFlag):
    """Flags of a record's preamble; version 1 streams use FULL, KEK, FROM_RESPONDER, STREAM, PLAIN."""

    FULL = 0x0001
    SERVICE_PAIR = 0x0002
    KEK = 0x0004
    SESSION_KEY = 0x0008
    FROM_RESPONDER = 0x0010
    FRAGMENT = 0x0020
    ROUTING = 0x0040
    STREAM = 0x0080
    PLAIN = 0x0100


class KekSource(IntEnum):
    """Where a key exchange key of a link comes from."""

    ASSOCIATION = 1


# Messages: docs/messages.md.
UNIT_MAGIC: Final = 0x4D53
MAX_UNIT: Final = 16384
MAX_HEADERS: Final = 12288
MIN_BODY: Final = 32
MAX_TYPE: Final = 64
MOST_JOINED: Final = 4096
SHA256_SIZE: Final = 32


class UnitKind(IntEnum):
    """Units of a connection that are no envelopes: section 2."""

    HELLO = 1
    PREKEYS = 2
    NOTICE = 3
    PHASE1 = 4
    PHASE2 = 5
    PHASE3 = 6
    PING = 7
    PONG = 8
    GONE = 9
    PROVE = 10


class MessageKind(IntEnum):
    """What the body of an envelope has: section 4."""

    MESSAGES = 1
    FRAGMENT = 2
    STATE = 3


class PairAlgorithm(IntEnum):
    """What vouches for a service pair header: section 4."""

    ECDSA = 1
    MAC = 2


class MessageKek(IntEnum):
    """Where the key exchange key of a dialog of messages comes from: section 6."""

    PREKEY = 1
    ASSOCIATION = 2
    KDC = 3
    THREE_PHASE = 4


class FrameType(IntEnum):
    """Frames of a STATE: section 7."""

    PADDING = 0
    RECEIVED = 1
    PROCESSED = 2
    DEAD = 3
    CREDIT = 4
    HELD = 5
    FRAGMENTS = 7
    SKIP = 8
    ASK = 9
    END = 10
    ENDED = 11
    SHIFT = 12
    RESTORED = 13
    WHERE = 14


class NoticeWhat(IntEnum):
    """What a NOTICE says: sections 8 and 13."""

    MISSING = 1
    REFUSED = 2
    UNKEPT = 3
    KEPT = 4


class RecordType(IntEnum):
    """Stream-level records."""

    HELLO = 0
    OPEN = 1
    ACCEPT = 2
    REJECT = 3
    DATA = 4
    END = 5
    RESET = 6
    CREDIT = 7
    PING = 8
    PONG = 9
    CLOSE = 10
    RESUME = 11
    RESUMED = 12
    DONE = 13


# Registration: docs/registration.md. The types of RFC 5944 and RFC 4721, the critical vendor extension of RFC 3115
# and the enterprise number for documentation (RFC 5612).
REGISTRATION_REQUEST: Final = 1
REGISTRATION_REPLY: Final = 3
MN_HA_AUTHENTICATION: Final = 32
VENDOR_EXTENSION: Final = 38
CHALLENGE_EXTENSION: Final = 132
ENTERPRISE: Final = 32473
REGISTRATION_VERSION: Final = 1
SIMULTANEOUS_FLAG: Final = 0x80
LIFETIMES: Final = (0, 60, 300, 900, 1800, 3600, 7200, 14400, 28800)
MAX_NODE_NAI: Final = 128
MAX_HOP_MESSAGE: Final = 16384
MOST_HOPS: Final = 8


class Kem(IntEnum):
    """Key encapsulation: docs/registration.md, section 1."""

    X25519 = 1
    X25519_ML_KEM_768 = 2


class Keying(IntEnum):
    """Where the keys of a registration come from."""

    STATELESS = 0
    STATEFUL = 1
    SEMI_STATEFUL = 2


class Hop(IntEnum):
    """A hop of a passage: docs/passages.md, section 2."""

    MN_FA = 0
    FA_HA = 1


PASSAGE_MAGIC: Final = 0x5053


class Reason(IntEnum):
    """Why a registration ends before its time: docs/passages.md, section 7."""

    REVOKED = 1
    MOVED = 2
    LEFT = 3
    OPERATOR = 4

    @property
    def label(self) -> str:
        """Return the name that it has in events and commands."""
        return self.name.lower()


class Security(IntEnum):
    """What a hop is secured by."""

    NONE = 0
    TLS = 1
    ASSOCIATION = 2
