-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Reports of failures in a kernel's log: which line begins one, of which kind it is, which lines
-- belong to it, and when it is whole.
--
-- A kernel says most of what it knows after the first line, and some reports have no last line:
-- such a one is whole when the log has been quiet for a while. What comes meanwhile, also of
-- another CPU, belongs to it: there is one report at a time, of one or several kinds.

local kernel_report = {}

-- Seconds, times VMM_TIMEOUT_SCALE. A guest that goes on for ever is not waited for.
kernel_report.QUIET_SECONDS = 0.3
kernel_report.LONGEST_SECONDS = 4

local LINES_KEPT = 400 -- of a report
local LINE_BYTES = 1024
local PRELUDE_LINES = 20 -- between "cut here" and the line that says what it is

-- What begins a report, as Linux prints it; the first that fits tells its kind.
local BEGINS = {
    { "panic", "^Kernel panic %- not syncing" },
    { "hard_lockup", "Watchdog detected hard LOCKUP on cpu" },
    { "soft_lockup", "BUG: soft lockup %- CPU#%d" },
    { "soft_lockup", "BUG: workqueue lockup %- pool" },
    { "rcu_stall", "^rcu: INFO: .*detected stalls? on CPU" },
    { "rcu_stall", "^rcu: INFO: .*detected expedited stalls on CPU" },
    { "rcu_stall", "^INFO: rcu_[%w_]+ .*detected.* stalls? on CPU" }, -- before Linux 5.0
    { "hung_task", "^INFO: task .* blocked .*for more than %d+ seconds" },
    { "oom", "invoked oom%-killer: " },
    { "oom", "^Out of memory: Killed process %d" },
    { "oom", "^Memory cgroup out of memory: Killed process %d" },
    { "oops", "^BUG: kernel NULL pointer dereference" },
    { "oops", "^BUG: unable to handle " },
    { "oops", "^BUG: [%w ]*stack guard page was hit" },
    { "oops", "PANIC: double fault" },
    { "oops", "^general protection fault" },
    { "oops", "^Oops: " },
    { "bug", "^kernel BUG at " },
    { "oops", "^[%a][%w ,_%-]*: %x%x%x%x %[#%d+%]" }, -- "invalid opcode: 0000 [#1] PREEMPT SMP"
    { "bug", "^BUG: " },
    { "warning", "^WARNING: " },
    { "warning", "^UBSAN: " },
}

local CUT_HERE = "^%-+%[ cut here %]%-"
local END_TRACE = "^%-%-%-%[ end trace "
-- At this text the VM is stopped, so that the line may be cut anywhere behind it.
local END_PANIC = "^%-%-%-%[ end Kernel panic"
local REBOOTING = "^Rebooting in %d+ seconds"
local KILLED = "ut of memory: Killed process %d"

-- What a line begins: a kind; "cut" of the line before a report; nil.
local function begins(text)
    for _, entry in ipairs(BEGINS) do
        if text:find(entry[2]) then return entry[1] end
    end
    return text:find(CUT_HERE) and "cut" or nil
end

-- An oops tells its kind more than once.
local SAME = { bug = "oops" }

local function add_kind(report, kind, text)
    if kind == "cut" then return end
    report.title = report.title or text
    if kind == "warning" then report.traces_wanted = report.traces_wanted + 1 end
    for _, known in ipairs(report.kinds) do
        if known == kind or SAME[known] == kind then return end
    end
    table.insert(report.kinds, kind)
    report.titles[kind] = text
end

-- Is the report of this kind alone?
local function is_only(report, kind)
    return #report.kinds == 1 and report.kinds[1] == kind
end

-- Does a report end with this line?
local function ends(report, text)
    if report.titles.panic and (text:find(END_PANIC) or text:find(REBOOTING)) then return true end
    if text:find(END_TRACE) then
        report.traces = report.traces + 1
        -- After an oops's comes what it leads to.
        return is_only(report, "warning") and report.traces >= report.traces_wanted
    end
    return is_only(report, "oom") and text:find(KILLED) ~= nil
end

local Collector = { __name = "vmm.kernel_report.collector" }
Collector.__index = Collector

-- Collects reports. on_report(report) is called when one is whole:
--   { kinds = in the order that they came in, titles = the first line of each kind,
--     title = the first of all, lines = { { text =, stamp = }, ... }, lost = lines too many }
function kernel_report.collector(on_report)
    return setmetatable({ on_report = on_report }, Collector)
end

local function begin(self, now)
    self.report = {
        kinds = {}, titles = {}, lines = {}, lost = 0, traces = 0, traces_wanted = 0,
        began = now, changed = now,
    }
    return self.report
end

-- The report, whether whole or not; none is open then. One that never said what it is was none.
function Collector:finish()
    local report = self.report
    self.report = nil
    if report and report.title then self.on_report(report) end
end

local function keep(report, text, stamp)
    if #report.lines >= LINES_KEPT then
        report.lost = report.lost + 1
        return
    end
    table.insert(report.lines, { text = text, stamp = stamp })
end

-- Takes a line of the log, which came at the time now (core.now). stamp: the kernel's own seconds.
function Collector:line(text, stamp, now)
    text = text:gsub("^%[ *[CT]%d+%] ", "") -- who printed it, as some kernels say
    local kind = begins(text)
    local report = self.report
    if not report then
        if not kind then return end
        report = begin(self, now)
    end
    report.changed = now
    text = text:sub(1, LINE_BYTES)
    if kind then add_kind(report, kind, text) end
    if not text:find(END_PANIC) then keep(report, text, stamp) end
    if not report.title then
        if #report.lines > PRELUDE_LINES then self.report = nil end
    elseif ends(report, text) then
        self:finish()
    end
end

-- When the report that is open is whole at the latest, unless more lines come; nil: none is open.
function Collector:due(scale)
    local report = self.report
    if not report then return nil end
    return math.min(report.changed + kernel_report.QUIET_SECONDS * scale,
        report.began + kernel_report.LONGEST_SECONDS * scale)
end

return kernel_report
