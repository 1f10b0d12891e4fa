-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Write cpio archives in the "newc" format that Linux unpacks as its initramfs.
-- Source: Documentation/driver-api/early-userspace/buffer-format.rst.

local cpio = {}

local Writer = {}
Writer.__index = Writer

local TYPE_FILE, TYPE_DIRECTORY, TYPE_SYMLINK = 0x8000, 0x4000, 0xa000
local TYPE_DEVICE = { c = 0x2000, b = 0x6000 }
local CHUNK = 1 << 20
-- Size fields have eight hexadecimal digits.
local SIZE_MAX = 0xffffffff

--- Start an archive. put(bytes) is called for each piece of it, in order.
function cpio.writer(put)
    return setmetatable({ put = put, inode = 0, offset = 0 }, Writer)
end

local function emit(self, bytes)
    self.put(bytes)
    self.offset = self.offset + #bytes
end

-- Headers and data both start at multiples of four bytes.
local function align(self)
    emit(self, ("\0"):rep(-self.offset % 4))
end

local function header(self, path, mode, size, rdev_major, rdev_minor)
    local name = path:gsub("^/+", "")
    if name == "" or name:find("\0", 1, true) then
        error(("bad path in an archive: %q"):format(path), 3)
    end
    self.inode = self.inode + 1
    -- ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    emit(self, "070701" .. ("%08X"):rep(13):format(self.inode, mode, 0, 0, 1, 0, size, 0, 0,
        rdev_major or 0, rdev_minor or 0, #name + 1, 0) .. name .. "\0")
    align(self)
end

--- Add a directory; its parent must be there already.
function Writer:directory(path, mode)
    header(self, path, TYPE_DIRECTORY | (mode or 0x1ed), 0)
end

--- Add a regular file with the given text.
function Writer:file(path, text, mode)
    header(self, path, TYPE_FILE | (mode or 0x1a4), #text)
    emit(self, text)
    align(self)
end

--- Add a copy of a host file, read piece by piece.
-- Returns true, or nil and a message when the host file cannot be read whole.
function Writer:host_file(path, host_path, mode)
    local file, message = io.open(host_path, "rb")
    local size = file and file:seek("end")
    if not size then
        return nil, message or host_path .. ": not a regular file"
    end
    if size > SIZE_MAX then
        file:close()
        return nil, ("%s: %d bytes; an initramfs file has at most %d")
            :format(host_path, size, SIZE_MAX)
    end
    file:seek("set")
    header(self, path, TYPE_FILE | (mode or 0x1a4), size)
    local left = size
    while left > 0 do
        local bytes = file:read(math.min(left, CHUNK))
        if not bytes then
            file:close()
            return nil, ("%s: ended %d bytes early"):format(host_path, left)
        end
        left = left - #bytes
        emit(self, bytes)
    end
    file:close()
    align(self)
    return true
end

--- Add a symbolic link.
function Writer:symlink(path, target)
    header(self, path, TYPE_SYMLINK | 0x1ff, #target)
    emit(self, target)
    align(self)
end

--- Add a device node: kind "c" or "b".
function Writer:device(path, kind, major, minor, mode)
    header(self, path, TYPE_DEVICE[kind] | (mode or 0x180), 0, major, minor)
end

--- End the archive. Linux takes another one after it.
function Writer:finish()
    self.inode = -1
    header(self, "TRAILER!!!", 0, 0)
end

return cpio
