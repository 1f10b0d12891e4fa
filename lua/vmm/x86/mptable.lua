-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The MP tables (Intel MultiProcessor Specification 1.4, chapter 4): CPUs, the I/O APIC and
-- ISA interrupts, for kernels without ACPI.

local checksum = require "vmm.x86.checksum"
local layout = require "vmm.x86.layout"

local mptable = {}

-- Local APIC ids have 8 bits; 255 is the broadcast and the I/O APIC has one too.
mptable.CPUS_MAX = 254

local SPEC_REVISION = 4 -- of 1.4
local CPU, BUS, IOAPIC, IO_INTERRUPT, LOCAL_INTERRUPT = 0, 1, 2, 3, 4
local CPU_ENABLED, CPU_BOOTSTRAP = 1, 2
local INTERRUPT_INT, INTERRUPT_NMI, INTERRUPT_EXTINT = 0, 1, 3
local LAPIC_VERSION, IOAPIC_VERSION = 0x14, 0x11
local ISA_BUS, ISA_INTERRUPTS = 0, 16
local ALL_CPUS = 0xff
local POINTER_SIZE, HEADER_SIZE = 16, 44

local function cpu_entry(id, options)
    local flags = CPU_ENABLED | (id == 0 and CPU_BOOTSTRAP or 0)
    return string.pack(
        "<I1I1I1I1I4I4I8",
        CPU,
        id,
        LAPIC_VERSION,
        flags,
        options.signature or 0,
        options.features or 0,
        0
    )
end

-- Interrupts: kind, source on the ISA bus, destination and its pin; polarity and trigger as
-- the bus has them.
local function interrupt_entry(entry, kind, irq, destination, pin)
    return string.pack("<I1I1I2I1I1I1I1", entry, kind, 0, ISA_BUS, irq, destination, pin)
end

local function entries(options)
    local count, list = options.vcpus, {}
    for id = 0, count - 1 do
        list[#list + 1] = cpu_entry(id, options)
    end
    list[#list + 1] = string.pack("<I1I1c6", BUS, ISA_BUS, "ISA   ")
    local ioapic = count -- an id that no CPU has
    list[#list + 1] =
        string.pack("<I1I1I1I1I4", IOAPIC, ioapic, IOAPIC_VERSION, 1, layout.ioapic)
    for irq = 0, ISA_INTERRUPTS - 1 do
        list[#list + 1] = interrupt_entry(IO_INTERRUPT, INTERRUPT_INT, irq, ioapic, irq)
    end
    list[#list + 1] = interrupt_entry(LOCAL_INTERRUPT, INTERRUPT_EXTINT, 0, 0, 0)
    list[#list + 1] = interrupt_entry(LOCAL_INTERRUPT, INTERRUPT_NMI, 0, ALL_CPUS, 1)
    return list
end

local function header(length, sum, count)
    return string.pack(
        "<c4I2I1I1c8c12I4I2I2I4I2I1I1",
        "PCMP",
        length,
        SPEC_REVISION,
        sum,
        "VMMREF  ",
        "VMM         ",
        0, -- no OEM table
        0,
        count,
        layout.lapic,
        0, -- no extended entries
        0,
        0
    )
end

local function pointer(table_at, sum)
    return string.pack("<c4I4I1I1I1I5", "_MP_", table_at, 1, SPEC_REVISION, sum, 0)
end

-- Makes the floating pointer and, behind it, the configuration table. options:
--   vcpus       how many CPUs, 1 .. 254, APIC ids 0 .. vcpus - 1
--   signature, features   CPUID leaf 1's EAX and EDX (0)
-- Returns {base=, bytes=} or nil, message, code: bytes go to base, where kernels look for it.
function mptable.build(options)
    local count = options.vcpus
    if count < 1 or count > mptable.CPUS_MAX then
        local format = "MP table for %d CPUs: must be 1 to %d"
        return nil, format:format(count, mptable.CPUS_MAX), "ERANGE"
    end
    local list = entries(options)
    local body = table.concat(list)
    local length = HEADER_SIZE + #body
    local sum = checksum(header(length, 0, #list) .. body)
    local at = layout.mptable + POINTER_SIZE
    local bytes = pointer(at, checksum(pointer(at, 0))) .. header(length, sum, #list) .. body
    return { base = layout.mptable, bytes = bytes }
end

return mptable
