-- The names of numbers, as docs/protocol.md, docs/registration.md and docs/passages.md have them.

local numbers = {}

numbers.kinds = {
    [0] = "VERSIONS", "OFFER", "CHOICE", "COUNTER", "REFUSAL", "CONFIRM", "CONFIRMED", "ABANDON", "COOKIE", "USE_TCP",
    "PROBE", "PRESENT", "DELETE", "DELETED", "UNKNOWN", "SOLICITATION", "ADVERTISEMENT", "RELAY", "RELAYED",
    "NOT_RELAYED", "KEYS", "ISSUED", "NOT_ISSUED", "NODES", "ENTRIES", "CHANGED", "TRACE", "TRACED", "REVOCATION",
    "REVOKED",
}

numbers.subs = {
    [1] = "NAI", [2] = "IP", [3] = "LAYER2", [4] = "SA", [16] = "SA_PAYLOAD", [17] = "PROPOSAL_PAYLOAD",
    [18] = "EXCHANGE", [19] = "DETAIL", [20] = "PADDING", [21] = "CLOCK", [22] = "AUTHENTICATOR", [23] = "COOKIE",
    [24] = "REQUEST_DIGEST", [25] = "SEALED_IDENTITY", [32] = "REGISTRATION", [33] = "NODE_SHARES",
    [34] = "IDENTITY_BLOCK", [35] = "AGENT_SHARES", [36] = "CERTIFICATES", [37] = "SIGNATURE", [38] = "HOME_SHARE",
    [39] = "SEALED_ANSWER", [40] = "AGENT_SECRETS", [41] = "ROUTE", [42] = "REGISTRATION_MESSAGE",
    [43] = "ADVERTISEMENT", [44] = "KEY_REQUEST", [45] = "KEY_MATERIAL", [46] = "NODE_REQUEST", [47] = "NODE_ENTRIES",
    [48] = "TRACE", [49] = "HOME_KEYS", [50] = "AGENT_PORT", [51] = "REVOCATION",
}

numbers.nai_contents = { [0] = "MOBILE_NODE", "FOREIGN_AGENT", "HOME_AGENT" }
numbers.ip_contents = { [0] = "NODE", "ROUTER" }
numbers.layer2_contents = { [0] = "ETHERNET", "IMSI", "MIN" }
numbers.sa_contents = { [0] = "MN_FA", "FA_HA", "MN_HA", "FA_AAA", "AAA_AAA", "HA_KDC", "MN_SMM", "PRINCIPALS" }

numbers.payloads = { "SA", "PROPOSAL", "TRANSFORM", "KEY_EXCHANGE" }
numbers.sa_subs = { [1] = "MN_HA", [2] = "MN_FA", [3] = "HA_FA", [4] = "MN_SMM", [7] = "PRINCIPALS" }
numbers.key_exchange_subs = { "GROUP_1", "GROUP_2", "SECRET", "GROUP", "USER_GROUP" }
numbers.protocols = { "AUTHENTICATION", "ENCRYPTION", "KEY_AGREEMENT", "PRF" }
numbers.encryption = { [20] = "AES-GCM", [28] = "ChaCha20-Poly1305" }
numbers.authentication = { [12] = "HMAC-SHA-256-128", [13] = "HMAC-SHA-384-192" }
numbers.prf = { [5] = "HMAC-SHA-256", [6] = "HMAC-SHA-384" }
numbers.groups = {
    [1] = "MODP-768", [2] = "MODP-1024", [14] = "MODP-2048", [15] = "MODP-3072", [19] = "P-256", [31] = "X25519",
    [1024] = "X25519 with ML-KEM-768", [1025] = "user-defined group",
}
numbers.attributes = { [14] = "key length in bits", [16384] = "bound in MiB", [16385] = "fingerprint of the group" }

numbers.codes = {
    [0] = "registered", [64] = "agent-unspecified", [65] = "agent-prohibited", [66] = "agent-insufficient-resources",
    [68] = "home-agent-failed-authentication", [69] = "agent-lifetime-too-long", [70] = "agent-poorly-formed-request",
    [71] = "agent-poorly-formed-reply", [78] = "agent-timeout", [80] = "home-network-unreachable",
    [81] = "home-agent-unreachable", [104] = "unknown-challenge", [105] = "missing-challenge",
    [106] = "stale-challenge", [128] = "unspecified", [129] = "prohibited", [130] = "insufficient-resources",
    [131] = "failed-authentication", [132] = "agent-failed-authentication", [133] = "identification-mismatch",
    [134] = "poorly-formed", [135] = "too-many-bindings", [136] = "unknown-home-agent", [256] = "nothing-acceptable",
    [257] = "too-many-rounds", [258] = "wrong-identity", [260] = "bad-key-share", [261] = "unknown-payload",
    [262] = "unknown-exchange", [263] = "counter-offer", [264] = "bad-certificate",
    [265] = "unknown-group-parameters", [266] = "replaced", [267] = "deleted", [270] = "unknown-realm",
    [271] = "unknown-domain", [272] = "agent-not-allowed", [273] = "unknown-node", [274] = "disabled-node",
    [275] = "wrong-key-version", [276] = "bad-lifetime", [277] = "kdc-unreachable", [278] = "routing-loop",
    [279] = "no-secure-hop", [280] = "next-hop-unreachable", [281] = "agent-mismatch", [282] = "replayed",
    [283] = "begin-anew", [300] = "unknown-association", [301] = "unknown-service", [302] = "connect-failed",
    [303] = "too-many-dialogs", [304] = "reset-by-program", [305] = "protocol-error", [306] = "shutting-down",
    [307] = "unknown-dialog", [308] = "expired",
}

numbers.kems = { "X25519", "X25519_ML_KEM_768" }
numbers.keying = { [0] = "STATELESS", "STATEFUL", "SEMI_STATEFUL" }
numbers.security = { [0] = "NONE", "TLS", "ASSOCIATION" }
numbers.reasons = { "revoked", "moved", "left", "by the operator of the home agent" }
numbers.families = { [4] = "IPv4", [6] = "IPv6" }

numbers.suites = { "AES_256_GCM", "AES_128_GCM", "CHACHA20_POLY1305" }
numbers.records = {
    [0] = "HELLO", "OPEN", "ACCEPT", "REJECT", "DATA", "END", "RESET", "CREDIT", "PING", "PONG", "CLOSE", "RESUME",
    "RESUMED", "DONE",
}
numbers.hops = { [0] = "MN_FA", "FA_HA" }
numbers.frames = { "ACCEPT", "DATA", "PROOF", "REFUSE" }

return numbers
