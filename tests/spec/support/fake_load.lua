-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Loaders in plain Lua that say what they are told to, so that boot flows are tested without
-- the C core. What was asked of them is kept in `calls`.

local fake_load = {}

-- Images as vmm.load.open makes them.
function fake_load.elf_image(info)
    return { kind = "elf", name = "vmlinux", size = 0x1000, info = info or {} }
end
function fake_load.bzimage_image(info)
    return { kind = "bzimage", name = "bzImage", size = 0x1000, info = info or {} }
end
function fake_load.raw_image(bytes)
    return { kind = "raw", name = "image.bin", size = #bytes, bytes = bytes }
end

local ELF = {
    entry = 0xffffffff81000040,
    entry_gpa = 0x1000040,
    low = 0x1000000,
    high = 0x3000000,
    has_pvh = true,
    pvh_entry = 0x1000700,
}

local BZIMAGE = {
    protocol = 0x20f,
    loadable_64 = true,
    relocatable = true,
    preferred_gpa = 0x1000000,
    alignment = 0x200000,
    init_size = 0x2000000,
    initrd_addr_max = 0x7fffffff,
    cmdline_size_max = 2047,
    payload_format = "lz4",
    kernel_bytes = 0x800000,
}

-- A setup header of 0x7b bytes, with a byte to be recognized in each field the flows set.
function fake_load.setup_header()
    local bytes = ("\x5a"):rep(0x7b)
    return bytes:sub(1, 0x11) .. "HdrS" .. bytes:sub(0x16)
end

local function with(defaults, changes)
    local merged = {}
    for key, value in pairs(defaults) do merged[key] = value end
    for key, value in pairs(changes or {}) do merged[key] = value end
    return merged
end

local function bzimage_info(image)
    local info = with(BZIMAGE, image.info)
    info.setup_header = fake_load.setup_header()
    info.setup_header_bytes = #info.setup_header
    return info
end

-- The loaders. options.unpack_error = {message, code}: what unpack fails with.
function fake_load.new(options)
    options = options or {}
    local load = { calls = {} }
    local function log(name, ...)
        load.calls[#load.calls + 1] = { name, ... }
    end
    function load.elf_inspect(image)
        return with(ELF, image.info)
    end
    function load.elf(_, image, where)
        log("elf", image, where)
        local info = with(ELF, image.info)
        for _, field in ipairs { "low", "high", "entry", "entry_gpa" } do
            info[field] = info[field] + where.slide
        end
        if info.low < where.min_gpa then return nil, "segment too low", "EINVAL" end
        return info
    end
    function load.relocate(_, image, slide)
        log("relocate", image, slide)
        return true
    end
    function load.bzimage_inspect(image)
        return bzimage_info(image)
    end
    function load.bzimage(_, image, gpa)
        log("bzimage", image, gpa)
        return bzimage_info(image)
    end
    function load.unpack(image)
        log("unpack", image)
        if options.unpack_error then return nil, table.unpack(options.unpack_error) end
        return fake_load.elf_image(image.info.elf)
    end
    function load.raw(mem, image, gpa)
        return mem:write(gpa, image.bytes)
    end
    function load.initrd(mem, image, where)
        log("initrd", image, where)
        local region = mem:regions()[1]
        local last = math.min(where.max_gpa + 1, region.base + region.size)
        local base = (last - image.size) & ~0xfff
        if base < where.min_gpa then return nil, "no room for the initrd", "ENOSPC" end
        return base, image.size
    end
    return load
end

return fake_load
