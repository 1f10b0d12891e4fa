-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A busted output handler in a test process: chooses the tests, limits their time, and records what
-- becomes of them. With busted's own objects, for the names of what is being registered.

local budget = require "vmm.test.budget"
local plan = require "vmm.test.plan"
local process = require "vmm.process"
local record = require "vmm.scenario.record"
local sched = require "vmm.sched"
local terminal = require "vmm.terminal"

local Output = {}
Output.__index = Output

local output = {}

-- ---- names ------------------------------------------------------------------------------

-- Names of what is around an element, and its own, one after the other.
local function full_name(busted, element, name)
    local names = { name or element.name or element.descriptor }
    local parent = name and element or busted.context.parent(element)
    while parent and parent.descriptor ~= "file" and (parent.name or parent.descriptor) do
        if parent.descriptor ~= "suite" then
            table.insert(names, 1, parent.name or parent.descriptor)
        end
        parent = busted.context.parent(parent)
    end
    return table.concat(names, " ")
end

-- An id that no other test of the file has: the second of the same name is "name (2)".
function Output:identify(name)
    local count = (self.counts[name] or self.job.skip[name] or 0) + 1
    self.counts[name] = count
    local unique = count > 1 and ("%s (%d)"):format(name, count) or name
    return ("%s:%s%s"):format(self.job.file, unique, self.job.suffix or ""), unique
end

-- ---- which tests ------------------------------------------------------------------------

-- Is a line that of a test's beginning, or in its function?
local function is_at(line, run, trace)
    local about = type(run) == "function" and debug.getinfo(run, "S")
    return about and about.linedefined <= line and line <= about.lastlinedefined
        or type(trace) == "table" and trace.currentline == line
end

-- Is a test that is about to be registered one to be run?
function Output:wanted(name, run, trace)
    local job = self.job
    if job.only and not job.only[name] then return false end
    if job.line and not is_at(job.line, run, trace) then return false end
    local before = job.skip[name] or 0
    self.met[name] = (self.met[name] or 0) + 1
    return self.met[name] > before
end

-- Instead of what is registered make(name, run, trace) is, or nothing.
function Output:replace(descriptor, make)
    self.busted.subscribe({ "register", descriptor }, function(name, run, ...)
        if self.ours[run] then return nil, true end
        local other = make(name, run, ...)
        if not other then return nil, false end
        if other == run then return nil, true end
        self.ours[other] = true
        self.busted.publish({ "register", descriptor }, name, other, ...)
        return nil, false
    end, { priority = 1 })
end

local AROUND = { "setup", "teardown", "before_each", "after_each", "strict_setup",
    "strict_teardown", "lazy_setup", "lazy_teardown" }

function Output:choose()
    for _, descriptor in ipairs { "it", "pending" } do
        self:replace(descriptor, function(name, run, trace)
            local full = full_name(self.busted, self.busted.context.get(), name)
            if not self:wanted(full, run, trace) then return nil end
            return self.job.list and function() end or run
        end)
    end
    for _, descriptor in ipairs(self.job.list and AROUND or {}) do
        self:replace(descriptor, function()
            return function() end
        end)
    end
end

-- ---- what happens -----------------------------------------------------------------------

-- Directories are made for those who use them: with --artefacts or --keep.
local function make_directory(self, id)
    if not self.job.artefacts then return nil end
    local path = self.job.artefacts .. "/" .. plan.folder(id)
    return process.make_directory(path) and path or nil
end

function Output:begin(element)
    local key = full_name(self.busted, element)
    self.id, self.name = self:identify(key)
    self.wrong, self.looked_at = nil, nil
    local trace = element.trace or {}
    record.emit {
        event = "test_start", id = self.id, file = self.job.file, name = self.name,
        key = key, line = trace.currentline,
    }
    record.test(self.id, make_directory(self, self.id))
    self.budget:start(self.name)
end

local STATUS = { success = "pass", failure = "fail", error = "error", pending = "skip" }

