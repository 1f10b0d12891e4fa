-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The dialogue without a guest: what the console keeps, and what it refuses.

local core = require "vmm.core"
local fake_console = require "tests.spec.support.fake_console"
local vmm = require "vmm"

local methods = core.classes["vmm.vm"]

local KIB, MIB = 1 << 10, 1 << 20

describe("the transcript", function()
    local function longest(console)
        local bytes, most = 0, 0
        for _, line in ipairs(console.lines) do
            bytes, most = bytes + #line.text, math.max(most, #line.text)
        end
        return most, bytes
    end

    it("breaks a line without an end at 4 KiB", function()
        local console, print = fake_console.new()
        print(("x"):rep(10 * KIB))
        console:pull()
        print(("y"):rep(10 * KIB) .. "\nend")
        console:pull()
        assert.equal(4 * KIB, (longest(console)))
        assert.equal(6, #console.lines)
        assert.matches("y\n%[.*%] end$", console:tail(2))
    end)

    it("keeps 1 MiB of lines at least, 2 MiB at the most", function()
        local console, print = fake_console.new()
        for _ = 1, 100 do
            print(("x"):rep(64 * KIB - 1) .. "z")
            console:pull()
        end
        local most, bytes = longest(console)
        assert.equal(4 * KIB, most)
        assert.is_true(bytes >= MIB - most and bytes <= 2 * MIB, bytes .. " bytes")
        assert.matches("z$", console:tail(1))
    end)

    it("keeps 1000 lines at least, 2000 at the most", function()
        local console, print = fake_console.new()
        for i = 1, 5000 do
            print(i .. "\n")
            console:pull()
        end
        assert.is_true(#console.lines >= 1000 and #console.lines <= 2000)
        assert.equal("5000", console:find_line "5000")
        assert.equal("4001", console:find_line "4001")
    end)

    it("tells why a kernel has panicked, however much of its last line is there", function()
        local last = "---[ end Kernel panic - not syncing: why ]---\r\n"
        for _, length in ipairs { 21, 40, #last } do
            local console, print = fake_console.new()
            local vm, told = console.vm, nil
            vm.console = console
            function vm.stop(_, reason, text) told = reason .. ": " .. text end
            print("Kernel panic - not syncing: why\r\n" .. last:sub(1, length))
            methods.on_last_words(vm)
            assert.equal("panic: Kernel panic - not syncing: why", told)
        end
    end)

    it("finds a text where a line is broken", function()
        local console, print = fake_console.new()
        print(("x"):rep(4 * KIB - 7) .. "Kernel panic!")
        assert.matches("Kernel panic!", console:find_line "Kernel panic", 1, true)
    end)
end)

describe("the output that no expect has consumed", function()
    it("is the newest 1 MiB", function()
        local console, print = fake_console.new()
        for _ = 1, 50 do
            print(("x"):rep(64 * KIB))
            console:pull()
            assert.is_true(console.pieces_bytes <= 2 * MIB)
        end
        print "end"
        assert.equal(("x"):rep(MIB - 3) .. "end", console:output())
    end)

    it("comes in order, whatever the pieces", function()
        local console, print = fake_console.new()
        print "one two"
        console:pull()
        print " three"
        assert.equal("one ", console:expect("two").before)
        print " four"
        assert.equal(" three four", console:output())
    end)

    it("is taken in turns, so that a guest that goes on and on holds up nobody", function()
        local console, print = fake_console.new()
        local capture, reads = console.core.capture, 0
        function console.core.capture(...)
            reads = reads + 1
            if reads < 1000 then print(("x"):rep(KIB)) end
            return capture(...)
        end
        print(("x"):rep(MIB))
        console:pull()
        assert.is_true(reads < 100, reads .. " reads")
    end)

    it("is not whole in an error", function()
        local console, print = fake_console.new()
        print(("x"):rep(500 * KIB))
        local _, err = console:try_expect("never", { timeout = 0 })
        assert.is_true(#tostring(err) < 20 * KIB)
    end)
end)

describe("a function that a console goes to", function()
    it("that fails holds up nothing, and the script's next wait tells", function()
        local pieces = 0
        local console, print = fake_console.new {
            to = function()
                pieces = pieces + 1
                error("no sink", 0)
            end,
        }
        print(("x"):rep(100 * KIB))
        console:pull()
        assert.equal(2, pieces)
        assert.equal(100 * KIB, #console:output())
        assert.error_matches(function()
            vmm.sleep(60)
        end, "^no sink$")
    end)
end)

describe("console:send", function()
    it("goes on as long as all is taken, of which nobody tells", function()
        local guest = fake_console.new()
        local sending = vmm.spawn(function()
            return guest:send(("x"):rep(MIB))
        end)
        assert.equal(1, (vmm.wait_any({ sending }, 5)))
    end)
end)
