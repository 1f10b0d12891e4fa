-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What happens in a test run, as events in a file of JSON lines; nothing while no run is recorded.
--
-- Every event has its name (`event`), the time (`time`, in seconds since 1970) and, in a test, the
-- test's id (`test`). lua/README.md lists the events.

local core = require "vmm.core"
local json = require "vmm.json"
local sched = require "vmm.sched"

local record = {}

-- The run that is recorded, if one is: { file =, test =, directory =, steps = }. A process runs one
-- test at a time.
local run

-- The time of day, as events have it, of a moment by vmm.now.
local offset
function record.time_of(moment)
    offset = offset or core.wall_clock() - core.now()
    return moment + offset
end

local function wall_clock()
    return record.time_of(core.now())
end

-- Begins to record; events are appended to the file, one write each, so that several processes may
-- share it.
-- Returns true; or nil, message.
function record.open(path)
    local file, message = io.open(path, "a")
    if not file then return nil, "cannot write " .. message end
    file:setvbuf("full", 1 << 16)
    run = { file = file, steps = 0, open = setmetatable({}, { __mode = "k" }) }
    return true
end

function record.close()
    if run then run.file:close() end
    run = nil
end

-- Is a run recorded?
function record.active()
    return run ~= nil
end

-- Writes an event; its time is now unless it has one, its test is that of record.test.
function record.emit(event)
    if not run then return end
    event.time = event.time or wall_clock()
    if run.test and event.test == nil then event.test = run.test end
    run.file:write(json.encode(event), "\n")
    run.file:flush()
end

-- From now on events are of this test (nil: of none), whose artefacts go to a folder, if any.
function record.test(id, directory)
    if not run then return end
    run.test, run.directory, run.steps = id, directory, 0
end

-- The folder for artefacts of the test that runs; nil when there is none.
function record.directory()
    return run and run.directory
end

-- Tells of a file that belongs to the test. vm: whose it is, or nil.
function record.artefact(vm, path, name)
    record.emit { event = "artefact", vm = vm and vm.name, path = path, name = name }
end

local Step = {}
Step.__index = Step

-- Ends the step. detail: a text or nil.
function Step:finish(ok, detail)
    if self.finished then return end
    self.finished = true
    if not run or not self.number then return end
    run.open[self.owner] = self.parent
    record.emit {
        event = "step", test = self.test, time = self.time, step = self.number,
        parent = self.parent and self.parent.number, vm = self.vm, kind = self.kind,
        text = self.text, duration = core.now() - self.start, ok = ok and true or false,
        detail = detail and tostring(detail):sub(1, 16384) or nil,
    }
end

-- A step that ends by an error, too, has ended.
function Step:__close(err)
    self:finish(err == nil, err)
end

-- Begins a step of the running test, within that of the same task that has not ended.
--   kind   "boot", "expect", "send", "run", "wait", "fault", "file", "note"
-- Returns it: step:finish(ok, detail) ends it, as does the end of a `local step <close>`.
function record.step(kind, text, vm)
    if not run then return setmetatable({}, Step) end
    local owner = sched.current() or record
    run.steps = run.steps + 1
    local step = setmetatable({
        number = run.steps, owner = owner, parent = run.open[owner], kind = kind, text = text,
        vm = vm and vm.name, test = run.test, time = wall_clock(), start = core.now(),
    }, Step)
    run.open[owner] = step
    return step
end

return record
