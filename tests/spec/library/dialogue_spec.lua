-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What one says to a guest and waits for, with a guest that is a string.

local fake_console = require "tests.spec.support.fake_console"
local keys = require "vmm.keys"
local vmm = require "vmm"

-- A console on which something has shown.
local function shown(text, options)
    local console, print = fake_console.new(options)
    print(text)
    return console, print
end

-- Runs fn, beside it the steps of a guest, one after the other, each when all else waits.
local function beside(fn, ...)
    local steps = { ... }
    local guest = vmm.spawn(function()
        for _, step in ipairs(steps) do
            vmm.sleep(0)
            step()
        end
    end)
    local results = table.pack(fn())
    guest:wait()
    return table.unpack(results, 1, results.n)
end

-- Runs fn beside a guest that prints the same again and again.
local function chatting(print, text, fn)
    local done
    local guest = vmm.spawn(function()
        while not done do
            print(text)
            vmm.sleep(0.001)
        end
    end)
    local results = table.pack(fn())
    done = true
    guest:wait()
    return table.unpack(results, 1, results.n)
end

-- A console that has what it is given as input, all of it taken.
local function listening(options)
    local console, print = fake_console.new(options)
    local got = {}
    function console.core.input(_, bytes)
        if bytes ~= "" then got[#got + 1] = bytes end
        return #bytes
    end
    return console, got, print
end

describe("console:expect", function()
    it("finds a Lua pattern, and what came before", function()
        local console = shown "a b1 c"
        assert.same({ before = "a ", match = "b1", index = 1, "b", "1" },
            console:expect "(%a)(%d)")
        assert.equal(" c", console:output())
    end)

    it("finds a plain text, in which nothing is magic", function()
        local console = shown "x [a-z]+ (y)"
        assert.same({ before = "x ", match = "[a-z]+ (", index = 1 },
            console:expect { plain = "[a-z]+ (" })
    end)

    it("finds a POSIX regex, with its groups", function()
        local console = shown "eth0: up\neth1: down\n"
        local found = console:expect { regex = "^(eth[0-9]+): (up|(down))$" }
        assert.same({ before = "", match = "eth0: up", index = 1, "eth0", "up" }, found)
        found = console:expect { regex = "^(eth[0-9]+): (up|(down))$" }
        assert.same({ "\n", "eth1", "down", "down" }, { found.before, table.unpack(found) })
    end)

    it("finds what shows first of a list, wherever that stands in it", function()
        local console = shown "login: password: "
        local list = { { plain = "password:" }, "log(%a+):", { regex = "[$#] $" } }
        local found = console:expect(list)
        assert.same({ 2, "in", "" }, { found.index, found[1], found.before })
        assert.same({ before = " ", match = "password:", index = 1 }, console:expect(list))
    end)

    it("finds the first of a list of those that begin at the same byte", function()
        local list = { "ab", "abc", { plain = "abcd" } }
        assert.same({ before = "", match = "ab", index = 1 }, shown "abcd":expect(list))
        assert.same({ before = "x", match = "b", index = 2 },
            shown "xbcd":expect { "c", "b", { regex = "b+" } })
    end)

    it("takes captures that are positions, and those that are empty", function()
        assert.same({ before = "ab", match = "c", index = 1, 3, "" }, shown "abc":expect "()c()"
            and shown "abc":expect "()c(d*)")
    end)

    it("finds what comes in pieces while it waits", function()
        local console, print = fake_console.new()
        local found = beside(function()
            return console:expect("# $", { timeout = 30 })
        end, function() print "guest" end, function() print "#" end, function() print " " end)
        assert.equal("guest", found.before)
    end)

    it("looks at output again only when there is more", function()
        local console, print = shown "abc"
        local looks, find = 0, string.find
        local found
        string.find = function(...) -- luacheck: ignore
            if select(2, ...) == "xyz" then looks = looks + 1 end
            return find(...)
        end
        local ok, message = pcall(beside, function()
            found = console:expect("xyz", { timeout = 30 })
        end, function() end, function() end, function() end, function() print "xyz" end)
        string.find = find -- luacheck: ignore
        assert.is_true(ok, message)
        assert.equal("xyz", found.match)
        assert.equal(3, looks) -- with that of the check
    end)

    it("lets several tasks wait on one console, each of which gets what it wants", function()
        local console, print = fake_console.new()
        local tasks = {}
        for i, wanted in ipairs { "one", "two", "three" } do
            tasks[i] = vmm.spawn(function()
                return console:expect(wanted, { timeout = 30 }).match
            end)
        end
        local results = beside(function()
            return vmm.wait_all(tasks, 30)
        end, function() print "one" end, function() print "two" end, function() print "three" end)
        assert.same({ "one", "two", "three" }, results)
        assert.equal(0, console.wanted)
    end)

    it("says what it wanted, when it is in vain", function()
        local console = shown "nothing\n"
        local _, err, code = console:try_expect(
            { "a%d", { plain = "b" }, { regex = "c+" } }, { timeout = 0 })
        assert.equal("timeout", code)
        assert.matches('^fake: expected "a%%d", the text "b" or the regex "c%+", timed out after '
            .. '0%.%d s %(limit 0 s%); the VM is not started; last lines:\n%[.*%] nothing$',
            tostring(err))
        assert.equal("nothing\n", console:output())
    end)

    it("raises what try_expect returns", function()
        local console = shown "x"
        local ok, err = pcall(console.expect, console, "y", { timeout = 0 })
        assert.is_false(ok)
        assert.equal("timeout", err.code)
        assert.equal(0, console.wanted)
    end)

    it("leaves nothing behind when a pattern fails late", function()
        local console = shown "a["
        local ok, err = pcall(console.expect, console, "a[", { timeout = 0 })
        assert.is_false(ok)
        assert.matches("malformed pattern", err)
        assert.equal(0, console.wanted)
    end)

    it("ends with the guest, all of whose output has been looked at", function()
        local console, print = fake_console.new()
        local ended, flushed
        function console.core.flush()
            flushed = true
            print "last words"
            return true
        end
        function console.vm.stopped()
            return ended and { reason = "poweroff", text = "" }
        end
        local found = beside(function()
            return console:expect("words$", { timeout = 30 })
        end, function() ended = true end)
        assert.is_true(flushed)
        assert.equal("last ", found.before)
        local _, err, code = console:try_expect("more", { timeout = 30 })
        assert.equal("ended", code)
        assert.matches("the guest ended after .*; the VM is ended: poweroff; ", tostring(err))
    end)

    it("ends with the failure of a scenario's VM", function()
        local console = fake_console.new()
        local failure = setmetatable({ code = "oops" }, {
            __tostring = function() return "fake: it oopsed" end,
        })
        console.vm.scenario = {}
        local _, err, code = beside(function()
            return console:try_expect("x", { timeout = 30 })
        end, function() console.vm.scenario.failure = failure end)
        assert.equal(failure, err)
        assert.equal("failed", code)
        assert.equal(failure, select(2, pcall(console.expect, console, "x")))
    end)

    it("finds what has shown before the failure of a scenario's VM was known", function()
        local console = shown "x"
        console.vm.scenario = { failure = "it oopsed" }
        assert.equal("x", console:expect("x").match)
    end)
end)

describe("what is never to show", function()
    it("ends an expect at once, and is left there", function()
        local console = shown "make: Error 2\n# "
        local _, err, code = console:try_expect("# ", { never = "Error %d+", timeout = 30 })
        assert.equal("never", code)
        assert.matches('^fake: expected "# ", "Error 2" showed %(never: "Error %%d%+"%) after ',
            tostring(err))
        assert.equal("make: Error 2\n# ", console:output())
    end)

    it("may be a list, of which the first that shows is told", function()
        local console, print = fake_console.new()
        local ok, err = beside(function()
            return pcall(console.expect, console, "# ", {
                never = { "panic", { plain = "[FAILED]" }, { regex = "Oops|BUG" } }, timeout = 30,
            })
        end, function() print "BUG: [FAILED]" end)
        assert.is_false(ok)
        assert.matches('"BUG" showed (never: the regex "Oops|BUG")', tostring(err), 1, true)
    end)

    it("does not matter once what is wanted has shown", function()
        local console = shown "# Error"
        assert.equal("# ", console:expect("# ", { never = "Error" }).match)
        assert.equal("never", select(3, console:try_expect("# ", { never = "Error" })))
    end)

    it("counts before what is wanted where both begin at the same byte", function()
        assert.equal("never", select(3, shown "# ":try_expect("#", { never = "# " })))
    end)
end)

describe("the dialogue with a kernel that logs", function()
    -- What may be a kernel's line is held until its bytes decide: time does not.
    local function split(options)
        local console, print = fake_console.new(options)
        console:split_log(true)
        console.held_until = function(self)
            return self.splitter.held ~= "" and math.huge or nil
        end
        return console, print
    end

    it("has a prompt that is cut", function()
        local console, print = split()
        print "gues<6>[    1.000000] cut\r\n"
        print "t<6>[    1.000001] again\r\n# "
        assert.equal("", console:expect("guest# ", { timeout = 0 }).before)
        assert.equal(2, #console.log:lines())
    end)

    it("has a prompt with brackets at once", function()
        local console, print = split()
        print "[root@x ~]# "
        assert.equal("[root@x ~]# ", console:expect(".*# $", { timeout = 0 }).match)
    end)

    it("does not show a header that comes in pieces", function()
        local console, print = split()
        print "# [    1.00"
        assert.equal("# ", console:output())
        print "0000] text"
        assert.equal("# ", console:output())
        print "\r\n"
        assert.equal("# ", console:output())
        assert.equal("text", console.log:lines()[1].text)
    end)

    it("shows what is held, in the end", function()
        local console, print = fake_console.new()
        console:split_log(true)
        print "choose ["
        local found = console:expect("%[$", { timeout = 30 })
        assert.equal("choose ", found.before)
        print "    1.000000] x"
        assert.equal("    1.000000] x", console:output())
    end)

    it("holds on what it has shown, which may yet become a line", function()
        local console, print = fake_console.new()
        console:split_log(true)
        console.held_until = function(self) -- shown at once
            return self.splitter.held ~= "" and 0 or nil
        end
        print "$ <6>[    "
        assert.equal("$ <6>[    ", console:output())
        assert.equal("$", console:expect("%$", { timeout = 0 }).match)
        print "1.000000] x\r\n> "
        assert.equal(" > ", console:output())
        assert.equal("x", console.log:lines()[1].text)
        print "<6>[    2"
        assert.equal(" > <6", console:expect("6", { timeout = 0 }).before .. "6")
        print ".000000] y\r\n"
        assert.equal(">[    2.000000] y\r\n", console:output()) -- for "<6" was the dialogue's
        assert.equal(1, #console.log:lines())
    end)

    it("has all of it when the guest has ended in the middle of a line", function()
        local console, print = split()
        console.vm.stopped = function() return { reason = "panic", text = "" } end
        print "a<0>[    1.000000] panic"
        console:try_expect("x", { timeout = 30 })
        assert.equal("panic", console.log:lines()[1].text)
        local other, type = split()
        other.vm.stopped = console.vm.stopped
        type "what ["
        assert.equal("[", other:expect("%[", { timeout = 30 }).match)
    end)

    it("is told of lines of the log that come while it waits", function()
        local console, print = split()
        console.vm.scenario = {}
        console.log:on_line(function(line)
            if line.level == 0 then console.vm.scenario.failure = line.text end
        end)
        local _, err, code = beside(function()
            return console:try_expect("# ", { timeout = 30 })
        end, function() print "<6>[    1.000000] fine\n" end,
            function() print "<0>[    2.000000] dead\n" end)
        assert.same({ "dead", "failed" }, { err, code })
    end)
end)

describe("console:settle", function()
    it("waits until no more comes, and takes all that has", function()
        local console, print = shown "one "
        local text = beside(function()
            return console:settle { quiet = 0.2, timeout = 30 }
        end, function() print "two " end, function() print "three" end)
        assert.equal("one two three", text)
        assert.equal("", console:output())
    end)

    it("is in vain with a guest that goes on and on", function()
        local console, print = fake_console.new()
        local _, err, code = chatting(print, ".", function()
            return console:try_settle { quiet = 1000, timeout = 0.05 }
        end)
        assert.equal("timeout", code)
        assert.matches("^fake: expected %d+ s without output, timed out after ", tostring(err))
    end)

    it("is over when the guest has ended", function()
        local console = shown "bye"
        console.vm.stopped = function() return { reason = "poweroff", text = "" } end
        assert.equal("bye", console:settle { quiet = 1000, timeout = 2000 })
    end)

    it("counts the kernel's lines as silence", function()
        local console, print = fake_console.new()
        console:split_log(true)
        assert.equal("", chatting(print, "<6>[    1.000000] on and on\n", function()
            return console:settle { quiet = 0.01, timeout = 30 }
        end))
    end)

    it("raises the failure of a scenario's VM", function()
        local console = shown "x"
        console.vm.scenario = { failure = "it oopsed" }
        local ok, err = pcall(console.settle, console)
        assert.same({ false, "it oopsed" }, { ok, err })
    end)
end)

describe("console:send", function()
    it("paces its bytes one by one where it is told to", function()
        local console, got = listening()
        assert.is_true(console:send("abc", { pace = 0 }))
        assert.is_true(console:send_line("d", { pace = 0.001 }))
        assert.same({ "a", "b", "c", "d", "\r" }, got)
    end)

    it("stops at once when the guest ends between two bytes", function()
        local console, got = listening()
        local ended
        console.vm.stopped = function() return ended end
        local _, message, code = beside(function()
            return console:send("ab", { pace = 0.05 })
        end, function() ended = { reason = "poweroff", text = "" } end)
        assert.same({ "the guest ended", "closed", { "a" } }, { message, code, got })
    end)
end)

describe("console:control", function()
    it("sends what keys send", function()
        local console, got = listening()
        for _, key in ipairs { "c", "D", "[", "?", "esc", "up", "f12", "tab" } do
            assert.is_true(console:control(key))
        end
        assert.same({ "\3", "\4", "\27", "\x7f", "\27", "\27[A", "\27[24~", "\t" }, got)
    end)

    it("knows Ctrl with all letters and signs, and no other bytes", function()
        for byte = 0, 255 do
            local bytes = keys.bytes(string.char(byte))
            local is_sign = byte >= 0x40 and byte <= 0x5f
            local is_letter = string.char(byte):find "%l"
            if byte == 0x3f then
                assert.equal("\x7f", bytes)
            else
                assert.equal((is_sign or is_letter) and string.char(byte & 0x1f) or nil, bytes)
            end
        end
        assert.is_nil(keys.bytes "")
        assert.is_nil(keys.bytes(3))
    end)
end)
