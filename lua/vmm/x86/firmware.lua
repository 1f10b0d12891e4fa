-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a PC's firmware would have left in memory below 1 MiB: ACPI and MP tables, and code at
-- the reset vector.

local features = require "vmm.features"
local layout = require "vmm.x86.layout"
local acpi = features.has "acpi" and require "vmm.x86.acpi"
local mptable = features.has "mptable" and require "vmm.x86.mptable"

local firmware = {}

-- Real-mode code at F000:FFF0. Kernels go there to reset the machine: Linux does with
-- hardware-reduced ACPI and no EFI, where it tries neither the reset register nor the i8042
-- unless told to by reboot=. So the code writes to the reset register.
local function reset_vector()
    return "\xb0\x01" -- mov al, 1
        .. string.pack("<c1I2", "\xba", layout.acpi_reset_port) -- mov dx, the port
        .. "\xee" -- out dx, al
        .. "\xf4" -- hlt
        .. "\xeb\xfd" -- jmp to the hlt
end

-- Writes all of it to guest memory. options: acpi.build's. More CPUs than an MP table can
-- describe are described by ACPI alone.
-- Returns the address of the RSDP, for boot.load's option rsdp (false: ACPI is not built in), or
-- nil, message, code.
function firmware.place(mem, options)
    local pieces, rsdp = {}, false
    if acpi then
        local tables, message, code = acpi.build(options)
        if not tables then return nil, message, code end
        pieces = { tables, { base = layout.reset_vector, bytes = reset_vector() } }
        rsdp = tables.rsdp
    end
    if mptable and options.vcpus <= mptable.CPUS_MAX then
        pieces[#pieces + 1] = mptable.build { vcpus = options.vcpus }
    end
    for _, piece in ipairs(pieces) do
        local ok, message, code = mem:write(piece.base, piece.bytes)
        if not ok then return nil, message, code end
    end
    return rsdp
end

return firmware
