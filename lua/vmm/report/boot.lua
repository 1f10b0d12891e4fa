-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How a Linux guest booted, from the times of its kernel's messages: phases, and with the kernel's
-- option initcall_debug how long each initcall took.

local console = require "vmm.report.console"

local Boot = {}
Boot.__index = Boot

-- What begins with a message that every kernel of the last years prints, in the order of a boot.
local PHASES = {
    { "early kernel", "Linux version " },
    { "memory", "Memory: " },
    { "processors", "smp: Bringing up secondary CPUs" },
    { "drivers", "devtmpfs: initialized" },
    { "initial RAM disk", "Trying to unpack rootfs image as initramfs" },
    { "drivers, late", "Freeing initrd memory" },
    { "user space", "Run /" },
}

-- What a line may be worth reading for, as it is written in a run file.
local WORTH = { "initcall ", "calling  " }
for _, phase in ipairs(PHASES) do
    WORTH[#WORTH + 1] = phase[2]
end

local LINES, INITCALLS = 50000, 10000 -- looked at, kept

local function new()
    return setmetatable({ lines = 0, calls = 0, phases = {}, initcalls = {}, begun = {} }, Boot)
end

local function is_worth_reading(written)
    for _, words in ipairs(WORTH) do
        if written:find(words, 1, true) then return true end
    end
    return false
end

local function take_phase(self, line)
    for i, phase in ipairs(PHASES) do
        local last = self.phases[#self.phases]
        if line.text:sub(1, #phase[2]) == phase[2] and (not last or last.order < i) then
            table.insert(self.phases, { name = phase[1], order = i, t = line.t })
            return
        end
    end
end

-- "calling  NAME+0x0/0x10 @ 1", "initcall NAME+0x0/0x10 returned 0 after 12 usecs". When they came
-- is when it was: the kernel's clock may go at another pace than the host's. How long it took, the
-- kernel knows better.
local function take_initcall(self, line)
    local name, result, micros = line.text:match
        "^initcall ([%w_.%-]+)%S* returned (%-?%d+) after (%d+) usecs"
    if not name then
        name = line.text:match "^calling  ([%w_.%-]+)%S* @ %d+"
        if name and self.calls < INITCALLS then
            self.begun[name], self.calls = line.t, self.calls + 1
        end
        return
    end
    local duration = tonumber(micros) / 1e6
    local from = self.begun[name] or line.t - duration
    self.begun[name] = nil
    if #self.initcalls >= INITCALLS then return end
    table.insert(self.initcalls, { name = name, from = from, to = line.t, duration = duration,
        failed = result ~= "0" })
end

-- A line of the console, as it is written in the run file.
function Boot:take(written)
    self.lines = self.lines + 1
    if self.lines > LINES then return end
    local first = not self.first
    if not first and not is_worth_reading(written) then return end
    local line = console.line(written)
    if not line or not line.t then return end
    if first then
        self.first = line.t
        self.epoch = line.time and line.time - line.t -- when the VM was started, or later
    end
    take_phase(self, line)
    take_initcall(self, line)
end

-- The phases, each with its end: { name, from, to }, in seconds since the VM's start. ready: when
-- the guest was ready, or nil.
function Boot:timed_phases(ready)
    local list = {}
    if self.first and self.first > 0 then
        list[1] = { name = "before Linux", from = 0,
            to = self.phases[1] and self.phases[1].t or self.first }
    end
    for i, phase in ipairs(self.phases) do
        local following = self.phases[i + 1]
        local to = following and following.t or ready
        if to and to >= phase.t then
            list[#list + 1] = { name = phase.name, from = phase.t, to = to }
        end
    end
    return list
end

-- The initcalls, in seconds since the VM's start, the longest first: { name, from, to, duration }.
function Boot:slowest()
    local list = table.move(self.initcalls, 1, #self.initcalls, 1, {})
    table.sort(list, function(a, b)
        if a.duration ~= b.duration then return a.duration > b.duration end
        return a.name < b.name
    end)
    return list
end

return { new = new }
