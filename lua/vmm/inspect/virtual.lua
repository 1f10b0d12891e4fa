-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guest virtual memory of a VM: which page tables an address is looked up in.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local OPTIONS = { "vcpu", "cr3", "levels" }
local LONG_MODE_LEVELS = 4

-- An upper-half address belongs to the kernel, in every process the same.
local function is_kernel(gva)
    return gva < 0
end

local function check_vcpu(vm, index)
    return (vm.vcpus or {})[index] or error(("there is no vCPU %s, only 1 to %d"):format(
        tostring(index), #(vm.vcpus or {})), 4)
end

-- The page tables to try, the first that has the address counts: those that were asked for, else
-- the running kernel's own for its addresses (with page-table isolation a vCPU in user mode has
-- tables without the kernel), else those of a vCPU.
local function spaces(vm, gva, options)
    if options.cr3 then
        return { { options.cr3, options.levels or LONG_MODE_LEVELS } }
    end
    local list = {}
    local kernel = is_kernel(gva) and vm.kernel_space
    if not options.vcpu and kernel then list[1] = kernel end
    if not list[1] then
        local cr3, levels, code = check_vcpu(vm, options.vcpu or 1):address_space()
        if not cr3 then return nil, levels, code end
        list[1] = { cr3, levels }
        list[2] = kernel or nil
    end
    return list
end

local function access(vm, name, gva, what, options)
    options = argument.options("vm:" .. name, options, OPTIONS, 4)
    if math.type(gva) ~= "integer" then
        argument.check(false, "vm:" .. name .. ": gva", "an integer", gva, 4)
    end
    if not vm.memory then return nil, "the VM has no memory (vm.memory is not set)", "ENXIO" end
    local list, message, code = spaces(vm, gva, options)
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
    return access(vm, "read_virtual", gva, len, options)
end

-- vm:write_virtual(gva, bytes, options) -> true, or nil, message, "EFAULT" and nothing written.
function methods.write_virtual(vm, gva, bytes, options)
    return access(vm, "write_virtual", gva, bytes, options)
end

return methods
