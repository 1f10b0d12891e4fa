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
local sched = require "vmm.sched"
local wait = require "vmm.scenario.wait"

local commands = {}

local methods = core.classes["vmm.vm"]

commands.SECONDS = 60 -- that a command may take, unless told
commands.INPUT_MAX = 16 << 20 -- kept in the guest's memory
commands.SERIAL_MAX = 1 << 20 -- over a serial port, which carries some 10 to 100 KiB a second

local EVERY = 0.5 -- seconds between tries
local KILL_SECONDS = 10 -- within which a command that is killed has ended
local COMMAND_SHOWN = 200
local LINES_SHOWN, BYTES_SHOWN = 20, 4096

-- ---- errors -----------------------------------------------------------------------------

local CommandError = { __name = "vmm.command_error" }

-- A command as messages show it.
function commands.show(command)
    local first = command:match "^[^\n]*"
    if #first > COMMAND_SHOWN then first = first:sub(1, COMMAND_SHOWN) .. "..." end
    return "`" .. first .. (#first < #command and first:sub(-3) ~= "..." and " ..." or "") .. "`"
end

-- The last lines of an output, printable.
local function last_lines(output)
    local text = output:sub(-BYTES_SHOWN):gsub("\r\n", "\n"):gsub("[^\n\t\x20-\x7e\x80-\xff]", "?")
    text = text:gsub("\n+$", "")
    local lines = {}
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
        lines[#lines + 1] = line
    end
    return table.concat(lines, "\n", math.max(1, #lines - LINES_SHOWN + 1))
end

function CommandError:__tostring()
    local text = ("%s: %s %s"):format(self.vm, commands.show(self.command), self.why)
    if self.output then
        local shown = last_lines(self.output)
        text = text .. (shown == "" and "; it printed nothing" or "; its last output:\n" .. shown)
    end
    return text .. (self.state and "\n" .. self.state or "")
end

-- An error about a command; fields: command, why, code and what else is known.
function commands.failed(vm, fields)
    fields.vm = vm.name
    return nil, setmetatable(fields, CommandError), fields.code
end

-- ---- run --------------------------------------------------------------------------------

local function environment(env)
    local words = {}
    for name, value in pairs(env or {}) do
        if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then
            error(("vm:run: env: %s is not a name"):format(tostring(name)), 0)
        end
        words[#words + 1] = ("export %s=%s\n"):format(name, process.quote(tostring(value)))
    end
    table.sort(words)
    return table.concat(words)
end

local function check(what, command, options)
    argument.type(what .. ": command", command, "string", 4)
    local text = environment(options.env) .. command
    if #text > agent.COMMAND_MAX then
        error(("%s: a command of %d bytes; up to %d are possible: put it as a file"):format(what,
            #text, agent.COMMAND_MAX), 4)
    elseif text:find("\0", 1, true) then
        error(what .. ": a command cannot have a NUL byte", 4)
    elseif options.input ~= nil then
        argument.type(what .. ": input", options.input, "string", 4)
    end
    return text
end

-- Can the channel carry so many bytes at a time? true; or nil, message.
function commands.fits(line, bytes)
    local most = line.kind == "serial" and commands.SERIAL_MAX or commands.INPUT_MAX
    if bytes <= most then return true end
    return nil, ("%d bytes; a %s carries up to %d at a time"):format(bytes,
        line.kind == "serial" and "serial port" or "command's input", most)
end

-- Starts a command, once the agent is ready.  Returns the job; or nil, error, code.
function commands.start(what, vm, command, options)
    local text = check(what, command, options)
    local line = channel.of(vm)
    local ready, err, code = line:await(options.timeout or commands.SECONDS)
    if not ready then return nil, err, code end
    local fits, message = commands.fits(line, #(options.input or ""))
    if not fits then
        return commands.failed(vm, { command = command, code = "E2BIG",
            why = "cannot be given its input: " .. message })
    end
    return job.start(line, text, options.input)
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
    return commands.failed(vm, {
        command = command, code = "timeout", timeout = limit, elapsed = elapsed, output = output,
        why = ("was still running after %.1f s (limit %g s); %s"):format(elapsed, limit,
            output and "it was killed" or "the agent does not answer"),
        state = explain.state(vm),
    })
end

-- Waits for a command's end. Returns { status, output, duration }; or nil, error, code.
function commands.finish(command, running, seconds)
    local ended, err, code = running:await(commands.show(command) .. " in the guest", seconds)
    if not ended then return nil, err, code end
    local output
    output, err, code = running:result()
    if not output then return nil, err, code end
    return {
        status = running.status, output = output, duration = running.exited - running.started,
        truncated = #output >= agent.OUTPUT_MAX or nil,
    }
end

local function try_run(what, vm, command, options)
    options = argument.options(what, options, { "timeout", "input", "env" }, 4)
    local step <close> = record.step("run", command, vm)
    local seconds = options.timeout or commands.SECONDS
    local running, err, code = commands.start(what, vm, command, options)
    local result
    if running then
        result, err, code = commands.finish(command, running, seconds)
        if code == "timeout" then
            result, err, code = give_up(vm, command, running, sched.scaled(seconds))
        end
    end
    step:finish(result ~= nil, result and "status " .. result.status or err)
    return result, err, code
end

-- What went wrong with a command that has ended.
local function refuse(vm, command, result, why)
    return commands.failed(vm, {
        command = command, code = "status", status = result.status, output = result.output,
        duration = result.duration, why = ("%s after %.1f s%s"):format(why, result.duration,
            result.truncated and (" (its output was cut at %d bytes)"):format(agent.OUTPUT_MAX)
            or ""),
    })
end

local try = {}

function try.run(what, vm, command, options)
    return try_run(what, vm, command, options)
end

function try.succeed(what, vm, command, options)
    local result, err, code = try_run(what, vm, command, options)
    if not result then return nil, err, code end
    if result.status ~= 0 then
        return refuse(vm, command, result, "failed with status " .. result.status)
    end
    return (result.output:gsub("\n$", ""))
end

function try.fail(what, vm, command, options)
    local result, err, code = try_run(what, vm, command, options)
    if not result then return nil, err, code end
    if result.status == 0 then
        return refuse(vm, command, result, "succeeded, which it should not,")
    end
    return (result.output:gsub("\n$", ""))
end

-- ---- until ------------------------------------------------------------------------------

-- Waits some seconds, less when the VM fails: true; or nil, error, code.
local function pause(vm, seconds)
    local _, err, code = wait(vm, "the next try", function() end, seconds / sched.scaled(1))
    return code == "timeout" or nil, err, code
end

-- Runs a command again and again until accepts(result).
local function try_until(what, vm, command, options, wanted, accepts)
    options = argument.options(what, options, { "timeout", "every", "env" }, 4)
    local step <close> = record.step("wait", ("until %s %s"):format(command, wanted), vm)
    local limit = sched.scaled(options.timeout or commands.SECONDS)
    local start, tries, last = core.now(), 0, nil
    while true do
        local left = (limit - (core.now() - start)) / sched.scaled(1)
        local result, err, code = try_run(what, vm, command,
            { timeout = math.max(left, 0), env = options.env })
        tries = tries + 1
        if not result and code ~= "timeout" then return nil, err, code end
        last = result or last
        if result and accepts(result) then
            step:finish(true, ("after %d tries"):format(tries))
            return (result.output:gsub("\n$", ""))
        elseif not result or core.now() - start >= limit then
            break
        end
        local ok
        ok, err, code = pause(vm, math.min(options.every or EVERY, limit - (core.now() - start)))
        if not ok then return nil, err, code end
    end
    return commands.failed(vm, {
        command = command, code = "timeout", timeout = limit, elapsed = core.now() - start,
        status = last and last.status, output = last and last.output,
        why = ("did not come to %s within %.1f s (limit %g s), tried %d times%s"):format(wanted,
            core.now() - start, limit, tries,
            last and ", the last time with status " .. last.status or ""),
        state = explain.state(vm),
    })
end

function try.wait_until_succeeds(what, vm, command, options)
    return try_until(what, vm, command, options, "succeed", function(result)
        return result.status == 0
    end)
end

function try.wait_until_fails(what, vm, command, options)
    return try_until(what, vm, command, options, "fail", function(result)
        return result.status ~= 0
    end)
end

-- ---- verbs ------------------------------------------------------------------------------

-- Makes methods of functions (what, vm, ...) that return nil, error, code: vm:NAME raises the
-- error, vm:try_NAME returns it.
function commands.add_verbs(functions)
    for name, fn in pairs(functions) do
        methods["try_" .. name] = function(vm, ...)
            return fn("vm:try_" .. name, vm, ...)
        end
        methods[name] = function(vm, ...)
            local result, err = fn("vm:" .. name, vm, ...)
            if result == nil then error(err, 2) end
            return result
        end
    end
end

commands.add_verbs(try)

return commands
