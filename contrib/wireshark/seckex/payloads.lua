-- Payloads of a negotiation: SA, proposal, transform, key exchange (docs/protocol.md, section 5).

local cursors = require "seckex.cursor"
local numbers = require "seckex.numbers"

local MOST = 64
local TRANSFORMS = { "transform.authentication", "transform.encryption", "transform.group", "transform.prf" }
local SHORT_FORM = 0x8000

local read_any

local function read_attributes(cursor, tree)
    while cursor:left() > 0 do
        local kind = cursor:number(tree, "attribute.type", 2)
        if kind >= SHORT_FORM then
            cursor:add(tree, "attribute.value", 2)
        else
            local size = cursor:take(2, "attribute length"):uint()
            if size > 0 then
                cursor:add(tree, "attribute.octets", size)
            end
        end
    end
end

local function read_transform(cursor, tree, protocol)
    local number = cursor:number(tree, "transform.number", 1)
    cursor:add(tree, "transform.keys", 1)
    local name = TRANSFORMS[protocol] or "transform.id"
    local _, item = cursor:number(tree, name, 2)
    tree:set_text("Transform " .. number .. ", " .. item.text)
    read_attributes(cursor, tree)
end

local function read_proposal(cursor, tree, _, depth)
    local number = cursor:number(tree, "proposal.number", 1)
    cursor:add(tree, "proposal.protocol_number", 1)
    local protocol = cursor:number(tree, "proposal.protocol", 1)
    cursor:add(tree, "proposal.transforms", 1)
    cursor:add(tree, "proposal.lifetime", 4)
    cursor:add(tree, "proposal.bundle", 4)
    tree:set_text("Proposal " .. number .. ", " .. (numbers.protocols[protocol] or protocol))
    read_any(cursor, tree, protocol, depth)
end

local function read_key_exchange(cursor, tree, sub)
    local group = cursor:number(tree, "key_exchange.group", 2)
    cursor:take(2, "reserved")
    tree:set_text("Key exchange, " .. (numbers.groups[group] or group))
    if sub == 5 then
        for _, name in ipairs({ "key_exchange.p", "key_exchange.g", "key_exchange.value" }) do
            cursor:add(tree, name, cursor:take(2, name .. " length"):uint())
        end
    end
    cursor:rest(tree, "key_exchange.value")
end

local SUBS = { "sa.sub", "payload.sub", "payload.sub", "key_exchange.sub" }

local function read_one(cursor, tree, protocol, depth)
    local kind = cursor:number(tree, "payload.type", 1)
    local sub = cursor:number(tree, SUBS[kind] or "payload.sub", 1)
    cursor:add(tree, "payload.length", 2)
    if kind == 1 then
        tree:set_text("SA payload, " .. (numbers.sa_subs[sub] or sub))
        read_any(cursor, tree, 0, depth)
    elseif kind == 2 then
        read_proposal(cursor, tree, sub, depth)
    elseif kind == 3 then
        read_transform(cursor, tree, protocol)
    elseif kind == 4 then
        read_key_exchange(cursor, tree, sub)
    else
        cursor:rest(tree, "other")
    end
end

-- Payloads one after the other; `depth` is how much deeper they may be nested.
read_any = function(cursor, tree, protocol, depth)
    if depth == 0 then
        cursor:fail("payloads are nested too deeply")
    end
    local count = 0
    while cursor:left() > 0 do
        count = count + 1
        if count > MOST then
            cursor:fail("more than " .. MOST .. " payloads")
        end
        if cursor:left() < 4 then
            cursor:fail("a payload of " .. cursor:left() .. " octets")
        end
        local size = cursor.tvb(cursor.at + 2, 2):uint()
        if size < 4 then
            cursor:fail("a payload that says it has " .. size .. " octets")
        end
        local inner = cursor:within(size, "payload")
        local below = inner:tree(tree, "payload", size)
        if not cursors.guard(below, read_one, inner, below, protocol, depth - 1) then
            inner:rest(below, "other")
        end
    end
end

return {
    read = function(cursor, tree)
        read_any(cursor, tree, 0, 4)
    end,
}
