-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What ACPI says of the PCI bus, judged by ACPICA's tools.

local acpi = require "vmm.x86.acpi"
local acpica = require "tests.spec.support.acpica"
local pci = require "vmm.pci"

local function build(windows)
    local parts = { vcpus = 1, devices = {}, tables = {} }
    pci.describe(parts, windows)
    local tables = {}
    for _, entry in ipairs(assert(acpi.build(parts)).tables) do
        tables[entry.signature] = entry.bytes
    end
    return tables
end

local WINDOWS = { { 0xd8000000, 0x8000000 }, { 0x800000000, 0x800000000 } }

describe("the PCI bus", function()
    local tables = build(WINDOWS)

    it("has tables that iasl disassembles without a warning", function()
        for signature, bytes in pairs(tables) do
            local _, messages = acpica.disassemble(bytes)
            assert.same({}, acpica.complaints(messages), signature)
        end
    end)

    it("has its configuration space in the MCFG", function()
        local text = acpica.disassemble(tables.MCFG)
        assert.truthy(text:find("Base Address : 00000000E0000000", 1, true), text)
        assert.truthy(text:find("Start Bus Number : 00", 1, true), text)
        assert.truthy(text:find("End Bus Number : 00", 1, true), text)
    end)

    it("is a bridge of PCI Express, and of PCI to those that know no other", function()
        local text = acpica.disassemble(tables.DSDT)
        assert.truthy(text:find('Name (_HID, EisaId ("PNP0A08")', 1, true), text)
        assert.truthy(text:find('Name (_CID, EisaId ("PNP0A03")', 1, true), text)
    end)

    it("forwards its windows, one bus, and the configuration ports", function()
        local output = acpica.execute({ tables.DSDT }, "resources \\_SB.PCI0")
        local from = 1
        for _, pattern in ipairs {
            "Bus Number", "0001",
            "I/O", "0CF8",
            "32%-Bit DWORD", "D8000000", "DFFFFFFF", "08000000",
            "64%-Bit QWORD", "0000000800000000", "0000000FFFFFFFFF", "0000000800000000",
        } do
            local _, last = output:find(pattern, from)
            assert.truthy(last, "no " .. pattern .. " in:\n" .. output)
            from = last
        end
    end)

    it("has no window above 4 GiB where there is no room for one", function()
        local output = acpica.execute({ build({ WINDOWS[1] }).DSDT }, "resources \\_SB.PCI0")
        assert.falsy(output:find("QWORD", 1, true))
    end)

    it("keeps its configuration space from being used otherwise", function()
        local output = acpica.execute({ tables.DSDT }, "resources \\_SB.ECAM")
        assert.truthy(output:find "Address : E0000000.-Address Length : 00100000", output)
    end)

    it("routes the interrupt of each slot to a pin of the I/O APIC", function()
        local output = acpica.execute({ tables.DSDT }, "evaluate \\_SB.PCI0._PRT")
        assert.same({}, acpica.complaints(output))
        local values = {}
        for value in output:gmatch "%[Integer%] = (%x+)" do
            values[#values + 1] = tonumber(value, 16)
        end
        assert.equal(32 * 4, #values)
        for slot = 0, 31 do
            assert.same({ slot << 16 | 0xffff, 0, 0, 16 + slot % 4 },
                table.move(values, 4 * slot + 1, 4 * slot + 4, 1, {}))
        end
    end)
end)
