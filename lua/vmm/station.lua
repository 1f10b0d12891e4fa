-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Stations: Lua functions at the end of a network, where a guest could be.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"

local station = {}

-- Of a frame, without a checksum.
local FRAME_MIN, FRAME_MAX = 14, 65553

local Station = { __name = "vmm.station" }
Station.__index = Station

--- Sends a frame.
-- @param timeout  how many seconds to wait while the receiver's queue is full; nil: not at all
-- @return true; or nil, message, code ("EAGAIN", "timeout", "closed")
function Station:send(frame, timeout)
    argument.type("frame", frame, "string")
    argument.integer("the frame's length", #frame, FRAME_MIN, FRAME_MAX)
    if timeout ~= nil then argument.seconds("timeout", timeout) end
    local function try()
        if self.closed then return false, "the station is closed", "closed" end
        local ok, message, code = self.core:send(frame)
        if timeout and code == "EAGAIN" then return nil end
        return ok or false, message, code
    end
    if timeout then return sched.wait(try, timeout) end
    local ok, message, code = try()
    return ok or nil, message, code
end

--- Leaves the network; idempotent.
function Station:close()
    self.closed = true
    self.core:close()
    if self.left then self.left() end
end

Station.__close = Station.close

--- A station that has a port of a network.
-- @param port  a vmm.net, which it takes over
-- @param receive  function(frame), called on the script's thread
-- @return station; or nil, message, code
function station.new(port, receive)
    local made, message, code = core.net_station(port, receive)
    if not made then return nil, message, code end
    return setmetatable({ core = made, closed = false }, Station)
end

return station
