-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One debugger at the other end of a socket, from its attaching to its leaving: when the guest
-- runs, why it stands, what is sent. What the packets mean is in vmm.gdb.commands.

local commands = require "vmm.gdb.commands"
local packet = require "vmm.gdb.packet"
local points = require "vmm.gdb.points"
local registers = require "vmm.gdb.registers"
local sched = require "vmm.sched"

local session = {}

local Session = {}
Session.__index = Session

-- Signals by gdb's numbers.
local SIGINT, SIGTRAP, SIGABRT, SIGSEGV = 2, 5, 6, 11

local PAUSE_SECONDS = 0.5 -- between looks whether it makes sense to wait on
local STEP_SECONDS = 0.25
local SEND_SECONDS = 30 -- a debugger that takes nothing for so long is gone

-- How an end of the VM looks to gdb: exited, or killed by a signal.
local ENDS = {
    reboot = "W00", poweroff = "W00", halt = "W00", closed = "W00",
    panic = ("X%02x"):format(SIGABRT),
    error = ("X%02x"):format(SIGABRT),
    triple_fault = ("X%02x"):format(SIGSEGV),
}

-- A session with the debugger at a connected socket. options: lua (may it evaluate Lua?), symbols
-- (a file that it may have the guest's symbols written to)
function session.new(vm, socket, options)
    return setmetatable({
        vm = vm,
        socket = socket,
        options = options,
        parser = packet.parser(),
        points = points.new(vm),
        acks = true, -- until both agree on a connection that loses nothing
        features = {}, -- what the debugger says it knows
        thread = 1, -- whose registers and memory are meant
        reason = { signal = SIGTRAP },
        hits = {}, -- of breakpoints, that the debugger has not been told yet
    }, Session)
end

-- ---- the stream ------------------------------------------------------------------------------

function Session:leave()
    self.gone = true
end

-- Takes what has come; true when there was something, also the end.
local function fill(self)
    if self.vm.closed then
        self:leave()
        return true
    end
    local bytes, _, code = self.socket:try_read()
    if bytes and bytes ~= "" then
        self.parser:feed(bytes)
    elseif bytes or code ~= "EAGAIN" then
        self:leave()
    end
    return self.gone or bytes ~= nil or nil
end

local function send(self, bytes)
    if not self.gone and not self.socket:write(bytes, SEND_SECONDS) then self:leave() end
end

-- Sends a payload; nil: nothing is to be said.
function Session:reply(payload)
    if not payload then return end
    self.last = packet.frame(payload)
    send(self, self.last)
end

-- Shows the user a text, in as many packets as it needs.
function Session:say(text)
    local max = packet.MAX_BYTES // 2 - 1
    for at = 1, #text, max do
        self:reply("O" .. packet.to_hex(text:sub(at, at + max - 1)))
    end
end

-- The next packet or interrupt in the stream, or nil.
local function next_event(self)
    while not self.gone do
        local kind, payload = self.parser:next()
        if kind == "overflow" then
            self:leave()
        elseif kind == "bad" then
            if self.acks then send(self, "-") end
        elseif kind == "nak" then
            if self.acks and self.last then send(self, self.last) end
        elseif kind == "packet" then
            if self.acks then send(self, "+") end
            return kind, payload
        elseif kind ~= "ack" then
            return kind
        end
    end
end

-- Waits until the debugger says something ("packet", "interrupt"), is gone ("gone"), or poll() says
-- something.
local function await(self, poll)
    local interest <close> = self.socket:interest "r" -- luacheck: ignore interest
    while true do
        local kind, payload = next_event(self)
        if self.gone then return "gone" end
        local what = kind or poll()
        if what then return what, payload end
        sched.wait(function()
            return fill(self) or poll()
        end)
    end
end

-- ---- the guest -------------------------------------------------------------------------------

-- How the VM has ended, or nil.
function Session:ended()
    if self.vm.closed then return { reason = "closed", text = "" } end
    return self.vm:stopped()
end

local function is_running(vm)
    for _, vcpu in ipairs(vm.vcpus) do
        if vcpu.state == "running" then return true end
    end
    return false
end

-- Sees to it that no vCPU runs: of a VM that has ended none does.
function Session:hold()
    while is_running(self.vm) and not self.vm:pause(PAUSE_SECONDS) do
        if self:ended() then return end
        sched.sleep(0)
    end
end

-- Lets the guest go on, or begin.
local function release(vm)
    if vm.started == nil then return vm:start() end
    return vm:resume()
end

-- Why it stands, as a stop reply.
function Session:stop_reply()
    local stop = self:ended()
    if stop then return ENDS[stop.reason] or ENDS.error end
    local parts = { ("T%02x"):format(self.reason.signal) }
    if self.reason.detail then parts[#parts + 1] = self.reason.detail .. ";" end
    local view = registers.view(self.vm.vcpus[self.thread])
    for _, name in ipairs { "rbp", "rsp", "rip" } do
        local register = self.registers[name]
        parts[#parts + 1] = ("%02x:%s;"):format(register.number,
            packet.to_hex(register.read(view)))
    end
    parts[#parts + 1] = ("thread:%x;"):format(self.thread)
    return table.concat(parts)
end

-- The guest stands for this reason, because of what this vCPU did.
local function stands(self, thread, signal, detail)
    if self.vm.vcpus[thread] then self.thread = thread end
    self.reason = { signal = signal, detail = detail }
end

-- A vCPU has come to a breakpoint (vm:on "break").
local function stands_at(self, hit)
    stands(self, hit.vcpu, SIGTRAP, self.points:detail(hit, self.features))
end

-- Several vCPUs may have come to breakpoints when the VM stands; gdb is told of one at a time, and
-- lets the VM go on in between. The next of them that is still where it was, or nil.
local function waiting_hit(self)
    while self.hits[1] do
        local hit = table.remove(self.hits, 1)
        local vcpu = self.vm.vcpus[hit.vcpu]
        if vcpu and vcpu.regs.rip == hit.rip and self.points:has(hit.address) then return hit end
    end
end

local function stop_words(stop)
    return ("the guest has ended: %s%s\n"):format(stop.reason,
        stop.text ~= "" and ": " .. stop.text:gsub("%c", " ") or "")
end

-- Waits until the guest stands; the stop reply, or nil when the debugger has gone.
local function await_stop(self)
    local what
    repeat
        what = await(self, function()
            return self.hits[1] and "hit" or self:ended() and "ended"
        end) -- a packet while the guest runs means nothing
    until what ~= "packet"
    if what == "gone" then return nil end
    self:hold()
    sched.sleep(0) -- a hit on the way is told now
    if self.hits[1] then
        stands_at(self, table.remove(self.hits, 1))
    elseif what == "interrupt" then
        stands(self, self.thread, SIGINT)
    end
    local stop = self:ended()
    if stop then self:say(stop_words(stop)) end
    return self:stop_reply()
end

-- Lets all vCPUs run until something stops them; the stop reply.
function Session:continue()
    if self:ended() then return self:stop_reply() end
    local hit = waiting_hit(self)
    if hit then
        stands_at(self, hit)
        return self:stop_reply()
    end
    local ok, message = release(self.vm)
    if not ok then
        self:say(message .. "\n")
        return self:stop_reply()
    end
    self.go_on = true
    return await_stop(self)
end

-- Has one vCPU do one instruction while the others stand still; the stop reply.
function Session:step(thread)
    local vm = self.vm
    if vm.started == nil and not self:ended() then vm:start { paused = true } end
    while not self:ended() do
        local done, message, code = vm:step { vcpu = thread, count = 1, timeout = STEP_SECONDS }
        if done then break end
        if code ~= "timeout" and code ~= "ETIMEDOUT" then
            self:say(("vCPU %d was not stepped: %s\n"):format(thread - 1, message))
            break
        end
        fill(self) -- a vCPU that is halted may never get there
        local kind
        repeat -- a packet meanwhile means nothing
            kind = next_event(self)
        until kind ~= "packet"
        if self.gone then return nil end
        if kind == "interrupt" then
            stands(self, thread, SIGINT)
            return self:stop_reply()
        end
    end
    if self.finished then return nil end
    self:hold()
    stands(self, thread, SIGTRAP)
    return self:stop_reply()
end

-- ---- its life --------------------------------------------------------------------------------

local function attach(self)
    local vm = self.vm
    self.go_on = is_running(vm)
    self.subscription = vm:on("break", function(hit)
        table.insert(self.hits, hit)
    end)
    self:hold()
    if vm.closed then return self:leave() end
    self.registers = registers.list(vm.vcpus[1])
end

-- What the debugger set is taken away, and the guest goes on if it ran when the debugger came, has
-- been let run since, or is to by the debugger's word. Idempotent.
function Session:finish()
    if self.finished then return end
    self.finished = true
    if self.subscription then self.subscription:remove() end
    if self.vm.closed then return end
    self.points:clear()
    if self.go_on and not self:ended() then release(self.vm) end
end

-- Serves the debugger until it leaves or the VM is closed.
function Session:run()
    attach(self)
    while not self.gone do
        -- A Ctrl-C that comes when the guest stands already has its answer: why it stands.
        local what, payload = await(self, function() end)
        if what == "packet" then
            if not self:ended() then self:hold() end -- whatever a script has done meanwhile
            if self.vm.closed then break end
            self:reply(commands.run(self, payload))
        end
    end
    self:finish()
end

return session
