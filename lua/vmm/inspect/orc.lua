-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- ORC, by which the kernel unwinds its stacks: for each stretch of code, where the caller's stack
-- pointer and frame pointer are (Documentation/arch/x86/orc-unwinder.rst).

local orc = {}

local ENTRY_BYTES = 6
local ENTRIES_MAX = 1 << 26 -- of a table; more is a lie of the guest's

-- Registers that an entry may name; fixed since ORC came.
local REGISTERS = {
    [0] = "undefined", "previous_sp", "dx", "di", "bp", "sp", "r10", "r13", "bp_indirect",
    "sp_indirect",
}

-- Kinds of frames. Linux 6.4 has numbered them anew when it dropped the bit "end".
local TYPES_WITH_END = { [0] = "call", "regs", "regs_partial" }
local TYPES = { [0] = "undefined", "end", "call", "regs", "regs_partial" }

-- A frame of code that has no entry but keeps frame pointers.
local FRAME_POINTER = {
    type = "call", sp_register = "bp", sp_offset = 16, bp_register = "previous_sp", bp_offset = -16,
}

-- A call to address 0 has pushed a return address and no more.
local NULL_CALL = {
    type = "call", sp_register = "sp", sp_offset = 8, bp_register = "undefined", bp_offset = 0,
}

local function version(vm)
    local major, minor = (vm.linux and vm.linux.release or ""):match("^(%d+)%.(%d+)")
    return major and tonumber(major) * 1000 + tonumber(minor) or 0
end

-- Where an entry's bits are in its last 16: by the kernel's own types, or by its version.
local function layout(vm)
    local types = vm:types()
    local bits = { type = { 8, version(vm) >= 6004 and 3 or 2 } }
    if version(vm) < 6004 then bits["end"] = { version(vm) >= 6003 and 11 or 10, 1 } end
    if not types or not types:size "orc_entry" then return bits end
    bits = {}
    for _, name in ipairs { "type", "end" } do
        local byte, first, count = types:offset("orc_entry", name)
        if byte and count then bits[name] = { 8 * (byte - 4) + first, count } end
    end
    return bits.type and bits or nil
end

local function take(flags, bits)
    return bits and flags >> bits[1] & (1 << bits[2]) - 1 or 0
end

-- The table of the kernel: { ips =, entries =, count =, bits = }, kept; false where there is none.
local function kernel_table(vm)
    if vm.orc_table ~= nil then return vm.orc_table end
    local first = vm:kernel_symbol "__start_orc_unwind_ip"
    local last = vm:kernel_symbol "__stop_orc_unwind_ip"
    local entries = vm:kernel_symbol "__start_orc_unwind"
    local bits = first and layout(vm)
    vm.orc_table = bits and last and entries
        and { ips = first, entries = entries, count = (last - first) // 4, bits = bits } or false
    return vm.orc_table
end

-- That of the module which has the address.
local function module_table(vm, ip)
    for _, module in ipairs(vm:modules() or {}) do
        if module:has(ip) then
            local function part(name)
                return vm:fetch_integer(module.struct, "arch." .. name)
            end
            return {
                ips = part "orc_unwind_ip", entries = part "orc_unwind", count = part "num_orcs",
                bits = layout(vm),
            }
        end
    end
end

-- The last of count entries whose address is at or below ip: its index from 0, or nil. Each address
-- is relative to where it stands.
local function search(vm, table_, ip)
    local low, high = 0, table_.count
    if high > ENTRIES_MAX then return nil end
    while low < high do
        local middle = (low + high) // 2
        local at = table_.ips + 4 * middle
        local bytes = vm:read_virtual(at, 4)
        if not bytes then return nil end
        if math.ult(ip, at + ("<i4"):unpack(bytes)) then
            high = middle
        else
            low = middle + 1
        end
    end
    return low > 0 and low - 1 or nil
end

local function parse(bytes, bits)
    local sp_offset, bp_offset, flags = ("<i2i2I2"):unpack(bytes)
    local types = bits["end"] and TYPES_WITH_END or TYPES
    local entry = {
        type = types[take(flags, bits.type)] or "undefined",
        sp_register = REGISTERS[flags & 15],
        bp_register = REGISTERS[flags >> 4 & 15],
        sp_offset = sp_offset,
        bp_offset = bp_offset,
    }
    if take(flags, bits["end"]) == 1 then
        entry.type = "end"
    elseif entry.sp_register == "undefined" and entry.type ~= "end" then
        entry.type = "undefined"
    end
    return entry
end

local function find(vm, ip)
    local table_ = kernel_table(vm)
    if table_ and not vm.symbols:at(ip) then table_ = module_table(vm, ip) end
    local index = table_ and table_.bits and table_.ips and table_.entries and table_.count
        and search(vm, table_, ip)
    local bytes = index and vm:read_virtual(table_.entries + ENTRY_BYTES * index, ENTRY_BYTES)
    return bytes and parse(bytes, table_.bits)
end

-- How to go on from ip: { type =, sp_register =, sp_offset =, bp_register =, bp_offset = }, and
-- whether the kernel's tables say so; type "undefined": they say that it can't be known.
function orc.find(vm, ip)
    if ip == 0 then return NULL_CALL, true end
    local entry = find(vm, ip)
    return entry or FRAME_POINTER, entry ~= nil
end

return orc
