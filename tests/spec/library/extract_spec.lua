-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm.load.extract, which makes a file of the vmlinux in a bzImage.

local vmm = require "vmm"

local CORPUS = "tests/fuzz/corpus/bzimage/"

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

describe("vmm.load.extract", function()
    local path

    before_each(function()
        path = os.tmpname()
    end)

    after_each(function()
        os.remove(path)
    end)

    it("writes what vmm.load.unpack finds", function()
        assert.is_true(vmm.load.extract(CORPUS .. "gzip", path))
        local image <close> = assert(vmm.load.open(CORPUS .. "gzip"))
        local vmlinux <close> = assert(vmm.load.unpack(image))
        assert.equal("elf", vmlinux.kind)
        assert.equal(vmlinux:read(0, vmlinux.size), read(path))
    end)

    it("leaves alone what is there when the image has none", function()
        local file = assert(io.open(path, "wb"))
        assert(file:write "before")
        file:close()
        local ok, message, code = vmm.load.extract(CORPUS .. "no-payload", path)
        assert.is_nil(ok)
        assert.matches("no%-payload", message)
        assert.is_string(code)
        assert.equal("before", read(path))
    end)

    it("says which file cannot be read or written", function()
        local _, message = vmm.load.extract("/nowhere/bzImage", path)
        assert.matches("/nowhere/bzImage", message, 1, true)
        _, message = vmm.load.extract(CORPUS .. "gzip", "/nowhere/vmlinux")
        assert.matches("/nowhere/vmlinux", message, 1, true)
    end)
end)
