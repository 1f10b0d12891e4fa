-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What CPU the guest sees: a vCPU's CPUID table, made from what KVM supports.

local features = require "vmm.x86.cpu_features"

local cpuid = {}

local SIGNIFICANT_INDEX = 1 -- KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the entry is of one subleaf
local HYPERVISOR_LEAF, FREQUENCY_LEAF = 0x40000000, 0x40000010
local APIC_BUS_KHZ = 1000000 -- KVM counts its local APIC timer in nanoseconds

-- Topology is one package of single-threaded cores; levels of leaf 0xB (SDM, table 3-8).
local LEVEL_SMT, LEVEL_CORE = 1, 2
local CACHE_TYPE_MASK, CACHE_LEVEL_SHIFT = 0x1f, 5

-- Hidden unless asked for. Of monitor: KVM makes it a busy no-op. Of sgx and nested
-- virtualization: they need more than a CPUID bit.
local HIDDEN = { "monitor", "mwaitx", "osxsave", "ospke", "sgx", "sgx_lc" }
local NESTED = { "vmx", "svm" }
local PMU = { "perfctr_core", "perfctr_nb", "perfctr_llc", "pdcm", "arch_lbr" }

-- The table under construction: entries by leaf and subleaf.
local Table = {}
Table.__index = Table

