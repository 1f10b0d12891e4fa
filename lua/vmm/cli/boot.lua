-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot the machine that the options describe, and tell how it ended.

local code = require "vmm.cli.code"

local boot = {}

local TIMEOUT = 124

-- Exit codes by the reason of the end.
local EXIT_CODES = {
    reboot = 0, poweroff = 0, halt = 0, closed = 0,
    panic = 3, triple_fault = 1, error = 1,
}

-- What the reason means, where it is not what was wanted.
local WORDS = {
    panic = "the guest's kernel panicked",
    triple_fault = "the guest's CPU gave up (triple fault)",
    error = "the machine failed",
}

--- The exit code for an end, and the line that explains a bad one.
function boot.outcome(name, stop)
    local words = WORDS[stop.reason]
    if not words then
        return EXIT_CODES[stop.reason] or 1
    end
    if stop.text ~= "" and stop.text ~= nil then
        words = words .. ": " .. stop.text:gsub("%c", " ")
    end
    return EXIT_CODES[stop.reason], name .. ": " .. words
end

--- Wait for the end, and for the user at a prompt beside the machine.
local function wait(vm, command, on)
    local timeout = command.given.timeout
    local stop, message, reason = vm:wait { timeout = timeout }
    if stop then
        on.await_prompt()
        return boot.outcome(command.config.name, stop)
    elseif reason == "timeout" then
        vm:stop("closed", "timed out")
        return TIMEOUT, ("%s: still running after %g s (--timeout)"):format(
            command.config.name, timeout)
    elseif reason == "interrupted" then
        return 0 -- the code of -e or -i has closed it
    end
    return 1, message
end

--- Serve the machine to a debugger, if that was asked for.
-- @return the server or nil; nil, message when it cannot be
local function serve_gdb(vm, command, on)
    local gdb = command.given.gdb
    if not gdb then
        return nil
    end
    local server, message = vm:gdb {
        unix = gdb.unix, tcp = gdb.tcp, host = gdb.tcp and gdb.host,
        symbols = gdb.symbols,
    }
    if server then
        on.note(("%s: for gdb: target remote %s"):format(command.config.name,
            server.path or gdb.host .. ":" .. server.port))
    end
    return server, message
end

--- Start the machine, after the code of -e, which may have done so.
-- @return true; or nil, message
local function start(vm, command, environment)
    code.run_pieces(command.given.e, environment)
    if vm.closed then
        return true
    end
    local gdb = command.given.gdb
    local ok, message, reason = vm:start { paused = gdb and gdb.wait }
    return ok or reason == "EBUSY" or nil, message
end

--- Say where consoles are that got a path of their own.
local function tell_ptys(vm, command, on)
    local hvc = command.config.virtio_console
    local function tell(what, to, console)
        if to == "pty" then
            on.note(("%s: %s on %s"):format(command.config.name, what,
                console.path))
        end
    end
    tell("console", command.config.console, vm.console)
    tell("serial2", command.config.serial2, vm.serial2)
    if hvc then
        tell("hvc0", hvc.to, vm.hvc)
        for _, port in ipairs(hvc.ports or {}) do
            tell("port " .. port.name, port.to, vm.ports[port.name])
        end
    end
end

--- Say when a daemon that serves a device has failed.
local function tell_failures(vm, command, on)
    if not command.config.share and not command.config.block then
        return
    end
    vm:on("device_failed", function(failure)
        on.note(("%s: %s"):format(command.config.name, failure.message))
    end)
end

local function run(command, on)
    local ok, message = code.check_pieces(command.given.e)
    if not ok then
        return 1, message
    end
    local made
    made, message = on.vmm().vm(command.config)
    if not made then
        return 1, message
    end
    local vm <close> = made
    tell_ptys(vm, command, on)
    tell_failures(vm, command, on)
    local server <close>, refusal = serve_gdb(vm, command, on)
    if refusal and not server then
        return 1, refusal
    end
    local environment = code.environment(on, vm)
    ok, message = start(vm, command, environment)
    if not ok then
        return 1, message
    end
    if command.given.i then
        on.prompt(environment)
        if command.adopts and not on.interrupted() then
            on.adopt(vm)
        end
    end
    return wait(vm, command, on)
end

--- Boot.  @return exit code, and a message when something is to be said
function boot.run(command, on)
    return code.protect(on, command, run)
end

return boot
