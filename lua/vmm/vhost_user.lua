-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices that a daemon serves (vhost-user): which programs there are, and what becomes of a
-- machine whose daemon fails.

local core = require "vmm.core"
local process = require "vmm.process"
local sched = require "vmm.sched"

local vhost_user = {}

-- How long a daemon may take for an answer, in seconds.
local DEADLINE = 5

-- The socket that a daemon listens on: VMM_PROCESS_FD.
vhost_user.FD = 3

--- The path of a daemon: a name to look for in PATH, or a path, whichever is there first.
-- @param package  of Debian, for the message
-- @return path; or nil, message, "ENOENT"
function vhost_user.find(names, package)
    for _, name in ipairs(names) do
        local path = name:find "/" and (process.is_readable(name) and name) or process.which(name)
        if path then return path end
    end
    return nil, ("no %s on this host (looked for %s): install %s"):format(
        names[1], table.concat(names, ", "), package), "ENOENT"
end

--- The command that starts a daemon so that it ends with this process, however that ends.
function vhost_user.command(argv)
    local setpriv = process.which "setpriv"
    if not setpriv then return argv end
    return table.move(argv, 1, #argv, 4, { setpriv, "--pdeathsig", "TERM" })
end

--- Makes a device of a daemon and puts it into the machine. When the daemon fails, the event
-- "device_failed" tells so.
-- @param options  as core.vhost_user takes them, without vm and on_failure
-- @return virtio; or nil, message, code
function vhost_user.add(vm, parts, options)
    local device, message, code
    local given = { vm = vm, deadline = sched.scaled(DEADLINE), on_failure = function()
        local why = not vm.closed and core.vhost_user_failure(device)
        if why then vm:happened("device_failed", { device = options.name, message = why }) end
    end }
    for key, value in pairs(options) do
        given[key] = value
    end
    device, message, code = core.vhost_user(given)
    if not device then return nil, message, code end
    local ok
    ok, message, code = require("vmm.virtio").add(vm, parts, device)
    if not ok then return nil, message, code end
    return device
end

return vhost_user
