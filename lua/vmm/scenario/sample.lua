-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM does while a scenario runs, four times a second: exits so far, memory of the process.

local features = require "vmm.features"
local record = require "vmm.scenario.record"
local sched = require "vmm.sched"

local sample = {}

sample.EVERY = 0.25 -- seconds, not scaled: of a slow host one wants to see as much

local function sum_exits(vcpus)
    local sum = 0
    for _, vcpu in ipairs(vcpus) do
        for _, count in pairs(vcpu.exits) do
            sum = sum + count
        end
    end
    return sum
end

-- The event of this moment.
function sample.take(vm)
    local metrics = vm:metrics()
    return {
        event = "sample", vm = vm.name, t = metrics.uptime, exits = sum_exits(metrics.vcpus),
        resident_bytes = metrics.resident_bytes,
    }
end

-- Takes samples of a VM that was started, until it ends or is closed or forgotten: a task does.
-- emit: who gets the events (record.emit, when a run is recorded). Returns the task, or nil.
function sample.start(vm, emit)
    if not features.has "metrics" or not emit and not record.active() then return nil end
    emit = emit or record.emit
    local weak = setmetatable({ vm = vm }, { __mode = "v" })
    return sched.spawn(function()
        while true do
            local target = weak.vm
            if not target or target.closed then return end
            emit(sample.take(target))
            if target:stopped() then return end
            target = nil -- luacheck: ignore 311 (it would be kept while this sleeps)
            sched.sleep(sample.EVERY)
        end
    end)
end

return sample
