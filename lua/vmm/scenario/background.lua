-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands in a guest that run beside the scenario: vm:background.

local argument = require "vmm.argument"
local commands = require "vmm.scenario.commands"
local core = require "vmm.core"
local explain = require "vmm.scenario.explain"
local record = require "vmm.scenario.record"
local refusal = require "vmm.scenario.refusal"
local sched = require "vmm.sched"

local methods = core.classes["vmm.vm"]

local Background = { __name = "vmm.background" }
Background.__index = Background

local OPTIONS = { "timeout", "input", "env" }

-- What kill(1) calls signals; a number will do as well.
local SIGNALS = {}
for name in ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM CHLD CONT STOP"
    .. " TSTP TTIN TTOU URG WINCH"):gmatch "%S+" do
    SIGNALS[name] = true
end

function Background:__tostring()
    return ("background command %s of %s"):format(refusal.show(self.command), self.vm.name)
end

-- Waits for the command's end; it goes on when the time is over.
-- Returns { status, output, duration }; or nil, error, code.
function Background:try_wait(options)
    options = argument.options("job:wait", options, { "timeout" })
    local seconds = options.timeout or commands.SECONDS
    local step <close> = record.step("wait", self.command, self.vm)
    local result, err, code = commands.finish(self.command, self.job, seconds)
    if code == "timeout" then
        local elapsed = core.now() - self.job.started
        result, err, code = refusal.new(self.vm, {
            command = self.command, code = "timeout", timeout = sched.scaled(seconds),
            elapsed = elapsed, output = self.job:peek(), state = explain.state(self.vm),
            why = ("is still running after %.1f s (limit of this wait %g s)"):format(elapsed,
                sched.scaled(seconds)),
        })
    end
    step:finish(result ~= nil, result and "status " .. result.status or err)
    return result, err, code
end

-- The same, raising the error.
function Background:wait(options)
    local result, err = self:try_wait(options)
    if not result then error(err, 2) end
    return result
end

-- Sends a signal to all of it: "TERM" unless told, a name or a number.
function Background:kill(signal)
    signal = signal or "TERM"
    local name = type(signal) == "string" and signal:gsub("^SIG", "") or signal
    local known = SIGNALS[name] or math.type(name) == "integer" and name >= 1 and name <= 64
    argument.check(known, "job:kill: signal", 'the name of a signal, such as "TERM", or a number',
        signal)
    self.job:kill(name)
end

-- Does it run, as far as the agent has said?
function Background:running()
    return not self.job:ended()
end

-- What it has written so far; raises when the guest does not say.
function Background:output()
    local output, err = self.job:peek()
    if not output then error(err, 2) end
    return output
end

-- Starts a command in the guest and goes on. options: input, env as vm:run has them; timeout: of
-- the wait for the agent, if it is not ready yet. Returns what has wait, kill, running, output.
function methods.background(vm, command, options)
    local request = commands.check("vm:background", 4, command, options, OPTIONS)
    local step <close> = record.step("run", command .. " &", vm)
    local job, err = commands.start(vm, request)
    step:finish(job ~= nil, err)
    if not job then error(err, 2) end
    return setmetatable({ vm = vm, command = command, job = job }, Background)
end

return Background
