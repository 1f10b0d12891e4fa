-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The file of the lines typed: the user's alone, bounded, whole.

local history = require "vmm.prompt.history"

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

describe("the history", function()
    local directory, path

    before_each(function()
        directory = os.tmpname()
        os.remove(directory)
        path = directory .. "/a/b/history"
    end)
    after_each(function()
        os.execute("rm -rf " .. directory)
    end)

    it("makes the directories and a file that only the user reads", function()
        local kept <close>, message = history.open(path)
        assert.is_nil(message)
        assert.same({}, kept.lines)
        local pipe <close> = assert(io.popen(("stat -c %%a %s %s/a"):format(path, directory)))
        assert.equal("600\n700\n", pipe:read "a")
    end)

    it("has the lines of before", function()
        local first = history.open(path)
        assert.is_true(first:add "one")
        assert.is_true(first:add "two")
        first:close()
        local second <close> = history.open(path)
        assert.same({ "one", "two" }, second.lines)
    end)

    it("leaves out empty lines, those said twice, and very long ones", function()
        local kept <close> = history.open(path)
        assert.is_true(kept:add "x")
        assert.is_false(kept:add "x")
        assert.is_false(kept:add "  ")
        assert.is_false(kept:add(("y"):rep(5000)))
        assert.equal("x\n", read(path))
    end)

    it("forgets the oldest of more than a thousand", function()
        local kept = history.open(path)
        for i = 1, 1003 do
            kept:add(tostring(i))
        end
        kept:close()
        local again <close> = history.open(path)
        assert.same({ 1000, "4", "1003" }, { #again.lines, again.lines[1], again.lines[1000] })
        assert.equal(1000, select(2, read(path):gsub("\n", "")))
    end)

    it("of two programs at a time has the lines of both", function()
        local one, other = history.open(path), history.open(path)
        one:add "a"
        other:add "b"
        one:add "c"
        one:close()
        other:close()
        assert.equal("a\nb\nc\n", read(path))
    end)

    it("works without a file, and says why", function()
        local kept, message = history.open "/proc/nothing/history"
        assert.matches("^/proc/nothing/history: ", message)
        assert.is_true(kept:add "x")
        kept:close()
    end)

    it("works without a home", function()
        local kept, message = history.open(nil)
        assert.is_nil(message)
        assert.is_true(kept:add "x")
    end)
end)
