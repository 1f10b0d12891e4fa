---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guest memory, its checked doors, and the loaders.

---@class vmm
local vmm = {}

---Guest memory: zeroed, lazily backed, in ascending disjoint ranges of whole pages.
---@param options { ranges: { [1]: integer, [2]: integer }[], shared?: boolean, huge_pages?: boolean }
---@return vmm.memory? memory, string? message, string? code
function vmm.memory(options) end

---The checked doors.  An access that is not wholly RAM returns nil, message, "EFAULT".
---@class vmm.memory
local memory = {}
---@param gpa integer
---@param len integer
---@return string? bytes, string? message, string? code
function memory:read(gpa, len) end
---@param gpa integer
---@param bytes string
---@return true? ok, string? message, string? code
function memory:write(gpa, bytes) end
---@param gpa integer
---@param byte integer  0 to 255
---@param len integer
---@return true? ok, string? message, string? code
function memory:fill(gpa, byte, len) end
---@param gpa integer
---@param len integer
---@return true? ok, string? message, string? code
function memory:check(gpa, len) end
---Little-endian load, or store when a value is given.
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u8(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u16(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u32(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u64(gpa, value) end
---@return integer bytes
function memory:size() end
---@return { base: integer, size: integer }[]
function memory:regions() end
---Gives the memory back; a VM that maps it keeps its own reference.
function memory:close() end

---@class vmm.load
vmm.load = {}
---@param path string
---@return vmm.image? image, string? message, string? code
function vmm.load.open(path) end
---@param bytes string
---@param name? string  for messages
---@return vmm.image image
function vmm.load.bytes(bytes, name) end
---The payload formats that unpack knows: "gzip", "xz", ...
---@return string[]
function vmm.load.formats() end
---@param image vmm.image
---@return vmm.elf_info? info, string? message, string? code
function vmm.load.elf_inspect(image) end
---Copies each PT_LOAD to its physical address + slide.
---@param mem vmm.memory
---@param image vmm.image
---@param options? { min_gpa?: integer, slide?: integer }
---@return vmm.elf_info? info, string? message, string? code
function vmm.load.elf(mem, image, options) end
---@param image vmm.image
---@return vmm.bzimage_info? info, string? message, string? code
function vmm.load.bzimage_inspect(image) end
---Copies the protected-mode part to gpa; its 64-bit entry is at gpa + 0x200.
---@param mem vmm.memory
---@param image vmm.image
---@param gpa integer
---@return vmm.bzimage_info? info, string? message, string? code
function vmm.load.bzimage(mem, image, gpa) end
---The vmlinux inside a bzImage; code "ENOTSUP" for a format that this build does not know.
---@param image vmm.image
---@return vmm.image? vmlinux, string? message, string? code
function vmm.load.unpack(image) end
---The same as a file: of the bzImage at path, written to another.
---@param path string
---@param to string
---@return true? ok, string? message, string? code
function vmm.load.extract(path, to) end
---Applies the relocations that trail an unpacked vmlinux, loaded with the same slide.
---@param mem vmm.memory
---@param image vmm.image
---@param slide integer
---@return true? ok, string? message, string? code
function vmm.load.relocate(mem, image, slide) end
---@param mem vmm.memory
---@param image vmm.image
---@param gpa integer
---@return true? ok, string? message, string? code
function vmm.load.raw(mem, image, gpa) end
---As high as fits at or below max_gpa, page-aligned, within one region.
---@param mem vmm.memory
---@param image vmm.image
---@param options { min_gpa?: integer, max_gpa?: integer }
---@return integer? gpa, integer|string size_or_message, string? code
function vmm.load.initrd(mem, image, options) end

---@class vmm.image
---@field kind "elf"|"bzimage"|"raw"
---@field size integer
---@field name string
local image = {}
---Bytes of the image, cut at its end.
---@param offset integer
---@param len integer
---@return string
function image:read(offset, len) end
function image:close() end

---@class vmm.elf_info
---@field entry integer
---@field entry_gpa integer
---@field low integer
---@field high integer
---@field has_pvh boolean
---@field pvh_entry? integer

---@class vmm.bzimage_info
---@field protocol integer
---@field loadable_64 boolean
---@field relocatable boolean
---@field preferred_gpa integer
---@field alignment integer
---@field init_size integer
---@field initrd_addr_max integer
---@field cmdline_size_max integer
---@field payload_offset integer
---@field payload_bytes integer
---@field payload_format string
---@field kernel_offset integer
---@field kernel_bytes integer
---@field setup_header string
