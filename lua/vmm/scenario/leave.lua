-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the VM of a scenario leaves in the record of a run: its make, samples while it runs, and, at
-- its close, its console and how it ended.

local features = require "vmm.features"
local klog = require "vmm.klog"
local record = require "vmm.scenario.record"
local sample = require "vmm.scenario.sample"

local leave = {}

-- A line of the transcript as an event: kernel lines have a level and a time of their own.
local function console_event(vm, line)
    local text = line.text:gsub("\r", "")
    local own = klog.line(text, true)
    return {
        event = "console", time = record.time_of(vm.console.started + line.time),
        vm = vm.name, t = line.time, text = own and own.text or text, level = own and own.level,
        stamp = own and own.stamp, stream = own and "kernel" or "console",
    }
end

local function finish(vm)
    if vm.scenario.left then return end
    vm.scenario.left = true
    local stop = vm:stopped() or { reason = "closed", text = "" }
    vm.console.core:flush(1)
    vm.console:pull()
    for _, line in ipairs(vm.console.lines) do
        record.emit(console_event(vm, line))
    end
    record.emit {
        event = "vm_end", vm = vm.name, reason = stop.reason, text = stop.text,
        metrics = features.has "metrics" and vm:metrics() or nil,
    }
end

-- A VM was made by these options of vmm.vm.
function leave.made(vm, options)
    if not record.active() then return end
    record.emit {
        event = "vm", vm = vm.name,
        config = {
            kernel = options.kernel.path, vcpus = #vm.vcpus,
            memory_mib = options.memory.size_mib, transport = options.transport or "mmio",
        },
    }
    local former = vm.before_close
    function vm.before_close(...)
        finish(vm)
        if former then former(...) end
    end
end

-- It is started now.
function leave.started(vm)
    sample.start(vm)
end

return leave
