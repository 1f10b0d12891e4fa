-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What runs in the guest: the current task of a vCPU, all tasks, modules; per-CPU variables.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local MSR_KERNEL_GS_BASE <const> = 0xc0000102
local TASKS_MAX = 1 << 16
local MODULES_MAX = 512
local SYMBOL_BYTES = 24 -- struct elf64_sym
local MODULE_SYMBOLS_MAX = 1 << 20 -- of all modules
local MODULE_TEXT_MAX = 16 << 20
local NAME_BYTES_MAX = 511 -- of a symbol

-- ---- per-CPU variables ------------------------------------------------------------------

-- Where the per-CPU variables of a vCPU are: GS leads to them in the kernel; what is in GS in user
-- mode, and for an instruction or two of the kernel's entry, is the process's.
local function per_cpu_base(vm, index)
    local vcpu = vm.vcpus[index]
    local cr3, message, code = vcpu:address_space()
    if not cr3 then return nil, message, code end
    local base = vcpu.sregs.gs.base
    if base < 0 then return base end
    local msrs
    msrs, message, code = vcpu:get_msrs { MSR_KERNEL_GS_BASE }
    if not msrs then return nil, message, code end
    base = msrs[MSR_KERNEL_GS_BASE]
    if base < 0 then return base end
    return nil, ("vCPU %d has no per-CPU base yet"):format(index), "ENOENT"
end

-- vm:per_cpu(name, vcpu_index) -> address of this vCPU's instance, or nil, message, code.
function methods.per_cpu(vm, name, index)
    argument.type("vm:per_cpu: name", name, "string")
    argument.vcpu("vm:per_cpu", vm, index)
    local address, message, code = vm:kernel_symbol(name)
    if not address then return nil, message, code end
    local base
    base, message, code = per_cpu_base(vm, index)
    if not base then return nil, message, code end
    return base + address
end

-- Where the pointer to the current task is; Linux 6.2 to 6.14 have it in pcpu_hot.
local function current_pointer(vm, index)
    local address, message, code = vm:per_cpu("current_task", index)
    if address or code ~= "ENOENT" or not vm.symbols then return address, message, code end
    local hot = vm:per_cpu("pcpu_hot", index)
    local types = hot and vm:types()
    local offset = types and types:offset("pcpu_hot", "current_task")
    if offset then return hot + offset end
    return nil, message, code
end

-- vm:current([vcpu_index]) -> the task_struct that runs there, an object of vm:struct, or nil,
-- message, code ("EBUSY" while the vCPU runs). task.comm, task.pid.
function methods.current(vm, index)
    index = index == nil and 1 or index
    argument.vcpu("vm:current", vm, index)
    local at, message, code = current_pointer(vm, index)
    if not at then return nil, message, code end
    local bytes
    bytes, message, code = vm:read_virtual(at, 8)
    if not bytes then return nil, message, code end
    return vm:struct("task_struct", (("<i8"):unpack(bytes)))
end

-- ---- lists ------------------------------------------------------------------------------

