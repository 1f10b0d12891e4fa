-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The disks of a machine: vm.disks, in the order that the guest sees them in.

local cmdline = require "vmm.boot.cmdline"
local core = require "vmm.core"
local virtio = require "vmm.virtio"

local block = {}

--- Adds disks to a machine that is being built.
-- @param list  of tables as vmm.virtio_block takes them, without vm
-- @return true; or nil, message, code
function block.add(vm, parts, list)
    vm.disks = {}
    for index, options in ipairs(list) do
        local given = { vm = vm }
        for key, value in pairs(options) do
            given[key] = value
        end
        local disk, message, code = core.virtio_block(given)
        local ok
        if disk then ok, message, code = virtio.add(vm, parts, disk) end
        if not ok then return nil, message, code end
        disk.path, disk.readonly = options.path, options.readonly
        vm.disks[index] = disk
    end
    return true
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
