-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:trace{...}: the last events of each vCPU, and their form for Perfetto and Chrome.

local argument = require "vmm.argument"
local core = require "vmm.core"
local file = require "vmm.file"
local json = require "vmm.json"
require "vmm.vm" -- whose methods here take the place of those that load this

local methods = core.classes["vmm.vm"]

local EVENTS = 4096 -- of each vCPU, when not told
local EVENTS_MAX = 1 << 20
local MARKS_MAX = 10000

local Trace = { __name = "vmm.trace" }
Trace.__index = Trace

function Trace:__tostring()
    return ("vmm.trace: %d events a vCPU, %s"):format(self.limit,
        self.running and "running" or "stopped")
end

-- vm:trace{ events = N } -> trace, or nil, message, code ("EBUSY": one runs). From now on the last
-- N (4096) events of each vCPU are kept: exits, kicks, pauses, resumes.
function methods.trace(vm, options)
    options = argument.options("vm:trace", options, { "events" })
    local events = options.events == nil and EVENTS or options.events
    argument.check(math.type(events) == "integer" and events >= 1 and events <= EVENTS_MAX,
        "vm:trace: events", "an integer from 1 to " .. EVENTS_MAX, events)
    local ok, message, code = vm:trace_begin(events)
    if not ok then return nil, message, code end
    local trace = setmetatable({
        vm = vm, limit = events, running = true, marks = {}, marks_lost = 0,
    }, Trace)
    vm.last_trace = trace
    return trace
end

-- Is what it recorded still there? true, or nil, message, code.
local function usable(self)
    if self.vm.closed then return nil, "the trace's VM is closed", "closed" end
    if self.vm.last_trace ~= self then
        return nil, "a later trace has replaced this one", "ESTALE"
    end
    return true
end

-- Records no more; what was recorded stays until the VM's next trace. Idempotent.
function Trace:stop()
    if self.running and usable(self) then self.vm:trace_end() end
    self.running = false
end

Trace.__close = Trace.stop

-- Puts a text of the script's at this time into the trace; of the last 10,000 of them.
function Trace:mark(text)
    argument.type("trace:mark: text", text, "string")
    if not self.running then return end
    if #self.marks == MARKS_MAX then
        table.remove(self.marks, 1)
        self.marks_lost = self.marks_lost + 1
    end
    self.marks[#self.marks + 1] = { time = core.now(), text = text }
end

-- An iterator over the events of a vCPU, oldest first, with how many were lost before each. They
-- are read in pieces: some of what is recorded meanwhile is among them, but no more than the limit.
local function each(self, index)
    local place, lost, piece, at, seen = 0, 0, {}, 0, 0
    return function()
        at, seen = at + 1, seen + 1
        if seen > self.limit then return nil end
        if not piece[at] then
            piece, place, lost = self.vm:trace_take(index, place, lost)
            at = 1
        end
        return piece[at], lost
    end
end

-- trace:events([vcpu]) -> array of a vCPU's (1) events, how many older ones were lost; or nil,
-- message, code.
function Trace:events(index)
    local ok, message, code = usable(self)
    if not ok then return nil, message, code end
    index = index == nil and 1 or index
    argument.integer("trace:events: vcpu", index, 1, #self.vm:read_metrics().vcpus)
    local list, last_lost = {}, 0
    for event, lost in each(self, index) do
        list[#list + 1] = event
        last_lost = lost
    end
    return list, last_lost
end

-- ---- Chrome's trace event format --------------------------------------------------------

local PID, SCRIPT_TID = 1, 0

-- Microseconds with all digits.
local function micro(ns)
    return ("%d.%03d"):format(ns // 1000, ns % 1000)
end

local function metadata(name, tid, value)
    return ('{"ph":"M","pid":%d,"tid":%d,"name":"%s","args":{"name":%s}}'):format(PID, tid, name,
        json.encode(value))
end

local function instant(name, tid, ts, scope)
    return ('{"ph":"i","pid":%d,"tid":%d,"ts":%s,"s":"%s","name":%s}'):format(PID, tid, ts, scope,
        json.encode(name))
end

local function exit_name(event)
    if not event.access then return event.type end
    return event.type .. " " .. (event.device or ("0x%x"):format(event.address))
end

local function exit_arguments(event)
    if not event.access then return { number = event.number } end
    return {
        address = ("0x%x"):format(event.address),
        value = ("0x%x"):format(event.value),
        size = event.size,
        count = event.count > 1 and event.count or nil,
        device = event.device,
    }
end

local function slice(event, tid)
    return ('{"ph":"X","pid":%d,"tid":%d,"ts":%s,"dur":%s,"cat":"exit","name":%s,"args":%s}')
        :format(PID, tid, micro(event.time_ns), micro(event.duration_ns),
            json.encode(exit_name(event)), json.encode(exit_arguments(event)))
end

-- Calls put(text) for each event of the format, one after the other.
local function export(self, put)
    put(metadata("process_name", SCRIPT_TID, "VM " .. self.vm.name))
    put(metadata("thread_name", SCRIPT_TID, "script"))
    local lost = {}
    for index, vcpu in ipairs(self.vm:read_metrics().vcpus) do
        local tid = vcpu.id + 1
        put(metadata("thread_name", tid, "vCPU " .. vcpu.id))
        for event, lost_now in each(self, index) do
            put(event.kind == "exit" and slice(event, tid)
                or instant(event.kind, tid, micro(event.time_ns), "t"))
            lost["vcpu" .. vcpu.id] = lost_now
        end
    end
    for _, mark in ipairs(self.marks) do
        put(instant(mark.text, SCRIPT_TID, ("%.3f"):format(mark.time * 1e6), "p"))
    end
    lost.script = self.marks_lost
    return lost
end

-- trace:write(path) -> true, or nil, message, code. JSON that ui.perfetto.dev and chrome://tracing
-- load: a process for the VM, a thread for each vCPU, a slice for each exit.
function Trace:write(path)
    argument.type("trace:write: path", path, "string")
    local ok, message, code = usable(self)
    if not ok then return nil, message, code end
    return file.write(path, function(put)
        local separator = '{"displayTimeUnit":"ns","traceEvents":[\n'
        local lost = export(self, function(text)
            put(separator, text)
            separator = ",\n"
        end)
        put('\n],"otherData":', json.encode { lost_events = lost }, "}\n")
    end)
end

return Trace
