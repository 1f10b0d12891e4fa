-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A command that the agent runs in a guest: its start, its end, its output.

local agent = require "vmm.scenario.agent"
local core = require "vmm.core"
local sched = require "vmm.sched"

local job = {}

local Job = { __name = "vmm.scenario.job" }
Job.__index = Job

local ANSWER_SECONDS = 60 -- within which an agent that is there says what it is asked

-- A command's output is complete within this time after its end, or something that it has left
-- behind holds it open; then it is cut, and nothing is lost if it was not so.
local LINGER_SECONDS = 0.25

-- Starts a command over a channel whose agent is ready. input: its stdin, or nil.
function job.start(channel, command, input)
    local id = channel.next_id
    channel.next_id = id + 1
    local self = setmetatable({
        channel = channel, id = id, command = command, started = core.now(), slots = {},
        mark = ("%016x%016x"):format(math.random(0), math.random(0)),
    }, Job)
    channel.jobs[id] = self
    input = input or ""
    for at = 1, #input, agent.CHUNK do
        local bytes = input:sub(at, at + agent.CHUNK - 1)
        channel:send(("put %d %d\n"):format(id, #bytes) .. bytes)
    end
    local _, breaks = command:gsub("\n", "")
    channel:send(("run %d %d %d\n%s\n"):format(id, breaks + 1, input ~= "" and 1 or 0, command))
    return self
end

-- Waits for something of this command. what: for the error's text.
function Job:wait(what, poll, seconds)
    return self.channel:wait(what, function()
        local found = poll()
        if found then return found end
        if self.lost then return false, self.lost, "lost" end
    end, seconds)
end

-- Waits for its end: true; or nil, error, code.
function Job:await(what, seconds)
    return self:wait(what, function() return self.status and true end, seconds)
end

-- Has it ended, as far as is known?
function Job:ended()
    self.channel:pump()
    return self.status ~= nil or self.lost ~= nil
end

-- Sends a signal to its process group.
function Job:kill(signal)
    if self.status or self.lost then return end
    self.channel:send(("kill %d %s\n"):format(self.id, signal))
end

-- Nothing more is asked about it. The agent forgets by itself one whose output came with its end.
function Job:forget()
    if self.forgotten then return end
    self.forgotten = true
    self.channel.jobs[self.id] = nil
    if not self.inline and not self.lost then
        self.channel:send(("drop %d\n"):format(self.id))
    end
end

-- The output that the agent has by now: part by part, until one is less than a chunk.
local function fetch(self)
    local parts = {}
    while true do
        local slot = {}
        self.slots[#self.slots + 1] = slot
        self.channel:send(("part %d %d\n"):format(self.id, #parts))
        local bytes, err, code = self:wait("the output of a command", function()
            return slot.bytes
        end, ANSWER_SECONDS)
        if not bytes then return nil, err, code end
        parts[#parts + 1] = bytes
        if #bytes < agent.CHUNK or #parts * agent.CHUNK >= agent.OUTPUT_MAX then
            return table.concat(parts)
        end
    end
end

-- The output of one that has ended, while somebody still holds it open.
local function cut(self)
    self.channel:send(("cut %d %s\n"):format(self.id, self.mark))
    while true do
        local whole = self.size ~= nil
        local output, err, code
        if self.inline then output = self.inline else output, err, code = fetch(self) end
        if not output then return nil, err, code end
        local at = output:find(self.mark, 1, true)
        if at or whole then return output:sub(1, (at or 0) - 1) end
    end
end

local function collect(self)
    local complete, err, code = self:wait("the output of a command", function()
        return self.size
    end, LINGER_SECONDS / sched.scaled(1))
    if self.inline then return self.inline end
    if complete then return fetch(self) end
    if code ~= "timeout" then return nil, err, code end
    return cut(self)
end

-- All output of one that has ended: a string; or nil, error, code. Several tasks may ask.
function Job:result()
    if not self.collecting then
        self.collecting = true
        self.output, self.failure, self.code = collect(self)
        self:forget()
        self.collected = true
        core.wake()
    end
    self:wait("the output of a command", function() return self.collected end, ANSWER_SECONDS)
    return self.output, self.failure, self.code
end

-- What one that runs has written so far.
function Job:peek()
    if self.status or self.lost then return self:result() end
    local output, err, code = fetch(self)
    if self.inline then return self.inline end
    return output, err, code
end

return job
