-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The choice of a boot flow.

package.path = "./lua/?.lua;./lua/?/init.lua;./tests/spec/support/?.lua;" .. package.path
local boot = require "vmm.boot"
local fake_load = require "fake_load"
local fake_memory = require "fake_memory"

local function load(image, flow)
    return boot.load {
        mem = fake_memory.new { { 0, 256 << 20 } },
        load = fake_load.new(),
        image = image,
        flow = flow,
    }
end

describe("boot.load", function()
    it("boots ELF files and bzImages by the 64-bit entry", function()
        assert.equal("linux64", load(fake_load.elf_image()).flow)
        assert.equal("linux64", load(fake_load.bzimage_image()).flow)
    end)

    it("takes the flow that is named", function()
        assert.equal("pvh", load(fake_load.elf_image(), "pvh").flow)
        assert.equal("flat", load(fake_load.raw_image "\xf4", "flat").flow)
    end)

    it("refuses raw code unless told", function()
        local none, message, code = load(fake_load.raw_image "\xf4")
        assert.is_nil(none)
        assert.equal(
            "image.bin: neither an ELF file nor a bzImage; for raw code choose flow=flat",
            message
        )
        assert.equal("ENOEXEC", code)
    end)

    it("refuses raw code for Linux's entries", function()
        for _, flow in ipairs { "linux64", "pvh" } do
            local none, message = load(fake_load.raw_image "\xf4", flow)
            assert.is_nil(none)
            assert.equal(
                "image.bin: neither an ELF file nor a bzImage; for raw code choose flow=flat",
                message
            )
        end
    end)

    it("refuses a flow it does not know", function()
        local none, message = load(fake_load.elf_image(), "uefi")
        assert.is_nil(none)
        assert.equal("flow uefi: must be linux64, pvh or flat", message)
    end)
end)

describe("boot.apply", function()
    it("gives the vCPU the plan's registers, the special ones first", function()
        local order = {}
        local vcpu = setmetatable({}, {
            __newindex = function(_, name, value)
                order[#order + 1] = { name, value }
            end,
        })
        local plan = load(fake_load.elf_image())
        boot.apply(plan, vcpu)
        assert.same({ { "sregs", plan.sregs }, { "regs", plan.regs } }, order)
    end)
end)
