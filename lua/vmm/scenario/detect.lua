-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Finds out that a VM has failed: by its kernel's log, by its end, by its silence. The failure ends
-- every wait for the VM, or is raised when the VM is closed.

local argument = require "vmm.argument"
local core = require "vmm.core"
local failures = require "vmm.scenario.failure"
local kernel_lines = require "vmm.scenario.kernel_lines"
local kernel_report = require "vmm.scenario.kernel_report"
local record = require "vmm.scenario.record"
local sched = require "vmm.sched"
local text = require "vmm.text"
local wait = require "vmm.scenario.wait"

local methods = core.classes["vmm.vm"]

local detect = {}

local POLICIES = { "ignore", "note", "fail" }
local KEPT = 100 -- failures that nobody has taken
local FAILURE_SECONDS = 60

-- ---- what is given ----------------------------------------------------------------------

local function check_name(what, value, names, level)
    for _, name in ipairs(names) do
        if name == value then return value end
    end
    error(("%s %s%s valid: %s"):format(what, text.show(value), text.suggest(value, names),
        table.concat(names, ", ")), level)
end

-- Checks a table of kinds and what is done about each; raises in who called the caller.
local function check_policy(policy)
    argument.type("policy", policy, "table", 4)
    for kind, what in pairs(policy) do
        check_name("policy: unknown kind", kind, failures.KINDS, 4)
        check_name(("policy: %s ="):format(kind), what, POLICIES, 4)
    end
    return policy
end

local function check_kind(what, kind, level)
    if kind ~= nil then check_name(what .. ": unknown kind", kind, failures.KINDS, level + 1) end
    return kind
end

-- ---- what is done about one -------------------------------------------------------------

local Detector = {}
Detector.__index = Detector

-- Is this kind of failure allowed?
local function is_allowed(self, kind, lines)
    for _, allowed in ipairs(self.allowed) do
        if allowed.kind == kind then
            local found = not allowed.pattern
            for _, line in ipairs(lines) do
                found = found or line.text:find(allowed.pattern) ~= nil
            end
            if found then
                allowed.count = allowed.count + 1
                return true
            end
        end
    end
    return false
end

-- What is done about a report, and the kind that says so.
local function judge(self, report)
    local noted
    for _, kind in ipairs(report.kinds) do
        local policy = self.policy[kind] or "fail"
        if policy == "fail" and is_allowed(self, kind, report.lines) then policy = "note" end
        if policy == "fail" then return "fail", kind end
        if policy == "note" then noted = noted or kind end
    end
    return noted and "note" or "ignore", noted
end

-- Adds to the failures that nobody has taken; of a flood of them, the first count.
local function keep(list, failure)
    if #list < KEPT then list[#list + 1] = failure end
end

local function is_wanted(failure, wanted)
    if wanted.kind and not failure:is(wanted.kind) then return false end
    return not wanted.pattern or tostring(failure):find(wanted.pattern) ~= nil
end

-- A report is whole: it fails the VM, is noted, is what somebody waits for, or is nothing.
local function conclude(self, report)
    local vm, scenario = self.vm, self.scenario
    for _, kind in ipairs(report.kinds) do
        self.seen[kind] = true
    end
    local verdict, code = judge(self, report)
    local wanted = self.wanted
    if verdict == "ignore" and not wanted then return end
    local failure = failures.new(vm, report, code or report.kinds[1])
    if wanted and is_wanted(failure, wanted) then
        wanted.found, self.wanted = failure, nil
        verdict = "note"
    elseif verdict == "fail" then
        keep(self.failing, failure)
        scenario.failure = self.failing[1]
    elseif verdict == "note" then
        keep(scenario.notes, failure)
    else
        return
    end
    record.step("note", ("%s: %s"):format(failures.words(failure.kinds), failure.title), vm)
        :finish(verdict ~= "fail", tostring(failure))
    core.wake()
end

-- Concludes what is whole. In a task or a wait of somebody's, not where the console tells of lines:
-- it looks at the VM.
local function conclude_all(self)
    while self.whole[1] do
        conclude(self, table.remove(self.whole, 1))
    end
