-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What firmware would have left in memory.

local fake_memory = require "tests.spec.support.fake_memory"
local firmware = require "vmm.x86.firmware"

local MIB = 1 << 20

describe("firmware.place", function()
    it("puts ACPI tables, MP tables and the reset vector where kernels look for them", function()
        local mem = fake_memory.new { { 0, MIB } }
        assert.equal(0xe0000, firmware.place(mem, { vcpus = 2 }))
        assert.equal("RSD PTR ", mem:read(0xe0000, 8))
        assert.equal("_MP_", mem:read(0xfe000, 4))
        assert.equal("PCMP", mem:read(0xfe010, 4))
        assert.equal("\xb0\x01\xba\x02\x06\xee\xf4\xeb\xfd", mem:read(0xffff0, 9))
    end)

    it("leaves the MP tables out for more CPUs than they describe", function()
        local mem = fake_memory.new { { 0, MIB } }
        assert.equal(0xe0000, firmware.place(mem, { vcpus = 255 }))
        assert.equal("\0\0\0\0", mem:read(0xfe000, 4))
    end)

    it("says so when there is no RAM for them", function()
        local none, message, code = firmware.place(fake_memory.new { { MIB, MIB } }, { vcpus = 1 })
        assert.is_nil(none)
        assert.matches("is not RAM$", message)
        assert.equal("EFAULT", code)
    end)
end)
