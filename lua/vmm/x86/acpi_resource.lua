-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Resource descriptors for _CRS and the like (ACPI 6.4, section 6.4); each function returns
-- bytes for aml.resources.

local resource = {}

-- Ports, 16 bits decoded. io: base, size (1..255), align (1).
function resource.io(io)
    return string.pack("<I1I1I2I2I1I1", 0x47, 1, io.base, io.base, io.align or 1, io.size)
end

-- An ISA interrupt, edge triggered, active high. number: 0..15.
function resource.irq(number)
    return string.pack("<I1I2", 0x22, 1 << number)
end

-- Interrupts by GSI. interrupt: gsis (array) and, all false unless given, edge, active_low,
-- shared, wake.
function resource.interrupt(interrupt)
    local gsis = interrupt.gsis
    local flags = 1 -- this device consumes it
        | (interrupt.edge and 2 or 0)
        | (interrupt.active_low and 4 or 0)
        | (interrupt.shared and 8 or 0)
        | (interrupt.wake and 16 or 0)
    local list = string.pack("<" .. ("I4"):rep(#gsis), table.unpack(gsis))
    return string.pack("<I1s2", 0x89, string.pack("<I1I1", flags, #gsis) .. list)
end

-- Memory below 4 GiB at a fixed address. memory: base, size, readonly (false).
function resource.memory32_fixed(memory)
    local writable = memory.readonly and 0 or 1
    return string.pack("<I1I2I1I4I4", 0x86, 9, writable, memory.base, memory.size)
end

local TYPE_MEMORY, TYPE_IO, TYPE_BUS = 0, 1, 2
local FIXED = 0x0c -- minimum and maximum are fixed

-- An address space descriptor: its tag, the width of its numbers in bytes.
local function address_space(tag, width, kind, flags, window)
    local last = window.base + window.size - 1
    local format = ("<I1I1I1" .. ("I%d"):rep(5)):format(width, width, width, width, width)
    local general = FIXED | (window.consumer and 1 or 0)
    local body = format:pack(kind, general, flags, 0, window.base, last, 0, window.size)
    return string.pack("<I1s2", tag, body)
end

-- Memory windows of a bridge (or, with consumer = true, a device's own). window: base, size,
-- consumer (false), readonly (false), prefetchable (false).
local function memory_flags(window)
    return (window.readonly and 0 or 1) | (window.prefetchable and 6 or 0)
end
function resource.dword_memory(window)
    return address_space(0x87, 4, TYPE_MEMORY, memory_flags(window), window)
end
function resource.qword_memory(window)
    return address_space(0x8a, 8, TYPE_MEMORY, memory_flags(window), window)
end

-- A window of ports: base, size. Both ISA and other ports pass.
function resource.word_io(window)
    return address_space(0x88, 2, TYPE_IO, 3, window)
end

-- PCI bus numbers: base (the first), size (how many).
function resource.word_bus_number(window)
    return address_space(0x88, 2, TYPE_BUS, 0, window)
end

return resource