end

local function add_whole(self, report)
    table.insert(self.whole, report)
    sched.spawn(conclude_all, self)
end

-- Begins to wait for the rest of a report that has begun.
local function await_rest(self)
    local report = self.collector.report
    if report and report ~= self.timed then
        self.timed = report
        sched.spawn(self.await_whole, self, report)
    end
end

-- The failure, if there is one by now. whole: of a report that has begun no more is waited for.
function Detector:settle(whole)
    if whole then
        self.lines:pull()
        self.collector:finish()
    else
        self.lines:read()
    end
    conclude_all(self)
    local failure = self.scenario.failure
    if failure then failure.told = true end
    return failure
end

-- ---- how it is found out ----------------------------------------------------------------

-- Until the report is whole. Others do not begin meanwhile.
function Detector:await_whole(report)
    local collector, vm = self.collector, self.vm
    while collector.report == report do
        local left = collector:due(sched.scaled(1)) - core.now()
        sched.wait(function()
            return (vm.closed or collector.report ~= report) or nil
        end, math.max(0, left))
        if vm.closed then return end
        self.lines:pull()
        if collector.report == report and collector:due(sched.scaled(1)) <= core.now() then
            collector:finish()
        end
    end
end

local function on_line(self, line, stamp)
    self.collector:line(line, stamp, core.now())
    await_rest(self)
end

-- A failure that no log tells of.
local function found(self, kind, title)
    add_whole(self, {
        kinds = { kind }, titles = { [kind] = title }, title = title, lines = {}, lost = 0,
    })
end

local ENDS = { triple_fault = "triple_fault", error = "lost", panic = "panic" }

-- The VM has ended. After a panic any end is its consequence.
local function on_stop(self, stop)
    self.lines:drain()
    self.collector:finish()
    local kind = ENDS[stop.reason]
    local panicked = self.seen.panic
    for _, report in ipairs(self.whole) do
        panicked = panicked or report.titles.panic
    end
    if kind and not panicked then found(self, kind, stop.text) end
end

-- Looks whether the VM, while it runs, prints something every so many seconds. Returns when to
-- look again; nil when there is no more to see.
local function look_for_silence(self, seen, seconds)
    local vm, now = self.vm, core.now()
    if vm.closed or vm:stopped() then return nil end
    local total = self.lines:total()
    if total ~= seen.total or vm.vcpus[1].state ~= "running" then
        seen.total, seen.since, seen.told = total, now, false
    elseif not seen.told and now - seen.since >= seconds then
        seen.told = true
        found(self, "silence", ("no output for %g s"):format(seconds))
    end
    return seen.told and now + seconds or seen.since + seconds
end

-- A VM that nobody has any more is not kept for that: held has no more of it than a weak reference.
local function watch_silence(held, seconds)
    local seen = {}
    while true do
        local next_look = held.detector and look_for_silence(held.detector, seen, seconds)
        if not next_look then return end
        sched.sleep(math.max(0, next_look - core.now()))
    end
end

-- ---- a VM's -----------------------------------------------------------------------------

-- A failure that nobody was told of is raised when the VM is closed, unless another error (cause)
-- is why it is.
local function check_at_close(self, cause)
    local before = self.scenario.failure
    local told = before and before.told
    local failure = self:settle(true)
    if failure and not told and cause == nil then error(failure, 0) end
end

-- Checks the options of detect.attach; raises in who called the caller.
function detect.check(options)
    if options.policy ~= nil then check_policy(options.policy) end
    if options.silence ~= nil then argument.seconds("silence", options.silence, 4) end
end

