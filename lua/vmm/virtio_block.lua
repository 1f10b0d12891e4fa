-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The disks of a machine: vm.disks, in the order that the guest sees them in.

local argument = require "vmm.argument"
local backend = require "vmm.virtio_block_backend"
local cmdline = require "vmm.boot.cmdline"
local core = require "vmm.core"
local faults = require "vmm.virtio_block_fault"
local features = require "vmm.features"
local limit = require "vmm.virtio_limit"
local virtio = require "vmm.virtio"

local block = {}

-- ---- what one option says --------------------------------------------------------------------

-- Which of the parameters a disk has that another process serves.
local function is_daemons(options)
    return options.socket ~= nil or (options.format or "raw") ~= "raw"
end

-- What only a disk of ours has, and what stands for its absence.
local OURS = { serial = nil, bandwidth = 0, iops = 0, burst = 1 }

local function mistake_of_daemon(options)
    for _, name in ipairs { "serial", "bandwidth", "iops", "burst" } do
        if options[name] ~= OURS[name] then
            return name .. ": only with format=raw and path=FILE"
        end
    end
    if options.socket and options.format ~= "raw" then return "format: only with path=FILE" end
    if options.socket and (options.readonly or options.direct) then
        return (options.readonly and "readonly" or "direct") .. ": only with path=FILE"
    end
    return features.lacking { "vhost_user" }
end

--- Checks what one option says as a whole.
-- @return nil, or what is wrong
function block.mistake(options)
    if (options.path == nil) == (options.socket == nil) then
        return "give one of: path=FILE, socket=PATH"
    end
    return is_daemons(options) and mistake_of_daemon(options) or nil
end

local methods = core.classes["vmm.virtio"]

-- ---- limits ----------------------------------------------------------------------------------

local RATES = { "bandwidth", "iops" }

--- disk:limit{ bandwidth = bytes a second, iops = requests a second, burst = seconds }: what is not
-- named stays as it is, 0 is no limit. Returns all three.
function methods.limit(disk, options)
    if disk.vm and disk.vm.closed then error("disk:limit: the VM is closed", 2) end
    local bandwidth, iops, burst_ns = disk:block_limits()
    local limits = limit.change("disk:limit", RATES, options,
        { bandwidth = bandwidth, iops = iops, burst = limit.from_ns(burst_ns) })
    if next(options or {}) ~= nil then
        disk:block_limit(limits.bandwidth, limits.iops, limit.to_ns(limits.burst))
    end
    return limits
end

-- ---- disks -----------------------------------------------------------------------------------

local function is_limit(name)
    return name == "bandwidth" or name == "iops" or name == "burst"
end

--- A disk without a transport: what vmm.virtio_block is.
-- @param options  vm, and those of the option block; or vm and what vmm.block has returned
-- @return disk; or nil, message, code
function block.new(options)
    local device, limits = {}, { burst = 1 }
    for key, value in pairs(argument.type("vmm.virtio_block: options", options, "table")) do
        if is_limit(key) then limits[key] = value else device[key] = value end
    end
    local served = device.backend
    device.backend = served and served:features()
    local disk, message, code
    device.on_pending = function(what)
        if what & faults.PENDING ~= 0 then faults.answer(disk) end
        if what & backend.PENDING ~= 0 then served:serve(disk) end
    end
    disk, message, code = core.virtio_block(device)
    if not disk then return nil, message, code end
    disk.vm = options.vm
    disk:limit(limits)
    return disk
end

-- What an element of the option block says: itself, or what vmm.block was given.
local function said(element)
    return backend.is(element) and element.options or element
end

-- A disk of ours, of a table as block.new takes it or of what vmm.block returns.
local function add_ours(vm, parts, options)
    local given = { vm = vm, backend = backend.is(options) and options or nil }
    for key, value in pairs(said(options)) do
        if key ~= "format" then given[key] = value end
    end
    local disk, message, code = block.new(given)
    local ok
    if disk then ok, message, code = virtio.add(vm, parts, disk) end
    if not ok then return nil, message, code end
    return disk
end

--- Adds disks to a machine that is being built.
-- @param list  of tables as the option block has them, and of what vmm.block returns
-- @return true; or nil, message, code
function block.add(vm, parts, list)
    vm.disks = {}
    for index, options in ipairs(list) do
        local add = is_daemons(options) and require("vmm.storage").add or add_ours
        local disk, message, code = add(vm, parts, options)
        if not disk then return nil, message, code end
        disk.path, disk.readonly = said(options).path, said(options).readonly
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
