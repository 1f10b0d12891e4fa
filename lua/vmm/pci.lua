-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The PCI bus of a machine: which slot, addresses and interrupts each function gets, and how a
-- guest finds the bus: by ACPI (MCFG, PNP0A08), or by the ports 0xcf8 and 0xcfc.

local aml = require "vmm.x86.aml"
local core = require "vmm.core"
local layout = require "vmm.x86.layout"
local resource = require "vmm.x86.acpi_resource"

local pci = {}

local REGION_PORTS, REGION_ECAM = 0, 1
local SLOTS = 31 -- 1 to 31; slot 0 is the bridge
local BAR_SIZE = 0x8000 -- of a virtio function: VMM_VIRTIO_PCI_BAR_BYTES

-- ---- addresses ------------------------------------------------------------------------------

-- The number of bits of a physical address that the guest's CPUs say they have.
local function address_bits(vm)
    for _, leaf in ipairs(vm.vcpus and vm.vcpus[1] and vm.vcpus[1].cpuid or {}) do
        if leaf.function_ == 0x80000008 then return leaf.eax & 0xff end
    end
    return 36
end

-- Where BARs may be: below 4 GiB, and above all RAM where there is room for it.
local function windows(vm)
    local list = { { layout.pci_window, layout.pci_window_size } }
    local top = layout.gap_end
    for _, region in ipairs(vm.memory:regions()) do
        top = math.max(top, region.base + region.size)
    end
    local size = layout.pci_window64_size
    local base = (top + size - 1) // size * size
    if base + size <= 1 << address_bits(vm) then list[2] = { base, size } end
    return list
end

-- ---- what ACPI says -------------------------------------------------------------------------

-- The interrupt of each slot's INTA: hard-wired to a GSI.
local function routing()
    local entries = {}
    for slot = 0, SLOTS do
        local gsi = layout.pci_gsis[slot % #layout.pci_gsis + 1]
        entries[slot + 1] = aml.package { slot << 16 | 0xffff, 0, 0, gsi }
    end
    return aml.package(entries)
end

local function description(list)
    local low, high = table.unpack(list)
    return {
        aml.device("PCI0", {
            aml.name("_HID", aml.eisaid "PNP0A08"),
            aml.name("_CID", aml.eisaid "PNP0A03"),
            aml.name("_UID", 0),
            aml.name("_SEG", 0),
            aml.name("_BBN", 0),
            aml.name("_CCA", 1),
            aml.name("_CRS", aml.resources {
                resource.word_bus_number { base = 0, size = 1 },
                resource.io { base = layout.pci_ports, size = 8 },
                resource.dword_memory { base = low[1], size = low[2] },
                high and resource.qword_memory { base = high[1], size = high[2] } or nil,
            }),
            aml.name("_PRT", routing()),
        }),
        -- The configuration space is nobody else's: without this Linux does not use it.
        aml.device("ECAM", {
            aml.name("_HID", aml.eisaid "PNP0C02"),
            aml.name("_UID", 0),
            aml.name("_CRS", aml.resources {
                resource.memory32_fixed { base = layout.pci_ecam, size = layout.pci_ecam_size },
            }),
        }),
    }
end

-- PCI Firmware Specification 3.3, table 4-2: segment 0, bus 0 to 0.
local function mcfg()
    return string.pack("<I8I8I2I1I1I4", 0, layout.pci_ecam, 0, 0, 0, 0)
end

--- Adds to what ACPI describes of a machine: a bus 0 with these windows, an array of {base, size}
-- of which the first is below 4 GiB.
-- @param parts  of vmm.vm's setup
function pci.describe(parts, windows_of_bus)
    table.insert(parts.devices, description(windows_of_bus))
    table.insert(parts.tables, { signature = "MCFG", revision = 1, body = mcfg() })
end

-- ---- the bus --------------------------------------------------------------------------------

--- The PCI bus of a machine that is being built; made when it is first asked for.
-- @param parts  of vmm.vm's setup: gets descriptions; parts.pci is the bus
-- @return { host =, windows =, next_slot =, next_gsi = }; or nil, message, code
function pci.bus(vm, parts)
    if parts.pci then return parts.pci end
    local bus = { windows = windows(vm), next_slot = 1, next_gsi = layout.pci_first_msi }
    bus.next_bar = bus.windows[1][1]
    local host, message, code = core.pci_host {
        vm = vm, windows = bus.windows, gsis = layout.pci_gsis,
    }
    if not host then return nil, message, code end
    local ok
    ok, message, code = vm:attach(host, { pio = layout.pci_ports, region = REGION_PORTS })
    if ok then
        ok, message, code = vm:attach(host, { mmio = layout.pci_ecam, region = REGION_ECAM })
    end
    if not ok then return nil, message, code end
    bus.host = host
    parts.pci = bus
    pci.describe(parts, bus.windows)
    return bus
end

-- What a machine has no more of.
local function full(name, what, count)
    return nil, ("%s: no %s is free: a machine has %d for PCI devices"):format(name, what, count),
        "ENOSPC"
end

--- Puts a virtio device into the next free slot, with a BAR below 4 GiB and a GSI for each vector.
-- @return true; or nil, message, code
function pci.add(vm, parts, device)
    local bus, message, code = pci.bus(vm, parts)
    if not bus then return nil, message, code end
    local vectors = device.queues + 1
    local window = bus.windows[1]
    if bus.next_slot > SLOTS then
        return full(device.name, "slot", SLOTS)
    elseif bus.next_gsi + vectors > layout.gsis then
        return full(device.name, "GSI", layout.gsis - layout.pci_first_msi)
    elseif bus.next_bar + BAR_SIZE > window[1] + window[2] then
        return full(device.name, "address", window[2])
    end
    local ok
    ok, message, code = core.virtio_pci {
        virtio = device,
        host = bus.host,
        slot = bus.next_slot,
        bar = bus.next_bar,
        gsi = bus.next_gsi,
        irq = layout.pci_gsis[bus.next_slot % #layout.pci_gsis + 1],
    }
    if not ok then return nil, message, code end
    bus.next_slot = bus.next_slot + 1
    bus.next_bar = bus.next_bar + BAR_SIZE
    bus.next_gsi = bus.next_gsi + vectors
    return true
end

return pci
