-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs `vmm-reference test` on spec files of a few lines, in a directory of their own.

local json = require "vmm.json"
local process = require "vmm.process"
local vmm = require "vmm"

-- Seconds that no run here should come near.
local LIMIT = "300"

local Run = {}
Run.__index = Run

local test_run = {}

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
end

local function read(path)
    local file <close> = io.open(path)
    return file and file:read "a"
end

-- A new directory with files in it, { name = text }; gone when it is closed.
function test_run.new(files)
    local self = setmetatable({ directory = assert(process.temporary_directory "vmm-specs") }, Run)
    for name, text in pairs(files) do
        write(self.directory .. "/" .. name, text)
    end
    return self
end

-- Runs in it; what it says, its exit code. before: what comes before the program in the shell's
-- command; scale: of time limits (1, whatever the host's).
function Run:run(words, before, scale)
    local output, partial, code = process.capture({ "env", "vmm=" .. vmm.executable,
        "VMM_CACHE=" .. self.directory .. "/cache", "VMM_TIMEOUT_SCALE=" .. (scale or "1"),
        "timeout", "-k1", LIMIT, "sh", "-c", ("%s $vmm test %s"):format(before or "", words) },
        { stderr = "merge", directory = self.directory })
    return output or partial, code or 0
end

-- A file in it, nil when there is none.
function Run:read(name)
    return read(self.directory .. "/" .. name)
end

-- The events of a report in JSON lines: all, or those of a name.
function Run:events(name, event)
    local list = {}
    for line in assert(self:read(name)):gmatch "[^\n]+" do
        local found = assert(json.decode(line))
        if not event or found.event == event then list[#list + 1] = found end
    end
    return list
end

-- The end of a test, by the end of its id.
function Run:ended(name, test)
    local found
    for _, event in ipairs(self:events(name, "test_end")) do
        if event.test:sub(-#test) == test then
            assert(not found, test)
            found = event
        end
    end
    return assert(found, test)
end

-- The processes that a run with --keep tells of: { { test =, vms =, prompt =, pid = }... }.
function test_run.kept(output)
    local list = {}
    for test, vms, prompt, pid in output:gmatch("  KEPT    ([^\n]*)\n +VMs: ([^\n]*)\n"
        .. " +prompt: vmm%-reference test %-%-attach '([^'\n]*)'\n +end: kill (%d+)\n") do
        list[#list + 1] = { test = test, vms = vms, prompt = prompt, pid = pid }
    end
    return list
end

-- Is a process there, and no zombie?
local function is_there(pid)
    local state = (read(("/proc/%d/stat"):format(pid)) or ""):match "^.*%) (%a)"
    return state and state ~= "Z" and state ~= "X"
end

-- Asks a process to end, and waits until it has.
function test_run.kill(pid)
    process.capture { "kill", tostring(pid) }
    local deadline = vmm.now() + tonumber(LIMIT)
    while is_there(pid) do
        assert(vmm.now() < deadline, "the process does not end")
        vmm.sleep(0.05)
    end
end

-- Kills what the run has left, which a failed test has not.
function Run:__close()
    local prompts = process.capture { "find", self.directory, "-name", "*.prompt" } or ""
    for pid in prompts:gmatch "/(%d+)%.prompt\n" do
        process.capture { "kill", "-KILL", pid }
    end
    process.remove(self.directory)
end
Run.close = Run.__close

return test_run
