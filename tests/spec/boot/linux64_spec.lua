-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The 64-bit Linux entry: where things are put and what the kernel is told.

local fake_load = require "tests.spec.support.fake_load"
local fake_memory = require "tests.spec.support.fake_memory"
local layout = require "vmm.x86.layout"
local linux64 = require "vmm.boot.linux64"

local MIB = 1 << 20

local function load(options)
    options.mem = options.mem or fake_memory.new { { 0, 1024 * MIB } }
    options.load = options.load or fake_load.new()
    options.image = options.image or fake_load.elf_image()
    return options, linux64.load(options)
end

local function zero_page_field(mem, offset, format)
    return (string.unpack(format, mem:read(0x7000 + offset, 64)))
end

describe("linux64 with an ELF kernel", function()
    it("enters at the kernel's physical entry with RSI at the zero page", function()
        local _, plan = load {}
        assert.equal(0x1000040, plan.regs.rip)
        assert.equal(0x7000, plan.regs.rsi)
        assert.equal(2, plan.regs.rflags)
    end)

    it("says where the command line is, NUL-terminated", function()
        local options = load { cmdline = "console=ttyS0" }
        assert.equal(0x20000, zero_page_field(options.mem, 0x228, "<I4"))
        assert.equal("console=ttyS0\0", options.mem:read(0x20000, 14))
    end)

    it("takes a command line of 2047 bytes and refuses one more", function()
        local _, plan = load { cmdline = ("a"):rep(2047) }
        assert.is_table(plan)
        local _, none, message, code = load { cmdline = ("a"):rep(2048) }
        assert.is_nil(none)
        assert.equal("E2BIG", code)
        assert.equal(
            "kernel command line: 2048 bytes, but this kernel takes at most 2047",
            message
        )
    end)

    it("refuses a NUL byte in the command line and says where", function()
        local _, none, message = load { cmdline = "abc\0def" }
        assert.is_nil(none)
        assert.equal("kernel command line: NUL byte at offset 3", message)
    end)

    it("makes a header for a kernel that has none", function()
        local options = load {}
        assert.equal(0xaa55, zero_page_field(options.mem, 0x1fe, "<I2"))
        assert.equal("HdrS", zero_page_field(options.mem, 0x202, "c4"))
        assert.equal(0xff, zero_page_field(options.mem, 0x210, "<I1"))
    end)

    it("hands over RSDP, memory map and initrd", function()
        local options = load {
            rsdp = 0xe0000,
            initrd = fake_load.raw_image(("x"):rep(5000)),
        }
        local mem = options.mem
        assert.equal(0xe0000, zero_page_field(mem, 0x070, "<I8"))
        assert.equal(0x3fffe000, zero_page_field(mem, 0x218, "<I4"))
        assert.equal(5000, zero_page_field(mem, 0x21c, "<I4"))
        assert.equal(3, zero_page_field(mem, 0x1e8, "<I1"))
        local first, size, kind = string.unpack("<I8I8I4", mem:read(0x72d0, 20))
        assert.same({ 0, 0x9fc00, 1 }, { first, size, kind })
    end)

    it("slides by a multiple of 2 MiB, applies relocations and says so", function()
        local options, plan = load { slide = 0x400000 }
        assert.equal(0x1400040, plan.regs.rip)
        assert.same("relocate", options.load.calls[2][1])
        assert.equal(0x400000, options.load.calls[2][3])
        assert.equal(3, zero_page_field(options.mem, 0x211, "<I1"))
    end)

    it("refuses a slide that is not aligned or leaves the kernel's 1 GiB", function()
        local _, none, message = load { slide = 0x1000 }
        assert.is_nil(none)
        assert.equal("slide 0x1000: must be a multiple of 0x200000", message)
        _, none, message = load { slide = 0x3e000000 }
        assert.is_nil(none)
        assert.equal(
            "slide 0x3e000000: must be at most 0x3d000000, so that the kernel ends below "
                .. "0x40000000",
            message
        )
    end)

    it("passes himem_start on as the lowest address of a segment", function()
        local _, none, message = load { himem_start = 0x2000000 }
        assert.is_nil(none)
        assert.equal("segment too low", message)
    end)

    it("maps the first 4 GiB one to one", function()
        local options, plan = load {}
        local mem = options.mem
        assert.equal(0x30000, plan.sregs.cr3)
        assert.equal(0x31003, mem:u64(0x30000))
        assert.equal(0x35003, mem:u64(0x31018))
        assert.equal(0, mem:u64(0x31020))
        assert.equal(0x83, mem:u64(0x32000))
        assert.equal(0xffe00083, mem:u64(0x35ff8))
    end)
end)

describe("linux64 with a bzImage", function()
    it("unpacks it on the host when nothing else is asked for", function()
        local _, plan = load { image = fake_load.bzimage_image() }
        assert.equal("unpacked", plan.kernel.how)
        assert.equal(0x1000040, plan.entry)
    end)

    it("leaves it to the guest when its format is not known here", function()
        local options, plan = load {
            image = fake_load.bzimage_image(),
            load = fake_load.new { unpack_error = { "lzo: no library", "EOPNOTSUPP" } },
        }
        assert.equal("bzimage", plan.kernel.how)
        assert.equal(0x100200, plan.entry)
        assert.equal(0x100000, zero_page_field(options.mem, 0x214, "<I4"))
    end)

    it("fails when told to unpack and the format is not known here", function()
        local _, none, message, code = load {
            image = fake_load.bzimage_image(),
            load = fake_load.new { unpack_error = { "lzo: no library", "ENOTSUP" } },
            unpack = true,
        }
        assert.is_nil(none)
        assert.equal("lzo: no library", message)
        assert.equal("ENOTSUP", code)
    end)

    it("copies its setup header to the zero page", function()
        local options = load { image = fake_load.bzimage_image(), unpack = false }
        assert.equal(0x5a, zero_page_field(options.mem, 0x1f1, "<I1"))
        assert.equal(0x5a, zero_page_field(options.mem, 0x26b, "<I1"))
        assert.equal(0, zero_page_field(options.mem, 0x26c, "<I1"))
        assert.equal(layout.cmdline, zero_page_field(options.mem, 0x228, "<I4"))
    end)

    it("keeps the initrd out of where it unpacks itself", function()
        local options = load {
            image = fake_load.bzimage_image(),
            initrd = fake_load.raw_image(("x"):rep(5000)),
            unpack = false,
        }
        local call = options.load.calls[2]
        assert.equal("initrd", call[1])
        assert.same({ min_gpa = 0x3000000, max_gpa = 0x7fffffff }, call[3])
    end)
end)
