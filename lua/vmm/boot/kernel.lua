-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel image into memory: as it is, or unpacked on the host, or slid.

local failure = require "vmm.boot.failure"
local layout = require "vmm.x86.layout"

local check = failure.check
local kernel = {}

local ENTRY_64 = 0x200 -- of a bzImage's protected-mode part (boot.rst)
-- Linux maps 1 GiB of virtual addresses for its image (KERNEL_IMAGE_SIZE with KASLR).
local IMAGE_ROOM = layout.GIB
local SLIDE_ALIGNMENT = 2 * layout.MIB
-- The initrd's limit for images that do not say: what every 64-bit Linux takes.
local INITRD_ADDR_MAX = 0x7fffffff
local PAGE = 4096
-- One error number on Linux, two names.
local NOT_SUPPORTED = { ENOTSUP = true, EOPNOTSUPP = true }

local function align_up(value, alignment)
    return (value + alignment - 1) // alignment * alignment
end

local function himem_start(options)
    return options.himem_start or layout.himem_start
end

local function check_slide(info, slide, alignment)
    if slide % alignment ~= 0 then
        local format = "slide 0x%x: must be a multiple of 0x%x"
        failure.raise("EINVAL", format, slide, alignment)
    end
    if slide < 0 or info.high + slide > IMAGE_ROOM then
        local format = "slide 0x%x: must be at most 0x%x, so that the kernel ends below 0x%x"
        local most = (IMAGE_ROOM - info.high) // alignment * alignment
        failure.raise("ERANGE", format, slide, most, IMAGE_ROOM)
    end
end

-- An ELF kernel at its addresses, or slid from them with its relocations applied.
local function load_elf(plan, options, image, bzimage)
    local load, mem, slide = options.load, options.mem, options.slide or 0
    if slide ~= 0 then
        local alignment = bzimage and math.max(bzimage.alignment, PAGE) or SLIDE_ALIGNMENT
        check_slide(check(load.elf_inspect(image)), slide, alignment)
    end
    local info = check(load.elf(mem, image, { min_gpa = himem_start(options), slide = slide }))
    if slide ~= 0 then check(load.relocate(mem, image, slide)) end
    plan:note("kernel", info.low, info.high - info.low)
    return {
        entry = info.entry_gpa,
        low = info.low,
        high = info.high,
        elf = info,
        bzimage = bzimage,
        how = bzimage and "unpacked" or "elf",
    }
end

-- The end of the range that a bzImage unpacks itself into, unless it chooses another at
-- random: aligned up from where it was loaded, never below its preferred address.
local function runtime_end(info, gpa)
    local start = info.preferred_gpa
    if info.relocatable then
        start = math.max(start, align_up(gpa, math.max(info.alignment, PAGE)))
    end
    return start + info.init_size
end

-- A bzImage as it is: its protected-mode part at himem_start, to unpack itself in the guest.
local function load_bzimage(plan, options, image, info)
    local mem, gpa = options.mem, himem_start(options)
    if not info.loadable_64 then
        local format = "%s: this bzImage has no 64-bit entry (xloadflags bit 0 is clear)"
        failure.raise("ENOEXEC", format, image.name)
    end
    if (options.slide or 0) ~= 0 then
        local format = "slide 0x%x: a kernel that unpacks itself chooses its own; unpack it here"
        failure.raise("EINVAL", format, options.slide)
    end
    if gpa % PAGE ~= 0 then
        failure.raise("EINVAL", "himem_start 0x%x: must be a multiple of 0x1000", gpa)
    end
    check(options.load.bzimage(mem, image, gpa))
    plan:note("kernel", gpa, info.kernel_bytes)
    return {
        entry = gpa + ENTRY_64,
        low = gpa,
        high = math.max(runtime_end(info, gpa), gpa + info.kernel_bytes),
        bzimage = info,
        how = "bzimage",
    }
end

-- Unpacked on the host, or nil when that can't be done and may be left to the guest.
local function unpack(options, image)
    local vmlinux, message, code = options.load.unpack(image)
    if vmlinux then return vmlinux end
    if options.unpack == nil and NOT_SUPPORTED[code] then return nil end
    failure.raise(code, "%s", message)
end

-- Loads options.image into options.mem; returns a table:
--   entry       where the 64-bit entry is
--   low, high   the range that the kernel occupies while it starts; the initrd goes above
--   how         "elf" | "unpacked" | "bzimage"
--   bzimage     vmm.load.bzimage_inspect's table, if it was one
--   elf         vmm.load.elf's table, unless how is "bzimage"
-- options: mem, load, image, himem_start (1 MiB), unpack (nil: if possible; true; false),
-- slide (0).
function kernel.load(plan, options)
    local image = options.image
    if image.kind == "elf" then return load_elf(plan, options, image) end
    if image.kind ~= "bzimage" then
        local format = "%s: neither an ELF file nor a bzImage; for raw code choose flow=flat"
        failure.raise("ENOEXEC", format, image.name)
    end
    local info = check(options.load.bzimage_inspect(image))
    local vmlinux = options.unpack ~= false and unpack(options, image)
    if vmlinux then return load_elf(plan, options, vmlinux, info) end
    return load_bzimage(plan, options, image, info)
end

-- Loads options.initrd, if there is one, above the kernel and as high as it takes it (and at
-- most below `limit`, exclusive, when given). Returns {base=, size=} or nil.
function kernel.load_initrd(plan, options, loaded, limit)
    local initrd = options.initrd
    if not initrd then return nil end
    if initrd.size == 0 then
        failure.raise("EINVAL", "%s: the initrd is empty", initrd.name)
    end
    local highest = loaded.bzimage and loaded.bzimage.initrd_addr_max or INITRD_ADDR_MAX
    if limit then highest = math.min(highest, limit - 1) end
    local base, size = check(options.load.initrd(options.mem, initrd, {
        min_gpa = align_up(loaded.high, PAGE),
        max_gpa = highest,
    }))
    plan:note("initrd", base, size)
    return { base = base, size = size }
end

return kernel
