-- Records of a link: preamble, headers and, with a key log, bodies (docs/protocol.md, section 10).

local cipher = require "seckex.cipher"
local cursors = require "seckex.cursor"
local fields = require "seckex.fields"
local keylog = require "seckex.keylog"
local numbers = require "seckex.numbers"

local MAGIC, MAX_BODY = 0x534B, 65536
local START, FULL_PREAMBLE, PREAMBLE, DIALOG_HEADER, KEK_HEADER = 12, 60, 48, 16, 8
local FLAGS = { [0x0085] = true, [0x0095] = true, [0x0080] = true, [0x0090] = true, [0x0190] = true }
local HELLO = 0
local MOST_DIALOGS = 4096

-- The size of the record that begins at `at`, of which 12 octets are there; nil where none does.
local function size_of(tvb, at)
    local flags, body = tvb(at + 4, 2):uint(), tvb(at + 8, 4):uint()
    local full = flags == 0x0085 or flags == 0x0095
    local headers = DIALOG_HEADER + (full and KEK_HEADER or 0)
    local suite = tvb(at + 3, 1):uint()
    local ours = tvb(at, 2):uint() == MAGIC and tvb(at + 2, 1):uint() == 1 and numbers.suites[suite] and FLAGS[flags]
    if ours and tvb(at + 6, 2):uint() == headers and body <= MAX_BODY then
        return (full and FULL_PREAMBLE or PREAMBLE) + headers + body
    end
end

local function notice(cursor, tree)
    local code = cursor:number(tree, "notice.code", 2)
    cursor:rest(tree, "notice.text")
    return numbers.codes[code] or tostring(code)
end

local function taken_over(cursor, tree)
    cursor:add(tree, "dialog.received", 8)
    cursor:add(tree, "dialog.limit", 8)
end

local function ping(cursor, tree)
    cursor:rest(tree, "ping")
end

local function data(cursor, tree)
    local range = cursor:take(cursor:left(), "data")
    tree:add(fields["dialog.data"], range)
    local said = range:raw()
    if not said:find("[^%g%s]") then
        tree:add(fields["dialog.text"], range, said)
    end
end

-- What bodies hold; each may return a remark for the list of packets.
local bodies = {
    [HELLO] = function(cursor, tree)
        cursor:add(tree, "hello.credit", 4)
        cursor:add(tree, "hello.most_dialogs", 4)
        cursor:add(tree, "hello.largest_body", 4)
    end,
    [1] = function(cursor, tree, link, number)
        cursor:add(tree, "dialog.id", 16)
        local range = cursor:add(tree, "dialog.service", cursor:left())
        local service = range:string(ENC_UTF_8)
        if not link.services[number] and link.count < MOST_DIALOGS then
            link.count, link.services[number] = link.count + 1, service
        end
    end,
    [3] = notice,
    [4] = data,
    [6] = notice,
    [7] = function(cursor, tree)
        cursor:add(tree, "dialog.limit", 8)
    end,
    [8] = ping,
    [9] = ping,
    [10] = notice,
    [11] = function(cursor, tree)
        cursor:add(tree, "dialog.id", 16)
        taken_over(cursor, tree)
    end,
    [12] = taken_over,
}

local function keys_of(record, link)
    if record.salt then
        local keys = keylog.by_salt(record.salt)
        return keys and (record.from_responder and keys.hello_r or keys.hello_i), keys
    end
    local keys = keylog.by_context(record.context, link.salt)
    return keys and (record.from_responder and keys.body_r or keys.body_i), keys
end

-- Opens the body; returns a cursor over it, nil where it stays sealed, which is said below `tree`.
local function opened(record, cursor, tree, link)
    local size = cursor:left()
    local sealed = size > 0 and cursor.tvb:raw(cursor.at, size) or ""
    if record.plain then
        return cursor
    end
    local key, keys = keys_of(record, link)
    if not key or not cipher.available then
        local item = size > 0 and tree:add(fields["record.sealed"], cursor.tvb(cursor.at, size)) or tree
        local hint = "Sealed: the key log does not have the keys of this link"
        if not keylog.configured() then
            hint = "Sealed: no key log is configured (preference seckex.keylog)"
        elseif not cipher.available then
            hint = "Sealed: this Wireshark has no ciphers for Lua (Wireshark 4.6, or Debian's lua-luaossl)"
        end
        item:add_proto_expert_info(fields.experts.sealed, hint)
        return nil
    end
    local body, verified = cipher.open(keys.suite, key, record.counter, record.associated, sealed, record.mic)
    if verified ~= nil then
        tree:add(fields["record.verified"], verified):set_generated()
    end
    if not body or verified == false then
        tree:add_proto_expert_info(fields.experts.forged)
        return nil
    end
    if #body == 0 then
        return cursors.new(cursor.tvb, cursor.at, cursor.at)
    end
    local clear = ByteArray.new(body, true):tvb("Decrypted body")
    return cursors.new(clear, 0, clear:len())
