-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The debugger's end of gdb's remote protocol, for specs: packets out, packets in.

local packet = require "vmm.gdb.packet"
local vmm = require "vmm"

local gdb_client = {}

local SECONDS = 10

local Client = {}
Client.__index = Client

-- Connects; acknowledges what comes, until no_acks.
function gdb_client.connect(where)
    return setmetatable({
        socket = assert(vmm.connect(where)), parser = packet.parser(), acks = true,
    }, Client)
end

function Client:raw(bytes)
    assert(self.socket:write(bytes, SECONDS))
end

-- The next thing that comes, as packet.parser tells it; "end" at the end.
function Client:event()
    while true do
        local kind, payload = self.parser:next()
        if kind then return kind, payload end
        local bytes, message, code = self.socket:read(nil, SECONDS)
        if bytes == "" or code == "ECONNRESET" then return "end" end
        assert(bytes, message)
        self.parser:feed(bytes)
    end
end

-- The next packet's payload, or "end".
function Client:receive()
    local kind, payload
    repeat
        kind, payload = self:event()
    until kind ~= "ack"
    if kind ~= "packet" then return kind end
    if self.acks then self:raw "+" end
    return payload
end

function Client:send(payload)
    self:raw(packet.frame(payload))
end

-- Asks, and returns the answer.
function Client:ask(payload)
    self:send(payload)
    return self:receive()
end

function Client:no_acks()
    assert(self:ask "QStartNoAckMode" == "OK")
    self.acks = false
end

function Client:close()
    self.socket:close()
end

Client.__close = Client.close

return gdb_client
