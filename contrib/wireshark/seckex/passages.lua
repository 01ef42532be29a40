-- Passages: the frames of one hop, and the link inside of their DATA (docs/passages.md, section 2).

local cursors = require "seckex.cursor"
local fields = require "seckex.fields"
local numbers = require "seckex.numbers"
local records = require "seckex.records"

local MAGIC, OPEN = 0x5053, 64
local MOST_DATA, MOST_PENDING = 2 ^ 20, 2 ^ 20
local SIZES = { [1] = 52, [3] = 36, [4] = 38 }
local DATA = 2

-- The size of the frame that begins at `at`, of which 4 octets are there; nil where none does.
local function size_of(tvb, at)
    if tvb(at, 2):uint() == MAGIC and tvb(at + 2, 1):uint() == 1 and numbers.hops[tvb(at + 3, 1):uint()] then
        return OPEN
    end
    local kind, length = tvb(at, 1):uint(), tvb(at + 1, 3):uint()
    if kind == DATA and length >= 1 and length <= MOST_DATA then
        return 4 + length
    end
    return SIZES[kind] == 4 + length and SIZES[kind] or nil
end

local function read_open(cursor, tree)
    cursor:take(2, "magic")
    cursor:add(tree, "passage.version", 1)
    cursor:add(tree, "passage.hop", 1)
    cursor:add(tree, "passage.spi", 4)
    cursor:microseconds(tree, "passage.time")
    cursor:add(tree, "passage.nonce", 16)
    cursor:add(tree, "passage.mac", 32)
    tree:set_text("Passage, OPEN")
    return "Passage OPEN"
end

local readers = {
    [1] = function(cursor, tree)
        cursor:add(tree, "passage.nonce", 16)
        cursor:add(tree, "passage.mac", 32)
    end,
    [DATA] = function(cursor, tree)
        cursor:rest(tree, "passage.data")
    end,
    [3] = function(cursor, tree)
        cursor:add(tree, "passage.sent", 8)
        cursor:add(tree, "passage.received", 8)
        cursor:add(tree, "passage.mac", 16)
    end,
    [4] = function(cursor, tree)
        local code = cursor:number(tree, "passage.code", 2)
        cursor:add(tree, "passage.mac", 32)
        return numbers.codes[code] or tostring(code)
    end,
}

local function read_frame(cursor, tree)
    if cursor.tvb(cursor.at, 2):uint() == MAGIC then
        return read_open(cursor, tree)
    end
    local kind = cursor:number(tree, "passage.frame", 1)
    cursor:add(tree, "passage.length", 3)
    local title = numbers.frames[kind]
    tree:set_text("Passage, " .. title)
    local remark = readers[kind](cursor, tree)
    return "Passage " .. title .. (remark and (" " .. remark) or "")
end

-- The records that are whole with these octets, taken from what waits of one direction; and whether some were lost.
local function whole_records(direction, octets)
    local found, lost = {}, false
    local waiting = direction.waiting .. octets
    local at = 1
    while #waiting - at + 1 >= records.START do
        local head = ByteArray.new(waiting:sub(at, at + records.START - 1), true):tvb("Record")
        local size = records.size_of(head, 0)
        if not size then
            lost = true
            at = waiting:find("SK\1", at + 1, true) or (#waiting + 1)
        elseif #waiting - at + 1 < size then
            break
        else
            found[#found + 1] = waiting:sub(at, at + size - 1)
            at = at + size
        end
    end
    direction.waiting = waiting:sub(at)
    if #direction.waiting > MOST_PENDING then
        direction.waiting, lost = "", true
    end
    return { records = found, lost = lost }
end

return {
    START = 4,
    size_of = size_of,
    begins = function(tvb, at)
        return tvb(at, 2):uint() == MAGIC
    end,
    -- What is to be kept of one direction of a passage.
    direction = function()
        return { waiting = "", found = {} }
    end,
    -- Reads the frame in the octets from `at` to `stop`. `place` tells it from all others of its direction, and `fresh`
    -- that this is the first time that it is read, in the order of the stream.
    read = function(tvb, at, stop, tree, link, direction, place, fresh)
        local cursor = cursors.new(tvb, at, stop)
        local below = cursor:tree(tree, "passage", stop - at)
        local well, title = cursors.guard(below, read_frame, cursor, below)
        if tvb(at, 1):uint() == DATA then
            if fresh then
                direction.found[place] = whole_records(direction, tvb:raw(at + 4, stop - at - 4))
            end
            local inside = direction.found[place]
            if inside and inside.lost then
                below:add_proto_expert_info(fields.experts.lost)
            end
            for _, octets in ipairs(inside and inside.records or {}) do
                local record = ByteArray.new(octets, true):tvb("Record of the link")
                title = title .. ", " .. records.read(record, 0, record:len(), tree, link)
            end
        end
        return well and title or "malformed passage"
    end,
}
