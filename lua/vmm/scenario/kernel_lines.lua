-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The lines of a VM's kernel, on whichever of its consoles it prints them, each once.
--
-- A kernel prints every line on all its consoles, and all that it has on one that comes later
-- (console=ttyS0 console=hvc0, whose driver is a module). A line that one console has shown is
-- remembered for each other one, which may show it some time.

local klog = require "vmm.klog"

local kernel_lines = {}

local REMEMBERED = 5000 -- for a console
local KEY_BYTES = 200 -- of a line, which are told from others

-- The consoles of a VM that its kernel may print on.
function kernel_lines.consoles(vm)
    return { vm.console, vm.hvc }
end

-- ---- what other consoles have shown -----------------------------------------------------

local function key_of(text, stamp)
    return ("%s %s"):format(stamp or "", text:sub(1, KEY_BYTES))
end

local function count(source, key, change)
    local left = (source.shown[key] or 0) + change
    source.shown[key] = left > 0 and left or nil
end

local function remember(source, key)
    count(source, key, 1)
    source.last = source.last + 1
    source.keys[source.last] = key
    local oldest = source.last - REMEMBERED
    if source.keys[oldest] then
        count(source, source.keys[oldest], -1)
        source.keys[oldest] = nil
    end
end

-- ---- lines ------------------------------------------------------------------------------

local Lines = { __name = "vmm.kernel_lines" }
Lines.__index = Lines

-- A line that a console has shown; no news if another one has.
local function add(self, source, text, stamp)
    local key = key_of(text, stamp)
    if source.shown[key] then return count(source, key, -1) end
    for _, other in ipairs(self.sources) do
        if other ~= source then remember(other, key) end
    end
    self.on_line(text, stamp)
end

local function on_log_line(self, source, line)
    self.has_log = true
    if line.facility and line.facility ~= 0 then return end -- of a program, by /dev/kmsg
    add(self, source, line.text, line.stamp)
end

-- A console's log is split off, and has only what looks like a kernel's line. Of a guest whose
-- lines have no times, all lines count.
local function read_transcript(self, source)
    local lines = source.console.lines
    if self.has_log or lines[#lines] == source.read_to then return end
    local first = #lines + 1
    while first > 1 and lines[first - 1] ~= source.read_to do
        first = first - 1
    end
    for i = first, #lines do
        local line = lines[i]
        if not (line.ended or line.broken) then break end
        local text = line.text:gsub("\r", "")
        local own = klog.line(text)
        add(self, source, own and own.text or (text:gsub("^<%d+>", "")), nil)
        source.read_to = line
    end
end

-- Reads what the consoles have taken and not split off as their logs.
function Lines:read()
    for _, source in ipairs(self.sources) do
        read_transcript(self, source)
    end
end

-- Has the consoles take what the guest has printed, and reads it.
function Lines:pull()
    for _, source in ipairs(self.sources) do
        source.console:pull()
    end
    self:read()
end

-- The same with what is on its way yet: the VM has ended.
function Lines:drain()
    for _, source in ipairs(self.sources) do
        if not source.console.vm.closed then source.console.core:flush(1) end
    end
    self:pull()
end

-- How many bytes the consoles have shown so far.
function Lines:total()
    local total = 0
    for _, source in ipairs(self.sources) do
        total = total + source.console.core:total()
    end
    return total
end

-- Has on_line(text, stamp) called for each line of the VM's kernel from now on, stamp being the
-- kernel's own seconds, if it has them. It may not wait.
function kernel_lines.of(vm, on_line)
    local self = setmetatable({ on_line = on_line, sources = {} }, Lines)
    for i, console in ipairs(kernel_lines.consoles(vm)) do
        local source = { console = console, shown = {}, keys = {}, last = 0 }
        self.sources[i] = source
        console.log:on_line(function(line)
            on_log_line(self, source, line)
        end)
    end
    return self
end

return kernel_lines