-- The structures on a list_head, as addresses; offset: of the list_head in each. The guest may have
-- bent it: it ends after `most`, or where memory does.
local function list(vm, head, offset, most)
    local result, at = {}, head
    while #result < most do
        local bytes = vm:read_virtual(at, 8)
        at = bytes and ("<i8"):unpack(bytes) or head
        if at == head then break end
        result[#result + 1] = at - offset
    end
    return result
end

-- vm:tasks() -> { task, ... }, all processes (thread group leaders) but the idle one, oldest first;
-- nil, message, code. Pause the VM before: the list changes under a running kernel.
function methods.tasks(vm)
    local init, message, code = vm:kernel_symbol "init_task"
    if not init then return nil, message, code end
    local types
    types, message, code = vm:types()
    if not types then return nil, message, code end
    local offset
    offset, message, code = types:offset("task_struct", "tasks")
    if not offset then return nil, message, code end
    local result = list(vm, init + offset, offset, TASKS_MAX)
    for index, address in ipairs(result) do
        result[index] = vm:struct("task_struct", address)
    end
    return result
end

-- ---- modules ----------------------------------------------------------------------------

local Module = { __name = "vmm.module" }
Module.__index = Module

-- Does the module's memory have this address?
function Module:has(address)
    return not math.ult(address, self.base) and math.ult(address, self.base + self.size)
end

-- The module's symbols as { {address, name, type}, ... }; kallsyms keeps an ELF symbol table of it.
local function read_symbols(self)
    local vm = self.vm
    local at = self.kallsyms and vm:fetch_integer(self.kallsyms, "symtab")
    local strings = at and vm:fetch_integer(self.kallsyms, "strtab")
    local count = self.symbol_count
    local bytes = strings and at and vm:read_virtual(at, count * SYMBOL_BYTES)
    if not bytes then return {} end
    local most, result = 0, {}
    for index = 0, count - 1 do
        most = math.max(most, (("<I4"):unpack(bytes, index * SYMBOL_BYTES + 1)))
    end
    -- The last name ends somewhere in its page, if not before.
    local text = most < MODULE_TEXT_MAX
        and (vm:read_virtual(strings, most + 512) or vm:read_virtual(strings, most + 1)) or ""
    local types = vm:read_virtual(vm:fetch_integer(self.kallsyms, "typetab") or 0, count) or ""
    for index = 0, count - 1 do
        local name, _, _, section, address, size = ("<I4BBI2i8i8"):unpack(bytes,
            index * SYMBOL_BYTES + 1)
        -- No more than that is copied: all of them may begin in one that has no end.
        name = text:sub(name + 1, name + 1 + NAME_BYTES_MAX):match "^[^\0]*"
        if section ~= 0 and name ~= "" and #name <= NAME_BYTES_MAX and self:has(address) then
            local kind = types:sub(index + 1, index + 1)
            result[#result + 1] = { address, name, kind:match("%a") or "t", size }
        end
    end
    return result
end

-- A table of symbols as vm.symbols is.
function Module:symbols()
    self.table = self.table or core.symbols(read_symbols(self))
    return self.table
end

function Module:__tostring()
    return ("vmm.module: %s at 0x%x"):format(self.name, self.base)
end

-- Where a module's code is: Linux 6.4 has several parts, of which the first is the text.
local function extent(vm, struct, types)
    local part = types:offset("module", "core_layout") and "core_layout" or "mem[0]"
    return vm:fetch_integer(struct, part .. ".base"), vm:fetch_integer(struct, part .. ".size")
end

local function object_behind(vm, struct, path)
    local found = vm:follow(struct, path)
    return type(found) == "table" and found or nil
end

local function name_of(vm, struct)
    local name = vm:fetch(struct, "name")
    return type(name) == "string" and (name:gsub("%c", "?")) or "?"
end

-- A module that was known before keeps its symbols.
local function known_module(vm, module)
    for _, old in ipairs(vm.module_list or {}) do
        if old.address == module.address and old.base == module.base and old.size == module.size
            and old.name == module.name and old.symbol_count == module.symbol_count then
            return old
        end
    end
    return setmetatable(module, Module)
end

local function read_modules(vm)
    local head, message, code = vm:kernel_symbol "modules"
    if not head then return nil, message, code end
    local types
    types, message, code = vm:types()
    if not types then return nil, message, code end
    local offset = types:offset("module", "list")
    if not offset then return {} end
    local result, left = {}, MODULE_SYMBOLS_MAX
    for _, address in ipairs(list(vm, head, offset, MODULES_MAX)) do
        local struct = vm:struct("module", address)
        local base, size = extent(vm, struct, types)
        local kallsyms = object_behind(vm, struct, "kallsyms")
        local count = kallsyms and vm:fetch_integer(kallsyms, "num_symtab") or 0
        if count < 0 or count > left then count = 0 end
        left = left - count
        if base and size then
            result[#result + 1] = known_module(vm, {
                vm = vm, address = address, struct = struct, name = name_of(vm, struct),
                base = base, size = size, kallsyms = kallsyms, symbol_count = count,
            })
        end
    end
    return result
end

-- vm:modules{ fresh = true } -> { { name =, base =, size =, struct = }, ... }, kept until asked for
-- afresh; nil, message, code.
function methods.modules(vm, options)
    options = argument.options("vm:modules", options, { "fresh" })
    if vm.module_list and not options.fresh then return vm.module_list end
    local result, message, code = read_modules(vm)
    if not result then return nil, message, code end
    vm.module_list = result
    return result
end

return methods
