-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The channel to the agent in a guest: requests, answers, and the commands that run there. Nothing
-- of it goes over a console.
--
-- The guest is hostile: what does not fit the protocol loses all commands that run, and what comes
-- is no longer heard until an agent says that it is ready. At most some chunks are on their way.

local agent = require "vmm.scenario.agent"
local core = require "vmm.core"
local wait = require "vmm.scenario.wait"

local channel = {}

local Channel = { __name = "vmm.scenario.channel" }
Channel.__index = Channel

local VERSION = "1"
local LINE_MAX = 128 -- of an answer

-- ---- what comes -------------------------------------------------------------------------

-- All commands that run are lost.
local function lose(self, why)
    for _, job in pairs(self.jobs) do
        job.lost = why
    end
    self.jobs, self.outbox, self.frame = {}, {}, nil
end

-- The agent says that it is ready: an earlier one is no more.
local function begin(self, version, kind)
    lose(self, "the agent in the guest has begun anew")
    self.kind, self.mismatch = kind, version ~= VERSION and version or nil
end

local function out_of_step(self, why)
    lose(self, "what came over the channel made no sense: " .. why)
    self.kind, self.buffer = nil, ""
end

local lines = {}

-- Each returns how many bytes follow; nil: it cannot be.
function lines.exit(job, status)
    job.status, job.exited = status, core.now()
    return status < 256 and 0 or nil
end

lines["end"] = function(_, size, bytes)
    local possible = size <= agent.OUTPUT_MAX and (bytes == size or bytes == 0)
        and bytes <= agent.INLINE
    return possible and bytes or nil
end

function lines.part(_, bytes)
    return bytes <= agent.CHUNK and bytes or nil
end

local payloads = {}

function payloads.exit() end

payloads["end"] = function(job, bytes, size)
    job.size = size
    if #bytes == size then job.inline = bytes end
end

function payloads.part(job, bytes)
    local slot = table.remove(job.slots, 1)
    if slot then slot.bytes = bytes end
end

-- A line of an answer. One about a command that is forgotten goes to a stand-in.
local function on_line(self, line)
    local version, kind = line:match "^vmm%.agent ready (%d+) (%l+)$"
    if version then return begin(self, version, kind) end
    local what, id, first, second = line:match "^(%l+) (%d+) (%d+) ?(%d*)$"
    if not lines[what] or #line > LINE_MAX then
        return out_of_step(self, ("a line %q"):format(line:sub(1, LINE_MAX)))
    end
    local job = self.jobs[tonumber(id)] or { slots = {} }
    first = tonumber(first)
    local bytes = lines[what](job, first, tonumber(second) or 0)
    if not bytes then return out_of_step(self, ("%q"):format(line)) end
    self.frame = { what = what, job = job, bytes = bytes, first = first }
end

-- Takes a whole line, or what follows one, from the buffer; false when there is none yet.
local function take(self)
    local frame, buffer = self.frame, self.buffer
    if frame then
        if #buffer < frame.bytes then return false end
        self.frame, self.buffer = nil, buffer:sub(frame.bytes + 1)
        payloads[frame.what](frame.job, buffer:sub(1, frame.bytes), frame.first)
        return true
    end
    local stop = buffer:find("\n", 1, true)
    if not stop and #buffer > LINE_MAX then out_of_step(self, "a line without an end") end
    if not stop then return false end
    self.buffer = buffer:sub(stop + 1)
    if stop > 1 then on_line(self, buffer:sub(1, stop - 1)) end
    return true
end

-- Looks for an agent that begins, in whatever else comes.
local function hunt(self)
    local _, last, version, kind = self.buffer:find "vmm%.agent ready (%d+) (%l+)\n"
    if not last then
        self.buffer = self.buffer:sub(-LINE_MAX)
        return false
    end
    self.buffer = self.buffer:sub(last + 1)
    begin(self, version, kind)
    return true
end

local function receive(self)
    while true do
        local bytes, position = self.core:capture(self.position)
        if bytes == "" then return end
        local lost = position - #bytes - self.position
        self.position = position
        if lost > 0 then out_of_step(self, lost .. " bytes were lost") end
        self.buffer = self.buffer .. bytes
        repeat
            local more
            if self.kind then more = take(self) else more = hunt(self) end
        until not more
    end
end

-- ---- what goes --------------------------------------------------------------------------

local function transmit(self)
    while self.outbox[1] do
        local bytes = self.outbox[1]
        local taken = self.core:input(bytes)
        if taken < #bytes then
            self.outbox[1] = bytes:sub(taken + 1)
            if taken == 0 then return end
        else
            table.remove(self.outbox, 1)
        end
    end
end

-- Moves what can be moved, in both directions.
function Channel:pump()
    if self.vm.closed then return end
    if not self.drained and self.vm:stopped() then
        self.drained = true
        self.core:flush(1)
    end
    receive(self)
    transmit(self)
end

function Channel:send(bytes)
    self.outbox[#self.outbox + 1] = bytes
    self:pump()
end

-- The wait of vmm.scenario.wait, while what comes is heard.
function Channel:wait(what, poll, seconds)
    if not self.vm.closed then self.core:notify_output(true) end
    return wait(self.vm, what, function()
        self:pump()
        return poll()
    end, seconds)
end

-- Waits for the agent. Returns its kind of device; or nil, error, code.
function Channel:await(seconds)
    return self:wait("the agent in the guest", function()
        if self.mismatch then
            return false, "it speaks version " .. self.mismatch .. " of the protocol", "protocol"
        end
        return self.kind
    end, seconds)
end

-- ---- which one --------------------------------------------------------------------------

-- The channel over a console's core.
function channel.new(vm, console_core)
    return setmetatable({
        vm = vm, core = console_core, position = 0, buffer = "", outbox = {}, jobs = {},
        next_id = 1,
    }, Channel)
end

-- The console that leads to the agent; nil when the VM has none.
local function console_of(vm)
    return vm.ports and vm.ports[agent.PORT] or vm.serial2
end

-- The channel of a VM; raises when it has none.
function channel.of(vm)
    if not vm.channel then
        local console = console_of(vm)
        if not console then
            error(('%s: there is no channel to the guest: give the VM virtio_console = { ports ='
                .. ' { %q } } or serial2 = "capture"'):format(vm.name, agent.PORT), 0)
        end
        vm.channel = channel.new(vm, console.core)
    end
    return vm.channel
end

-- Gives vmm.vm's options the device for a channel: a port of a virtio console when the guest has
-- the driver, else the second serial port, unless that is taken. Returns the word for the kernel's
-- command line, or nil.
function channel.equip(options, has_driver)
    if has_driver then
        local console = options.virtio_console or {}
        local ports = console.ports or {}
        options.virtio_console = {
            to = console.to, cols = console.cols, rows = console.rows,
            ports = table.move(ports, 1, #ports, 2, { agent.PORT }),
        }
        return agent.WORDS.port
    elseif options.serial2 == nil then
        options.serial2 = "capture"
        return agent.WORDS.serial
    end
end

return channel
