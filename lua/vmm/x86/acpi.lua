-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The ACPI tables of the machine (ACPI 6.4): RSDP, XSDT, FADT, MADT, DSDT and more on request.
--
-- The platform is hardware-reduced: no SCI, PM timer or fixed power button. Sleep and reset
-- are registers in port space (vmm.acpi_power). Linux then leaves the 8259 and the 8254 alone,
-- so that every interrupt must be described, also an ISA one (the serial port's).

local acpi_events = require "vmm.x86.acpi_events"
local aml = require "vmm.x86.aml"
local checksum = require "vmm.x86.checksum"
local layout = require "vmm.x86.layout"
local resource = require "vmm.x86.acpi_resource"

local acpi = {}

local OEM_ID, CREATOR_ID = "VMMREF", "VMMR"
local TABLE_ALIGNMENT = 16
local HEADER_SIZE, RSDP_SIZE = 36, 36

-- FADT flags (table 5-10) and IA-PC boot flags (table 5-11)
local FADT_WBINVD, FADT_POWER_BUTTON, FADT_SLEEP_BUTTON = 1 << 0, 1 << 4, 1 << 5
local FADT_RESET_REG, FADT_HEADLESS, FADT_HW_REDUCED = 1 << 10, 1 << 12, 1 << 20
local BOOT_LEGACY_DEVICES, BOOT_8042, BOOT_NO_VGA = 1 << 0, 1 << 1, 1 << 2
local BOOT_NO_CMOS_RTC = 1 << 5
-- MADT
local MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI, MADT_X2APIC = 0, 1, 2, 4, 9
local MADT_X2APIC_NMI = 10
local CPU_ENABLED = 1

local SLEEP_TYPE_S5 = 5
local RESET_VALUE = 1

-- A table with its header (section 5.2.6).
local function make_table(signature, revision, body)
    local function header(sum)
        return string.pack(
            "<c4I4I1I1c6c8I4c4I4",
            signature,
            HEADER_SIZE + #body,
            revision,
            sum,
            OEM_ID,
            "VMM" .. signature .. " ",
            1,
            CREATOR_ID,
            1
        )
    end
    return header(checksum(header(0) .. body)) .. body
end

-- A generic address of an 8-bit register in port space (section 5.2.3.2).
local function port_register(port)
    return string.pack("<I1I1I1I1I8", 1, 8, 0, 1, port)
end
local NO_REGISTER = ("\0"):rep(12)

-- The FADT's fields after its header, in order (section 5.2.9).
local function fadt_body(options, dsdt)
    local power = layout.acpi_power_port
    local boot = BOOT_NO_VGA
        | (options.i8042 and BOOT_8042 | BOOT_LEGACY_DEVICES or 0)
        | (options.rtc and 0 or BOOT_NO_CMOS_RTC)
    local flags = FADT_WBINVD
        | FADT_POWER_BUTTON
        | FADT_SLEEP_BUTTON
        | FADT_RESET_REG
        | FADT_HEADLESS
        | FADT_HW_REDUCED
    return string.pack("<I4I4I1I1I2", 0, 0, 0, 0, 0) -- FIRMWARE_CTRL .. SCI_INT
        .. ("\0"):rep(61) -- SMI_CMD .. CENTURY: fixed hardware, absent
        .. string.pack("<I2I1I4", boot, 0, flags)
        .. port_register(layout.acpi_reset_port)
        .. string.pack("<I1I2I1", RESET_VALUE, 0, 4) -- and ARM flags, FADT minor version
        .. string.pack("<I8I8", 0, dsdt) -- X_FIRMWARE_CTRL, X_DSDT
        .. NO_REGISTER:rep(8) -- X_PM1a_EVT_BLK .. X_GPE1_BLK
        .. port_register(power) -- SLEEP_CONTROL_REG
        .. port_register(power + 1) -- SLEEP_STATUS_REG
        .. string.pack("<c8", "VMMREF") -- hypervisor vendor
end

-- A local APIC of id: the short entry while the id fits it (255 is the broadcast).
local function madt_cpu(uid, id)
    if id < 255 then
        return string.pack("<I1I1I1I1I4", MADT_LAPIC, 8, uid, id, CPU_ENABLED)
    end
    return string.pack("<I1I1I2I4I4I4", MADT_X2APIC, 16, 0, id, CPU_ENABLED, uid)
end

local function madt_body(options)
    local count = options.vcpus
    local parts = { string.pack("<I4I4", layout.lapic, 0) }
    for id = 0, count - 1 do
        parts[#parts + 1] = madt_cpu(id, id)
    end
    parts[#parts + 1] = string.pack("<I1I1I1I1I4I4", MADT_IOAPIC, 12, 0, 0, layout.ioapic, 0)
    for _, override in ipairs(options.overrides or {}) do
        local flags = (override.active_low and 3 or 1) | (override.level and 0xc or 4)
        parts[#parts + 1] = string.pack(
            "<I1I1I1I1I4I2",
            MADT_OVERRIDE,
            10,
            0,
            override.irq,
            override.gsi,
            flags
        )
    end
    -- LINT1 of every CPU is NMI
    parts[#parts + 1] = string.pack("<I1I1I1I2I1", MADT_LAPIC_NMI, 6, 0xff, 0, 1)
    if count > 255 then
        parts[#parts + 1] =
            string.pack("<I1I1I2I4I1I3", MADT_X2APIC_NMI, 12, 0, 0xffffffff, 1, 0)
    end
    return table.concat(parts)
end

-- COM1 (or another 16550 at an ISA interrupt): what the console needs to interrupt.
local function serial_device(name, uid, port, irq)
    return aml.device(name, {
        aml.name("_HID", aml.eisaid "PNP0501"),
        aml.name("_UID", uid),
        aml.name("_CRS", aml.resources {
            resource.io { base = port, size = 8 },
            resource.irq(irq),
        }),
    })
end

-- The CMOS clock, without its interrupt.
local function rtc_device(port)
    return aml.device("RTC", {
        aml.name("_HID", aml.eisaid "PNP0B00"),
        aml.name("_CRS", aml.resources { resource.io { base = port, size = 2 } }),
    })
end

-- The port by which a guest says that it has panicked, as QEMU describes it.
local STA_WORKS = 0xf -- present, enabled, shown, functioning
local function pvpanic_device(port)
    return aml.device("PEVT", {
        aml.name("_HID", "QEMU0001"),
        aml.name("_STA", STA_WORKS),
        aml.name("_CRS", aml.resources { resource.io { base = port, size = 1 } }),
    })
end

local function dsdt_body(options)
    return aml.encode {
        aml.name("\\_S5", aml.package { SLEEP_TYPE_S5, SLEEP_TYPE_S5, 0, 0 }),
        aml.scope("\\_SB", {
            serial_device("COM1", 1, layout.serial_port, layout.serial_irq),
            options.serial2 and serial_device("COM2", 2, layout.serial2_port, layout.serial2_irq)
                or {},
            options.rtc and rtc_device(layout.rtc_port) or {},
            options.pvpanic and pvpanic_device(layout.pvpanic_port) or {},
            options.power_button and acpi_events.devices() or {},
            options.devices or {},
        }),
    }
end

local function rsdp(xsdt)
    local first = string.pack("<c8I1c6I1I4", "RSD PTR ", 0, OEM_ID, 2, 0)
    first = first:sub(1, 8) .. string.char(checksum(first)) .. first:sub(10)
    local second = string.pack("<I4I8I1I3", RSDP_SIZE, xsdt, 0, 0)
    local sum = checksum(first .. second)
    return first .. second:sub(1, 12) .. string.char(sum) .. second:sub(14)
end

local function align_up(value)
    return (value + TABLE_ALIGNMENT - 1) & -TABLE_ALIGNMENT
end

-- Lays tables out one behind another; the first comes after the RSDP.
local Layout = {}
Layout.__index = Layout

local function new_layout()
    local self = setmetatable({ tables = {} }, Layout)
    self.parts = { ("\0"):rep(align_up(RSDP_SIZE)) }
    self.next = layout.acpi + #self.parts[1]
    return self
end

-- Returns the address of the table that was added.
function Layout:add(signature, revision, body)
    local bytes, base = make_table(signature, revision, body), self.next
    local padding = align_up(#bytes) - #bytes
    self.tables[#self.tables + 1] = { signature = signature, base = base, bytes = bytes }
    self.parts[#self.parts + 1] = bytes .. ("\0"):rep(padding)
    self.next = base + #bytes + padding
    return base
end

-- Makes the tables. options:
--   vcpus       how many CPUs, APIC ids 0 .. vcpus - 1
--   devices     array of AML terms for \_SB, after the serial port (none)
--   rtc, i8042  boolean: the machine has one (false). A guest told of an i8042 probes for
--               a keyboard; resetting through it works untold.
--   serial2     boolean: the machine has a second serial port, COM2 (false)
--   pvpanic     boolean: the machine has the port at layout.pvpanic_port (false)
--   power_button  boolean: the machine has vmm.acpi_events at layout.acpi_events_port (false)
--   overrides   array of {irq=, gsi=, active_low=, level=} (none)
--   tables      array of more tables: {signature=, revision=, body=} (none)
-- Returns {base=, rsdp=, bytes=, tables=} or nil, message, code: bytes go to base; rsdp is
-- the address to tell the kernel; tables is an array of {signature=, base=, bytes=}.
function acpi.build(options)
    local all = new_layout()
    local dsdt = all:add("DSDT", 2, dsdt_body(options))
    local pointers = {
        all:add("FACP", 6, fadt_body(options, dsdt)),
        all:add("APIC", 5, madt_body(options)),
    }
    for _, extra in ipairs(options.tables or {}) do
        pointers[#pointers + 1] = all:add(extra.signature, extra.revision, extra.body)
    end
    local list = string.pack("<" .. ("I8"):rep(#pointers), table.unpack(pointers))
    local first = rsdp(all:add("XSDT", 1, list))

    local bytes = first .. table.concat(all.parts):sub(RSDP_SIZE + 1)
    if #bytes > layout.acpi_size then
        local message = "ACPI tables: %d bytes do not fit the %d at 0x%x"
        return nil, message:format(#bytes, layout.acpi_size, layout.acpi), "E2BIG"
    end
    return { base = layout.acpi, rsdp = layout.acpi, bytes = bytes, tables = all.tables }
end

return acpi
