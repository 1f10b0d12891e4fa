-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A vCPU's registers by name: vcpu:reg(name[, value]), vcpu:registers() and vcpu:dump().

local core = require "vmm.core"
local text = require "vmm.text"
local x86 = require "vmm.x86.registers"

local methods = core.classes["vmm.vcpu"]

local LEAF_XSAVE = 0xd

-- Where a part of the XSAVE area begins in the standard format, or nil when this CPU lacks it.
local function component_offset(vcpu, component)
    for _, entry in ipairs(vcpu.cpuid) do
        if entry.function_ == LEAF_XSAVE and entry.index == component and entry.eax > 0 then
            return entry.ebx
        end
    end
end

local function without(vcpu, name)
    return nil, ("vCPU %d has no %s"):format(vcpu.id, name), "ENXIO"
end

-- The ranges { offset, length } of a register in its state; none when this vCPU lacks it.
local function ranges_of(vcpu, place, bytes)
    if not place.component then return { { place.offset, place.bytes or place.size } } end
    local base = component_offset(vcpu, place.component)
    if not base or base + place.above + 16 > #bytes then return nil end
    return { { place.offset, 16 }, { base + place.above, 16 } }
end

-- What a state's bytes say of a register.
local function extract(place, ranges, bytes)
    if place.size then return (("<I%d"):format(place.size):unpack(bytes, place.offset + 1)) end
    local parts = {}
    for i, range in ipairs(ranges) do
        parts[i] = bytes:sub(range[1] + 1, range[1] + range[2])
    end
    return table.concat(parts)
end

