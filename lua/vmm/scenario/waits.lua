-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Waits for what shows in a guest: a file, a port, a process, a unit of systemd.

local argument = require "vmm.argument"
local commands = require "vmm.scenario.commands"
local process = require "vmm.process"
local verbs = require "vmm.scenario.verbs"

local OPTIONS = { "timeout", "every" }

local function check(name)
    return function(what, level, value, options)
        argument.type(("%s: %s"):format(what, name), value, "string", level)
        return value, argument.options(what, options, OPTIONS, level)
    end
end

local function check_port(what, level, port, options)
    argument.integer(what .. ": port", port, 1, 65535, level)
    return port, argument.options(what, options, OPTIONS, level)
end

local function succeeded(result)
    return result.status == 0
end

-- Waits until a command of ours succeeds.
local function try_until(vm, command, options, about)
    about.accepts = succeeded
    local request = commands.check("", 1, command, options, OPTIONS)
    return commands.try_until(vm, request, about)
end

local function wait_for_file(vm, path, options)
    return try_until(vm, "[ -e " .. process.quote(path) .. " ]", options,
        { subject = "file " .. path, wanted = "is there", lacking = "was not there" })
end

-- Nothing connects: the kernel is asked (state 0A of /proc/net/tcp, LISTEN).
local LISTENS = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |"
    .. " grep -q '^ *[0-9]*: [0-9A-F]*:%04X [0-9A-F:]* 0A '"

local function wait_for_port(vm, port, options)
    return try_until(vm, LISTENS:format(port), options, { subject = "port " .. port,
        wanted = "is listened at", lacking = "was not listened at" })
end

-- Of a name the kernel keeps 15 bytes.
local function wait_for_process(vm, name, options)
    local command = "grep -qsxF -e " .. process.quote(name:sub(1, 15)) .. " /proc/[0-9]*/comm"
    return try_until(vm, command, options,
        { subject = "process " .. name, wanted = "runs", lacking = "did not run" })
end

-- Status 3: it is useless to wait.
local UNIT = [[
command -v systemctl >/dev/null || { echo 'the guest has no systemctl'; exit 3; }
state=$(systemctl is-active -- %s)
case $state in
active) exit 0 ;;
failed) systemctl status --no-pager -n 20 -- %s; exit 3 ;;
esac
echo "it is $state"
exit 1]]

local function wait_for_unit(vm, unit, options)
    local quoted = process.quote(unit)
    return try_until(vm, UNIT:format(quoted, quoted), options, {
        subject = "unit " .. unit, wanted = "is active", lacking = "was not active",
        hopeless = function(result) return result.status == 3 and "has failed" end,
    })
end

local waits = {
    wait_for_file = { check "path", wait_for_file },
    wait_for_port = { check_port, wait_for_port },
    wait_for_process = { check "name", wait_for_process },
    wait_for_unit = { check "unit", wait_for_unit },
}

verbs(waits)

return waits
