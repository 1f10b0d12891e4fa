-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A kernel by its PVH entry: 32-bit protected mode, EBX at an hvm_start_info
-- (Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h).

local cmdline = require "vmm.boot.cmdline"
local cpu_mode = require "vmm.boot.cpu_mode"
local failure = require "vmm.boot.failure"
local kernel = require "vmm.boot.kernel"
local layout = require "vmm.x86.layout"
local plan = require "vmm.boot.plan"

local pvh = {}

local MAGIC = 0x336ec578
local VERSION = 1 -- has the memory map
local START_INFO_SIZE, MODULE_SIZE = 56, 32

-- hvm_start_info with, right behind it, its module list (the initrd) and its memory map.
local function start_info(e820, initrd, rsdp)
    local modules = layout.pvh_start_info + START_INFO_SIZE
    local memory_map = modules + (initrd and MODULE_SIZE or 0)
    local parts = {
        string.pack(
            "<I4I4I4I4I8I8I8I8I4I4",
            MAGIC,
            VERSION,
            0, -- flags
            initrd and 1 or 0,
            initrd and modules or 0,
            layout.cmdline,
            rsdp or 0,
            memory_map,
            #e820,
            0
        ),
    }
    if initrd then
        parts[2] = string.pack("<I8I8I8I8", initrd.base, initrd.size, 0, 0)
    end
    for _, range in ipairs(e820) do
        parts[#parts + 1] = string.pack("<I8I8I4I4", range.base, range.size, range.type, 0)
    end
    return table.concat(parts)
end

-- As linux64.load, with the same options (slide is not among them; a bzImage is always
-- unpacked). Returns a plan or nil, message, code.
pvh.load = failure.catch(function(options)
    local image, new = options.image, plan.new("pvh", options)
    if image.kind == "bzimage" and options.unpack == false then
        local format = "%s: the PVH entry is in the unpacked kernel; allow unpack"
        failure.raise("EINVAL", format, image.name)
    end
    local loaded = kernel.load(new, {
        mem = options.mem,
        load = options.load,
        image = image,
        himem_start = options.himem_start,
        unpack = true,
    })
    if not loaded.elf.has_pvh then
        failure.raise("ENOEXEC", "%s: no PVH entry (Xen ELF note 18)", image.name)
    end
    local initrd = kernel.load_initrd(new, options, loaded, 4 * layout.GIB)
    local bzimage = loaded.bzimage
    cmdline.place(new, options.cmdline or "", bzimage and bzimage.cmdline_size_max)
    local e820 = layout.e820(options.mem:regions(), options.reserved)
    local info = start_info(e820, initrd, options.rsdp)
    if #info > layout.pvh_start_info_size then
        failure.raise("E2BIG", "memory map: %d entries do not fit the start info", #e820)
    end
    new:write("PVH start info", layout.pvh_start_info, info)
    cpu_mode.protected(new, loaded.elf.pvh_entry)
    new.regs.rbx = layout.pvh_start_info
    new.kernel = loaded
    return new
end)

return pvh