local function replace(bytes, offset, with)
    return bytes:sub(1, offset) .. with .. bytes:sub(offset + #with + 1)
end

-- The bytes of a new value; raises when it is none for this register.
local function encode(name, place, value)
    if place.bytes then
        if type(value) ~= "string" or #value ~= place.bytes then
            error(("vcpu:reg: %s takes a string of %d bytes, not %s"):format(name, place.bytes,
                type(value) == "string" and #value .. " of them" or text.show(value)), 3)
        end
        return value
    end
    if math.type(value) ~= "integer" then
        error(("vcpu:reg: %s takes an integer, not %s"):format(name, text.show(value)), 3)
    end
    if place.size < 8 and value >> 8 * place.size ~= 0 then
        error(("vcpu:reg: 0x%x does not fit the %d bits of %s"):format(value, 8 * place.size,
            name), 3)
    end
    return ("<i8"):pack(value):sub(1, place.size)
end

-- A state whose register has been changed.
local function changed(place, ranges, bytes, with)
    for _, range in ipairs(ranges) do
        bytes = replace(bytes, range[1], with:sub(1, range[2]))
        with = with:sub(range[2] + 1)
    end
    if place.part then -- or it would count as in its initial state
        local in_use = ("<i8"):unpack(bytes, x86.XSTATE_BV + 1)
        bytes = replace(bytes, x86.XSTATE_BV, ("<i8"):pack(in_use | place.part))
    end
    return bytes
end

local function read(vcpu, name, place)
    if place.msr then
        local values, message, code = vcpu:get_msrs { place.msr }
        if not values then return nil, message, code end
        return values[place.msr]
    end
    local bytes = vcpu:get_state(place.state)
    local ranges = ranges_of(vcpu, place, bytes)
    if not ranges then return without(vcpu, name) end
    return extract(place, ranges, bytes)
end

local function write(vcpu, name, place, value)
    if place.msr then
        encode(name, { size = 8 }, value)
        return vcpu:set_msrs { [place.msr] = value }
    end
    local with = encode(name, place, value)
    local bytes = vcpu:get_state(place.state)
    local ranges = ranges_of(vcpu, place, bytes)
    if not ranges then return without(vcpu, name) end
    return vcpu:set_state(place.state, changed(place, ranges, bytes, with))
end

local function unknown(name)
    return ("vcpu:reg: no register %s%s vmm.x86.registers has all names, an MSR may be "
        .. "msr.NUMBER"):format(text.show(name), text.suggest(name, x86.names))
end

-- vcpu:reg(name) -> integer, or bytes of a vector or x87 register; vcpu:reg(name, value) -> true.
-- What KVM refuses, and what this vCPU lacks, gives nil, message, code. Raises for an unknown name
-- or a value that does not fit, and while the vCPU runs, but on its own thread.
function methods.reg(vcpu, name, ...)
    local place = x86.find(name)
    if not place then error(unknown(name), 2) end
    if select("#", ...) == 0 then return read(vcpu, name, place) end
    return write(vcpu, name, place, (...))
end

-- ---- overview -----------------------------------------------------------------------------

-- The values of a group; each state is read once. Those that the vCPU lacks are left out.
local function read_group(vcpu, group)
    local states, list = {}, {}
    for _, name in ipairs(group) do
        local place = x86.find(name)
        local value
        if place.msr then
            value = read(vcpu, name, place)
        else
            local bytes = states[place.state] or vcpu:get_state(place.state)
            states[place.state] = bytes
            local ranges = ranges_of(vcpu, place, bytes)
            value = ranges and extract(place, ranges, bytes)
        end
        if value then
            local size = place.bytes or place.size or 8
            list[#list + 1] = { group = group.name, name = name, value = value, size = size }
        end
    end
    return list
end

local function has_lapic(vcpu)
    vcpu:get_state "regs" -- raises while it runs
    return (pcall(vcpu.get_state, vcpu, "lapic"))
end

local function find_group(name)
    local known = {}
    for i, group in ipairs(x86.groups) do
        if group.name == name then return group end
        known[i] = group.name
    end
    error(("vcpu:registers: no group %s%s groups: %s"):format(text.show(name),
        text.suggest(name, known), table.concat(known, ", ")), 3)
end

-- vcpu:registers([group]) -> array of { group =, name =, value =, size = }: all, or those of one
-- group ("general", "segment", "control", "debug", "msr", "fpu", "vector", "lapic"), in the order
-- of a manual. Raises while the vCPU runs.
function methods.registers(vcpu, name)
    local list = {}
    for _, group in ipairs(name and { find_group(name) } or x86.groups) do
        if group.name ~= "lapic" or has_lapic(vcpu) then
            local some = read_group(vcpu, group)
            table.move(some, 1, #some, #list + 1, list)
        end
    end
    return list
end

-- ---- a page of text -----------------------------------------------------------------------

local WIDTH = 100

-- "rax    0000000000000001": a vector register with its highest byte first, as integers have it.
local function entry(register, name_width)
    local value = register.value
    if type(value) == "string" then
        value = value:reverse():gsub(".", function(byte)
            return ("%02x"):format(byte:byte())
        end)
    else
        value = ("%0" .. 2 * register.size .. "x"):format(value)
    end
    return register.name .. (" "):rep(name_width - #register.name + 1) .. value
end

local function is_zero(register)
    return register.value == 0 or type(register.value) == "string"
        and not register.value:find "[^\0]"
end

-- The lines of a group, in columns: names as wide as the widest, and values.
local function group_lines(list, lines)
    local name_width, column, row = 0, 0, {}
    for _, register in ipairs(list) do
        name_width = math.max(name_width, #register.name)
    end
    for _, register in ipairs(list) do
        column = math.max(column, #entry(register, name_width) + 2)
    end
    for i, register in ipairs(list) do
        local shown = entry(register, name_width)
        row[#row + 1] = shown .. (" "):rep(column - #shown)
        if i == #list or (#row + 1) * column > WIDTH then
            lines[#lines + 1] = "  " .. table.concat(row):gsub("%s+$", "")
            row = {}
        end
    end
end

-- "cs 0010 base 0000000000000000 limit ffffffff": one line for each segment.
local function segment_lines(list, lines)
    local order, by_name = {}, {}
    for _, register in ipairs(list) do
        local name, field = register.name:match "^(%w+)%.?(%w*)$"
        if not by_name[name] then
            by_name[name] = {}
            order[#order + 1] = name
        end
        by_name[name][field] = register.value
    end
    for _, name in ipairs(order) do
        local s = by_name[name]
        lines[#lines + 1] = ("  %-3s %s base %016x limit %08x"):format(name,
            s[""] and ("%04x"):format(s[""]) or "    ", s.base, s.limit)
    end
end

-- vcpu:dump() -> text: the registers of a vCPU that does not run, by group; of the large groups
-- (msr, fpu, vector, lapic), what is not 0. Raises while the vCPU runs.
function methods.dump(vcpu)
    local lines = { ("vCPU %d, %s"):format(vcpu.id, vcpu.state) }
    for _, group in ipairs(x86.groups) do
        local list = {}
        local whole = group.name == "general" or group.name == "control"
        for _, register in ipairs(vcpu:registers(group.name)) do
            if whole or group.name == "segment" or not is_zero(register) then
                list[#list + 1] = register
            end
        end
        if #list > 0 then
            lines[#lines + 1] = group.name
            local show = group.name == "segment" and segment_lines or group_lines
            show(list, lines)
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

return methods
