-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The description of the target that gdb asks for: its registers, as XML.

local target = {}

-- Bits by name, the lowest first; "" is one that is always set, "-" one without a name.
local EFLAGS = "CF  PF - AF - ZF SF TF IF DF OF - - NT - RF VM AC VIF VIP ID"
local MXCSR = "IE DE ZE OE UE PE DAZ IM DM ZM OM UM PM - - FZ"

local function flags(id, names)
    local parts, bit = { ('<flags id="%s" size="4">'):format(id) }, 0
    for name in (names .. " "):gmatch "(%S*) " do
        if name ~= "-" then
            parts[#parts + 1] = ('<field name="%s" start="%d" end="%d"/>'):format(name, bit, bit)
        end
        bit = bit + 1
    end
    parts[#parts + 1] = "</flags>"
    return table.concat(parts)
end

-- How gdb shows 16 bytes: $xmm0.v4_float, ...
local VECTORS = {
    { "v4_float", "ieee_single", 4 },
    { "v2_double", "ieee_double", 2 },
    { "v16_int8", "int8", 16 },
    { "v8_int16", "int16", 8 },
    { "v4_int32", "int32", 4 },
    { "v2_int64", "int64", 2 },
}

local function vectors()
    local parts = {}
    for _, vector in ipairs(VECTORS) do
        parts[#parts + 1] = ('<vector id="%s_" type="%s" count="%d"/>'):format(
            table.unpack(vector))
    end
    parts[#parts + 1] = '<union id="vec128">'
    for _, vector in ipairs(VECTORS) do
        parts[#parts + 1] = ('<field name="%s" type="%s_"/>'):format(vector[1], vector[1])
    end
    parts[#parts + 1] = '<field name="uint128" type="uint128"/></union>'
    return table.concat(parts)
end

-- The types that a feature's registers have, beside gdb's own.
local TYPES = {
    ["org.gnu.gdb.i386.core"] = function() return flags("i386_eflags", EFLAGS) end,
    ["org.gnu.gdb.i386.sse"] = function() return vectors() .. flags("i386_mxcsr", MXCSR) end,
}

-- The document for a list of registers (vmm.gdb.registers).
function target.xml(list)
    local parts = {
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">',
        "<target><architecture>i386:x86-64</architecture>",
    }
    local feature
    for _, register in ipairs(list) do
        if register.feature ~= feature then
            parts[#parts + 1] = feature and "</feature>"
            feature = register.feature
            parts[#parts + 1] = ('<feature name="%s">'):format(feature)
            parts[#parts + 1] = TYPES[feature] and TYPES[feature]()
        end
        parts[#parts + 1] = ('<reg name="%s" bitsize="%d" type="%s" regnum="%d"/>\n'):format(
            register.name, 8 * register.bytes, register.type, register.number)
    end
    parts[#parts + 1] = "</feature></target>"
    return table.concat(parts)
end

return target
