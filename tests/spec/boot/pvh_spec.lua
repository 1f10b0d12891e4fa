-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The PVH entry: start info, module list, memory map and registers.

local fake_load = require "tests.spec.support.fake_load"
local fake_memory = require "tests.spec.support.fake_memory"
local pvh = require "vmm.boot.pvh"

local MIB = 1 << 20

local function load(options)
    options.mem = options.mem or fake_memory.new { { 0, 512 * MIB } }
    options.load = options.load or fake_load.new()
    options.image = options.image or fake_load.elf_image()
    return options, pvh.load(options)
end

local function start_info(mem)
    local names = { "magic", "version", "flags", "nr_modules", "modlist", "cmdline", "rsdp" }
    table.move({ "memmap", "memmap_entries", "reserved" }, 1, 3, #names + 1, names)
    local values = table.pack(string.unpack("<I4I4I4I4I8I8I8I8I4I4", mem:read(0x6000, 56)))
    local info = {}
    for i, name in ipairs(names) do
        info[name] = values[i]
    end
    return info
end

describe("pvh", function()
    it("enters in 32-bit protected mode with EBX at the start info", function()
        local _, plan = load {}
        assert.equal(0x1000700, plan.regs.rip)
        assert.equal(0x6000, plan.regs.rbx)
        assert.equal(2, plan.regs.rflags)
        local sregs = plan.sregs
        assert.same({ 0x11, 0, 0 }, { sregs.cr0, sregs.cr4, sregs.efer })
        assert.same({ 0, 0xffffffff, 1, 0 }, {
            sregs.cs.base,
            sregs.cs.limit,
            sregs.cs.db,
            sregs.cs.l,
        })
        assert.same({ 0, 0x67, 11 }, { sregs.tr.base, sregs.tr.limit, sregs.tr.type })
    end)

    it("tells magic, version 1, command line, RSDP and memory map", function()
        local options = load { cmdline = "quiet", rsdp = 0xe0000 }
        local info = start_info(options.mem)
        assert.equal(0x336ec578, info.magic)
        assert.equal(1, info.version)
        assert.equal(0, info.nr_modules)
        assert.equal(0xe0000, info.rsdp)
        assert.equal("quiet\0", options.mem:read(info.cmdline, 6))
        assert.equal(3, info.memmap_entries)
        local third = table.pack(string.unpack("<I8I8I4I4", options.mem:read(info.memmap + 48, 24)))
        assert.same({ 0x100000, 511 * MIB, 1, 0 }, { table.unpack(third, 1, 4) })
    end)

    it("lists the initrd as its one module", function()
        local options = load { initrd = fake_load.raw_image(("x"):rep(5000)) }
        local info = start_info(options.mem)
        assert.equal(1, info.nr_modules)
        local base, size, cmdline = string.unpack("<I8I8I8", options.mem:read(info.modlist, 24))
        assert.same({ 0x1fffe000, 5000, 0 }, { base, size, cmdline })
        assert.equal(info.modlist + 32, info.memmap)
    end)

    it("unpacks a bzImage", function()
        local _, plan = load { image = fake_load.bzimage_image() }
        assert.equal("unpacked", plan.kernel.how)
        assert.equal(0x1000700, plan.entry)
    end)

    it("refuses a bzImage that may not be unpacked", function()
        local _, none, message = load { image = fake_load.bzimage_image(), unpack = false }
        assert.is_nil(none)
        assert.equal("bzImage: the PVH entry is in the unpacked kernel; allow unpack", message)
    end)

    it("refuses a kernel without the entry", function()
        local _, none, message, code =
            load { image = fake_load.elf_image { has_pvh = false } }
        assert.is_nil(none)
        assert.equal("vmlinux: no PVH entry (Xen ELF note 18)", message)
        assert.equal("ENOEXEC", code)
    end)
end)
