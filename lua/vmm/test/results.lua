-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a run has found: the events of its processes in one run file, and the counts.

local core = require "vmm.core"
local json = require "vmm.json"

local Results = {}
Results.__index = Results

local results = {}

local STEPS = 1000000 -- between the numbers of the steps of one attempt and those of the next

-- The time of day in seconds.
local offset = core.wall_clock() - core.now()
local function wall_clock()
    return core.now() + offset
end

-- results.new(path) -> results whose run file is at a path; or nil, message.
function results.new(path)
    local file, message = io.open(path, "w")
    if not file then return nil, message end
    return setmetatable({
        file = file, path = path, start = core.now(),
        pass = 0, fail = 0, skip = 0, final = {}, skipped = {}, retried = {},
    }, Results)
end

function Results:write(event)
    event.time = event.time or wall_clock()
    self:note(self.file:write(json.encode(event), "\n"))
end

-- Keeps why the run file lacks something: self.failure.
function Results:note(ok, message)
    self.failure = self.failure or not ok and message or nil
end

-- Takes the end of a test for good.
local function count(self, part, event, name)
    local kind = event.status == "error" and "fail" or event.status
    self[kind] = self[kind] + 1
    part.counts[kind] = part.counts[kind] + 1
    self.final[event.test] = true
    if kind == "skip" then
        table.insert(self.skipped, ("%s: %s"):format(event.test, event.message or "pending"))
    elseif kind == "pass" and event.attempts > 1 then
        table.insert(self.retried, ("%s: passed at attempt %d"):format(event.test, event.attempts))
    end
    if self.on_end then self.on_end(event, name) end
end

local handlers = {}

function handlers.test_start(self, part, event)
    part.started = part.started + 1
    part.ignored = self.final[event.id] or nil
    part.running = { id = event.id, name = event.name, key = event.key, since = core.now() }
    part.done[event.key] = (part.done[event.key] or 0) + 1
    event.key = nil
    if self.on_start then self.on_start(event) end
    if not part.ignored and part.attempt == 1 then self:write(event) end
end

-- An attempt that failed, of a test that is going to be tried again.
local function put_off(self, part, event, running)
    part.again = part.again or {}
    part.again[running.key] = true
    event.event = "test_retry"
    self:write(event)
end

function handlers.test_end(self, part, event)
    local running = part.running
    part.running, part.since = nil, core.now()
    local wrong = event.status == "fail" or event.status == "error"
    part.failures = part.failures + (wrong and 1 or 0)
    if part.ignored or not running or event.status == "listed" then return end
    event.attempts = part.attempt
    if wrong and not event.outside and part.attempt <= part.retries then
        return put_off(self, part, event, running)
    end
    event.outside = nil
    self:write(event)
    count(self, part, event, running.name)
end

-- The process stays, for the test's VMs, and runs no more tests.
function handlers.kept(_, part, event)
    part.kept = event
end

function handlers.alive(_, part)
    part.since = core.now()
end

function handlers.worker_end(_, part)
    part.finished = true
end

function handlers.step(self, part, event)
    local by = (part.attempt - 1) * STEPS
    event.step = event.step + by
    event.parent = math.type(event.parent) and event.parent + by or nil
    self:write(event)
end

-- Takes an event of the process that runs a part of the run: { attempt =, retries =, done = {},
-- started =, failures =, counts = }; what becomes of the part here: running, since, ignored, again,
-- kept, finished.
function Results:take(part, event)
    if type(event) ~= "table" then return end -- cut short, as its process was
    local handler = handlers[event.event]
    if handler then
        handler(self, part, event)
    elseif not part.ignored then
        self:write(event)
        if self.on_other then self.on_other(event) end
    end
end

-- The test that runs has ended with its process.
function Results:fail_running(part, message, status)
    local running = part.running
    self:take(part, {
        event = "test_end", test = running.id, status = status or "error", message = message,
        duration = core.now() - running.since,
    })
end

-- Something failed of which no test is the cause.
function Results:fail_outside(part, message)
    local id, name = part.file .. ":(the file)" .. (part.suffix or ""), "(the file)"
    local number = 1
    while self.final[id] do
        number = number + 1
        name = ("(the file) (%d)"):format(number)
        id = part.file .. ":" .. name .. (part.suffix or "")
    end
    self:write { event = "test_start", id = id, file = part.file, name = name }
    local event = { event = "test_end", test = id, status = "error", message = message,
        duration = 0.0, attempts = 1 }
    self:write(event)
    part.failures = part.failures + 1
    count(self, part, event, name)
end

-- What has been written so far is in the run file, for whoever finds it when the run is killed.
function Results:flush()
    self:note(self.file:flush())
end

-- Ends the run file; the closing line. Of a run that was cut short: why, and the files that have
-- not been run to their end.
function Results:close(reason, left)
    self:write {
        event = "run_end", passed = self.pass, failed = self.fail, skipped = self.skip,
        duration = core.now() - self.start, reason = reason,
        left = left and left[1] and json.array(left) or nil,
    }
    self:note(self.file:close())
    return ("%d passed, %d failed, %d skipped"):format(self.pass, self.fail, self.skip)
end

return results