-- Watches a VM for failures from now on.
--   policy   { [kind] = "ignore", "note" or "fail" }; what is not named fails
--   silence  seconds without output, times VMM_TIMEOUT_SCALE, that are a failure; nil: none are
function detect.attach(vm, options)
    options = argument.options("vmm.scenario.watch", options, { "policy", "silence" })
    detect.check(options)
    local policy = options.policy or {}
    local scenario = vm.scenario or {}
    vm.scenario = scenario
    if scenario.settle then error("vmm.scenario.watch: the VM is watched already", 2) end
    local self = setmetatable({
        vm = vm, scenario = scenario, policy = policy, allowed = {}, whole = {}, failing = {},
        seen = {},
    }, Detector)
    self.collector = kernel_report.collector(function(report)
        add_whole(self, report)
    end)
    scenario.notes, scenario.policy, scenario.detector = {}, policy, self
    function scenario.settle(whole)
        return self:settle(whole)
    end
    self.lines = kernel_lines.of(vm, function(...)
        on_line(self, ...)
    end)
    vm:on("stop", function(stop)
        on_stop(self, stop)
    end)
    if options.silence then
        sched.spawn(watch_silence, setmetatable({ detector = self }, { __mode = "v" }),
            sched.scaled(options.silence))
    end
    local former = vm.before_close
    function vm.before_close(_, cause)
        local ok, err = true, nil
        if former then ok, err = pcall(former, vm, cause) end
        check_at_close(self, cause)
        if not ok then error(err, 0) end
    end
    return vm
end

local function detector_of(vm, what)
    local detector = vm.scenario and vm.scenario.detector
    if not detector then
        error(what .. ": nobody watches this VM: vmm.scenario.vm makes those that are", 3)
    end
    return detector
end

-- vm:check() raises the VM's failure, if it has failed by now.
function methods.check(vm)
    local failure = detector_of(vm, "vm:check"):settle(true)
    if failure then error(failure, 0) end
end

local Allowed = {}
Allowed.__index = Allowed

-- Ends it.
function Allowed:remove()
    local list = self.detector.allowed
    for i = #list, 1, -1 do
        if list[i] == self then table.remove(list, i) end
    end
end
Allowed.__close = Allowed.remove

-- vm:allow(kind [, pattern]): failures of this kind, with a line that has the Lua pattern, are
-- noted from now on. Returns an object: count, how many there were; :remove() ends it.
function methods.allow(vm, kind, pattern)
    local detector = detector_of(vm, "vm:allow")
    argument.type("vm:allow: kind", kind, "string")
    check_kind("vm:allow", kind, 2)
    if pattern ~= nil then argument.type("vm:allow: pattern", pattern, "string") end
    local allowed = setmetatable({
        detector = detector, kind = kind, pattern = pattern, count = 0,
    }, Allowed)
    table.insert(detector.allowed, allowed)
    return allowed
end

-- Takes a failure that is there already.
local function take(self, wanted)
    for _, list in ipairs { self.failing, self.scenario.notes } do
        for i, failure in ipairs(list) do
            if is_wanted(failure, wanted) then
                table.remove(list, i)
                self.scenario.failure = self.failing[1]
                return failure
            end
        end
    end
end

-- vm:wait_for_failure([kind] [, { timeout =, pattern = }]) -> the failure, which is then none of
-- the VM's any more: one that there is already and that nobody has taken, or the next. Any other
-- failure is raised, as is the timeout.
function methods.wait_for_failure(vm, kind, options)
    local detector = detector_of(vm, "vm:wait_for_failure")
    check_kind("vm:wait_for_failure", kind, 2)
    options = argument.options("vm:wait_for_failure", options, { "timeout", "pattern" })
    local wanted = { kind = kind, pattern = options.pattern }
    conclude_all(detector)
    wanted.found = take(detector, wanted)
    if wanted.found then return wanted.found end
    if detector.wanted then error("vm:wait_for_failure: another task waits for one", 2) end
    detector.wanted = wanted
    local what = kind and "a failure, " .. kind or "a failure"
    local step <close> = record.step("wait", what, vm)
    local failure, err = wait(vm, what, function()
        return wanted.found
    end, options.timeout or FAILURE_SECONDS)
    detector.wanted = nil
    if not failure then error(err, 2) end
    step:finish(true, tostring(failure))
    return failure
end

return detect
