-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The ACPI tables: by hand-written checks, and by ACPICA's disassembler and interpreter.

local acpi = require "vmm.x86.acpi"
local acpica = require "tests.spec.support.acpica"
local aml = require "vmm.x86.aml"
local resource = require "vmm.x86.acpi_resource"

local function sum(bytes)
    local total = 0
    for i = 1, #bytes do
        total = total + bytes:byte(i)
    end
    return total % 256
end

local function by_signature(built)
    local tables = {}
    for _, entry in ipairs(built.tables) do
        tables[entry.signature] = entry
    end
    return tables
end

local function all_bytes(built)
    local list = {}
    for i, entry in ipairs(built.tables) do
        list[i] = entry.bytes
    end
    return list
end

-- The entries of a MADT: {type, bytes}.
local function madt_entries(bytes)
    local entries, at = {}, 45
    while at <= #bytes do
        local kind, length = bytes:byte(at, at + 1)
        entries[#entries + 1] = { kind, bytes:sub(at, at + length - 1) }
        at = at + length
    end
    return entries
end

describe("the RSDP", function()
    local built = assert(acpi.build { vcpus = 1 })

    it("is first, of revision 2, with both checksums right", function()
        assert.equal("RSD PTR ", built.bytes:sub(1, 8))
        assert.equal(2, built.bytes:byte(16))
        assert.equal(0, sum(built.bytes:sub(1, 20)))
        assert.equal(0, sum(built.bytes:sub(1, 36)))
    end)

    it("leads to the XSDT and that to every table but the DSDT", function()
        local tables = by_signature(built)
        local xsdt = string.unpack("<I8", built.bytes, 25)
        assert.equal(tables.XSDT.base, xsdt)
        local facp, apic = string.unpack("<I8I8", tables.XSDT.bytes, 37)
        assert.same({ tables.FACP.base, tables.APIC.base }, { facp, apic })
        assert.equal(36 + 16, #tables.XSDT.bytes)
    end)
end)

describe("ACPI tables", function()
    it("each sum up to zero, say their length, and lie where they say", function()
        local built = assert(acpi.build { vcpus = 3, rtc = true })
        for _, entry in ipairs(built.tables) do
            assert.equal(0, sum(entry.bytes), entry.signature)
            assert.equal(#entry.bytes, (string.unpack("<I4", entry.bytes, 5)))
            local at = entry.base - built.base + 1
            assert.equal(entry.bytes, built.bytes:sub(at, at + #entry.bytes - 1))
        end
    end)

    it("take an extra table into the XSDT", function()
        local built = assert(acpi.build {
            vcpus = 1,
            tables = { { signature = "MCFG", revision = 1, body = ("\0"):rep(8) } },
        })
        local tables = by_signature(built)
        assert.equal(tables.MCFG.base, (string.unpack("<I8", tables.XSDT.bytes, 53)))
    end)

    it("are refused when they do not fit their place", function()
        local none, message, code = acpi.build {
            vcpus = 1,
            tables = { { signature = "SSDT", revision = 2, body = ("\0"):rep(0x1e000) } },
        }
        assert.is_nil(none)
        assert.equal("ACPI tables: 123520 bytes do not fit the 122880 at 0xe0000", message)
        assert.equal("E2BIG", code)
    end)
end)

describe("the MADT", function()
    local function entries_of(options)
        return madt_entries(by_signature(assert(acpi.build(options))).APIC.bytes)
    end

    it("has an enabled local APIC for each CPU, then the I/O APIC", function()
        local entries = entries_of { vcpus = 2 }
        assert.equal("\0\8\0\0\1\0\0\0", entries[1][2])
        assert.equal("\0\8\1\1\1\0\0\0", entries[2][2])
        assert.equal("\1\12\0\0\0\0\xc0\xfe\0\0\0\0", entries[3][2])
        assert.equal(4, entries[4][1])
        assert.equal(4, #entries)
    end)

    it("has x2APIC entries from id 255 on", function()
        local entries = entries_of { vcpus = 257 }
        assert.equal("\0\8\xfe\xfe\1\0\0\0", entries[255][2])
        assert.equal("\9\16\0\0\xff\0\0\0\1\0\0\0\xff\0\0\0", entries[256][2])
        assert.equal("\9\16\0\0\0\1\0\0\1\0\0\0\0\1\0\0", entries[257][2])
    end)

    it("has room for 4096 CPUs", function()
        assert.equal(4096 + 3, #entries_of { vcpus = 4096 })
    end)

    it("takes interrupt source overrides", function()
        local entries = entries_of {
            vcpus = 1,
            overrides = { { irq = 0, gsi = 2 }, { irq = 9, gsi = 9, level = true } },
        }
        assert.equal("\2\10\0\0\2\0\0\0\5\0", entries[3][2])
        assert.equal("\2\10\0\9\9\0\0\0\13\0", entries[4][2])
    end)
end)

describe("iasl", function()
    local built = assert(acpi.build {
        vcpus = 300,
        rtc = true,
        i8042 = true,
        serial2 = true,
        pvpanic = true,
        power_button = true,
    })

    for _, entry in ipairs(built.tables) do
        it("disassembles the " .. entry.signature .. " without a warning", function()
            local _, messages = acpica.disassemble(entry.bytes)
            assert.same({}, acpica.complaints(messages))
        end)
    end

    it("is seen to complain about a wrong checksum", function()
        local bytes = built.tables[1].bytes
        local wrong = bytes:sub(1, 9) .. string.char(bytes:byte(10) ~ 1) .. bytes:sub(11)
        local _, messages = acpica.disassemble(wrong)
        assert.is_true(#acpica.complaints(messages) > 0)
    end)

    it("sees a hardware-reduced FADT with reset and sleep registers", function()
        local text = acpica.disassemble(by_signature(built).FACP.bytes)
        assert.truthy(text:find("Hardware Reduced %(V5%) : 1"))
        assert.truthy(text:find("Reset Register Supported %(V2%) : 1"))
        assert.truthy(text:find("Reset Register : .-SystemIO.-Address : 0000000000000602"))
        assert.truthy(text:find("Sleep Control Register : .-Address : 0000000000000600"))
        assert.truthy(text:find("Sleep Status Register : .-Address : 0000000000000601"))
        assert.truthy(text:find("CMOS RTC Not Present %(V5%) : 0"))
        assert.truthy(text:find("8042 Present on ports 60/64 %(V2%) : 1"))
    end)

    it("sees the serial port with its ports and interrupt", function()
        local text = acpica.disassemble(by_signature(built).DSDT.bytes)
        assert.truthy(text:find('EisaId %("PNP0501"%)'))
        assert.truthy(text:find("0x03F8, .-0x03F8, .-0x01, .-0x08"))
        assert.truthy(text:find("IRQNoFlags %(%)%s+{4}"))
    end)

    it("sees a second serial port only where there is one", function()
        local text = acpica.disassemble(by_signature(built).DSDT.bytes)
        assert.truthy(text:find("Device %(COM2%).-_UID, 0x02.-0x02F8, .-0x02F8, .-0x08"
            .. ".-IRQNoFlags %(%)%s+{3}"), text)
        local without = by_signature(assert(acpi.build { vcpus = 1 })).DSDT.bytes
        assert.falsy(without:find("COM2", 1, true))
    end)

    it("sees the event device and its power button only where they are", function()
        local text = acpica.disassemble(by_signature(built).DSDT.bytes)
        assert.truthy(text:find('_HID, "ACPI0013"', 1, true))
        assert.truthy(text:find('EisaId ("PNP0C0C")', 1, true))
        assert.truthy(text:find("OperationRegion %(EREG, SystemIO, 0x0608, One%)"))
        assert.truthy(text:find(
            "Method %(_EVT, 1, Serialized%).-Local0 = EVTS.-If %(%(Local0 & One%)%).-"
                .. "Notify %(PWRB, 0x80%)"), text)
        local without = by_signature(assert(acpi.build { vcpus = 1 })).DSDT.bytes
        assert.falsy(without:find("ACPI0013", 1, true))
        assert.falsy(without:find("PWRB", 1, true))
    end)

    it("sees pvpanic only where there is one", function()
        local text = acpica.disassemble(by_signature(built).DSDT.bytes)
        assert.truthy(text:find('_HID, "QEMU0001"', 1, true))
        assert.truthy(text:find("0x0505, .-0x0505, .-0x01, .-0x01"))
        local without = by_signature(assert(acpi.build { vcpus = 1 })).DSDT.bytes
        assert.falsy(without:find("QEMU0001", 1, true))
    end)
end)

describe("acpiexec", function()
    local tables = all_bytes(assert(acpi.build {
        vcpus = 2, rtc = true, pvpanic = true, power_button = true,
    }))

    it("loads the tables and evaluates \\_S5", function()
        local output = acpica.execute({ tables[1], tables[2], tables[3] }, "evaluate \\_S5")
        assert.same({}, acpica.complaints(output))
        assert.truthy(output:find("1 ACPI AML tables successfully acquired and loaded", 1, true))
        local values = {}
        for value in output:match("Evaluation of \\_S5.*"):gmatch "%[Integer%] = (%x+)" do
            values[#values + 1] = tonumber(value, 16)
        end
        assert.same({ 5, 5, 0, 0 }, values)
    end)

    it("evaluates the serial port's _CRS", function()
        local output = acpica.execute({ tables[1] }, "evaluate \\_SB.COM1._CRS")
        local bytes = output:match "%[Buffer%] Length 0D = *0000: ([%x ]-) *//"
        assert.equal("47 01 F8 03 F8 03 01 08 22 10 00 79 00", bytes)
    end)

    it("evaluates what pvpanic says of itself", function()
        local output = acpica.execute(
            { tables[1] },
            "evaluate \\_SB.PEVT._HID;evaluate \\_SB.PEVT._STA;evaluate \\_SB.PEVT._CRS"
        )
        assert.truthy(output:find('= "QEMU0001"', 1, true), output)
        assert.truthy(output:find("[Integer] = 000000000000000F", 1, true), output)
        assert.truthy(output:find("47 01 05 05 05 05 01 01 79 00", 1, true), output)
    end)

    it("evaluates what the power button and the event device say of themselves", function()
        local output = acpica.execute(
            { tables[1] },
            "evaluate \\_SB.PWRB._HID;evaluate \\_SB.GED._HID;evaluate \\_SB.GED._CRS"
        )
        assert.same({}, acpica.complaints(output))
        assert.truthy(output:find("[Integer] = 000000000C0CD041", 1, true), output) -- PNP0C0C
        assert.truthy(output:find('= "ACPI0013"', 1, true), output)
        assert.truthy(output:find("89 06 00 03 01 09 00 00 00 79 00", 1, true), output)
    end)

    it("notifies the power button only when bit 0 of the event register is set", function()
        for fill, notified in pairs { [0] = false, [1] = true, [2] = false, [3] = true } do
            local output = acpica.execute({ tables[1] }, "evaluate \\_SB.GED._EVT 9", fill)
            assert.same({}, acpica.complaints(output))
            assert.equal(notified, output:find "Notify.-PWRB.-80" ~= nil, output)
        end
    end)

    it("decodes every kind of resource descriptor as it was meant", function()
        local built = assert(acpi.build {
            vcpus = 1,
            devices = {
                aml.device("DEV0", {
                    aml.name("_HID", "LNRO0005"),
                    aml.name("_CRS", aml.resources {
                        resource.memory32_fixed { base = 0xd0000000, size = 0x1000 },
                        resource.interrupt { gsis = { 5, 200 }, edge = true, shared = true },
                        resource.qword_memory { base = 0x4000000000, size = 0x100000000 },
                        resource.dword_memory { base = 0xe0000000, size = 0x10000000 },
                        resource.word_io { base = 0x1000, size = 0xf000 },
                        resource.word_bus_number { base = 0, size = 256 },
                    }),
                }),
            },
        })
        local output =
            acpica.execute({ built.tables[1].bytes }, "resources \\_SB.DEV0")
        local function shows(...)
            local from = 1
            for _, pattern in ipairs { ... } do
                local _, last = output:find(pattern, from)
                assert.truthy(last, "no " .. pattern .. " in:\n" .. output)
                from = last
            end
        end
        shows("Fixed Memory", "Address : D0000000", "Address Length : 00001000")
        shows("Extended IRQ", "Edge", "ActiveHigh", "Shared", "Interrupt Count : 02", "5.-C8")
        shows("64%-Bit QWORD", "Memory", "0000004000000000", "00000040FFFFFFFF")
        shows("32%-Bit DWORD", "E0000000", "EFFFFFFF", "10000000")
        shows("16%-Bit WORD", "I/O", "1000", "FFFF", "F000")
        shows("16%-Bit WORD", "Bus Number", "0000", "00FF", "0100")
    end)

    it("runs a method that was built", function()
        local built = assert(acpi.build {
            vcpus = 1,
            devices = {
                aml.device("DEV0", {
                    aml.name("_HID", "LNRO0005"),
                    aml.method("TST", { args = 1 }, {
                        aml.when(aml.equal(aml.arg(0), 7), { aml.ret "seven" }),
                        aml.store(aml.arg(0), aml.var(0)),
                        aml.ret(aml.var(0)),
                    }),
                }),
            },
        })
        local output = acpica.execute(
            { built.tables[1].bytes },
            "evaluate \\_SB.DEV0.TST 7;evaluate \\_SB.DEV0.TST 9"
        )
        assert.truthy(output:find('= "seven"', 1, true))
        assert.truthy(output:find("[Integer] = 0000000000000009", 1, true))
    end)

    it("reads a field of a region that was built", function()
        local built = assert(acpi.build {
            vcpus = 1,
            devices = {
                aml.device("DEV0", {
                    aml.name("_HID", "LNRO0005"),
                    aml.region("REG", "system_memory", 0xd0000000, 0x100),
                    aml.field("REG", "byte", {
                        { "AAA", 8 },
                        { false, 100 },
                        { "BBB", 4 },
                    }),
                    aml.method("TST", {}, {
                        aml.store(5, aml.path "BBB"),
                        aml.ret(aml.path "BBB"),
                    }),
                }),
            },
        })
        local output =
            acpica.execute({ built.tables[1].bytes }, "evaluate \\_SB.DEV0.TST")
        assert.truthy(output:find("[Integer] = 0000000000000005", 1, true), output)
        local text, messages = acpica.disassemble(built.tables[1].bytes)
        assert.same({}, acpica.complaints(messages))
        assert.truthy(text:find "Offset %(0x0D%).-BBB,%s+4" or text:find ",%s+100")
    end)
end)
