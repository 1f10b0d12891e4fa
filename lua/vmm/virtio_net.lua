-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Network devices of a machine: which backend an option means, and what scripts do with them.

local argument = require "vmm.argument"
local core = require "vmm.core"
local link = require "vmm.link"
local net_fault = require "vmm.net_fault"
local station = require "vmm.station"
local limit = require "vmm.virtio_limit"

local net = {}

-- ---- forwards --------------------------------------------------------------------------------

-- "8080", "127.0.0.1:8080" -> address or nil, port; nil when it is neither.
local function endpoint(text)
    local address, port = text:match "^([%d.]+):(%d+)$"
    port = tonumber(port or text:match "^%d+$")
    if not port or port < 1 or port > 65535 then return nil end
    return port, address
end

--- Forwards from text such as "tcp:8080-80,udp:0.0.0.0:5353-10.0.2.15:53".
-- @return list for core.net_user; or nil, message
function net.forwards(text)
    local list = {}
    for word in (text or ""):gmatch "[^,]+" do
        local kind, from, to = word:match "^(%a+):([%d.:]+)%-([%d.:]+)$"
        local host_port, host, guest_port, guest
        if kind == "tcp" or kind == "udp" then
            host_port, host = endpoint(from)
            guest_port, guest = endpoint(to)
        end
        if not host_port or not guest_port then
            return nil, ("forward: %q is not like tcp:[ADDRESS:]PORT-[ADDRESS:]PORT (or udp:)")
                :format(word)
        end
        list[#list + 1] = {
            udp = kind == "udp",
            host = host or "127.0.0.1",
            host_port = host_port,
            guest = guest,
            guest_port = guest_port,
        }
    end
    return list
end

-- ---- backends --------------------------------------------------------------------------------

local BACKENDS = {}

function BACKENDS.user(options)
    local forwards, message = net.forwards(options.forward)
    if not forwards then return nil, message, "EINVAL" end
    return core.net_user { forwards = forwards, restrict = options.restrict, mtu = options.mtu }
end

function BACKENDS.tap(options)
    return core.net_tap { name = options.tap, queues = options.queues }
end

function BACKENDS.link(options)
    local found, message, code = link.get { name = options.link }
    if not found then return nil, message, code end
    return found:port()
end

-- Functions in Lua have the other end of a link of two.
function BACKENDS.lua(options)
    local hub <close> = assert(core.link {})
    local near, message, code = hub:port()
    if not near then return nil, message, code end
    local far
    far, message, code = hub:port()
    if not far then return nil, message, code end
    local made
    made, message, code = station.new(far, options.backend.send)
    if not made then return nil, message, code end
    return near, made
end

local function kind_of(options)
    return options.user and "user" or options.tap and "tap" or options.link and "link" or "lua"
end

--- Checks what one option says as a whole.
-- @return nil, or what is wrong
function net.mistake(options)
    local count = (options.user and 1 or 0) + (options.tap and 1 or 0) + (options.link and 1 or 0)
        + (options.backend and 1 or 0)
    if count ~= 1 then return "give one of: user=true, tap=NAME, link=NAME" end
    if options.backend and not options.backend.send then return "backend: send is missing" end
    if options.forward then
        if not options.user then return "forward: only with user=true" end
        local _, message = net.forwards(options.forward)
        return message
    end
    if options.queues ~= 1 and not options.tap then return "queues: only with tap=NAME" end
    if options.restrict and not options.user then return "restrict: only with user=true" end
    if options.user and options.mtu and options.mtu > 65521 then
        return "mtu: up to 65521 with user=true"
    end
end

-- ---- devices ---------------------------------------------------------------------------------

local RATES = { "rx_bandwidth", "tx_bandwidth", "rx_packets", "tx_packets" }

local Nic = { __name = "vmm.nic" }
Nic.__index = Nic

local function check_open(nic, what)
    if nic.vm.closed then error(("nic:%s: the VM is closed"):format(what), 3) end
end

--- Plugs the cable in (true) or pulls it (false).
function Nic:set_link(up)
    check_open(self, "set_link")
    argument.type("nic:set_link: up", up, "boolean")
    self.virtio:net_link(up)
end

--- Frames meet a fault from now on, by chance: { drop =, duplicate =, corrupt =, reorder =
-- (probabilities), delay_ms =, jitter_ms =, seed = }, or as a function says of each; direction =
-- "tx", "rx" or "both". It takes the place of an earlier one.
-- @return the fault: fault:remove(), fault:stats(); or nil, message, code
function Nic:fault(what)
    check_open(self, "fault")
    return net_fault.put(self, what, true, function(fault, direction)
        self.virtio:net_fault(fault, direction)
    end)
end

local function set_limits(nic, limits)
    for _, way in ipairs { "tx", "rx" } do
        nic.virtio:net_limit(way, limits[way .. "_bandwidth"], limits[way .. "_packets"],
            limit.to_ns(limits.burst))
    end
    for name, value in pairs(limits) do nic.limits[name] = value end
    return limits
end

--- Ends its faults; what is delayed still comes.
function Nic:heal()
    check_open(self, "heal")
    net_fault.heal(self)
end

--- How much may be sent and received in a second, from now on: what is not named stays as it is,
-- 0 is no limit.
-- @param options  { rx_bandwidth =, tx_bandwidth = (bytes), rx_packets =, tx_packets =, burst =
--   (seconds' worth that may come at once) }
-- @return all five
function Nic:limit(options)
    check_open(self, "limit")
    return set_limits(self, limit.change("nic:limit", RATES, options, self.limits))
end

--- What it has done: { mac =, backend =, link =, rx_frames =, rx_bytes =, rx_dropped =,
-- tx_frames =, tx_bytes =, tx_dropped = }.
function Nic:stats()
    check_open(self, "stats")
    local info = self.virtio:net_info()
    info.backend = self.backend == "lua" and "lua" or info.backend
    return info
end

--- Of a backend in Lua: gives the guest a frame.
-- @param timeout  how many seconds to wait while its queue is full; nil: not at all
-- @return true; or nil, message, code ("EAGAIN", "timeout", "closed")
function Nic:receive(frame, timeout)
    if not self.station then error("nic:receive: only of a backend in Lua", 2) end
    if self.vm.closed then return nil, "the VM is closed", "closed" end
    return self.station:send(frame, timeout)
end

--- Makes the device of one option and puts it into the machine; vm.nics lists them.
-- @return true; or nil, message, code
function net.add(vm, parts, options)
    local kind = kind_of(options)
    local backend, message, code = BACKENDS[kind](options)
    if not backend then return nil, message, code end
    local more = message -- the interface's name, the station
    local virtio
    virtio, message, code = core.virtio_net {
        vm = vm, net = backend, mac = options.mac, mtu = options.mtu, pcap = options.pcap,
    }
    if not virtio then return nil, message, code end
    local nic = setmetatable({
        vm = vm,
        virtio = virtio,
        backend = kind,
        mac = virtio:net_info().mac,
        tap = kind == "tap" and more or nil,
        station = kind == "lua" and more or nil,
        limits = {},
    }, Nic)
    set_limits(nic, limit.change("nic:limit", RATES, nil, options))
    local ok
    ok, message, code = require("vmm.virtio").add(vm, parts, virtio)
    if not ok then return nil, message, code end
    vm.nics = vm.nics or {}
    table.insert(vm.nics, nic)
    return true
end

return net