end

local function read_preamble(cursor, tree)
    local record, start = {}, cursor.at
    cursor:add(tree, "record.magic", 2)
    cursor:add(tree, "record.version", 1)
    cursor:add(tree, "record.suite", 1)
    local flags, item = cursor:number(tree, "record.flags", 2)
    for _, name in ipairs({ "full", "kek", "from_responder", "stream", "plain" }) do
        item:add(fields["record.flags." .. name], cursor.tvb(cursor.at - 2, 2))
    end
    record.from_responder = bit.band(flags, 0x0010) ~= 0
    record.plain = bit.band(flags, 0x0100) ~= 0
    cursor:add(tree, "record.header_length", 2)
    cursor:add(tree, "record.body_length", 4)
    cursor:microseconds(tree, "record.created")
    if bit.band(flags, 0x0001) ~= 0 then
        record.salt = cursor:add(tree, "record.salt", 16):bytes():tohex(true)
    else
        record.context = cursor:number(tree, "record.context", 4)
    end
    record.counter = cursor:add(tree, "record.counter", 8):raw()
    record.associated = cursor.tvb:raw(start, cursor.at - start)
    record.mic = cursor:add(tree, "record.mic", 16):raw()
    return record
end

-- Shows the body, opened if it can be; returns a remark of it.
local function read_body(cursor, tree, link, record, kind, number)
    local body = opened(record, cursor, tree, link)
    if not body or body:left() == 0 then
        return nil
    end
    local below = body:tree(tree, "body", body:left())
    local reader = bodies[kind]
    local well, remark = cursors.guard(below, function()
        local remark = reader and reader(body, below, link, number)
        if body:left() > 0 then
            body:fail(body:left() .. " octets too many")
        end
        return remark
    end)
    return well and remark or nil
end

local function read_record(cursor, tree, link)
    local record = read_preamble(cursor, tree)
    local headers = cursor.at
    if record.salt then
        link.salt = link.salt or record.salt
        cursor:add(tree, "kek.source", 1)
        cursor:take(1, "reserved")
        cursor:add(tree, "kek.length", 2)
        cursor:add(tree, "kek.spi", 4)
    end
    local number = cursor:number(tree, "dialog.number", 4)
    local kind = cursor:number(tree, "dialog.type", 1)
    cursor:take(3, "reserved")
    cursor:add(tree, "dialog.sequence", 8)
    record.associated = record.associated .. cursor.tvb:raw(headers, cursor.at - headers)
    local name = numbers.records[kind] or ("type " .. kind)
    local size = cursor:left()
    local remark = read_body(cursor, tree, link, record, kind, number)
    local service = link.services[number]
    local title = name .. (number > 0 and (" " .. number) or "") .. (service and (" " .. service) or "")
    tree:set_text("Record, " .. title .. ", " .. size .. " octets")
    return title .. (remark and (" " .. remark) or "")
end

return {
    START = START,
    size_of = size_of,
    -- Whether the record that begins at `at` is the first of its connection: HELLO of the initiator.
    begins = function(tvb, at)
        return tvb(at + 4, 2):uint() == 0x0085
    end,
    -- What is to be kept of a link from one record to the next.
    link = function()
        return { services = {}, count = 0 }
    end,
    -- Reads the record in the octets from `at` to `stop`; returns a remark for the list of packets.
    read = function(tvb, at, stop, tree, link)
        local cursor = cursors.new(tvb, at, stop)
        local below = cursor:tree(tree, "record", stop - at)
        local well, title = cursors.guard(below, read_record, cursor, below, link)
        return well and title or "malformed record"
    end,
}
