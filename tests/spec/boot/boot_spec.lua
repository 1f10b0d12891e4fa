-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The choice of a boot flow.

local boot = require "vmm.boot"
local fake_load = require "tests.spec.support.fake_load"
local fake_memory = require "tests.spec.support.fake_memory"

local function load(image, flow, name, value)
    local options = {
        mem = fake_memory.new { { 0, 256 << 20 } },
        load = fake_load.new(),
        image = image,
        flow = flow,
    }
    if name then options[name] = value end
    return boot.load(options)
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

describe("the options of a flow", function()
    local elf, raw = fake_load.elf_image(), fake_load.raw_image "\xf4"
    local refused = {
        { elf, "pvh", "slide", 0x200000, "of linux64" },
        { elf, "linux64", "mode", 32, "of flat" },
        { elf, "pvh", "entry", 0x100000, "of flat" },
        { raw, "flat", "initrd", raw, "of linux64 and pvh" },
        { raw, "flat", "unpack", true, "of linux64 and pvh" },
    }
    for _, case in ipairs(refused) do
        local image, flow, name, value, others = table.unpack(case)
        it(("do not include %s in %s"):format(name, flow), function()
            local none, message, code = load(image, flow, name, value)
            assert.is_nil(none)
            local format = "%s: not an option of the %s flow, but %s"
            assert.equal(format:format(name, flow, others), message)
            assert.equal("EINVAL", code)
        end)
    end

    it("may include a slide of 0 in all", function()
        assert.is_table(load(raw, "flat", "slide", 0))
        assert.is_table(load(elf, "pvh", "slide", 0))
    end)

    it("raise when nobody knows the name", function()
        assert.has_error(
            function()
                load(elf, "linux64", "cmd_line", "quiet")
            end,
            "boot: unknown option cmd_line; valid: address, cmdline, entry, flow, "
                .. "himem_start, image, initrd, load, mem, mode, reserved, rsdp, slide, unpack"
        )
    end)

    it("raise when one that is needed is missing", function()
        assert.has_error(function()
            boot.load { image = elf, load = fake_load.new() }
        end, "boot: option mem is missing")
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
