-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The zero page: Linux's struct boot_params (Documentation/x86/boot.rst and zero-page.rst).

local failure = require "vmm.boot.failure"

local zero_page = {}

local SIZE = 4096
local SETUP_HEADER = 0x1f1
local SETUP_HEADER_MAX = 0x290 - SETUP_HEADER
local E820_MAX = 128

-- offset and string.pack format of the fields that are written
local FIELD = {
    acpi_rsdp_addr = { 0x070, "<I8" },
    ext_ramdisk_image = { 0x0c0, "<I4" },
    ext_ramdisk_size = { 0x0c4, "<I4" },
    ext_cmd_line_ptr = { 0x0c8, "<I4" },
    e820_entries = { 0x1e8, "<I1" },
    setup_header = { SETUP_HEADER, "c0" },
    vid_mode = { 0x1fa, "<I2" },
    boot_flag = { 0x1fe, "<I2" },
    header = { 0x202, "c4" },
    version = { 0x206, "<I2" },
    type_of_loader = { 0x210, "<I1" },
    loadflags = { 0x211, "<I1" },
    code32_start = { 0x214, "<I4" },
    ramdisk_image = { 0x218, "<I4" },
    ramdisk_size = { 0x21c, "<I4" },
    cmd_line_ptr = { 0x228, "<I4" },
    e820_table = { 0x2d0, "c0" },
}

local LOADER_UNDEFINED = 0xff -- type_of_loader of a boot loader without an assigned number
local LOADED_HIGH = 1 << 0
local KASLR_FLAG = 1 << 1 -- the kernel was moved, so it randomizes its other regions too
local VID_MODE_NORMAL = 0xffff
local LOW_32 = 0xffffffff

local Page = {}
Page.__index = Page

function Page:put(name, bytes)
    local at = FIELD[name][1]
    self.bytes = self.bytes:sub(1, at) .. bytes .. self.bytes:sub(at + #bytes + 1)
end

function Page:set(name, value)
    self:put(name, string.pack(FIELD[name][2], value))
end

function Page:get(name)
    return (string.unpack(FIELD[name][2], self.bytes, FIELD[name][1] + 1))
end

-- The kernel's own setup header or, for one that came without (a plain vmlinux), what makes
-- the fields below recognized.
local function set_header(page, setup_header)
    if setup_header then
        page:put("setup_header", setup_header:sub(1, SETUP_HEADER_MAX))
    else
        page:set("boot_flag", 0xaa55)
        page:set("header", "HdrS")
        page:set("version", 0x020f)
    end
end

local function set_initrd(page, initrd)
    page:set("ramdisk_image", initrd.base & LOW_32)
    page:set("ext_ramdisk_image", initrd.base >> 32)
    page:set("ramdisk_size", initrd.size & LOW_32)
    page:set("ext_ramdisk_size", initrd.size >> 32)
end

local function set_e820(page, map)
    if #map > E820_MAX then
        local format = "memory map: %d entries, but the zero page holds %d"
        failure.raise("E2BIG", format, #map, E820_MAX)
    end
    local entries = {}
    for i, range in ipairs(map) do
        entries[i] = string.pack("<I8I8I4", range.base, range.size, range.type)
    end
    page:set("e820_entries", #map)
    page:put("e820_table", table.concat(entries))
end

-- The 4096 bytes, from a table of
--   setup_header  string: a bzImage's bytes from 0x1f1 on; nil for a kernel without
--   cmdline       address of the command line
--   e820          array, layout.e820's result
-- and, optional, initrd = {base=, size=}, rsdp (address), code32_start (address, 32 bits),
-- kaslr (boolean: the kernel was slid).
function zero_page.build(from)
    local page = setmetatable({ bytes = ("\0"):rep(SIZE) }, Page)
    set_header(page, from.setup_header)
    local loadflags = page:get "loadflags" & ~KASLR_FLAG | LOADED_HIGH
    page:set("loadflags", from.kaslr and loadflags | KASLR_FLAG or loadflags)
    page:set("type_of_loader", LOADER_UNDEFINED)
    page:set("vid_mode", VID_MODE_NORMAL)
    page:set("cmd_line_ptr", from.cmdline & LOW_32)
    page:set("ext_cmd_line_ptr", from.cmdline >> 32)
    page:set("acpi_rsdp_addr", from.rsdp or 0)
    if from.code32_start then page:set("code32_start", from.code32_start) end
    if from.initrd then set_initrd(page, from.initrd) end
    set_e820(page, from.e820)
    return page.bytes
end

return zero_page
