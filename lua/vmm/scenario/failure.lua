-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM's failure is: an error object that names the VM and explains, with the kernel's report
-- and a backtrace where there are any.

local explain = require "vmm.scenario.explain"
local state = require "vmm.state"

local failures = {}

-- The kinds of failures, and what errors call them.
local WORDS = {
    panic = "kernel panic", oops = "kernel oops", bug = "kernel BUG", warning = "kernel warning",
    soft_lockup = "soft lockup", hard_lockup = "hard lockup", rcu_stall = "RCU stall",
    hung_task = "hung task", oom = "out of memory", triple_fault = "triple fault",
    lost = "lost VM", silence = "silence",
}
failures.KINDS = {}
for kind in pairs(WORDS) do
    failures.KINDS[#failures.KINDS + 1] = kind
end
table.sort(failures.KINDS)

local Failure = { __name = "vmm.failure" }
Failure.__index = Failure

local function stamped(line)
    if not line.stamp then return line.text end
    return ("[%12.6f] %s"):format(line.stamp, line.text)
end

-- The kinds in words: "kernel oops, kernel panic".
function failures.words(kinds)
    local words = {}
    for i, kind in ipairs(kinds) do
        words[i] = WORDS[kind]
    end
    return table.concat(words, ", ")
end

function Failure:__tostring()
    local parts = { ("%s: %s: %s"):format(self.vm, failures.words(self.kinds), self.title) }
    if self.text ~= "" then parts[#parts + 1] = self.text end
    if self.backtrace and not self.traced then parts[#parts + 1] = self.backtrace end
    parts[#parts + 1] = self.state
    return table.concat(parts, "\n")
end

-- Is it of this kind, among others?
function Failure:is(kind)
    for _, own in ipairs(self.kinds) do
        if own == kind then return true end
    end
    return false
end

-- The calls that the kernel itself shows in a report, from where it was on, without those that it
-- is not sure of.
local function own_trace(lines)
    local trace, rip
    for _, line in ipairs(lines) do
        if line:find "^Call Trace:" then
            trace = rip and { rip, line } or { line }
        elseif not trace then
            rip = line:match "^RIP: .*" or rip
        elseif line:find "^ [^ ?]" or line:find "^RIP: " then
            trace[#trace + 1] = line
        end
        if trace and line:find "^ </TASK>" then break end
    end
    return trace and table.concat(trace, "\n")
end

-- The calls that the guest is in. A kernel may show those of a hung task to its log alone.
local function trace_of(vm, report)
    local pid = report.titles.hung_task and report.titles.hung_task:match "^INFO: task .*:(%d+) "
    return pid and explain.task_backtrace(vm, math.tointeger(tonumber(pid)))
        or explain.backtrace(vm)
end

-- Fills in what a failure's text says of the guest as it is now.
local function enrich(vm, failure, report)
    local lines, shown, name_of = {}, {}, explain.namer(vm)
    for i, line in ipairs(report.lines) do
        local named = explain.symbolize(line.text, name_of)
        lines[i] = named
        shown[i] = "  " .. stamped { text = named, stamp = line.stamp }
    end
    if report.lost > 0 then shown[#shown + 1] = ("  (and %d lines)"):format(report.lost) end
    failure.lines, failure.text = lines, table.concat(shown, "\n")
    failure.backtrace = own_trace(lines)
    failure.traced = failure.backtrace ~= nil
    failure.backtrace = failure.backtrace or trace_of(vm, report)
    failure.state = lines[1] and "the VM is " .. state.words(vm) or explain.state(vm)
end

-- The failure that a report tells of.
function failures.new(vm, report, code)
    local failure = setmetatable({
        code = code, kinds = report.kinds, vm = vm.name, title = report.title, lines = {},
        text = "", state = "",
    }, Failure)
    local ok, problem = pcall(enrich, vm, failure, report)
    if not ok then failure.state = "(no more is known: " .. tostring(problem) .. ")" end
    return failure
end

return failures
