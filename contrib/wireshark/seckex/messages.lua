-- General messages (docs/protocol.md, section 3) and registration messages (docs/registration.md, section 2).

local cursors = require "seckex.cursor"
local extensions = require "seckex.extensions"
local fields = require "seckex.fields"
local numbers = require "seckex.numbers"

local GENERAL, REQUEST, REPLY = 255, 1, 3
local EXTENSION, VENDOR_EXTENSION, AUTHENTICATION, CHALLENGE = 127, 38, 32, 132
local ENTERPRISE = 32473
local HEADERS = { [REQUEST] = 24, [REPLY] = 20 }
local MOST = 64

local function guarded(cursor, tree, sub)
    if not cursors.guard(tree, extensions.read, sub, cursor, tree) then
        cursor:rest(tree, "other")
    end
    cursor.at = cursor.stop
end

local function too_many(cursor, count)
    if count > MOST then
        cursor:fail("more than " .. MOST .. " extensions")
    end
end

local function read_extensions(cursor, tree)
    local count = 0
    while cursor:left() > 0 do
        count = count + 1
        too_many(cursor, count)
        local size = cursor:left() >= 4 and cursor.tvb(cursor.at + 2, 2):uint() or 0
        local below = cursor:tree(tree, "ext", 4 + size)
        if cursor:number(below, "ext.type", 1) ~= EXTENSION then
            cursor:fail("an extension of another type than " .. EXTENSION)
        end
        local sub = cursor:number(below, "ext.sub", 1)
        cursor:add(below, "ext.length", 2)
        guarded(cursor:within(size, "extension"), below, sub)
    end
end

local function read_vendor_extension(cursor, tree)
    cursor:take(1, "reserved")
    local size = cursor:number(tree, "ext.length", 2)
    local vendor = cursor:number(tree, "ext.vendor", 4)
    local sub = cursor:number(tree, "ext.sub", 2)
    if size < 6 then
        cursor:fail("a vendor extension of " .. size .. " octets")
    end
    local inner = cursor:within(size - 6, "extension")
    if vendor == ENTERPRISE then
        guarded(inner, tree, sub)
    else
        inner:rest(tree, "other")
    end
end

local function read_short_extension(cursor, tree, kind)
    local inner = cursor:within(cursor:number(tree, "ext.length", 1), "extension")
    if kind == CHALLENGE then
        tree:set_text("Challenge")
        inner:rest(tree, "challenge")
    elseif kind == AUTHENTICATION then
        tree:set_text("Authentication")
        inner:add(tree, "registration.spi", 4)
        inner:rest(tree, "authenticator.mac")
    else
        inner:rest(tree, "other")
    end
end

local function read_registration(cursor, tree)
    cursor:take(HEADERS[cursor.tvb(cursor.at, 1):uint()], "header")
    local count = 0
    while cursor:left() > 0 do
        count = count + 1
        too_many(cursor, count)
        local long = cursor.tvb(cursor.at, 1):uint() == VENDOR_EXTENSION
        local start, size = long and 4 or 2, 0
        if cursor:left() >= start then
            size = cursor.tvb(cursor.at + start / 2, start / 2):uint()
        end
        local below = cursor:tree(tree, "ext", start + size)
        local kind = cursor:number(below, "ext.type", 1)
        if long then
            read_vendor_extension(cursor, below)
        else
            read_short_extension(cursor, below, kind)
        end
    end
end

local function read_general(cursor, tree)
    local at = cursor.at
    cursor:add(tree, "type", 1)
    local version = math.floor(cursor:number(tree, "version", 1) / 16)
    cursor.at = at + 1
    cursor:add(tree, "answer", 1)
    local kind = cursor:number(tree, "kind", 2)
    local _, item = cursor:add(tree, "identification", 8)
    if version ~= 0 then
        item:add(fields["identification.time"], cursor.tvb(at + 4, 4))
    end
    cursor:add(tree, "spi", 4)
    tree:append_text(", " .. (numbers.kinds[kind] or ("kind " .. kind)))
    if kind == 0 then
        for _ = 1, cursor:take(1, "count"):uint() do
            cursor:add(tree, "versions", 1)
        end
    else
        read_extensions(cursor, tree)
    end
end

-- A short name of the message that begins at `at`, for the list of packets; nil where none does.
local function name_of(tvb, at)
    local left = tvb:len() - at
    local kind = left > 0 and tvb(at, 1):uint()
    if kind == REQUEST then
        return "Registration request"
    elseif kind == REPLY then
        return "Registration reply" .. (left > 1 and ", code " .. tvb(at + 1, 1):uint() or "")
    elseif kind == GENERAL and left >= 4 then
        local number = tvb(at + 2, 2):uint()
        return numbers.kinds[number] or ("Kind " .. number)
    end
end

-- Reads the message in all octets from `at` to `stop`; shows it below `tree`. Returns its name, nil where it is none.
local function read(tvb, at, stop, tree)
    local name = name_of(tvb, at)
    if not name then
        return nil
    end
    local cursor = cursors.new(tvb, at, stop)
    local general = tvb(at, 1):uint() == GENERAL
    cursors.guard(tree, general and read_general or read_registration, cursor, tree)
    return name
end

-- A registration message that another message passes on.
extensions.readers[42] = function(cursor, tree)
    if cursor:left() > 0 then
        local below = cursor:tree(tree, "registration", cursor:left())
        local name = read(cursor.tvb, cursor.at, cursor.stop, below)
        if name and HEADERS[cursor.tvb(cursor.at, 1):uint()] then
            below:set_text(name)
        end
        cursor.at = cursor.stop
    end
end

-- Whether a datagram can be nothing but ours: for ports that nobody has named.
local function looks_right(tvb)
    local size = tvb:len()
    if size < 16 then
        return false
    end
    local kind = tvb(0, 1):uint()
    if kind == GENERAL then
        local second, number = tvb(1, 1):uint(), tvb(2, 2):uint()
        local ours = second == 0x10 or second == 0x11
        return ours and numbers.kinds[number] ~= nil and (size == 16 or tvb(16, 1):uint() == EXTENSION)
    end
    local header = HEADERS[kind]
    if not header or size < header + 10 then
        return false
    end
    return tvb(header, 1):uint() == VENDOR_EXTENSION and tvb(header + 4, 4):uint() == ENTERPRISE
end

return { read = read, looks_right = looks_right, is_registration = function(tvb, at)
    return HEADERS[tvb(at, 1):uint()] ~= nil
end }
