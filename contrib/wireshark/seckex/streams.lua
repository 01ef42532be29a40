-- What is kept of TCP connections: what each carries, found from its first octets, and what its link has said.

local passages = require "seckex.passages"
local records = require "seckex.records"

-- By the pair of ends, in the order of their names; and by packet, for whoever reads one again.
local streams, packets = {}, {}

local LINK, PASSAGE, MESSAGES = "link", "passage", "messages"
local LONGEST, SHORTEST = 16384, 16

local sizes = {
    [LINK] = { start = records.START, size_of = records.size_of },
    [PASSAGE] = { start = passages.START, size_of = passages.size_of },
    [MESSAGES] = {
        start = 2,
        size_of = function(tvb, at)
            local size = tvb(at, 2):uint()
            if size == 0 or (size >= SHORTEST and size <= LONGEST) then
                return 2 + size
            end
        end,
    },
}

-- What a connection carries whose next octets are these; nil where they begin nothing, `strict` where they must prove it.
local function kind_of(tvb, strict)
    local size = tvb:len()
    if size >= records.START and records.size_of(tvb, 0) then
        return LINK
    elseif size >= passages.START and passages.begins(tvb, 0) and passages.size_of(tvb, 0) then
        return PASSAGE
    elseif size >= 6 and sizes[MESSAGES].size_of(tvb, 0) then
        local kind, second = tvb(2, 1):uint(), tvb(3, 1):uint()
        if kind == 255 and (second == 0x10 or second == 0x11 or (second == 0x01 and not strict)) then
            return MESSAGES
        elseif not strict and (kind == 1 or kind == 3) then
            return MESSAGES
        end
    end
end

-- Whether these octets are the first of a connection, so that another one had the same ends before.
local function begins(tvb)
    if tvb:len() >= records.START and records.size_of(tvb, 0) then
        return records.begins(tvb, 0)
    end
    return tvb:len() >= passages.START and passages.begins(tvb, 0)
end

local function stream_of(tvb, pinfo)
    local here = tostring(pinfo.src) .. " " .. pinfo.src_port
    local there = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    local key = here < there and (here .. " " .. there) or (there .. " " .. here)
    local found = streams[key]
    if not found or (found.kind ~= MESSAGES and found.since ~= pinfo.number and begins(tvb)) then
        found = { link = records.link(), directions = {} }
        streams[key] = found
    end
    return found
end

return {
    LINK = LINK, PASSAGE = PASSAGE, MESSAGES = MESSAGES,
    kind_of = kind_of,
    sizes = sizes,
    forget = function()
        streams, packets = {}, {}
    end,
    -- What is kept of the connection of this packet, and what it carries; nil where that is not known (yet).
    of = function(tvb, pinfo)
        local stream = packets[pinfo.number]
        if not stream or not pinfo.visited then
            stream = stream_of(tvb, pinfo)
            packets[pinfo.number] = stream
            if not stream.kind then
                stream.kind, stream.since = kind_of(tvb, false), pinfo.number
            end
        end
        return stream, stream.kind and pinfo.number >= stream.since and stream.kind or nil
    end,
    -- What is kept of one direction of a passage.
    direction = function(stream, pinfo)
        local key = tostring(pinfo.src) .. " " .. pinfo.src_port
        stream.directions[key] = stream.directions[key] or passages.direction()
        return stream.directions[key]
    end,
}
