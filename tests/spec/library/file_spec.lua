-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Files that are written as a whole.

local core = require "vmm.core"
local file = require "vmm.file"
local process = require "vmm.process"

describe("a file that is written as a whole", function()
    local directory, path

    before_each(function()
        directory = process.capture({ "mktemp", "-d" }):gsub("\n", "")
        path = directory .. "/file"
    end)
    after_each(function()
        process.capture { "rm", "-r", directory }
    end)

    local function read(from)
        local handle <close> = assert(io.open(from))
        return handle:read "a"
    end

    local function write(to, text)
        return file.write(to, function(put)
            put(text)
        end)
    end

    it("has all that was put into it, and nothing stays beside it", function()
        assert.is_true(file.write(path, function(put)
            put("one", "\n")
            put "two"
        end))
        assert.equal("one\ntwo", read(path))
        assert.is_nil(core.file_kind(path .. ".new"))
    end)

    it("is written where a link leads to, which stays a link", function()
        assert(write(path, "old"))
        process.capture { "ln", "-s", path, directory .. "/link" }
        assert(write(directory .. "/link", "new"))
        assert.equal("link", core.file_kind(directory .. "/link"))
        assert.equal("new", read(path))
    end)

    it("is not put in the place of a device", function()
        process.capture { "ln", "-s", "/dev/full", directory .. "/link" }
        local ok, message, code = write(directory .. "/link", "text")
        assert.same({ nil, ("cannot write %s/link: No space left on device"):format(directory),
            "EIO" }, { ok, message, code })
        assert.equal("link", core.file_kind(directory .. "/link"))
        assert.equal("other", core.file_kind "/dev/full")
    end)

    it("keeps its old contents while the new ones are not there", function()
        assert(write(path, "old"))
        assert.error(function()
            file.write(path, function(put)
                put "new"
                assert.equal("old", read(path))
                error "no more"
            end)
        end)
        assert.equal("old", read(path))
        assert.is_nil(core.file_kind(path .. ".new"))
    end)

    it("that cannot be written says why", function()
        assert.same({ nil, ("cannot write %s: Is a directory"):format(directory), "EIO" },
            { write(directory, "text") })
        assert.same({ nil, "cannot write /no/such/file: No such file or directory", "EIO" },
            { write("/no/such/file", "text") })
    end)
end)
