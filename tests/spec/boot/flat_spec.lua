-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Raw images and the state they are entered with.

local fake_load = require "tests.spec.support.fake_load"
local fake_memory = require "tests.spec.support.fake_memory"
local flat = require "vmm.boot.flat"

local MIB = 1 << 20

local function load(options)
    options.mem = options.mem or fake_memory.new { { 0, 4 * MIB } }
    options.load = fake_load.new()
    options.image = fake_load.raw_image "\xf4code"
    return options, flat.load(options)
end

describe("flat", function()
    it("copies the image and enters it in 64-bit mode at 1 MiB by default", function()
        local options, plan = load {}
        assert.equal("\xf4code", options.mem:read(0x100000, 5))
        assert.equal(0x100000, plan.regs.rip)
        assert.equal(0x500, plan.sregs.efer)
        assert.equal(1, plan.sregs.cs.l)
    end)

    it("enters in 32-bit mode at an entry inside", function()
        local _, plan = load { mode = 32, address = 0x200000, entry = 0x200001 }
        assert.equal(0x200001, plan.regs.rip)
        assert.equal(0x11, plan.sregs.cr0)
        assert.same({ 1, 0 }, { plan.sregs.cs.db, plan.sregs.cs.l })
    end)

    it("enters in 16-bit mode at 0:7c00 by default", function()
        local options, plan = load { mode = 16 }
        assert.equal("\xf4code", options.mem:read(0x7c00, 5))
        assert.equal(0x7c00, plan.regs.rip)
        assert.same({ 0, 0, 0xffff }, {
            plan.sregs.cs.selector,
            plan.sregs.cs.base,
            plan.sregs.cs.limit,
        })
        assert.equal(0, plan.sregs.cr0 & 1)
    end)

    it("enters in 16-bit mode above 64 KiB with segments at the entry", function()
        local _, plan = load { mode = 16, address = 0x20010 }
        assert.equal(0, plan.regs.rip)
        assert.same({ 0x2001, 0x20010 }, { plan.sregs.cs.selector, plan.sregs.cs.base })
        assert.same({ 0x2001, 0x20010 }, { plan.sregs.ds.selector, plan.sregs.ds.base })
    end)

    it("refuses a 16-bit entry that no segment reaches", function()
        for _, entry in ipairs { 0x10001, 0x100000 } do
            local _, none, message = load { mode = 16, address = entry }
            assert.is_nil(none)
            assert.equal(
                ("entry 0x%x: in 16-bit mode must be below 0x10000, or a multiple of 16 below "
                    .. "0x100000"):format(entry),
                message
            )
        end
    end)

    it("refuses other modes", function()
        local _, none, message, code = load { mode = 48 }
        assert.is_nil(none)
        assert.equal("mode 48: must be 16, 32 or 64", message)
        assert.equal("EINVAL", code)
    end)

    it("refuses an image over the structures that its mode needs", function()
        local _, none, message = load { mode = 64, address = 0x32000 }
        assert.is_nil(none)
        assert.equal("page tables at 0x30000-0x35fff lies over image at 0x32000-0x32004", message)
    end)

    it("passes on what the loader says", function()
        local _, none, message, code = load { address = 4 * MIB }
        assert.is_nil(none)
        assert.equal("[0x400000, 0x400005) is not RAM", message)
        assert.equal("EFAULT", code)
    end)

    it("records what lies where", function()
        local _, plan = load { mode = 32 }
        assert.same({
            { what = "GDT", base = 0x500, size = 0x30 },
            { what = "image", base = 0x100000, size = 5 },
        }, plan.placed)
    end)
end)
