-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A run: its spec files shared out to test processes, which are watched, and replaced when they
-- die.

local child = require "vmm.test.child"
local core = require "vmm.core"
local load = require "vmm.test.load"
local sched = require "vmm.sched"
local terminal = require "vmm.terminal"

local Run = {}
Run.__index = Run

local run = {}

local LOOK_SECONDS = 0.02
local LOAD_SECONDS = 1 -- the load is looked at so often
local START_SECONDS = 60 -- for a process until its first event
local END_SECONDS = 5 -- for it to end when it is asked to
local KEPT_MOST = 8 -- processes that stay behind, with the VMs of tests that failed

-- A part of the run: one file, in one process after the other where that is needed.
local function new_part(self, file, round)
    return {
        file = file, suffix = self.options.repeats > 1 and "#" .. round or nil,
        attempt = 1, retries = self.options.retries, done = {}, started = 0, failures = 0,
        counts = { pass = 0, fail = 0, skip = 0 },
    }
end

-- run.new(files, options, results, show, host)
--   options  as vmm.test.options has them, and scratch (a directory), words (for busted), variables
--            (of processes)
--   show     see vmm.test.progress
--   host     for tests: { start = as child.start, load = as load.now }
function run.new(files, options, results, show, host)
    host = host or { start = child.start, load = load.now }
    local self = setmetatable({
        options = options, results = results, show = show, host = host,
        queue = {}, parts = {}, kept = {}, count = 0,
        durations = {}, limit = sched.scaled(options.test_timeout) + sched.scaled(options.grace),
        deadline = options.timeout and core.now() + sched.scaled(options.timeout),
    }, Run)
    for round = 1, options.repeats do
        for _, file in ipairs(files) do
            self.queue[#self.queue + 1] = new_part(self, file, round)
        end
    end
    return self
end

-- ---- processes --------------------------------------------------------------------------

-- May a test that fails now keep its VMs? Not to be tried again, nor too many of them.
local function may_hold(self, part)
    return self.options.keep and part.attempt > part.retries
        and #self.kept < KEPT_MOST or nil
end

-- What is left to be done by a new process.
local function job_of(self, part)
    return {
        hold = may_hold(self, part),
        file = part.file, suffix = part.suffix, artefacts = self.options.artefacts,
        skip = part.done, only = part.only, line = self.options.lines[part.file],
        list = self.options.list, attempt = part.attempt,
        test_timeout = self.options.test_timeout, debug = self.options.debug,
        words = self.options.words,
    }
end

local function start(self, part)
    self.count = self.count + 1
    part.since, part.at_start, part.finished = core.now(), part.started, false
    part.heard = false
    part.failed_before, part.killed, part.kept = part.failures, nil, nil
    part.begun = part.begun or core.now()
    self.parts[#self.parts + 1] = part
    part.child = self.host.start(job_of(self, part),
        ("%s/%d"):format(self.options.scratch, self.count),
        { variables = self.options.variables, terminal = self.options.debug })
end

-- May another process start now? The first always may.
local function has_room(self)
    if #self.parts == 0 then return true end
    if #self.parts >= self.options.jobs then return false end
    if core.now() >= (self.look_again or 0) then
        self.busy = self.host.load()
        self.look_again = core.now() + LOAD_SECONDS
    end
    return not self.busy
end

-- ---- its end ----------------------------------------------------------------------------

local function over_budget(self, what, elapsed)
    return ("the test budget is over: %s has taken %.1f s, %g s are allowed (--test-timeout);"
        .. " it never waited, or caught the error, so its process was killed")
        :format(what, elapsed, sched.scaled(self.options.test_timeout))
end

local function with_output(message, process)
    local tail = process:tail():gsub("%s+$", "")
    return tail == "" and message or ("%s; its last output:\n%s"):format(message, tail)
end

-- Why a process has ended that has not said so.
local function cause(self, part, what)
    if part.stopped then return self.why end
    if part.killed then return over_budget(self, what, part.killed) end
    return with_output(("the test process %s"):format(part.child:describe()), part.child)
end

-- The process has ended; is there anything that another one has to go on with?
local function has_more(self, part)
    if part.running then
        self.results:fail_running(part, cause(self, part, part.running.name))
        return true
    elseif part.stopped then
        return not part.finished
    elseif part.kept then
        return true
    elseif part.finished then
        if part.child.code ~= 0 and part.failures == part.failed_before then
            self.results:fail_outside(part, cause(self, part, part.file))
        end
        return false
    end
    self.results:fail_outside(part, cause(self, part, part.file))
    local progress = part.started > part.at_start and not part.died_outside
    part.died_outside = true
    return progress
end

local function finish(self, part)
    self.durations[part.file] = core.now() - part.begun
    self.show:finish(part)
end

local function after_end(self, part)
    local more = has_more(self, part)
    local said = part.child:output()
    self.show:output(part, said)
    if self.results.on_output then self.results.on_output(part, said) end
    part.child:close()
    if more then
        table.insert(self.queue, 1, part)
    elseif part.again and not self.why then
        part.only, part.again, part.done = part.again, nil, {}
        part.attempt = part.attempt + 1
        table.insert(self.queue, 1, part)
    else
        finish(self, part)
    end
end

local function read(self, part)
    for _, event in ipairs(part.child:read()) do
        part.heard = true
        self.results:take(part, event)
    end
end

-- Lets the process of a test that failed be, with its VMs; kills it if there are too many.
local function let_be(self, part)
    if #self.kept >= KEPT_MOST then
        part.killed = 0
        part.child:signal "KILL"
        return false
    end
    part.child:release()
    table.insert(self.kept, { test = part.kept.test, vms = part.kept.vms, pid = part.child.pid,
        prompt = part.kept.prompt })
    return true
end

local function look_at(self, part)
    local ended = part.child:ended()
    read(self, part)
    if not ended and part.kept and not part.stopped and not part.killed then
        ended = let_be(self, part)
    end
    if ended then
        after_end(self, part)
        return true
    end
    local elapsed = core.now() - (part.running and part.running.since or part.since)
    local limit = self.limit + (part.heard and 0 or sched.scaled(START_SECONDS))
    if elapsed > limit and not part.killed and not part.stopped then
        part.killed = elapsed
        part.child:signal "KILL"
    end
end

local function look(self)
    for i = #self.parts, 1, -1 do
        if look_at(self, self.parts[i]) then table.remove(self.parts, i) end
    end
    self.results:flush()
end

-- ---- the whole --------------------------------------------------------------------------

local function signal_all(self, name)
    for _, part in ipairs(self.parts) do
        part.stopped = true
        part.child:signal(name)
    end
end

-- Ends all processes: asked to first, then killed. What has ended by then counts.
local function stop(self, why, code)
    self.why, self.code = why, code
    local patience = core.now() + sched.scaled(END_SECONDS)
    signal_all(self, "TERM")
    while #self.parts > 0 do
        core.step(LOOK_SECONDS)
        look(self)
        if core.now() > patience then
            signal_all(self, "KILL")
            patience = math.huge
        end
    end
end

local function must_stop(self)
    local code = terminal.interrupted() or self.interrupted
    if code then return "the run was interrupted", code end
    if self.deadline and core.now() >= self.deadline then
        return ("the run's budget of %g s is over (--timeout)"):format(
            sched.scaled(self.options.timeout)), 124
    end
end

-- A process that has the terminal is asked to end by the same keys.
local function note_interrupt(self, part)
    if self.options.debug and part.child.how == "signal" and part.child.code == 2 then
        self.interrupted = 130
    end
end

-- Runs all; nil, or why it has not come to its end, and the exit code for that.
function Run:run()
    while #self.queue > 0 or #self.parts > 0 do
        local why, code = must_stop(self)
        if why then
            stop(self, why, code)
            return why, code
        end
        while #self.queue > 0 and has_room(self) do
            local part = table.remove(self.queue, 1)
            start(self, part)
            note_interrupt(self, part)
        end
        self.show:tick(self)
        core.step(LOOK_SECONDS)
        look(self)
    end
end

-- The processes that stay behind: { { test = id, vms = { name... }, pid =, prompt = path of its
-- socket }... }; and whether these are as many as may.
function Run:held()
    return self.kept, #self.kept >= KEPT_MOST
end

-- The files that have not been run to their end.
function Run:left()
    local files, seen = {}, {}
    for _, part in ipairs(self.queue) do
        if not seen[part.file] then files[#files + 1] = part.file end
        seen[part.file] = true
    end
    return files
end

return run
