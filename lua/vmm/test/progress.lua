-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a run shows: a line for each file, failures in full, and on a terminal, below them, a line
-- that tells what is going on.

local core = require "vmm.core"

local Progress = {}
Progress.__index = Progress

local progress = {}

local ANEW_SECONDS = 0.25
local COLUMNS = 80

-- progress.new{ results =, files = count, verbose =, terminal = bool, write = fn(text),
-- quiet = true: only failures }
function progress.new(options)
    local self = setmetatable({
        results = options.results, total = options.files, verbose = options.verbose,
        on_terminal = options.terminal, write = options.write, quiet = options.quiet,
        done = 0, start_time = core.now(), due = 0, shown = false,
    }, Progress)
    options.results.on_end = function(event, name)
        if event.status == "fail" or event.status == "error" then self:failure(event, name) end
    end
    return self
end

-- ---- the line ---------------------------------------------------------------------------

local function clear(self)
    if self.shown then self.write "\r\27[K" end
    self.shown = false
end

local function cut(text, width)
    if #text <= width then return text end
    return (text:sub(1, width):gsub("[\xc0-\xff][\x80-\xbf]*$", ""))
end

local function counts_of(of)
    local parts = { ("%d passed"):format(of.pass) }
    if of.fail > 0 then parts[#parts + 1] = ("%d failed"):format(of.fail) end
    if of.skip > 0 then parts[#parts + 1] = ("%d skipped"):format(of.skip) end
    return table.concat(parts, ", ")
end

-- progress.line(state) -> what is going on, in a line; state: done, total (files), counts (of
-- results), seconds, running = { { file =, name = or nil, seconds = } }, busy = why or nil
function progress.line(state)
    local running = {}
    for i, part in ipairs(state.running) do
        running[i] = ("%s%s %.0f s"):format(part.file:match "[^/]*$",
            part.name and ": " .. part.name or "", part.seconds)
    end
    return ("[%d/%d] %s, %.0f s%s%s"):format(state.done, state.total, counts_of(state.counts),
        state.seconds, running[1] and " | " .. table.concat(running, " | ") or "",
        state.busy and " | waiting: " .. state.busy or "")
end

-- Called again and again while a run runs.
function Progress:tick(run)
    if not self.on_terminal or core.now() < self.due then return end
    self.due = core.now() + ANEW_SECONDS
    local running = {}
    for i, part in ipairs(run.parts) do
        running[i] = {
            file = part.file, name = part.running and part.running.name,
            seconds = core.now() - (part.running and part.running.since or part.since),
        }
    end
    local _, columns = core.terminal.size()
    local line = progress.line {
        done = self.done, total = self.total, counts = self.results, running = running,
        seconds = core.now() - self.start_time, busy = #run.queue > 0 and run.busy or nil,
    }
    self.write("\r\27[K" .. cut(line, (columns or COLUMNS) - 1))
    self.shown = true
end

-- ---- lines that stay --------------------------------------------------------------------

local function say(self, ...)
    clear(self)
    self.write(string.format(...) .. "\n")
    self.due = 0
end
Progress.say = say

local function escape(char)
    return ("\\x%02x"):format(char:byte(-1))
end

-- What guests and tests have written, without what would command the terminal.
function progress.harmless(text)
    return (text:gsub("\r", ""):gsub("[%z\1-\8\11-\31\127]", escape)
        :gsub("\xc2[\x80-\x9f]", escape))
end

local function indent(text)
    text = progress.harmless(text):gsub("%s+$", "")
    return "          " .. text:gsub("\n", "\n          ")
end

local function file_of(event, name)
    local id = event.test
    local at = id:find(":" .. name, 1, true)
    return at and id:sub(1, at - 1) or id
end

-- A test has failed.
function Progress:failure(event, name)
    local lines = { "  FAIL    " .. progress.harmless(name), indent(file_of(event, name)) }
    if event.attempts and event.attempts > 1 then
        lines[#lines + 1] = indent(("(%d attempts)"):format(event.attempts))
    end
    lines[#lines + 1] = indent(event.message or "no message")
    local trace = event.status == "error" and event.traceback
    trace = trace and trace:gsub("^%s*stack traceback:%s*", "") or ""
    if trace:find "%S" then lines[#lines + 1] = indent("at " .. trace:gsub("\n%s+", "\n   ")) end
    say(self, "%s", table.concat(lines, "\n"))
end

-- A process has ended, and may have said something.
function Progress:output(part, text)
    if not self.verbose and part.failures == 0 then return end
    if text:find "%S" then say(self, "%s", "  OUTPUT  " .. part.file .. "\n" .. indent(text)) end
end

-- All of a part has been run.
function Progress:finish(part)
    self.done = self.done + 1
    if self.quiet then return end
    say(self, "  %-7s %s: %s (%.1f s)", part.counts.fail > 0 and "FAIL" or "ok",
        part.file .. (part.suffix or ""), counts_of(part.counts), core.now() - part.begun)
end

-- Nothing more to come.
function Progress:close()
    clear(self)
end

return progress
