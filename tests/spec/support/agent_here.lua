-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The agent on this host in place of a guest: the script itself, run by a shell, between a FIFO and
-- a file, and a VM that is none but for its channel to it.

local agent = require "vmm.scenario.agent"
local core = require "vmm.core"
local process = require "vmm.process"
local sched = require "vmm.sched"
require "vmm.vm"

local agent_here = {}

local methods = core.classes["vmm.vm"]
local READ_BYTES = 65536
local TICK_SECONDS = 0.005 -- how often the file is looked at

local Vm = {}
function Vm.__index(_, name)
    return Vm[name] or methods[name]
end

function Vm.watch_end() end

function Vm:stopped()
    return rawget(self, "end_of_it")
end

-- What the shells of the agent's are called, so that they can be found.
local function script_of(directory)
    local path = directory .. "/agent"
    local file <close> = assert(io.open(path, "w"))
    file:write(agent.SCRIPT)
    return path
end

local function core_of(directory)
    local requests = assert(io.open(directory .. "/requests", "w"))
    requests:setvbuf "no"
    local answers = assert(io.open(directory .. "/answers", "rb"))
    local made = { requests = requests, sent = {} }
    function made.capture(_, position)
        answers:seek("set", position)
        local bytes = answers:read(READ_BYTES) or ""
        return bytes, position + #bytes, 0
    end
    function made.input(_, bytes)
        made.sent[#made.sent + 1] = bytes
        requests:write(bytes)
        return #bytes
    end
    function made.notify_output() return true end
    function made.flush() return true end
    return made
end

-- Starts an agent; shell: the words that run its script. Returns a VM with the verbs of one,
-- which is to be closed.
function agent_here.start(shell)
    local directory = assert(process.temporary_directory "agent")
    local script = script_of(directory)
    assert(os.execute(("cd %s && mkfifo requests && : >answers && setsid setsid sh -c 'exec %s %s -"
        .. " <requests >>answers'"):format(process.quote(directory), shell, script)))
    local made = core_of(directory)
    local vm = setmetatable({
        name = "here", directory = directory, serial2 = { core = made }, core = made,
        vcpus = { { state = "running" } },
        console = { tail = function() return "" end },
    }, Vm)
    vm.ticking = sched.spawn(function()
        while not vm.closed do sched.sleep(TICK_SECONDS) end
    end)
    return vm
end

-- The agent finds the end of its requests, and ends.
function Vm:close()
    if self.closed then return end
    self.closed = true
    self.core.requests:close()
    self.ticking:wait()
    process.remove(self.directory)
end
Vm.__close = Vm.close

return agent_here
