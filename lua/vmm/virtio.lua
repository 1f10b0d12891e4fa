-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Where the virtio devices of a machine sit, and how a guest finds them: by ACPI, as LNRO0005, by
-- the kernel's command line, or on the PCI bus.

local aml = require "vmm.x86.aml"
local cmdline = require "vmm.boot.cmdline"
local core = require "vmm.core"
local features = require "vmm.features"
local layout = require "vmm.x86.layout"
local resource = require "vmm.x86.acpi_resource"

local virtio = {}

local NOTIFY = 0x50 -- QueueNotify (virtio 1.2, section 4.2.2)

local function description(index, base, gsi)
    return aml.device(("VR%02d"):format(index), {
        aml.name("_HID", "LNRO0005"),
        aml.name("_UID", index),
        aml.name("_CCA", 1),
        aml.name("_CRS", aml.resources {
            resource.memory32_fixed { base = base, size = layout.virtio_mmio_slot },
            resource.interrupt { gsis = { gsi }, edge = true },
        }),
    })
end

--- Puts a device at the next free slot of the machine's transport.
-- @param parts  of vmm.vm's setup: gets its description; parts.transport is "mmio" or "pci",
--   parts.virtio counts the slots of virtio-mmio, parts.virtio_mmio lists what they have
-- @return true; or nil, message, code
function virtio.add(vm, parts, device)
    if parts.transport == "pci" then
        local lacking = features.lacking { "pci" }
        if lacking then return nil, "transport pci: " .. lacking, "ENOTSUP" end
        return require("vmm.pci").add(vm, parts, device)
    end
    local index = parts.virtio or 0
    local gsi = layout.virtio_mmio_irqs[index + 1]
    if not gsi then
        return nil, ("%s: no interrupt is free: a machine has up to %d virtio-mmio devices"):format(
            device.name, #layout.virtio_mmio_irqs), "ENOSPC"
    end
    local base = layout.virtio_mmio + index * layout.virtio_mmio_slot
    local transport, message, code = core.virtio_mmio { virtio = device, gsi = gsi }
    if not transport then return nil, message, code end
    local ok
    ok, message, code = vm:attach(transport, { mmio = base })
    if ok then ok, message, code = device:notify_at(base + NOTIFY) end
    if not ok then return nil, message, code end
    parts.virtio = index + 1
    parts.virtio_mmio = parts.virtio_mmio or {}
    table.insert(parts.virtio_mmio, { base = base, size = layout.virtio_mmio_slot, gsi = gsi })
    table.insert(parts.devices, description(index, base, gsi))
    return true
end

--- The command line of a kernel that is not told by ACPI of its virtio-mmio devices: there is no
-- ACPI in the machine, or acpi=off is on it. It says where each is (for kernels built with
-- CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES), unless it does so already.
-- @param list  parts.virtio_mmio: tables with base, size, gsi
function virtio.cmdline(text, list, has_acpi)
    if has_acpi and not cmdline.has(text, "acpi=off")
            or cmdline.has(text, "virtio_mmio.device=") then
        return text
    end
    for _, device in ipairs(list or {}) do
        text = cmdline.add(text, ("virtio_mmio.device=%d@0x%x:%d"):format(device.size,
            device.base, device.gsi))
    end
    return text
end

return virtio
