-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The options `metrics` and `trace` of a VM: files that are written while it runs and at its end.

local json = require "vmm.json"
local metrics = require "vmm.metrics"
local sched = require "vmm.sched"
require "vmm.trace"

local observe = {}

-- Replaces a file at once, so that whoever reads it finds it whole.
local function replace(path, text)
    local beside = path .. ".new"
    local file, message = io.open(beside, "w")
    if not file then return nil, "cannot write " .. message, "EIO" end
    local written, why = file:write(text)
    local closed, later = file:close()
    if not written or not closed then
        os.remove(beside)
        return nil, ("cannot write %s: %s"):format(beside, why or later), "EIO"
    end
    local renamed
    renamed, message = os.rename(beside, path)
    if not renamed then
        os.remove(beside)
        return nil, "cannot write " .. message, "EIO"
    end
    return true
end

-- stop: how the VM ended, once it has.
local function write_metrics(vm, options, stop)
    local now = vm:metrics()
    now.stopped = stop
    now.every = options.every
    local text = options.format == "json" and json.encode(now) .. "\n"
        or metrics.prometheus(now)
    return replace(options.path, text)
end

-- Writes again and again; what is forgotten by the script is not kept by this.
local function keep_writing(vm, options)
    local weak = setmetatable({ vm = vm }, { __mode = "v" })
    sched.spawn(function()
        while true do
            sched.sleep(options.every)
            local target = weak.vm
            if not target or target.closed or target.observed then return end
            assert(write_metrics(target, options))
        end
    end)
end

-- The last of each file: at the VM's end, or before it is closed.
local function finish(vm, options, trace, stop)
    if vm.observed then return end
    vm.observed = true
    if options.metrics then assert(write_metrics(vm, options.metrics, stop)) end
    if trace then
        trace:stop()
        assert(trace:write(options.trace.path))
    end
end

-- Is the path one that can be written? A trace comes at the very end: to be told then is too late.
local function check_writable(path)
    local file, message = io.open(path, "a")
    if not file then return nil, "cannot write " .. message, "EIO" end
    file:close()
    return true
end

local function start_trace(vm, options)
    local ok, message, code = check_writable(options.path)
    if not ok then return nil, message, code end
    return vm:trace { events = options.events }
end

-- Does what options.metrics and options.trace (as vmm.config gives them, or nil) say, for a VM that
-- has not started. true, or nil, message, code.
function observe.start(vm, options)
    local trace, ok, message, code
    if options.trace then
        trace, message, code = start_trace(vm, options.trace)
        if not trace then return nil, message, code end
    end
    if options.metrics then
        ok, message, code = vm:measure(true)
        if ok then ok, message, code = write_metrics(vm, options.metrics) end
        if not ok then return nil, message, code end
        keep_writing(vm, options.metrics)
    end
    if options.metrics or trace then
        vm:on("stop", function(stop)
            finish(vm, options, trace, stop)
        end)
        function vm.before_close()
            finish(vm, options, trace, vm:stopped() or { reason = "closed", text = "" })
        end
    end
    return true
end

return observe
