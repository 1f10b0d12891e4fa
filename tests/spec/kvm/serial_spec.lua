-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The serial port end to end: guests that receive and send much, by polling and by interrupts.

local tiny = require "tests.spec.support.tiny"

local LIMIT = 60 -- these guests make hundreds of thousands of exits

describe("a guest", function()
    it("gets every line it sends back, by interrupts", function()
        local vm <close> = tiny.start "serial_irq"
        vm.console:expect("^ready\n", { timeout = LIMIT })
        for _, text in ipairs { "short", ("0123456789"):rep(20), "end" } do
            vm.console:send_line(text)
            vm.console:expect("^" .. text .. "\r", { timeout = LIMIT })
        end
        vm.console:expect("^PASS\n", { timeout = LIMIT })
        assert.equal("reboot", assert(vm:wait { timeout = LIMIT }).reason)
    end)

    it("floods the console, and no line is lost", function()
        local expected = {}
        for number = 0, 1023 do
            expected[#expected + 1] = ("line %04x "):format(number) .. ("."):rep(53) .. "\n"
        end
        local vm <close> = tiny.start "flood"
        assert(vm:wait { timeout = LIMIT })
        assert.equal(table.concat(expected) .. "PASS\n", vm.console:output())
    end)
end)

describe("a long paste", function()
    -- The sums that the guest echo.c computes over 64-bit words.
    local function sums(bytes)
        local a, b = 0, 0
        bytes = bytes .. ("\0"):rep(-#bytes % 8)
        for at = 1, #bytes, 8 do
            a = a + ("<i8"):unpack(bytes, at)
            b = b + a
        end
        return ("%x %x"):format(a, b)
    end

    it("of 1 MiB reaches the guest whole", function()
        local bytes, seed = {}, 0x9e3779b97f4a7c15
        for i = 1, (1 << 20) // 8 do
            seed = seed ~ seed << 13
            seed = seed ~ seed >> 7
            seed = seed ~ seed << 17
            bytes[i] = ("<i8"):pack(seed)
        end
        bytes = table.concat(bytes)

        local vm <close> = tiny.start "echo"
        vm.console:expect("^ready\n", { timeout = LIMIT })
        vm.console:send_line("sum " .. #bytes)
        assert(vm.console:send(bytes))
        local found = vm.console:expect("sum (%d+) (%x+ %x+)\n", { timeout = 300 })
        assert.equal(tostring(#bytes), found[1])
        assert.equal(sums(bytes), found[2])

        vm.console:send_line "echo 5"
        vm.console:send "again"
        vm.console:expect("again", { timeout = LIMIT })
        vm.console:send_line "end"
        vm.console:expect("PASS\n", { timeout = LIMIT })
        assert.equal("reboot", assert(vm:wait { timeout = LIMIT }).reason)
    end)
end)
