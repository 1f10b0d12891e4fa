-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The archive writer, read back by the host's cpio.

local cpio = require "vmm.cpio"
local process = require "vmm.process"

describe("a cpio archive", function()
    local scratch

    before_each(function()
        scratch = assert(process.temporary_directory("cpio-spec"))
    end)
    after_each(function()
        process.remove(scratch)
    end)

    -- Write an archive by calling add(writer); returns its path and size.
    local function archive(add)
        local path = scratch .. "/archive"
        local file = assert(io.open(path, "wb"))
        local writer = cpio.writer(function(bytes) file:write(bytes) end)
        add(writer)
        writer:finish()
        local size = file:seek("end")
        file:close()
        return path, size
    end

    -- What cpio lists, without owners and dates: mode, size or device, name.
    local function list(path)
        local output = assert(process.capture {
            "sh", "-c", "TZ=UTC LC_ALL=C cpio --quiet -itv <\"$1\"", "sh", path,
        })
        local lines = {}
        for line in output:gmatch("[^\n]+") do
            lines[#lines + 1] = line:gsub(" +", " "):gsub(" 1 root root", "")
                :gsub(" Jan 1 1970", "")
        end
        return lines
    end

    local function unpack_with_cpio(path)
        assert(process.capture({ "sh", "-c", "cpio --quiet -idm --no-absolute-filenames <\"$1\"",
            "sh", path }, { directory = scratch, stderr = "merge" }))
    end

    local function read(path)
        local file <close> = assert(io.open(path, "rb"))
        return file:read("a")
    end

    it("holds directories, files, links and devices with their modes", function()
        local path = archive(function(writer)
            writer:directory("/dev", 0x1ed)
            writer:file("/dev/note", "text\n", 0x1a0)
            writer:symlink("/dev/link", "note")
            writer:device("/dev/console", "c", 5, 1, 0x180)
            writer:device("/dev/vda", "b", 254, 16, 0x1b0)
        end)
        assert.same({
            "drwxr-xr-x 0 dev",
            "-rw-r----- 5 dev/note",
            "lrwxrwxrwx 4 dev/link -> note",
            "crw------- 5, 1 dev/console",
            "brw-rw---- 254, 16 dev/vda",
        }, list(path))
    end)

    it("is a multiple of four bytes after every entry, whatever the lengths", function()
        for length = 0, 9 do
            local name, text = "n" .. ("x"):rep(length), ("y"):rep(length)
            local path, size = archive(function(writer)
                writer:file(name, text)
                writer:file("after", "whole")
            end)
            assert.equal(0, size % 4)
            unpack_with_cpio(path)
            assert.equal(text, read(scratch .. "/" .. name))
            assert.equal("whole", read(scratch .. "/after"))
        end
    end)

    it("keeps every byte of a file from memory", function()
        local bytes = {}
        for byte = 0, 255 do
            bytes[byte + 1] = string.char(byte)
        end
        local text = table.concat(bytes)
        unpack_with_cpio(archive(function(writer) writer:file("bytes", text) end))
        assert.equal(text, read(scratch .. "/bytes"))
    end)

    it("copies a host file of more than one chunk whole", function()
        local source = scratch .. "/source"
        assert(process.capture { "sh", "-c", "head -c 2500001 /dev/urandom >\"$1\"", "sh", source })
        local path = archive(function(writer)
            assert(writer:host_file("copy", source, 0x1ed))
            writer:file("after", "whole")
        end)
        unpack_with_cpio(path)
        assert.equal("", assert(process.capture { "cmp", source, scratch .. "/copy" }))
        assert.equal("whole", read(scratch .. "/after"))
    end)

    it("says which host file cannot be read", function()
        archive(function(writer)
            local ok, message = writer:host_file("copy", "/nonexistent/file")
            assert.is_nil(ok)
            assert.equal("/nonexistent/file: No such file or directory", message)
        end)
    end)

    it("refuses a host file whose size the format cannot hold", function()
        local source = scratch .. "/huge"
        assert(process.capture { "truncate", "-s", "4294967296", source })
        archive(function(writer)
            local ok, message = writer:host_file("copy", source)
            assert.is_nil(ok)
            assert.equal(source .. ": 4294967296 bytes; an initramfs file has at most 4294967295",
                message)
        end)
    end)

    it("refuses a path that the format cannot hold", function()
        archive(function(writer)
            for path, shown in pairs { ["a\0b"] = '"a\\0b"', ["/"] = '"/"' } do
                assert.has_error(function() writer:file(path, "") end,
                    "bad path in an archive: " .. shown)
            end
        end)
    end)
end)