-- The errors of tasks that nobody waited for are those of the test that runs.
local function add_lost(self, status)
    local lost = sched.take_lost()
    if not lost[1] or self.budget.expired then return status end
    local text = table.concat(lost, "\n")
    self.wrong = self.wrong or { message = text }
    if self.wrong.message ~= text then
        self.wrong.message = self.wrong.message .. "\n" .. text
    end
    return status == "fail" and "fail" or "error"
end

-- What asks the process to end must not end every test that is left instead.
local function end_if_asked()
    local code = terminal.interrupted()
    if code then os.exit(code) end
end

-- Tells that the test which runs has ended.
function Output:tell_end(status, wrong, duration)
    record.emit {
        event = "test_end", status = status, message = wrong.message, traceback = wrong.traceback,
        duration = duration + 0.0, attempts = self.job.attempt or 1,
    }
end

function Output:finish(element, status)
    if self.job.list then
        record.emit { event = "test_end", status = "listed" }
        return self:leave()
    end
    status = add_lost(self, STATUS[status] or "error")
    local wrong = self.wrong or {}
    end_if_asked()
    self:tell_end(status, wrong, element.duration or 0)
    self:leave()
end

function Output:leave()
    record.test(nil)
    self.id = nil
    self:phase()
end

-- Outside of a test, time counts anew from each event on.
function Output:phase()
    record.emit { event = "alive" }
    self.budget:start(self.job.file)
end

-- Outside of any test: a file that does not load, a set-up that raises.
function Output:fail_outside(element, message, traceback)
    end_if_asked()
    local name = element.descriptor == "file" and "(the file)" or full_name(self.busted, element)
    local id, unique = self:identify(name)
    record.emit { event = "test_start", id = id, file = self.job.file, name = unique,
        key = name }
    record.emit {
        event = "test_end", test = id, status = "error", message = message, duration = 0.0,
        traceback = traceback, attempts = self.job.attempt or 1, outside = true,
    }
end

local function plain(message)
    if message == nil then return "no message" end
    return tostring(message)
end

-- What busted says of an error begins with a place; an error object of the library knows better.
function Output.words(message, trace)
    local err = trace.message
    local class = type(err) == "table" and debug.getmetatable(err) or {}
    return plain(class.__tostring and not class.__type and err or message)
end

local function on_wrong(self, element, message, trace)
    trace = type(trace) == "table" and trace or {}
    local traceback = trace.traceback
    message = self.words(message, trace)
    if not self.id or element.descriptor ~= "it" then
        self:fail_outside(element, message, traceback)
    elseif not self.wrong then
        self.wrong = { message = message, traceback = traceback }
    else
        self.wrong.message = self.wrong.message .. "\n" .. message
    end
end

-- ---- the handler ------------------------------------------------------------------------

function Output:subscribe()
    local busted = self.busted
    require "busted.languages.en"
    local function on(channel, fn)
        busted.subscribe(channel, function(...)
            fn(...)
            return nil, true
        end)
    end
    self:choose()
    if self.job.debug then require("vmm.test.debug").attach(self) end
    if self.job.hold then require("vmm.test.hold").attach(self) end
    self.budget = budget.new(self.job.test_timeout)
    for _, what in ipairs { "file", "describe" } do
        on({ what, "start" }, function() self:phase() end)
        on({ what, "end" }, function() self:phase() end)
    end
    on({ "test", "start" }, function(element) self:begin(element) end)
    on({ "test", "end" }, function(element, _, status) self:finish(element, status) end)
    on({ "pending" }, function(_, _, message)
        self.wrong = { message = message and (plain(message):gsub("^%S+:%d+: ", "")) }
    end)
    on({ "error" }, function(element, _, message, trace)
        on_wrong(self, element, message, trace)
    end)
    on({ "failure" }, function(element, _, message, trace)
        on_wrong(self, element, message, trace)
    end)
    on({ "suite", "end" }, function()
        self.budget:start(nil)
        record.emit { event = "worker_end" }
    end)
end

-- A handler of busted's for a job of vmm.test.worker.
function output.new(job, busted)
    job.skip = job.skip or {}
    return setmetatable({
        job = job, busted = busted, counts = {}, met = {},
        ours = setmetatable({}, { __mode = "k" }),
    }, Output)
end

return output
