-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The running kernel's own table of symbols, read out of its memory.

local core = require "vmm.core"

local kallsyms = {}

-- All of it is the guest's word: no more is read than these.
local SYMBOLS_MAX = 1 << 20
local NAMES_BYTES_MAX = 32 << 20
local TOKENS_BYTES_MAX = 1 << 16
local INDEX_BYTES = 512

local NEEDED = {
    "kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index",
    "kallsyms_offsets", "kallsyms_relative_base",
}

-- Reading fails inside by raising { message, code }.
local function check(value, message, code)
    if value then return value end
    error({ message = message, code = code }, 0)
end

-- Bytes from one table to what the kernel has laid behind it, at most so many.
local function read_between(read, from, to, most, what)
    if math.ult(to, from) or to - from > most or to == from then
        check(nil, ("the guest's %s has an impossible size"):format(what), "ENOEXEC")
    end
    return read(from, to - from)
end

-- Reads by the kernel's own page tables, or (when those are not known) a vCPU's.
local function reader(vm, space)
    local options = space and { cr3 = space[1], levels = space[2] }
    return function(gva, len)
        return check(vm:read_virtual(gva, len, options))
    end
end

local function read_tables(read, at)
    local count = ("<I4"):unpack(read(at.kallsyms_num_syms, 4))
    if count == 0 or count > SYMBOLS_MAX then
        check(nil, ("the guest claims %d symbols"):format(count), "ENOEXEC")
    end
    return check(core.kallsyms {
        count = count,
        names = read_between(read, at.kallsyms_names, at.kallsyms_token_table, NAMES_BYTES_MAX,
            "kallsyms_names"),
        token_table = read_between(read, at.kallsyms_token_table, at.kallsyms_token_index,
            TOKENS_BYTES_MAX, "kallsyms_token_table"),
        token_index = read(at.kallsyms_token_index, INDEX_BYTES),
        offsets = read(at.kallsyms_offsets, 4 * count),
        relative_base = (("<i8"):unpack(read(at.kallsyms_relative_base, 8))),
    })
end

-- The tables make sense when they give what VMCOREINFO says.
local function verify(symbols, known)
    for _, name in ipairs { "_stext", "swapper_pg_dir", "init_uts_ns" } do
        local address = symbols:find(name)
        if address and known[name] and address ~= known[name] then
            check(nil, ("the guest's kallsyms has %s at 0x%x, its VMCOREINFO at 0x%x"):format(name,
                address, known[name]), "ENOEXEC")
        end
    end
    return symbols
end

-- The symbols of the kernel that info (inspect.linux) describes, or nil, message, code.
function kallsyms.read(vm, info)
    for _, name in ipairs(NEEDED) do
        if not info.symbols[name] then
            return nil, ("the guest's VMCOREINFO (Linux %s) lacks %s, which kernels have from 6.0 "
                .. "on: load a vmlinux or a System.map"):format(info.release, name), "ENOENT"
        end
    end
    local ok, result = pcall(function()
        return verify(read_tables(reader(vm, info.space), info.symbols), info.symbols)
    end)
    if ok then return result end
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, result.code
end

return kallsyms
