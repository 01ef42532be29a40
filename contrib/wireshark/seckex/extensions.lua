-- The data of each extension (docs/protocol.md, section 4; docs/registration.md, section 3; docs/passages.md,
-- section 7), the same in general messages and in registration messages.

local numbers = require "seckex.numbers"
local payloads = require "seckex.payloads"

-- Octets of a public key and a ciphertext by KEM, and the longer of the two forms of what depends on it.
local PUBLIC, CIPHERTEXT = { 32, 1216 }, { 32, 1120 }
local SHORTEST_HYBRID = 1000

local function kem_of(cursor)
    return cursor:left() < SHORTEST_HYBRID and 1 or 2
end

local function address(cursor, tree)
    local size = cursor:left()
    if size ~= 4 and size ~= 16 then
        cursor:fail("an address of " .. size .. " octets")
    end
    cursor:add(tree, size == 4 and "ipv4" or "ipv6", size)
end

-- Fig. 8 to 11: content type, flags and SPI before what the extension says, which may be sealed.
local function clear_or_sealed(content, read)
    return function(cursor, tree)
        cursor:add(tree, content, 1)
        local flags = cursor:number(tree, "ext.sealed", 1)
        cursor:take(2, "reserved")
        cursor:add(tree, "ext.spi", 4)
        if flags >= 0x80 then
            cursor:rest(tree, "ext.sealed_octets")
        else
            read(cursor, tree)
        end
    end
end

local function one(name)
    return function(cursor, tree)
        cursor:rest(tree, name)
    end
end

local function route(cursor, tree)
    cursor:add(tree, "route.hops", 1)
    cursor:short_text(tree, "route.home_agent")
    for _ = 1, cursor:take(1, "count"):uint() do
        cursor:short_text(tree, "route.relayed")
    end
end

local function trace(cursor, tree)
    for _ = 1, cursor:number(tree, "trace.count", 1) do
        cursor:short_text(tree, "trace.nai")
        cursor:add(tree, "trace.security", 1)
        cursor:add(tree, "trace.microseconds", 4)
    end
end

local function certificates(cursor, tree)
    for _ = 1, cursor:number(tree, "certificates.count", 1) do
        cursor:add(tree, "certificate", cursor:take(2, "length of a certificate"):uint())
    end
end

local ADVERTISEMENT_FLAGS = { "registration_required", "busy", "aaa", "tcp", "hybrid", "carries_traffic" }

local function advertisement(cursor, tree)
    cursor:add(tree, "advertisement.version", 1)
    local at = cursor.at
    local _, flags = cursor:add(tree, "advertisement.flags", 1)
    for _, name in ipairs(ADVERTISEMENT_FLAGS) do
        cursor.at = at
        cursor:add(flags, "advertisement." .. name, 1)
    end
    for _, name in ipairs({ "lifetime", "longest", "sequence", "port" }) do
        cursor:add(tree, "advertisement." .. name, 2)
    end
    cursor:add(tree, "challenge", 16)
    cursor:short_text(tree, "advertisement.nai")
    cursor:short_text(tree, "advertisement.domain")
    for _ = 1, cursor:take(1, "count"):uint() do
        local family = cursor:number(tree, "family", 1)
        address(cursor:within(family == 4 and 4 or 16, "care-of address"), tree)
    end
end

local function entries(cursor, tree)
    cursor:add(tree, "entries.serial", 8)
    cursor:add(tree, "entries.more", 1)
    for _ = 1, cursor:number(tree, "entries.count", 2) do
        cursor:add(tree, "entries.serial", 8)
        local at = cursor.at
        local _, flags = cursor:add(tree, "entry.flags", 1)
        for _, name in ipairs({ "enabled", "deleted", "revoked" }) do
            cursor.at = at
            cursor:add(flags, "entry." .. name, 1)
        end
        cursor:add(tree, "kvno", 4)
        cursor:seconds(tree, "until")
        cursor:short_text(tree, "node")
        cursor:add(tree, "secret", 32)
        cursor:add(tree, "secret", 32)
        cursor:short_text(tree, "home_agent")
    end
end

local function home_keys(cursor, tree)
    for _ = 1, cursor:take(1, "count"):uint() do
        local kem = cursor:number(tree, "registration.kem", 1)
        cursor:seconds(tree, "until")
        cursor:add(tree, "home_key", PUBLIC[kem] or cursor:left())
    end
end

