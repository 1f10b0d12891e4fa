-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Links between the VMs of this process, by name: vmm.link{...}.

local argument = require "vmm.argument"
local core = require "vmm.core"
local net_fault = require "vmm.net_fault"
local station = require "vmm.station"

local link = {}

local NAMES = { "name", "pcap", "pcap_bytes" }

local open = {} -- by name

local Link = { __name = "vmm.link" }
Link.__index = Link

--- How many ports it has, and what went through: { ports =, frames =, bytes =, dropped = }.
function Link:stats()
    return self.core:stats()
end

--- A port, for vmm.virtio_net; or nil, message, code.
function Link:port()
    return self.core:port()
end

--- What ports send meets a fault from now on: see nic:fault; a function's direction is "tx".
-- @return the fault: fault:remove(), fault:stats(); or nil, message, code
function Link:fault(what)
    return net_fault.put(self, what, false, function(fault, direction)
        if direction == "tx" then self.core:set_fault(fault) end
    end)
end

--- Ends the fault that the link has; what is delayed still comes.
function Link:heal()
    net_fault.heal(self)
end

--- Joins the link as a guest would: receive(frame) is called on the script's thread for what other
-- ports send. The link keeps it until it is closed.
-- @return station: station:send(frame, timeout), station:close(); or nil, message, code
function Link:station(receive)
    argument.type("link:station: receive", receive, "function")
    local port, message, code = self.core:port()
    if not port then return nil, message, code end
    local made
    made, message, code = station.new(port, receive)
    if not made then return nil, message, code end
    self.stations[made] = true
    made.left = function() self.stations[made] = nil end
    return made
end

--- Forgets the name: another link may have it.  What is connected stays so.
function Link:close()
    if open[self.name] == self then open[self.name] = nil end
    self.core:close()
end

Link.__close = Link.close
Link.__gc = Link.close

--- What the option net says in whose place a link is given: { link = its name }.
-- @return nil when it is no link; nil, message
function link.params(item)
    if getmetatable(item) ~= Link then return nil end
    if open[item.name] ~= item then return nil, ("the link %s is closed"):format(item.name) end
    return { link = item.name }
end

--- The link of a name, made when there is none.
-- options: name; pcap (a file that gets all its frames) and pcap_bytes (its most bytes), for a
-- link that is new.
-- @return link; or nil, message, code ("EEXIST": pcap is given, but the link is there)
function link.get(options)
    options = argument.options("vmm.link", options, NAMES)
    local name = argument.type("vmm.link: name", options.name, "string")
    local found = open[name]
    if found and options.pcap then
        return nil, ("link %s is there already, pcap= comes too late"):format(name), "EEXIST"
    end
    if found then return found end
    local made, message, code = core.link { pcap = options.pcap, pcap_bytes = options.pcap_bytes }
    if not made then return nil, message, code end
    open[name] = setmetatable({ name = name, core = made, stations = {} }, Link)
    return open[name]
end

return link