local function new_table(supported)
    local self = setmetatable({ entries = {} }, Table)
    for _, entry in ipairs(supported) do
        local copy = {}
        for key, value in pairs(entry) do
            copy[key] = value
        end
        self.entries[#self.entries + 1] = copy
    end
    return self
end

-- The entry of a leaf and subleaf (0 unless given), or nil.
function Table:find(leaf, index)
    for _, entry in ipairs(self.entries) do
        local indexed = entry.flags & SIGNIFICANT_INDEX ~= 0
        if entry.function_ == leaf and (not indexed or entry.index == (index or 0)) then
            return entry
        end
    end
end

-- The same, made of zeros when there is none.
function Table:at(leaf, index)
    local entry = self:find(leaf, index)
    if not entry then
        entry = { function_ = leaf, index = index or 0, eax = 0, ebx = 0, ecx = 0, edx = 0 }
        entry.flags = index and SIGNIFICANT_INDEX or 0
        self.entries[#self.entries + 1] = entry
    end
    return entry
end

function Table:remove(leaf)
    for i = #self.entries, 1, -1 do
        if self.entries[i].function_ == leaf then table.remove(self.entries, i) end
    end
end

function Table:has(name)
    local feature = features.bits[name]
    local entry = self:find(feature.leaf, feature.index)
    return entry ~= nil and entry[feature.register] >> feature.bit & 1 == 1
end

function Table:set(name, on)
    local feature = features.bits[name]
    local entry = self:find(feature.leaf, feature.index)
    if not entry and not on then return end
    entry = entry or self:at(feature.leaf, feature.index)
    local bit = 1 << feature.bit
    local value = entry[feature.register]
    entry[feature.register] = on and value | bit or value & ~bit
end

-- The vendor string of leaf 0.
function Table:vendor()
    local entry = self:at(0)
    return string.pack("<I4I4I4", entry.ebx, entry.edx, entry.ecx)
end

local function is_amd(vendor)
    return vendor == "AuthenticAMD" or vendor == "HygonGenuine"
end

-- Bits that hold ids 0 .. count - 1.
local function id_bits(count)
    local bits = 0
    while 1 << bits < count do
        bits = bits + 1
    end
    return bits
end

-- Replaces bits first..first+width-1 of value, clipping the field to its largest value.
local function with_field(value, first, width, field)
    local mask = (1 << width) - 1
    return value & ~(mask << first) | math.min(field, mask) << first
end

local function set_apic_ids(tbl, id, count)
    local one = tbl:at(1)
    one.ebx = with_field(one.ebx, 16, 8, 1 << id_bits(count))
    one.ebx = with_field(one.ebx, 24, 8, id & 0xff)
    tbl:set("ht", count > 1)
end

-- Leaves 0xB and 0x1F, the same for both.
local function set_extended_topology(tbl, id, count)
    local basic = tbl:at(0)
    basic.eax = math.max(basic.eax, 0xb)
    for _, leaf in ipairs { 0xb, 0x1f } do
        tbl:remove(leaf)
        if leaf <= basic.eax then
            local levels = {
                { eax = 0, ebx = 1, ecx = LEVEL_SMT << 8 },
                { eax = id_bits(count), ebx = count, ecx = LEVEL_CORE << 8 | 1 },
                { eax = 0, ebx = 0, ecx = 2 },
            }
            for i, level in ipairs(levels) do
                local entry = tbl:at(leaf, i - 1)
                entry.eax, entry.ebx, entry.ecx, entry.edx = level.eax, level.ebx, level.ecx, id
            end
        end
    end
end

-- Leaf 4 (Intel) and 0x8000001D (AMD): which CPUs share each cache. The first two levels are
-- a core's own, the third is everybody's.
local function set_cache_sharing(tbl, count)
    for _, entry in ipairs(tbl.entries) do
        local leaf = entry.function_
        if (leaf == 4 or leaf == 0x8000001d) and entry.eax & CACHE_TYPE_MASK ~= 0 then
            local level = entry.eax >> CACHE_LEVEL_SHIFT & 7
            local ids = 1 << id_bits(count)
            entry.eax = with_field(entry.eax, 14, 12, level >= 3 and ids - 1 or 0)
            if leaf == 4 then entry.eax = with_field(entry.eax, 26, 6, ids - 1) end
        end
    end
end

local function set_amd_topology(tbl, id, count)
    tbl:set("cmp_legacy", count > 1)
    local sizes = tbl:at(0x80000008)
    sizes.ecx = with_field(sizes.ecx, 0, 8, count - 1)
    sizes.ecx = with_field(sizes.ecx, 12, 4, id_bits(count))
    local extended = tbl:find(0x8000001e)
    tbl:set("topoext", extended ~= nil and tbl:has "topoext")
    if extended then
        extended.eax, extended.ebx, extended.ecx, extended.edx = id, id & 0xff, 0, 0
    end
end

-- The fraction nearest to numerator / denominator whose numerator is at most limit
-- (continued fraction convergents).
local function nearest_fraction(numerator, denominator, limit)
    local p0, q0, p1, q1 = 0, 1, 1, 0
    while denominator ~= 0 do
        local whole = numerator // denominator
        local p2, q2 = whole * p1 + p0, whole * q1 + q0
        if p2 > limit then break end
        p0, q0, p1, q1 = p1, q1, p2, q2
        numerator, denominator = denominator, numerator % denominator
    end
    return p1, q1
end

-- Frequencies, so that no guest has to measure them against a timer it may not have: the
-- hypervisor leaf that KVM, VMware and their guests know and, on Intel, leaves 0x15 and 0x16.
-- In leaf 0x15 the "crystal" is the clock of the local APIC timer; Linux multiplies its kHz by
-- the numerator in 32 bits, hence the limit.
local function set_frequencies(tbl, tsc_khz, vendor)
    local hypervisor = tbl:at(HYPERVISOR_LEAF)
    hypervisor.eax = math.max(hypervisor.eax, FREQUENCY_LEAF)
    local frequency = tbl:at(FREQUENCY_LEAF)
    frequency.eax, frequency.ebx = tsc_khz, APIC_BUS_KHZ
    if vendor ~= "GenuineIntel" then return end
    local basic = tbl:at(0)
    basic.eax = math.max(basic.eax, 0x16)
    local numerator, denominator =
        nearest_fraction(tsc_khz, APIC_BUS_KHZ, 0xffffffff // APIC_BUS_KHZ)
    local crystal = tbl:at(0x15)
    crystal.eax, crystal.ebx, crystal.ecx = denominator, numerator, APIC_BUS_KHZ * 1000
    local processor = tbl:at(0x16)
    processor.eax, processor.ebx, processor.ecx = tsc_khz // 1000, tsc_khz // 1000, 0
end

local function hide(tbl, names)
    for _, name in ipairs(names) do
        tbl:set(name, false)
    end
end

local function clear(tbl, leaf)
    for _, entry in ipairs(tbl.entries) do
        if entry.function_ == leaf then
            entry.eax, entry.ebx, entry.ecx, entry.edx = 0, 0, 0, 0
        end
    end
end

local function apply_defaults(tbl, options)
    hide(tbl, HIDDEN)
    clear(tbl, 0x12) -- SGX
    clear(tbl, 0x8000001f) -- memory encryption
    if not options.nested then
        hide(tbl, NESTED)
        clear(tbl, 0x8000000a) -- SVM
    end
    if not options.pmu then
        hide(tbl, PMU)
        clear(tbl, 0xa)
        clear(tbl, 0x80000022)
    end
    tbl:set("hypervisor", true)
    tbl:set("arat", true) -- the local APIC timer never stops, whatever the host's does
    tbl:set("tsc_deadline_timer", options.tsc_deadline == true)
end

-- "-name" hides a feature; "+name" shows one that KVM supports and the policy hides.
local function apply_features(tbl, list, supported)
    for _, item in ipairs(list or {}) do
        local sign, name = item:match "^([+-])(.+)$"
        if not sign then
            return nil, ("CPU feature %q: must begin with + or -"):format(item), "EINVAL"
        end
        if not features.bits[name] then
            return nil, ("CPU feature %q: no feature is named %s"):format(item, name), "EINVAL"
        end
        if sign == "+" and not supported:has(name) then
            local format = "CPU feature %q: not supported by KVM on this host"
            return nil, format:format(item), "ENOTSUP"
        end
        tbl:set(name, sign == "+")
    end
    return true
end

-- Hides what can't be used without a feature that is hidden, or that KVM lacks.
local function drop_dependents(tbl)
    for _, pair in ipairs(features.needs) do
        if not tbl:has(pair[2]) then tbl:set(pair[1], false) end
    end
    if not tbl:has "xsave" then clear(tbl, 0xd) end
end

-- overrides: leaf -> registers, or leaf -> {[subleaf] = registers}
local function apply_overrides(tbl, overrides)
    for leaf, value in pairs(overrides or {}) do
        local by_index = math.type(next(value)) == "integer" and value or { [0] = value }
        for index, registers in pairs(by_index) do
            local entry = tbl:at(leaf, by_index == value and index or nil)
            for register, number in pairs(registers) do
                entry[register] = number
            end
        end
    end
end

-- The CPUID table of one vCPU, in the form that `vcpu.cpuid` takes. options:
--   supported     array, kvm:supported_cpuid()'s
--   id, vcpus     this vCPU's APIC id, 0 .. vcpus - 1; the number of vCPUs
--   tsc_khz       its TSC frequency (nil: not told to the guest)
--   tsc_deadline  boolean: KVM_CAP_TSC_DEADLINE_TIMER, which is not in `supported`
--   pmu, nested   show performance counters, nested virtualization (false)
--   features      array of "-name" and "+name", names of vmm.x86.cpu_features
--   overrides     leaf -> {eax=, ebx=, ecx=, edx=} or leaf -> {[subleaf] = {...}}; has the
--                 last word
-- Returns the array, or nil, message, code for a bad feature.
function cpuid.build(options)
    local supported = new_table(options.supported)
    local tbl = new_table(options.supported)
    local vendor, id, count = tbl:vendor(), options.id, options.vcpus
    apply_defaults(tbl, options)
    set_apic_ids(tbl, id, count)
    set_extended_topology(tbl, id, count)
    set_cache_sharing(tbl, count)
    if is_amd(vendor) then set_amd_topology(tbl, id, count) end
    if options.tsc_khz then set_frequencies(tbl, options.tsc_khz, vendor) end
    local ok, message, code = apply_features(tbl, options.features, supported)
    if not ok then return nil, message, code end
    drop_dependents(tbl)
    apply_overrides(tbl, options.overrides)
    return tbl.entries
end

return cpuid