local readers = {
    [1] = clear_or_sealed("nai.content", one("nai")),
    [2] = clear_or_sealed("ip.content", address),
    [3] = clear_or_sealed("layer2.content", one("layer2")),
    [4] = clear_or_sealed("sa_info.content", one("secret")),
    [16] = payloads.read,
    [17] = payloads.read,
    [18] = function(cursor, tree)
        cursor:add(tree, "exchange.round", 1)
        cursor:take(3, "reserved")
        cursor:add(tree, "exchange.initiator_spi", 4)
        cursor:add(tree, "exchange.responder_spi", 4)
        cursor:add(tree, "exchange.nonce", 32)
    end,
    [19] = function(cursor, tree)
        cursor:add(tree, "detail.code", 2)
        cursor:add(tree, "detail.proposal", 1)
        cursor:add(tree, "detail.transform", 1)
        cursor:rest(tree, "detail.text")
    end,
    [20] = one("padding"),
    [21] = function(cursor, tree)
        cursor:seconds(tree, "clock")
    end,
    [22] = function(cursor, tree)
        cursor:add(tree, "authenticator.spi", 4)
        cursor:rest(tree, "authenticator.mac")
    end,
    [23] = one("cookie"),
    [24] = one("digest"),
    [25] = one("identity"),
    [32] = function(cursor, tree)
        cursor:add(tree, "registration.version", 1)
        cursor:add(tree, "registration.kem", 1)
        cursor:add(tree, "registration.round", 1)
        cursor:take(1, "reserved")
        cursor:add(tree, "registration.spi", 4)
        cursor:add(tree, "registration.previous", 32)
    end,
    [33] = function(cursor, tree)
        cursor:add(tree, "share.x", PUBLIC[kem_of(cursor)])
        cursor:rest(tree, "share.ct_static")
    end,
    [34] = function(cursor, tree)
        cursor:take(1, "reserved")
        cursor:add(tree, "ext.sealed", 1)
        cursor:take(2, "reserved")
        cursor:add(tree, "registration.spi", 4)
        cursor:rest(tree, "ext.sealed_octets")
    end,
    [35] = function(cursor, tree)
        local kem = kem_of(cursor)
        cursor:add(tree, "agent_shares.spi_home", 4)
        cursor:add(tree, "agent_shares.spi_node", 4)
        cursor:add(tree, "share.z", PUBLIC[kem])
        cursor:rest(tree, "share.ct3")
    end,
    [36] = certificates,
    [37] = one("signature"),
    [38] = one("share.y"),
    [39] = one("sealed_answer"),
    [40] = function(cursor, tree)
        cursor:add(tree, "share.c2", CIPHERTEXT[kem_of(cursor)])
        cursor:rest(tree, "agent_secrets")
    end,
    [41] = route,
    [43] = advertisement,
    [44] = function(cursor, tree)
        cursor:add(tree, "keying", 1)
        cursor:take(1, "reserved")
        cursor:add(tree, "lifetime", 2)
        cursor:add(tree, "kvno", 4)
        cursor:add(tree, "digest", 32)
        cursor:short_text(tree, "node")
        cursor:short_text(tree, "agent")
    end,
    [45] = function(cursor, tree)
        cursor:add(tree, "keying", 1)
        for _ = 1, cursor:take(1, "count"):uint() do
            cursor:add(tree, "secret", 32)
        end
    end,
    [46] = function(cursor, tree)
        cursor:add(tree, "entries.serial", 8)
        cursor:add(tree, "entries.most", 2)
        cursor:short_text(tree, "node")
    end,
    [47] = entries,
    [48] = trace,
    [49] = home_keys,
    [50] = function(cursor, tree)
        cursor:add(tree, "agent_port", 2)
        cursor:take(2, "reserved")
    end,
    [51] = function(cursor, tree)
        cursor:add(tree, "revocation.version", 1)
        cursor:add(tree, "revocation.reason", 1)
        cursor:take(2, "reserved")
        cursor:add(tree, "revocation.spi", 4)
        cursor:microseconds(tree, "revocation.time")
    end,
}

-- Reads the data of an extension; what is left over belongs to no field of it.
local function read(sub, cursor, tree)
    tree:set_text(numbers.subs[sub] or ("Extension " .. sub))
    local reader = readers[sub]
    if reader then
        reader(cursor, tree)
        if cursor:left() > 0 then
            cursor:fail(cursor:left() .. " octets too many")
        end
    end
end

return { readers = readers, read = read }
