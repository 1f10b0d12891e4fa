-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- pvpanic in Lua, instead of the one in C: a byte by which a guest says that it has panicked, and
-- its description, by which Linux's pvpanic-mmio finds it.

local aml = require "vmm.x86.aml"
local resource = require "vmm.x86.acpi_resource"

-- QEMU's docs/specs/pvpanic
local PANICKED, CRASH_LOADED = 1 << 0, 1 << 1

local STA_WORKS = 0xf -- present, enabled, shown, functioning

local function description(port)
    return aml.device("PEVT", {
        aml.name("_HID", "QEMU0001"),
        aml.name("_STA", STA_WORKS),
        aml.name("_CRS", aml.resources { resource.io { base = port, size = 1 } }),
    })
end

-- parts: of vmm.vm's setup. options: port (0x505). Returns the device; its field events counts what
-- the guest has told: panicked, crash_loaded.
return function(vm, parts, options)
    local port = options and options.port or 0x505
    parts.pvpanic = false
    table.insert(parts.devices, description(port))
    return assert(vm:device {
        name = "pvpanic",
        pio = { port, 1 },
        events = { panicked = 0, crash_loaded = 0 },
        read = function()
            return PANICKED | CRASH_LOADED
        end,
        write = function(dev, _, _, value)
            if value & PANICKED ~= 0 then
                dev.events.panicked = dev.events.panicked + 1
                vm:stop("panic", "the guest told pvpanic in Lua that it has panicked")
            elseif value & CRASH_LOADED ~= 0 then
                dev.events.crash_loaded = dev.events.crash_loaded + 1
            end
        end,
    })
end
