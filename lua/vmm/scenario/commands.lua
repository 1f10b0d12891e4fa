-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands in the guest of a scenario: run, succeed, fail, and until one does.

local agent = require "vmm.scenario.agent"
local argument = require "vmm.argument"
local channel = require "vmm.scenario.channel"
local core = require "vmm.core"
local explain = require "vmm.scenario.explain"
local job = require "vmm.scenario.job"
local process = require "vmm.process"
local record = require "vmm.scenario.record"
local refusal = require "vmm.scenario.refusal"
local sched = require "vmm.sched"
local verbs = require "vmm.scenario.verbs"
local wait = require "vmm.scenario.wait"

local commands = {}

commands.SECONDS = 60 -- that a command may take, unless told
commands.INPUT_MAX = 16 << 20 -- kept in the guest's memory
commands.SERIAL_MAX = 1 << 20 -- over a serial port, which carries some 10 to 100 KiB a second

local EVERY = 0.5 -- seconds between tries
local KILL_SECONDS = 10 -- within which a command that is killed has ended

-- ---- what is asked ----------------------------------------------------------------------

local function environment(what, env, level)
    local lines = {}
    for name, value in pairs(argument.type(what .. ": env", env or {}, "table", level + 1)) do
        argument.check(type(name) == "string" and name:match "^[%a_][%w_]*$", what .. ": env",
            "a table of names and values", name, level + 1)
        lines[#lines + 1] = ("export %s=%s\n"):format(name, process.quote(tostring(value)))
    end
    table.sort(lines)
    return table.concat(lines)
end

-- Checks a command and its options, of which those in names are known.
-- Returns { command =, text = what the shell gets, input =, timeout =, every = }.
function commands.check(what, level, command, options, names)
    argument.type(what .. ": command", command, "string", level)
    options = argument.options(what, options, names, level)
    local text = environment(what, options.env, level) .. command
    argument.check(not text:find("\0", 1, true), what .. ": command", "without a NUL byte", command,
        level)
    if #text > agent.COMMAND_MAX then
        error(("%s: command: %d bytes; up to %d are possible: vm:put a script"):format(what, #text,
            agent.COMMAND_MAX), level - 1)
    end
    if options.input ~= nil then
        argument.type(what .. ": input", options.input, "string", level)
    end
    return { command = command, text = text, input = options.input,
        timeout = options.timeout or commands.SECONDS, every = options.every or EVERY }
end

local RUN = { "timeout", "input", "env" }
local UNTIL = { "timeout", "every", "env" }

local function check_run(what, level, command, options)
    return commands.check(what, level, command, options, RUN)
end

local function check_until(what, level, command, options)
    return commands.check(what, level, command, options, UNTIL)
end

-- ---- run --------------------------------------------------------------------------------

-- Can the channel carry so many bytes at a time? true; or nil, message.
local function fits(line, bytes)
    local is_serial = line.kind == "serial"
    local most = is_serial and commands.SERIAL_MAX or commands.INPUT_MAX
    if bytes <= most then return true end
    return nil, ("%d bytes; up to %d are possible%s"):format(bytes, most,
        is_serial and " over a serial port" or "")
end

-- Starts a command, once the agent is ready.  Returns the job; or nil, error, code.
function commands.start(vm, request)
    local line = channel.of(vm)
    local ready, err, code = line:await(request.timeout)
    if not ready then return nil, err, code end
    local ok, message = fits(line, #(request.input or ""))
    if not ok then
        return refusal.new(vm, { command = request.command, code = "E2BIG",
            why = "cannot be given its input: " .. message })
    end
    return job.start(line, request.text, request.input)
end

-- The time of a command is over: it is killed, and what it has printed is told.
local function give_up(vm, command, running, limit)
    local elapsed = core.now() - running.started
    running:kill "KILL"
    local output
    if running:await("the end of a command that was killed", KILL_SECONDS) then
        output = running:result()
    else
        running:forget()
    end
    return refusal.new(vm, {
        command = command, code = "timeout", timeout = limit, elapsed = elapsed, output = output,
        why = ("was still running after %.1f s (limit %g s); %s"):format(elapsed, limit,
            output and "it was killed" or "the agent does not answer"),
        state = explain.state(vm),
    })
end

-- Waits for a command's end. Returns { status, output, duration }; or nil, error, code.
function commands.finish(command, running, seconds)
    local ended, err, code = running:await(refusal.show(command) .. " in the guest", seconds)
    if not ended then return nil, err, code end
    local output
    output, err, code = running:result()
    if not output then return nil, err, code end
    return {
        status = running.status, output = output, duration = running.exited - running.started,
        truncated = #output >= agent.OUTPUT_MAX or nil,
    }
end

local function run(vm, request)
    local step <close> = record.step("run", request.command, vm)
    local running, err, code = commands.start(vm, request)
    local result
    if running then
        result, err, code = commands.finish(request.command, running, request.timeout)
        if code == "timeout" then
            local limit = sched.scaled(request.timeout)
            result, err, code = give_up(vm, request.command, running, limit)
        end
    end
    step:finish(result ~= nil, result and "status " .. result.status or err)
    return result, err, code
end

-- What went wrong with a command that has ended.
local function refuse(vm, request, result, why)
    return refusal.new(vm, {
        command = request.command, code = "status", status = result.status,
        output = result.output, duration = result.duration,
        why = ("%s after %.1f s%s"):format(why, result.duration, result.truncated
            and (", having written %d bytes and more"):format(agent.OUTPUT_MAX) or ""),
    })
end

local function succeed(vm, request)
    local result, err, code = run(vm, request)
    if not result then return nil, err, code end
    if result.status ~= 0 then
        return refuse(vm, request, result, "failed with status " .. result.status)
    end
    return (result.output:gsub("\n$", ""))
end

local function fail(vm, request)
    local result, err, code = run(vm, request)
    if not result then return nil, err, code end
    if result.status == 0 then return refuse(vm, request, result, "did not fail") end
    return (result.output:gsub("\n$", ""))
end

-- ---- until ------------------------------------------------------------------------------

-- Waits some seconds, less when the VM fails: true; or nil, error, code.
local function pause(vm, seconds)
    local _, err, code = wait(vm, "the next try", function() end, seconds / sched.scaled(1))
    return code == "timeout" or nil, err, code
end

local function too_late(vm, request, about, state)
    local elapsed, last = core.now() - state.start, state.last
    return refusal.new(vm, {
        command = request.command, subject = about.subject, code = "timeout",
        timeout = state.limit, elapsed = elapsed, status = last and last.status,
        output = last and (not about.subject or last.output ~= "") and last.output or nil,
        why = ("%s within %.1f s (limit %g s), tried %d times%s"):format(about.lacking, elapsed,
            state.limit, state.tries, last and not about.subject
                and ", the last time with status " .. last.status or ""),
        state = explain.state(vm),
    })
end

-- One try. Returns its result, if that is accepted; nil, error, code: it is over; or nothing.
local function try_once(vm, request, about, state)
    local left = math.max(0, state.start + state.limit - core.now())
    local once = { command = request.command, text = request.text,
        timeout = left / sched.scaled(1) }
    local result, err, code = run(vm, once)
    state.tries, state.last = state.tries + 1, result or state.last
    if not result and code ~= "timeout" then return nil, err, code end
    if result and about.accepts(result) then return result end
    local hopeless = result and about.hopeless and about.hopeless(result)
    if hopeless then
        return refusal.new(vm, { command = request.command, subject = about.subject,
            code = "status", status = result.status, output = result.output, why = hopeless })
    end
    left = state.start + state.limit - core.now()
    if not result or left <= 0 then return too_late(vm, request, about, state) end
    local ok
    ok, err, code = pause(vm, math.min(request.every, left))
    if not ok then return nil, err, code end
end

-- Runs a command again and again until about.accepts(result).
--   subject   who, in words, unless it is the command; then its output says little
--   wanted, lacking  what it is to do, and what it did not do, in words
--   hopeless  function(result), which says why it is useless to go on, or nothing
-- Returns its output; or nil, error, code.
function commands.try_until(vm, request, about)
    local subject = about.subject or refusal.show(request.command)
    local step <close> = record.step("wait", ("until %s %s"):format(subject, about.wanted), vm)
    local state = { start = core.now(), limit = sched.scaled(request.timeout), tries = 0 }
    local result, err, code
    repeat
        result, err, code = try_once(vm, request, about, state)
    until result or err
    step:finish(result ~= nil, result and ("tried %d times"):format(state.tries) or err)
    if not result then return nil, err, code end
    return (result.output:gsub("\n$", ""))
end

local function until_succeeds(vm, request)
    return commands.try_until(vm, request, {
        wanted = "succeeds", lacking = "did not succeed",
        accepts = function(result) return result.status == 0 end,
    })
end

local function until_fails(vm, request)
    return commands.try_until(vm, request, {
        wanted = "fails", lacking = "did not fail",
        accepts = function(result) return result.status ~= 0 end,
    })
end

verbs {
    run = { check_run, run },
    succeed = { check_run, succeed },
    fail = { check_run, fail },
    wait_until_succeeds = { check_until, until_succeeds },
    wait_until_fails = { check_until, until_fails },
}

return commands
