-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Symbols of a guest's kernel: vm:load_symbols, vm:symbol, vm:symbolize.

local argument = require "vmm.argument"
local core = require "vmm.core"
local kallsyms = require "vmm.inspect.kallsyms"
local linux = require "vmm.inspect.linux"

local methods = core.classes["vmm.vm"]

-- A vmlinux or System.map has the addresses of before KASLR: the guest says how far it has moved.
local function from_file(vm, path, slide)
    local image, message, code = core.load.open(path)
    if not image then return nil, message, code end
    if not slide then
        local info = linux.find(vm)
        slide = info and info.slide or 0
    end
    local symbols
    symbols, message, code = core.file_symbols(image, slide)
    image:close()
    if not symbols then return nil, message, code end
    if symbols:count() == 0 then return nil, path .. " has no symbols", "ENOENT" end
    return symbols
end

local function from_guest(vm)
    local info, message, code = linux.find(vm)
    if not info then return nil, message, code end
    return kallsyms.read(vm, info)
end

-- vm:load_symbols{ path = , slide = } -> symbols, or nil, message, code.
-- path: a vmlinux (any ELF file) or a System.map; without one, the running kernel's own kallsyms.
-- slide: bytes that the kernel has moved by (as the guest's VMCOREINFO says, or 0).
-- symbols:find(name), symbols:at(address), symbols:count(), symbols:get(index).
function methods.load_symbols(vm, options)
    options = argument.options("vm:load_symbols", options, { "path", "slide" })
    local path, slide = options.path, options.slide
    if path ~= nil then argument.type("vm:load_symbols: path", path, "string") end
    if slide ~= nil then argument.integer("vm:load_symbols: slide", slide) end
    linux.forget(vm)
    local symbols, message, code
    if path then
        symbols, message, code = from_file(vm, path, slide)
    else
        symbols, message, code = from_guest(vm)
    end
    if not symbols then return nil, message, code end
    vm.symbols = symbols
    return symbols
end

local function loaded(vm)
    if vm.symbols then return vm.symbols end
    return vm:load_symbols()
end

-- Modules are known where the kernel's types are; a guest loads them as it goes, so what is not
-- found is looked for once more.
local function in_modules(vm, look)
    if not vm then return nil end
    for _, fresh in ipairs { false, true } do
        for _, module in ipairs(vm:modules { fresh = fresh } or {}) do
            local found, other = look(module)
            if found then return found, other, module end
        end
    end
end

local function find(vm, symbols, name)
    local address, count = symbols:find(name)
    if address then return address, count end
    return in_modules(vm, function(module)
        return module:symbols():find(name)
    end)
end

-- vm:kernel_symbol(name) -> address, or nil, message, code: of the kernel itself, not of a module.
function methods.kernel_symbol(vm, name)
    argument.type("vm:kernel_symbol: name", name, "string")
    local symbols, message, code = loaded(vm)
    if not symbols then return nil, message, code end
    local address = symbols:find(name)
    if address then return address end
    return nil, ("the guest's kernel has no symbol %q"):format(name), "ENOENT"
end

-- vm:symbol("name" or "name+0x10") -> address, how many symbols have this name; or nil, message,
-- "ENOENT". Of several symbols it is the one at the lowest address, a module's only when the kernel
-- has none. The first use loads the guest's own symbols.
function methods.symbol(vm, name)
    argument.type("vm:symbol: name", name, "string")
    local symbols, message, code = loaded(vm)
    if not symbols then return nil, message, code end
    local base, sign, digits = name:match("^(.-)%s*([+-])%s*(%w+)$")
    local offset = base and math.tointeger(tonumber(digits))
    if not offset then base, offset, sign = name, 0, "+" end
    local address, count = find(vm, symbols, base)
    if not address then
        return nil, ("the guest's kernel has no symbol %q"):format(base), "ENOENT"
    end
    return sign == "+" and address + offset or address - offset, count
end

-- vm:locate(address) -> name, offset in it, its size, its module's name or nil; or nil, message,
-- "ENOENT".
function methods.locate(vm, address)
    argument.integer("vm:locate: address", address)
    local symbols, message, code = loaded(vm)
    if not symbols then return nil, message, code end
    local name, start, _, size = symbols:at(address)
    if name then return name, address - start, size end
    local found, other, owner = in_modules(address < 0 and vm, function(module)
        if not module:has(address) then return nil end
        local its_name, its_start, _, its_size = module:symbols():at(address)
        return its_name, { address - (its_start or 0), its_size }
    end)
    if found then return found, other[1], other[2], owner.name end
    return nil, ("no symbol at 0x%x"):format(address), "ENOENT"
end

-- vm:symbolize(address) -> "name+0x10", or "name" at its begin, "name+0x10 [module]" in a module;
-- or nil, message, "ENOENT".
function methods.symbolize(vm, address)
    argument.integer("vm:symbolize: address", address)
    local name, offset, size, module = vm:locate(address)
    if not name then return nil, offset, size end
    if offset ~= 0 then name = ("%s+0x%x"):format(name, offset) end
    return module and ("%s [%s]"):format(name, module) or name
end

return methods
