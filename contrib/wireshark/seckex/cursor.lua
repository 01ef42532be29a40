-- Reading within bounds. A cursor stands between two offsets of a buffer and never leaves them: what lacks octets
-- raises a fault of its own, which `guard` shows as malformed. So nothing that comes raises an error of Lua.

local fields = require "seckex.fields"

local Cursor = {}
Cursor.__index = Cursor

local function cursor(tvb, at, stop)
    return setmetatable({ tvb = tvb, at = at, stop = stop }, Cursor)
end

function Cursor:left()
    return self.stop - self.at
end

function Cursor:fail(what)
    error({ malformed = what })
end

-- The next octets as a range; there is at least one.
function Cursor:take(count, what)
    if count < 1 or count > self:left() then
        self:fail(what .. ": " .. count .. " octets where " .. self:left() .. " are left")
    end
    local range = self.tvb(self.at, count)
    self.at = self.at + count
    return range
end

-- The next octets as a field below `tree`; returns the range and the item.
function Cursor:add(tree, name, count)
    local range = self:take(count, name)
    return range, tree:add(fields[name], range)
end

-- An unsigned integer of at most four octets as a field; returns its value and the item.
function Cursor:number(tree, name, count)
    local range, item = self:add(tree, name, count)
    return range:uint(), item
end

-- What follows, all of it, as a field, where there is anything.
function Cursor:rest(tree, name)
    if self:left() > 0 then
        return self:add(tree, name, self:left())
    end
end

-- Text behind its length in eight bits.
function Cursor:short_text(tree, name)
    local size = self:take(1, name .. " length"):uint()
    if size == 0 then
        return ""
    end
    return self:add(tree, name, size):string(ENC_UTF_8)
end

-- Microseconds since 1970 in 64 bits as a time.
function Cursor:microseconds(tree, name)
    local range = self:take(8, name)
    local value = range:uint64()
    local seconds, rest = (value / 1000000):tonumber(), (value % 1000000):tonumber()
    return tree:add(fields[name], range, NSTime.new(seconds, rest * 1000))
end

-- Seconds since 1970 in 64 bits as a time, where such a time exists.
function Cursor:seconds(tree, name)
    local range = self:take(8, name)
    local seconds = range:uint64():tonumber()
    if seconds < 2 ^ 40 then
        return tree:add(fields[name], range, NSTime.new(seconds, 0))
    end
    return tree:add(fields.other, range)
end

-- A cursor over the next octets alone.
function Cursor:within(count, what)
    if count < 0 or count > self:left() then
        self:fail(what .. ": " .. count .. " octets where " .. self:left() .. " are left")
    end
    local inner = cursor(self.tvb, self.at, self.at + count)
    self.at = self.at + count
    return inner
end

-- A tree for octets that are known to be there.
function Cursor:tree(tree, name, count)
    return tree:add(fields[name], self.tvb(self.at, math.min(count, self:left())))
end

-- Calls `read`; a fault is shown below `tree` and ends the reading. Returns whether all was well, and what `read` did.
local function guard(tree, read, ...)
    local well, result = pcall(read, ...)
    if well then
        return true, result
    end
    if type(result) ~= "table" or not result.malformed then
        error(result, 0)
    end
    tree:add_proto_expert_info(fields.experts.malformed, "Malformed: " .. result.malformed)
    return false
end

return { new = cursor, guard = guard }
