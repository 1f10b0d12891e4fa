-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The memory balloon of a machine, vm.balloon: set, actual, stats, in MiB and bytes.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"
local virtio = require "vmm.virtio"

local PAGES = 256 -- of 4 KiB in a MiB
local STATS_SECONDS = 10

local Balloon = { __name = "vmm.balloon" }
Balloon.__index = Balloon

local virtio_balloon = {}

-- Says how many MiB are to be in the balloon; the guest works towards it, a call of actual() tells
-- how far it is. Returns true; or nil, message, "EINVAL" (more than the VM has) or "closed".
function Balloon:set(mib)
    local ok = math.type(mib) == "integer" and mib >= 0
    argument.check(ok, "balloon:set: mib", "a whole number of MiB, 0 or more", mib)
    if self.vm.closed then return nil, "the VM is closed", "closed" end
    if mib > self.limit then
        return nil, ("%d MiB in the balloon: the VM has %d"):format(mib, self.limit), "EINVAL"
    end
    return core.virtio_balloon_set(self.device, mib * PAGES)
end

-- How many MiB the guest says are in the balloon, with a fraction; nil, message, "closed".
function Balloon:actual()
    if self.vm.closed then return nil, "the VM is closed", "closed" end
    return core.virtio_balloon_actual(self.device) / PAGES
end

-- Waits until a condition of the balloon is true: poll() is called after each change.
-- options: timeout in seconds (nil: no limit).
local function wait(self, timeout, poll)
    self.vm:watch_end()
    return sched.wait(function()
        if self.vm.closed or self.vm:stopped() then return false, "the guest ended", "closed" end
        return poll()
    end, sched.scaled(timeout))
end

-- Waits until the guest has got to what was set, or past a number of MiB.
-- options: timeout in seconds (nil: no limit).
-- Returns the MiB in the balloon, or nil, message, "timeout" or "closed".
function Balloon:wait(mib, options)
    argument.type("balloon:wait: mib", mib, "number")
    options = argument.options("balloon:wait", options, { "timeout" })
    return wait(self, options.timeout, function()
        local actual = core.virtio_balloon_actual(self.device) / PAGES
        return actual == mib and actual or nil
    end)
end

-- Asks the guest how its memory is. options: timeout in seconds (10), times VMM_TIMEOUT_SCALE.
-- Returns a table of what it tells (bytes: free, total, available, disk_caches, swap_in, swap_out;
-- numbers: major_faults, minor_faults, hugetlb_allocations, hugetlb_failures); or nil, message,
-- "timeout" or "closed".
function Balloon:stats(options)
    options = argument.options("balloon:stats", options, { "timeout" })
    if self.vm.closed then return nil, "the VM is closed", "closed" end
    local before = core.virtio_balloon_stats(self.device)
    local asked = false
    return wait(self, options.timeout or STATS_SECONDS, function()
        -- A guest that has just begun is not ready: what it tells then is the first change.
        local count, stats = core.virtio_balloon_stats(self.device)
        if count > before then return stats end
        asked = asked or core.virtio_balloon_ask(self.device)
        return nil
    end)
end

--- Gives a machine its balloon.
-- @param parts    of vmm.vm's setup
-- @param options  { mib =, deflate_on_oom =, reporting = }
-- @return true; or nil, message, code
function virtio_balloon.add(vm, parts, options)
    local limit = vm.memory:size() // (PAGES << 12)
    if options.mib > limit then
        return nil, ("%d MiB in the balloon: the VM has %d"):format(options.mib, limit), "EINVAL"
    end
    local device, message, code = core.virtio_balloon {
        vm = vm,
        pages = options.mib * PAGES,
        deflate_on_oom = options.deflate_on_oom,
        reporting = options.reporting,
        on_change = function() end, -- waits look again
    }
    if not device then return nil, message, code end
    vm.balloon = setmetatable({ vm = vm, device = device, limit = limit }, Balloon)
    return virtio.add(vm, parts, device)
end

return virtio_balloon
