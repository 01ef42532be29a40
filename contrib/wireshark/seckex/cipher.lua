-- Opening what is sealed, by whatever this Wireshark has for it: its own libgcrypt interface, which verifies MICs, or
-- Lua's bindings of OpenSSL (Debian: lua-luaossl), which cannot, for want of associated data. Nothing is enciphered here.

local found, openssl = pcall(require, "openssl.cipher")
local NAMES = { "aes-256-gcm", "aes-128-gcm", "chacha20-poly1305" }
local KEY_SIZES = { 32, 16, 32 }

local function by_gcrypt(suite, key, nonce, associated, sealed, mic)
    local algorithms = { GCRY_CIPHER_AES256, GCRY_CIPHER_AES128, GCRY_CIPHER_CHACHA20 }
    local mode = suite == 3 and GCRY_CIPHER_MODE_POLY1305 or GCRY_CIPHER_MODE_GCM
    local cipher = GcryptCipher.open(algorithms[suite], mode, 0)
    cipher:setkey(ByteArray.new(key, true))
    cipher:setiv(ByteArray.new(nonce, true))
    cipher:authenticate(ByteArray.new(associated, true))
    local body = ""
    if #sealed > 0 then
        body = cipher:decrypt(nil, ByteArray.new(sealed, true)):raw()
    end
    return body, cipher:checktag(ByteArray.new(mic, true)) == 0
end

local function by_openssl(suite, key, nonce, _, sealed)
    local cipher = openssl.new(NAMES[suite]):decrypt(key, nonce)
    return #sealed > 0 and cipher:update(sealed) or "", nil
end

local use
if GcryptCipher then
    use = by_gcrypt
elseif found then
    use = by_openssl
end

return {
    available = use ~= nil,
    -- Returns the octets, and whether the MIC verified: nil where that cannot be told.
    -- `key` has the four octets behind it that begin the nonce, `counter` the eight others.
    open = function(suite, key, counter, associated, sealed, mic)
        local size = KEY_SIZES[suite]
        if not size or #key ~= size + 4 then
            return nil
        end
        local well, body, verified = pcall(use, suite, key:sub(1, size), key:sub(size + 1) .. counter, associated, sealed, mic)
        if well then
            return body, verified
        end
        return nil
    end,
}
