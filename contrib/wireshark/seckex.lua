-- Wireshark dissector of the seckex protocol: general messages, registrations, advertisements, hops, links and passages.
-- README.md says how to install it, what its fields are and how records are decrypted.

package.path = (__DIR__ or "") .. "?.lua;" .. package.path

local fields = require "seckex.fields"
local keylog = require "seckex.keylog"
local messages = require "seckex.messages"
local passages = require "seckex.passages"
local records = require "seckex.records"
local streams = require "seckex.streams"

local TCP = 2
local ALPN = "seckex1-hop"

set_plugin_info({ version = "1.0.0", author = "seckex", repository = "contrib/wireshark" })

local seckex = Proto("seckex", "Seckex")
local hop = Proto("seckex_hop", "Seckex hop")

local all = {}
for _, field in pairs(fields) do
    all[#all + 1] = field
end
seckex.fields = all
local experts = {}
for _, each in pairs(fields.experts) do
    experts[#experts + 1] = each
end
seckex.experts = experts

seckex.prefs.ports = Pref.range("UDP and TCP ports", "4434", "Ports on which seckex is spoken", 65535)
seckex.prefs.keylog = Pref.string("Key log file", "", "The file that debug.key-log of a daemon names")

local mobile_ip = Dissector.get("mip")

local function show(pinfo, said)
    pinfo.cols.protocol = "Seckex"
    pinfo.cols.info = table.concat(said, ", ")
end

-- One message in all octets from `at` to `stop`; Wireshark's own dissector names the standard part of registrations.
local function read_message(tvb, at, stop, pinfo, tree, said)
    local item = tree:add(seckex, tvb(at, stop - at))
    if mobile_ip and messages.is_registration(tvb, at) then
        local well = pcall(mobile_ip.call, mobile_ip, tvb(at, stop - at):tvb(), pinfo, tree)
        if not well then
            item:add_proto_expert_info(fields.experts.malformed, "Malformed: no registration message of Mobile IP")
        end
    end
    local name = messages.read(tvb, at, stop, item)
    if name then
        said[#said + 1] = name
    else
        item:add(fields.other, tvb(at, stop - at))
        said[#said + 1] = "not a message"
    end
end

local readers = {
    [streams.LINK] = function(tvb, at, stop, pinfo, tree, said, stream)
        said[#said + 1] = records.read(tvb, at, stop, tree:add(seckex, tvb(at, stop - at)), stream.link)
    end,
    [streams.PASSAGE] = function(tvb, at, stop, pinfo, tree, said, stream)
        local item = tree:add(seckex, tvb(at, stop - at))
        local direction = streams.direction(stream, pinfo)
        local place = pinfo.number .. " " .. tvb:offset() .. " " .. at
        local fresh = not pinfo.visited
        said[#said + 1] = passages.read(tvb, at, stop, item, stream.link, direction, place, fresh)
    end,
    [streams.MESSAGES] = function(tvb, at, stop, pinfo, tree, said)
        tree:add(seckex, tvb(at, 2)):add(fields.length, tvb(at, 2))
        if stop - at > 2 then
            read_message(tvb, at + 2, stop, pinfo, tree, said)
        else
            said[#said + 1] = "taken"
        end
    end,
}

-- What a stream of octets holds, one thing after the other; asks for more octets where the last is not whole.
local function read_stream(tvb, pinfo, tree, kind, stream)
    local at, said = 0, {}
    local framing = streams.sizes[kind]
    while at < tvb:len() do
        local left = tvb:len() - at
        local size = left >= framing.start and framing.size_of(tvb, at)
        local short = left < framing.start and DESEGMENT_ONE_MORE_SEGMENT or (size and size > left and size - left)
        if short and pinfo.can_desegment > 0 then
            pinfo.desegment_offset = at
            pinfo.desegment_len = short
            break
        elseif short or not size then
            local item = tree:add(seckex, tvb(at, left))
            item:add(fields.other, tvb(at, left))
            item:add_proto_expert_info(fields.experts.malformed, short and "Cut short" or "Nothing begins here")
            said[#said + 1] = "malformed"
            break
        end
        readers[kind](tvb, at, at + size, pinfo, tree, said, stream)
        at = at + size
    end
    if #said > 0 then
        show(pinfo, said)
    end
    return tvb:len()
end

local function read_tcp(tvb, pinfo, tree)
    local stream, kind = streams.of(tvb, pinfo)
    if kind then
        return read_stream(tvb, pinfo, tree, kind, stream)
    end
    local item = tree:add(seckex, tvb())
    item:add(fields.other, tvb())
    show(pinfo, { "of a connection whose beginning was not captured" })
    return tvb:len()
end

function seckex.dissector(tvb, pinfo, tree)
    if tvb:len() == 0 then
        return 0
    elseif pinfo.port_type == TCP then
        return read_tcp(tvb, pinfo, tree)
    end
    local said = {}
    read_message(tvb, 0, tvb:len(), pinfo, tree, said)
    show(pinfo, said)
    return tvb:len()
end

-- Inside of TLS: general messages, each behind its length (docs/registration.md, section 11).
function hop.dissector(tvb, pinfo, tree)
    return read_stream(tvb, pinfo, tree, streams.MESSAGES)
end

function seckex.init()
    streams.forget()
end

local function listen(ports)
    for _, table_name in ipairs({ "udp.port", "tcp.port" }) do
        DissectorTable.get(table_name):add(ports, seckex)
    end
end

local ports = seckex.prefs.ports
listen(ports)
keylog.use(seckex.prefs.keylog)

function seckex.prefs_changed()
    if tostring(ports) ~= tostring(seckex.prefs.ports) then
        for _, table_name in ipairs({ "udp.port", "tcp.port" }) do
            DissectorTable.get(table_name):remove(ports, seckex)
        end
        ports = seckex.prefs.ports
        listen(ports)
    end
    keylog.use(seckex.prefs.keylog)
end

seckex:register_heuristic("udp", function(tvb, pinfo, tree)
    if not messages.looks_right(tvb) then
        return false
    end
    seckex.dissector(tvb, pinfo, tree)
    return true
end)

seckex:register_heuristic("tcp", function(tvb, pinfo, tree)
    if not streams.kind_of(tvb, true) then
        return false
    end
    pinfo.conversation = seckex
    seckex.dissector(tvb, pinfo, tree)
    return true
end)

DissectorTable.get("tls.alpn"):add(ALPN, hop)
