-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The options `metrics` and `trace` of a VM: files that are written while it runs and at its end.

local core = require "vmm.core"
local file = require "vmm.file"
local json = require "vmm.json"
local metrics = require "vmm.metrics"
local sched = require "vmm.sched"
require "vmm.trace"

local observe = {}

-- stop: how the VM ended, once it has.
local function write_metrics(vm, options, stop)
    local now = vm:metrics()
    now.stopped = stop
    now.every = options.every
    local text = options.format == "json" and json.encode(now) .. "\n"
        or metrics.prometheus(now)
    return file.write(options.path, function(put)
        put(text)
    end)
end

-- Writes again and again; what is forgotten by the script is not kept by this. What can't be
-- written now may be the next time (a disk is full for a while); the last time counts, see finish.
local function keep_writing(vm, options)
    local weak = setmetatable({ vm = vm }, { __mode = "v" })
    sched.spawn(function()
        while true do
            sched.sleep(options.every)
            local target = weak.vm
            if not target or target.closed or target.observed then return end
            write_metrics(target, options)
        end
    end)
end

-- The last of each file: at the VM's end, or before it is closed. What can't be written of one of
-- them does not keep the other from being written.
local function finish(vm, options, trace, stop)
    if vm.observed then return end
    vm.observed = true
    local ok, message, done, why = true, nil, true, nil
    if options.metrics then
        ok, message = write_metrics(vm, options.metrics, stop)
    end
    if trace then
        trace:stop()
        done, why = trace:write(options.trace.path)
    end
    if ok and done then return end
    error(ok and why or done and message or message .. "; " .. why, 0)
end

-- Is the path one that can be written? A trace comes at the very end: to be told then is too late.
local function check_writable(path)
    local fresh = core.file_kind(path) == nil
    local handle, message = io.open(path, "a")
    if not handle then return nil, "cannot write " .. message, "EIO" end
    handle:close()
    if fresh then os.remove(path) end
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
