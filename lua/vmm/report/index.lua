-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What there is in the run files of one run: its tests, how they ended and where their events are.
--
-- Events themselves (consoles are most of a run file) are passed over here, and read test by test
-- when a report is written: vmm.report.gather.

local attempt = require "vmm.report.attempt"
local clean = require "vmm.report.clean"
local decode = require("vmm.report.event").decode
local lines = require "vmm.report.lines"
local peek = require("vmm.report.event").peek
local unquote = require("vmm.report.event").unquote

local index = {}

local NAMES = 20 -- of files that were not run, that are told

local handlers = {}

function handlers.run_start(file, event)
    if file.start then return end
    file.start = event
    for _, problem in ipairs(event.problems or {}) do
        if type(problem) == "string" then table.insert(file.problems, clean.line(problem)) end
    end
end

function handlers.run_end(file, event)
    file.finish = event
end

function handlers.test_start(file, event, raw)
    if not event.id then return nil end
    local one = attempt.new(file, event.id, raw)
    attempt.start(one, event)
    table.insert(file.attempts, one)
    file.current[raw] = one
    return one
end

-- The attempt that an event's test is at, from the event's line; one that the file shows no start
-- of starts by it.
local function current(file, raw, line)
    local one = file.current[raw or false]
    if not one then
        one = attempt.new(file, raw and unquote(raw), raw)
        attempt.start_again(one, file.retried[raw], line)
        file.current[raw or false] = one
        if raw then
            table.insert(file.attempts, one)
        else
            file.outside = one
        end
    end
    return one
end

function handlers.test_end(file, event, raw, line)
    if not raw then return nil end
    local one = current(file, raw, line)
    attempt.finish(one, event)
    return one
end

-- It has failed and is tried again: what follows is another attempt.
function handlers.test_retry(file, event, raw, line)
    local one = handlers.test_end(file, event, raw, line)
    if one then file.current[raw], file.retried[raw] = nil, one end
    return one
end

local function count(file, name)
    file[name] = file[name] + 1
end

local function take(file, line, offset, whole)
    if not line then return count(file, "long") end
    if line == "" and whole then return nil end
    whole = whole or decode(line) ~= nil
    if not whole then
        file.cut = true
        return nil
    end
    local kind, raw = peek(line)
    if not kind or raw and not file.current[raw] and not unquote(raw) then
        return count(file, "strange")
    end
    local handler = handlers[kind]
    local event = handler and decode(line)
    if handler and not event then return count(file, "strange") end
    local one
    if event then
        one = handler(file, event, raw, line)
    else
        one = current(file, raw, line)
    end
    if one then attempt.extend(one, offset, offset + #line + 1) end
    return nil
end

local function plural(number, one, many)
    return ("%d %s"):format(number, number == 1 and one or many)
end

-- How many tests of a file have ended.
local function ended(file)
    local total = 0
    for _, one in ipairs(file.attempts) do
        total = total + (one.finished and 1 or 0)
    end
    return total
end

local function names(list)
    local shown = {}
    for i, name in ipairs(list) do
        shown[i] = clean.line(tostring(name))
    end
    return clean.list(shown, NAMES)
end

-- Says what is wrong with a file. incomplete: it lacks tests.
local function judge(file)
    local function problem(...)
        file.problems[#file.problems + 1] = string.format(...)
    end
    if file.cut and not file.finish then
        problem "its last line is cut off"
    end
    if file.strange > 0 then
        problem("%s in it", plural(file.strange, "line that is no event is",
            "lines that are no events are"))
    end
    if file.long > 0 then
        problem("%s left out", plural(file.long, "endless line is", "endless lines are"))
    end
    if not file.finish then
        file.incomplete = true
        problem("the run did not end: %s had ended by then", plural(ended(file), "test",
            "tests"))
    elseif file.finish.left and #file.finish.left > 0 then
        file.incomplete = true
        problem("%s: not run to the end: %s", clean.line(file.finish.reason or "it was cut short"),
            names(file.finish.left))
    end
end

-- Reads a run file: its index, or nil, message, code.
function index.read(path)
    local handle <close>, message = io.open(path, "rb")
    if not handle then return nil, "cannot read " .. message, "EIO" end
    local file = { path = path, attempts = {}, current = {}, retried = {}, problems = {},
        strange = 0, long = 0 }
    local something, why = handle:read(0)
    if not something and why then return nil, ("cannot read %s: %s"):format(path, why), "EIO" end
    lines.each(handle, 0, nil, function(line, offset, whole)
        take(file, line, offset, whole)
    end)
    if file.strange + file.long > 0 and #file.attempts == 0 and not file.start then
        return nil, ("%s is no run file: there is no test in it"):format(path), "EINVAL"
    end
    file.current, file.retried = nil, nil
    for _, one in ipairs(file.attempts) do
        attempt.complete(one)
    end
    judge(file)
    return file
end

return index
