-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The physical address space of the machine: every fixed address, and RAM for a memory size.
--
--   0x00000000  RAM   the boot structures below, then free
--   0x0009fc00  -     reserved up to 1 MiB (backed by RAM; ACPI and MP tables lie in it)
--   0x00100000  RAM   kernel, initrd, all else
--   0xd0000000  -     3328 MiB: the gap for devices, up to 4 GiB
--   0x100000000 RAM   what did not fit below the gap

local layout = {}

local KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

-- Guest structures in low memory, which every machine has. A kernel is done with them (or has
-- reserved them) before it hands out the pages.
layout.gdt = 0x500
layout.pvh_start_info = 0x6000 -- hvm_start_info, its module list and its memory map
layout.pvh_start_info_size = 0x1000
layout.zero_page = 0x7000 -- struct boot_params
layout.boot_stack = 0x8ff0 -- initial stack pointer; the page below it is free
layout.cmdline = 0x20000
layout.cmdline_size = 0x10000 -- room, the final NUL included
layout.page_tables = 0x30000 -- PML4, PDPT, then one page directory for each GiB
layout.page_tables_size = 0x60000

-- 640 KiB .. 1 MiB. RSDP, and with it the ACPI tables, where a PC's firmware keeps them, so
-- that a kernel that only scans finds them too; likewise the MP floating pointer.
layout.base_memory_end = 0x9fc00
layout.acpi = 0xe0000
layout.acpi_size = 0x1e000
layout.mptable = 0xfe000
layout.mptable_size = 0x1ff0
layout.reset_vector = 0xffff0 -- F000:FFF0

-- High memory, where kernels are loaded.
layout.himem_start = 1 * MIB

-- The gap for devices.
layout.gap_start = 3328 * MIB
layout.gap_end = 4 * GIB
layout.virtio_mmio = 0xd0000000 -- the first of the slots of virtio-mmio devices
layout.virtio_mmio_slot = 0x1000 -- bytes from one to the next
layout.pci_window = 0xd8000000 -- where BARs of PCI functions may be
layout.pci_window_size = 128 * MIB
layout.pci_window64_size = 32 * GIB -- and, of this size, above RAM
layout.pci_ecam = 0xe0000000 -- configuration space of bus 0
layout.pci_ecam_size = 1 * MIB
layout.ioapic = 0xfec00000
layout.lapic = 0xfee00000

-- Ports and interrupts.
layout.serial_port = 0x3f8 -- COM1
layout.serial_irq = 4
layout.serial2_port = 0x2f8 -- COM2
layout.serial2_irq = 3
layout.rtc_port = 0x70
layout.i8042_port = 0x60 -- and 0x64
layout.debug_port = 0x80 -- power-on self test codes
layout.pvpanic_port = 0x505 -- where QEMU has it
layout.acpi_power_port = 0x600 -- +0 sleep control, +1 sleep status
layout.acpi_reset_port = 0x602 -- +2 of the same device
layout.acpi_events_port = 0x608
layout.acpi_events_irq = 9 -- where a PC has ACPI's
layout.system_control_port = 0x61 -- why an NMI came, and the PIT's second output
layout.ioapic_pins = 24
-- Pins that no device above has, one for each virtio-mmio device.
layout.virtio_mmio_irqs = { 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 }

-- The pins of PCI's legacy interrupts: slot n has number n % 4 of them. A machine has one
-- transport: they are no virtio-mmio device's as well.
layout.pci_gsis = { 16, 17, 18, 19 }
layout.pci_ports = 0xcf8 -- CONFIG_ADDRESS, and CONFIG_DATA at 0xcfc
layout.pci_first_msi = 24 -- the first GSI that is no pin
layout.gsis = 1024

-- Types of an e820 entry (ACPI 6.4, table 15.4).
layout.E820_RAM = 1
layout.E820_RESERVED = 2
layout.E820_ACPI = 3

local SMALLEST = 1 * MIB
local LARGEST = 1 << 46 -- 64 TiB

-- The RAM ranges of a machine with size_bytes of memory: an array of {base, size}, for
-- vmm.memory's `ranges`. size_bytes: 1 MiB .. 64 TiB, whole pages of 4096.
-- nil and one line when it is anything else.
function layout.ram_ranges(size_bytes)
    if math.type(size_bytes) ~= "integer" then
        error("memory size must be an integer of bytes, not " .. tostring(size_bytes), 2)
    end
    if size_bytes < SMALLEST or size_bytes > LARGEST or size_bytes % 4096 ~= 0 then
        local text = "memory size of %d bytes: must be whole pages of 4096 from 1 MiB to 64 TiB"
        return nil, text:format(size_bytes), "EINVAL"
    end
    if size_bytes <= layout.gap_start then
        return { { 0, size_bytes } }
    end
    return { { 0, layout.gap_start }, { layout.gap_end, size_bytes - layout.gap_start } }
end

-- The pieces of [first, last) that are outside [base, base + size).
local function cut(pieces, base, size)
    local left = {}
    for _, piece in ipairs(pieces) do
        local first, last = piece[1], piece[2]
        if base + size <= first or base >= last then
            left[#left + 1] = piece
        else
            if first < base then left[#left + 1] = { first, base } end
            if base + size < last then left[#left + 1] = { base + size, last } end
        end
    end
    return left
end

-- The memory map for the guest: an array of {base=, size=, type=}, ascending.
-- regions: mem:regions(), or any array of {base=, size=} of RAM.
-- reserved (optional): ranges to take out of RAM, an array of {base=, size=[, type=]}
-- (type: E820_RESERVED unless said), in RAM or outside it, disjoint.
function layout.e820(regions, reserved)
    local holes = {
        {
            base = layout.base_memory_end,
            size = 1 * MIB - layout.base_memory_end,
            type = layout.E820_RESERVED,
        },
    }
    for _, range in ipairs(reserved or {}) do
        holes[#holes + 1] = {
            base = range.base,
            size = range.size,
            type = range.type or layout.E820_RESERVED,
        }
    end

    local ram = {}
    for _, region in ipairs(regions) do
        ram[#ram + 1] = { region.base, region.base + region.size }
    end
    for _, hole in ipairs(holes) do
        ram = cut(ram, hole.base, hole.size)
    end

    local map = table.move(holes, 1, #holes, 1, {})
    for _, piece in ipairs(ram) do
        map[#map + 1] =
            { base = piece[1], size = piece[2] - piece[1], type = layout.E820_RAM }
    end
    table.sort(map, function(a, b)
        return a.base < b.base
    end)
    return map
end

layout.KIB, layout.MIB, layout.GIB = KIB, MIB, GIB

return layout
