-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The MP tables, against the Intel MultiProcessor Specification 1.4.

local mptable = require "vmm.x86.mptable"

local function sum(bytes)
    local total = 0
    for i = 1, #bytes do
        total = total + bytes:byte(i)
    end
    return total % 256
end

-- The pointer, the header's fields, and the entries by type.
local function parse(built)
    local pointer, rest = built.bytes:sub(1, 16), built.bytes:sub(17)
    local entries, at, count = {}, 45, string.unpack("<I2", rest, 35)
    for _ = 1, count do
        local kind = rest:byte(at)
        local length = kind == 0 and 20 or 8
        entries[kind] = entries[kind] or {}
        table.insert(entries[kind], rest:sub(at, at + length - 1))
        at = at + length
    end
    return pointer, rest, entries, at - 1
end

describe("the MP table", function()
    it("begins with a floating pointer that sums up to zero", function()
        local built = assert(mptable.build { vcpus = 1 })
        local pointer = parse(built)
        assert.equal(0xfe000, built.base)
        assert.equal("_MP_\x10\xe0\x0f\0\1\4", pointer:sub(1, 10))
        assert.equal(0, sum(pointer))
    end)

    for _, count in ipairs { 1, 2, 254 } do
        it(("describes %d CPUs, the first of them the bootstrap one"):format(count), function()
            local _, config, entries, last =
                parse(assert(mptable.build { vcpus = count, signature = 0x633, features = 9 }))
            assert.equal("PCMP", config:sub(1, 4))
            assert.equal(0, sum(config))
            assert.equal(#config, (string.unpack("<I2", config, 5)))
            assert.equal(#config, last)
            assert.equal(count, #entries[0])
            assert.equal(
                "\0\0\x14\3\x33\6\0\0\9\0\0\0" .. ("\0"):rep(8),
                entries[0][1]
            )
            for id = 1, count - 1 do
                assert.same({ id, 0x14, 1 }, { entries[0][id + 1]:byte(2, 4) })
            end
        end)
    end

    it("sends each ISA interrupt to the same pin of the I/O APIC", function()
        local _, _, entries = parse(assert(mptable.build { vcpus = 2 }))
        assert.equal("\1\0ISA   ", entries[1][1])
        assert.equal("\2\2\x11\1\0\0\xc0\xfe", entries[2][1])
        assert.equal(16, #entries[3])
        assert.equal("\3\0\0\0\0\4\2\4", entries[3][5])
        assert.equal("\4\3\0\0\0\0\0\0", entries[4][1])
        assert.equal("\4\1\0\0\0\0\xff\1", entries[4][2])
    end)

    it("fits its place with all the CPUs it can describe", function()
        assert.is_true(#mptable.build({ vcpus = 254 }).bytes <= 0x1ff0)
    end)

    for _, count in ipairs { 0, 255 } do
        it(("is refused for %d CPUs"):format(count), function()
            local none, message, code = mptable.build { vcpus = count }
            assert.is_nil(none)
            assert.equal(("MP table for %d CPUs: must be 1 to 254"):format(count), message)
            assert.equal("ERANGE", code)
        end)
    end
end)
