-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- ACPI events without fixed hardware: a Generic Event Device (ACPI 6.4, section 5.6.9) and the
-- power button whose presses it tells.

local aml = require "vmm.x86.aml"
local layout = require "vmm.x86.layout"
local resource = require "vmm.x86.acpi_resource"

local events = {}

-- Bits of the event register (vmm.acpi_events), which reading clears.
events.POWER_BUTTON = 1 << 0

local PRESSED = 0x80 -- the button's notification (section 4.8.3.1.2.2 and table 5.185)

-- The two devices, for \_SB.
function events.devices()
    return {
        aml.device("PWRB", {
            aml.name("_HID", aml.eisaid "PNP0C0C"),
            aml.name("_UID", 0),
        }),
        aml.device("GED", {
            aml.name("_HID", "ACPI0013"),
            aml.name("_UID", 0),
            aml.name("_CRS", aml.resources {
                resource.interrupt { gsis = { layout.acpi_events_irq }, edge = true },
            }),
            aml.region("EREG", "system_io", layout.acpi_events_port, 1),
            aml.field("EREG", "byte", { { "EVTS", 8 } }),
            aml.method("_EVT", { args = 1, serialized = true }, {
                aml.store(aml.path "EVTS", aml.var(0)),
                aml.when(aml.band(aml.var(0), events.POWER_BUTTON), {
                    aml.notify(aml.path "PWRB", PRESSED),
                }),
            }),
        }),
    }
end

return events
