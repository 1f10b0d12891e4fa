-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The AML builder: its bytes against the grammar of ACPI 6.4, chapter 20.

local aml = require "vmm.x86.aml"

local function hex(value)
    return (
        aml.encode(value):gsub(".", function(byte)
            return ("%02x "):format(byte:byte())
        end):gsub(" $", "")
    )
end

describe("AML integers", function()
    local expected = {
        { 0, "00" },
        { 1, "01" },
        { 2, "0a 02" },
        { 0xff, "0a ff" },
        { 0x100, "0b 00 01" },
        { 0xffff, "0b ff ff" },
        { 0x10000, "0c 00 00 01 00" },
        { 0xffffffff, "0c ff ff ff ff" },
        { 0x100000000, "0e 00 00 00 00 01 00 00 00" },
        { -2, "0e fe ff ff ff ff ff ff ff" },
        { -1, "ff" },
    }
    for _, case in ipairs(expected) do
        it(("encode 0x%x in the shortest form"):format(case[1]), function()
            assert.equal(case[2], hex(case[1]))
        end)
    end
end)

describe("AML strings", function()
    it("end in a NUL", function()
        assert.equal("0d 41 42 00", hex "AB")
    end)

    it("refuse what is not ASCII", function()
        assert.has_error(function()
            aml.encode "a\xffb"
        end, [[AML string "a]] .. "\xff" .. [[b": only ASCII without NUL is allowed]])
    end)
end)

describe("AML names", function()
    local expected = {
        { "_HID", "5f 48 49 44" },
        { "A", "41 5f 5f 5f" },
        { "\\_S5", "5c 5f 53 35 5f" },
        { "\\_SB.PCI0", "5c 2e 5f 53 42 5f 50 43 49 30" },
        { "^^A.B.C", "5e 5e 2f 03 41 5f 5f 5f 42 5f 5f 5f 43 5f 5f 5f" },
        { "\\", "5c 00" },
    }
    for _, case in ipairs(expected) do
        it("encode " .. case[1], function()
            assert.equal(case[2], hex(aml.path(case[1])))
        end)
    end

    it("refuse a part that is no name", function()
        assert.has_error(function()
            aml.path "_SB.com1"
        end, 'AML name "_SB.com1": a part must be 1 to 4 of A-Z, 0-9, _')
        assert.has_error(function()
            aml.path "TOOLONG"
        end, 'AML name "TOOLONG": a part must be 1 to 4 of A-Z, 0-9, _')
    end)
end)

describe("AML package lengths", function()
    -- A scope \ has an opcode, its length, two bytes of name, then the body.
    local function scope_start(body_bytes)
        local bytes = aml.encode(aml.scope("\\", {
            setmetatable({ bytes = ("\xa3"):rep(body_bytes) }, getmetatable(aml.path "\\")),
        }))
        return bytes:sub(2, 5), #bytes - 1
    end

    it("take one byte up to 63", function()
        local start, length = scope_start(60)
        assert.equal(63, length)
        assert.equal("\x3f\\", start:sub(1, 2))
    end)

    it("take two bytes from 64", function()
        local start, length = scope_start(61)
        assert.equal(65, length)
        assert.equal("\x41\x04\\", start:sub(1, 3))
    end)

    it("take two bytes up to 4095", function()
        local start, length = scope_start(4091)
        assert.equal(4095, length)
        assert.equal("\x4f\xff\\", start:sub(1, 3))
    end)

    it("take three bytes from 4096", function()
        local start, length = scope_start(4092)
        assert.equal(4097, length)
        assert.equal("\x81\x00\x01\\", start)
    end)

    it("take three bytes up to 1048575 and four above", function()
        local start, length = scope_start(1048570)
        assert.equal(1048575, length)
        assert.equal("\x8f\xff\xff\\", start)
        start, length = scope_start(1048571)
        assert.equal(1048577, length)
        assert.equal("\xc1\x00\x00\x01", start)
    end)
end)

describe("AML terms", function()
    it("encode an EISA id", function()
        assert.equal("0c 41 d0 05 01", hex(aml.eisaid "PNP0501"))
    end)

    it("refuse a malformed EISA id", function()
        assert.has_error(function()
            aml.eisaid "PNP501"
        end, 'EISA id "PNP501": must be three capitals and four hex digits')
    end)

    it("encode a name with a package", function()
        assert.equal(
            "08 5c 5f 53 35 5f 12 08 04 0a 05 0a 05 00 00",
            hex(aml.name("\\_S5", aml.package { 5, 5, 0, 0 }))
        )
    end)

    it("encode a method that returns", function()
        assert.equal(
            "14 09 5f 53 54 41 08 a4 0a 0f",
            hex(aml.method("_STA", { serialized = true }, { aml.ret(0xf) }))
        )
    end)

    it("encode a device inside a scope", function()
        assert.equal(
            "10 0c 5f 53 42 5f 5b 82 05 43 4f 4d 31",
            hex(aml.scope("_SB", { aml.device("COM1", {}) }))
        )
    end)

    it("refuse a value that stands for no term", function()
        assert.has_error(function()
            aml.encode(1.5)
        end, "an AML term can't be made from a number")
    end)
end)
