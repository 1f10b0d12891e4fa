-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guest virtual memory of a VM: which page tables an address is looked up in.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local OPTIONS = { "vcpu", "cr3", "levels" }
local LONG_MODE_LEVELS = 4
local READ_BYTES_MAX = 256 << 20

-- An upper-half address belongs to the kernel, in every process the same.
local function is_kernel(gva)
    return gva < 0
end

-- The page tables to try, the first that has the address counts: those that were asked for, else
-- the running kernel's own for its addresses (with page-table isolation a vCPU in user mode has
-- tables without the kernel), else those of a vCPU.
local function spaces(vm, name, gva, options)
    if options.cr3 then
        return { { options.cr3, options.levels or LONG_MODE_LEVELS } }
    end
    local list = {}
    local kernel = is_kernel(gva) and vm.kernel_space
    if not options.vcpu and kernel then list[1] = kernel end
    if not list[1] then
        local vcpu = argument.vcpu(name, vm, options.vcpu or 1, 4)
        local cr3, levels, code = vcpu:address_space()
        if not cr3 then return nil, levels, code end
        list[1] = { cr3, levels }
        list[2] = kernel or nil
    end
    return list
end

local function check(name, gva, options)
    argument.options(name, options, OPTIONS, 4)
    argument.integer(name .. ": gva", gva, nil, nil, 4)
    if not options then return {} end
    if options.cr3 ~= nil then
        argument.integer(name .. ": cr3", options.cr3, nil, nil, 4)
        local levels = options.levels
        argument.check(levels == nil or levels == 0 or math.type(levels) == "integer"
            and levels >= 2 and levels <= 5, name .. ": levels", "0 (no paging) or 2 to 5", levels,
            4)
    end
    return options
end

local function access(vm, name, gva, what, options)
    options = check("vm:" .. name, gva, options)
    if not vm.memory then return nil, "the VM has no memory (vm.memory is not set)", "ENXIO" end
    local list, message, code = spaces(vm, "vm:" .. name, gva, options)
    if not list then return nil, message, code end
    local result
    for _, space in ipairs(list) do
        result, message, code = vm.memory[name](vm.memory, gva, what, space[1], space[2])
        if result then return result end
    end
    return nil, message, code
end

-- vm:read_virtual(gva, len, { vcpu =, cr3 =, levels = }) -> bytes, or nil, message, "EFAULT"; the
-- message names the first page that is not there.
function methods.read_virtual(vm, gva, len, options)
    argument.integer("vm:read_virtual: len", len, 0, READ_BYTES_MAX)
    return access(vm, "read_virtual", gva, len, options)
end

-- vm:write_virtual(gva, bytes, options) -> true, or nil, message, "EFAULT" and nothing written.
function methods.write_virtual(vm, gva, bytes, options)
    argument.type("vm:write_virtual: bytes", bytes, "string")
    return access(vm, "write_virtual", gva, bytes, options)
end

return methods
