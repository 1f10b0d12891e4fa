-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A test process: started, watched, ended. What it has to say it writes to a file of events.

local json = require "vmm.json"
local process = require "vmm.process"

local Child = {}
Child.__index = Child

local child = {}

-- In a session of its own, so that Ctrl-C is for who started it; ended with it, also when that is
-- killed.
local APART = { "setsid", "setpriv", "--pdeathsig", "KILL" }

-- Is there what this needs? (A busybox has less.)
local apart
local function can_be_apart()
    if apart == nil then
        local try = table.move(APART, 1, #APART, 1, {})
        try[#try + 1] = "true"
        apart = process.capture(try) ~= nil
    end
    return apart
end

local function words(job_path, variables, prefix)
    local argv = table.move(prefix, 1, #prefix, 1, {})
    argv[#argv + 1] = "env"
    for name, value in pairs(variables) do
        argv[#argv + 1] = name .. "=" .. value
    end
    for _, word in ipairs { process.executable(), "test", "--worker", job_path } do
        argv[#argv + 1] = word
    end
    return argv
end

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
end

local function start_apart(self, argv)
    self.handle = assert(io.popen(("echo $$; exec %s >%s 2>&1 </dev/null"):format(
        process.command(argv), process.quote(self.output_path))))
    for _ = 1, 10 do -- a signal may cut it short
        self.pid = self.pid or tonumber(self.handle:read "l")
    end
    assert(self.pid, "a test process cannot be started")
end

local function run_on_terminal(self, argv)
    local code = process.run(argv)
    self.how = code > 128 and "signal" or "exit"
    self.code = code > 128 and code - 128 or code
end

-- child.start(job, path, options) -> a child that runs a job (see vmm.test.worker).
--   path     the beginning of the names of its files
--   options  variables = { NAME = value }; terminal = true: it has ours, and the call returns when
--            it has ended
function child.start(job, path, options)
    local self = setmetatable({
        job = job, events_path = path .. ".events", output_path = path .. ".output", rest = "",
    }, Child)
    job.events = self.events_path
    write(self.events_path, "")
    write(self.output_path, "")
    write(path .. ".job", json.encode(job))
    local prefix = not options.terminal and can_be_apart() and APART or {}
    local argv = words(path .. ".job", options.variables, prefix)
    if options.terminal then
        run_on_terminal(self, argv)
    else
        start_apart(self, argv)
    end
    self.events = assert(io.open(self.events_path, "rb"))
    return self
end

-- The events it has written since the last call: an array of tables.
function Child:read()
    self.events:seek("cur", 0) -- what a reader has seen the end of it may read on
    local list = {}
    local text = self.rest .. (self.events:read "a" or "")
    local from = 1
    for line, after in text:gmatch "([^\n]*)\n()" do
        list[#list + 1] = json.decode(line)
        from = after
    end
    self.rest = text:sub(from)
    return list
end

-- Has it ended? Then self.how is "exit" or "signal", self.code its number.
function Child:ended()
    if self.how then return true end
    local file = io.open(("/proc/%d/stat"):format(self.pid))
    local state = file and file:read("a"):match "^.*%) (%a)"
    if file then file:close() end
    if state and state ~= "Z" and state ~= "X" then return false end
    local _
    _, self.how, self.code = self.handle:close()
    return true
end

-- Sends it a signal, "TERM" or "KILL"; the latter to all of its session.
function Child:signal(name)
    if self.how then return end
    local whom = name == "KILL" and can_be_apart() and "-" .. self.pid or tostring(self.pid)
    process.capture { "kill", "-s", name, "--", whom }
end

local NAMES = {
    [4] = "ILL", [5] = "TRAP", [6] = "ABRT", [7] = "BUS", [8] = "FPE", [9] = "KILL",
    [11] = "SEGV", [13] = "PIPE", [15] = "TERM", [24] = "XCPU", [25] = "XFSZ", [31] = "SYS",
}

-- How it ended, in words.
function Child:describe()
    if self.how ~= "signal" then return ("ended with exit code %d"):format(self.code) end
    local name = NAMES[self.code]
    return ("was ended by signal %d%s%s"):format(self.code, name and " (SIG" .. name .. ")" or "",
        self.code == 9 and ", which the kernel sends when memory runs out" or "")
end

local TAIL_BYTES = 4096

-- The last of what it wrote to its standard output and error.
function Child:tail()
    local file <close> = io.open(self.output_path, "rb")
    if not file then return "" end
    local size = file:seek "end"
    file:seek("set", math.max(0, size - TAIL_BYTES))
    return file:read "a"
end

-- All of it.
function Child:output()
    local file <close> = io.open(self.output_path, "rb")
    return file and file:read "a" or ""
end

-- It goes on without us, whom it has left (core.terminal.detach).
function Child:release()
    debug.setmetatable(self.handle, nil) -- closing it would wait for the process
end

function Child:close()
    self.events:close()
end

return child
