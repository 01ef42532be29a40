-- The key log that a daemon writes (docs/operations.md, "Key log"): one line for each link,
--
--     SECKEX_LINK <suite> <context> <S_i> <S_r> <hello i> <hello r> <body i> <body r>
--
-- all in hexadecimal but the suite; each key has the four octets that begin its nonces behind it. Other lines are
-- passed over. The file is read again when a key is asked for that it did not have, and it has grown since.

local LINE = "^SECKEX_LINK (%d) (%x+) (%x+) (%x+) (%x+) (%x+) (%x+) (%x+)%s*$"
local MOST = 100000

local log = { path = "" }

local function forget()
    log.size, log.count = 0, 0
    log.by_salt, log.by_context = {}, {}
end
forget()

local function octets(hex)
    return (hex:gsub("%x%x", function(two)
        return string.char(tonumber(two, 16))
    end))
end

local function take(line)
    local suite, context, salt_i, salt_r, hello_i, hello_r, body_i, body_r = line:match(LINE)
    if suite and log.count < MOST then
        local keys = {
            suite = tonumber(suite), salt_i = salt_i:lower(), salt_r = salt_r:lower(),
            hello_i = octets(hello_i), hello_r = octets(hello_r), body_i = octets(body_i), body_r = octets(body_r),
        }
        log.count = log.count + 1
        log.by_salt[keys.salt_i], log.by_salt[keys.salt_r] = keys, keys
        context = tonumber(context, 16)
        log.by_context[context] = log.by_context[context] or {}
        table.insert(log.by_context[context], keys)
    end
end

local function read_more()
    local file = log.path ~= "" and io.open(log.path, "r")
    if not file then
        return false
    end
    local grown = file:seek("end") > log.size
    if grown then
        file:seek("set", log.size)
        for line in file:lines() do
            take(line)
        end
        log.size = file:seek("cur")
    end
    file:close()
    return grown
end

local function find(look)
    return look() or (read_more() and look() or nil)
end

return {
    -- Read this file from now on.
    use = function(path)
        forget()
        log.path = path
    end,
    configured = function()
        return log.path ~= ""
    end,
    -- The keys of the link with a HELLO that has this salt, in hexadecimal.
    by_salt = function(salt)
        return find(function()
            return log.by_salt[salt]
        end)
    end,
    -- The keys of the link with this context; of several the one whose salt is known, or the last.
    by_context = function(context, salt)
        return find(function()
            local found = log.by_context[context] or {}
            for _, keys in ipairs(found) do
                if keys.salt_i == salt or keys.salt_r == salt then
                    return keys
                end
            end
            return not salt and found[#found] or nil
        end)
    end,
}
