-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The disks of a machine: vm.disks, in the order that the guest sees them in.

local cmdline = require "vmm.boot.cmdline"
local core = require "vmm.core"
local features = require "vmm.features"
local virtio = require "vmm.virtio"

local block = {}

-- Which of the parameters a disk has that another process serves.
local function is_daemons(options)
    return options.socket ~= nil or (options.format or "raw") ~= "raw"
end

--- Checks what one option says as a whole.
-- @return nil, or what is wrong
function block.mistake(options)
    if (options.path == nil) == (options.socket == nil) then
        return "give one of: path=FILE, socket=PATH"
    elseif is_daemons(options) then
        if options.serial then return "serial: only with format=raw and path=FILE" end
        if options.socket and options.format ~= "raw" then return "format: only with path=FILE" end
        if options.socket and (options.readonly or options.direct) then
            return (options.readonly and "readonly" or "direct") .. ": only with path=FILE"
        end
        return features.lacking { "vhost_user" }
    end
end

-- The parameters that core.virtio_block has as well.
local RAW = { "path", "readonly", "serial", "direct", "queues", "io_uring" }

-- A disk of ours.
local function add_raw(vm, parts, options)
    local given = { vm = vm }
    for _, key in ipairs(RAW) do
        given[key] = options[key]
    end
    local disk, message, code = core.virtio_block(given)
    local ok
    if disk then ok, message, code = virtio.add(vm, parts, disk) end
    if not ok then return nil, message, code end
    return disk
end

--- Adds disks to a machine that is being built.
-- @param list  of tables as the option block has them
-- @return true; or nil, message, code
function block.add(vm, parts, list)
    vm.disks = {}
    for index, options in ipairs(list) do
        local add = is_daemons(options) and require("vmm.storage").add or add_raw
        local disk, message, code = add(vm, parts, options)
        if not disk then return nil, message, code end
        disk.path, disk.readonly = options.path, options.readonly
        vm.disks[index] = disk
    end
    return true
end

--- Must other processes map the guest's memory for one of these disks?
function block.is_shared(list)
    for _, options in ipairs(list) do
        if is_daemons(options) then return true end
    end
    return false
end

--- The command line of a kernel that has to find its root on the first disk: with root= added,
-- unless it is there, or an initrd brings a root of its own.
function block.cmdline(kernel, disks)
    local text = kernel.cmdline
    local first = disks and disks[1]
    if not first or kernel.initrd or cmdline.has(text, "root=") then return text end
    return cmdline.add(text, "root=/dev/vda " .. (first.readonly and "ro" or "rw"))
end

return block
