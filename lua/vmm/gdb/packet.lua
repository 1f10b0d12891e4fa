-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Packets of gdb's remote serial protocol: framing, checksums, hex, escapes. All that a peer sends
-- is bounded here.

local packet = {}

packet.MAX_BYTES = 0x4000 -- of a payload, both ways

local ESCAPE = 0x7d
local ESCAPED = "[}#$*]"
local INTERRUPT = "\3"

-- ---- bytes -----------------------------------------------------------------------------------

function packet.to_hex(bytes)
    return (bytes:gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end))
end

-- The bytes that hex digits mean; nil when they are none.
function packet.from_hex(text)
    if #text % 2 ~= 0 or text:find "%X" then return nil end
    return (text:gsub("..", function(pair)
        return string.char(tonumber(pair, 16))
    end))
end

-- A number as gdb writes it: hex digits, at most those of 64 bits; nil when it is none.
function packet.number(text)
    local digits = text and text:match "^0*(%x+)$"
    if not digits or #digits > 16 then return nil end
    return tonumber("0x" .. digits) -- wraps, as an address does
end

function packet.escape(bytes)
    return (bytes:gsub(ESCAPED, function(char)
        return string.char(ESCAPE, char:byte() ~ 0x20)
    end))
end

-- The bytes that an escaped text means; nil when it ends in the middle of one.
function packet.unescape(text)
    if text:gsub("}.", ""):find("}", 1, true) then return nil end
    return (text:gsub("}(.)", function(char)
        return string.char(char:byte() ~ 0x20)
    end))
end

-- As many bytes from the start as are at most max bytes when escaped; escaped.
function packet.escape_some(bytes, max)
    local text = packet.escape(bytes:sub(1, max))
    if #text <= max then return text, math.min(#bytes, max) end
    local cut = text:sub(1, max):gsub("}$", "")
    return cut, #packet.unescape(cut)
end

local function checksum(payload)
    local sum = 0
    for at = 1, #payload, 4096 do
        for _, byte in ipairs { payload:byte(at, at + 4095) } do
            sum = sum + byte
        end
    end
    return sum & 0xff
end

-- A payload as it is sent. It has no byte that needs an escape but those escaped already.
function packet.frame(payload)
    return ("$%s#%02x"):format(payload, checksum(payload))
end

-- ---- a stream of them ------------------------------------------------------------------------

local Parser = {}
Parser.__index = Parser

function packet.parser()
    return setmetatable({ buffer = "", at = 1 }, Parser)
end

function Parser:feed(bytes)
    self.buffer, self.at = self.buffer:sub(self.at) .. bytes, 1
end

-- What comes before the next packet: an interrupt, or an answer to what was sent.
local ALONE = { [INTERRUPT] = "interrupt", ["+"] = "ack", ["-"] = "nak" }

local function next_packet(self)
    local at = self.at
    local stop = self.buffer:find("#", at + 1, true)
    if (stop or #self.buffer + 1) - at > packet.MAX_BYTES + 1 then return "overflow" end
    if not stop or #self.buffer < stop + 2 then return nil end
    local payload, sum = self.buffer:sub(at + 1, stop - 1), self.buffer:sub(stop + 1, stop + 2)
    self.at = stop + 3
    if sum:find "%X" or tonumber(sum, 16) ~= checksum(payload) then return "bad" end
    return "packet", payload
end

-- The next thing in the stream: "packet" and its payload (escapes are still in it), "interrupt",
-- "ack", "nak", "bad" (a packet with a wrong checksum), "overflow" (one that is too long: the
-- stream is lost), or nil when there is none yet. Bytes between packets mean nothing.
function Parser:next()
    while self.at <= #self.buffer do
        local first = self.buffer:sub(self.at, self.at)
        if first == "$" then return next_packet(self) end
        self.at = self.at + 1
        if ALONE[first] then return ALONE[first] end
        self.at = self.buffer:find("[$\3+-]", self.at) or #self.buffer + 1
    end
    return nil
end

return packet
