-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Taps: Lua functions that see, rewrite or swallow accesses to a device.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov dx, 0x500; mov al, 5; out dx, al; in al, dx; out 0x43, al; hlt
local CODE = "\xba\x00\x05\xb0\x05\xee\xec\xe6\x43\xf4"

-- A guest that writes 5 to a debug port (C, which reads as 0x21) and tells what it reads there.
local function make()
    local vm = tiny.bare(CODE)
    assert(vm:attach(vmm.debug_port { name = "probe", value = 0x21 }, { pio = 0x500 }))
    local told = {}
    assert(vm:device {
        pio = { 0x43, 1 },
        write = function(_, _, _, value) told[#told + 1] = value end,
    })
    return vm, told
end

local function finish(vm)
    assert(vm:start())
    return assert(vm:wait { timeout = 10 })
end

describe("a tap", function()
    it("observes a C device", function()
        local vm, told = make()
        local seen = {}
        local tap = assert(vm:tap {
            pio = { 0x4ff, 4 },
            read = function(_, ...) seen[#seen + 1] = { "read", ... } end,
            write = function(_, ...) seen[#seen + 1] = { "write", ... } end,
        })
        assert.equal("halt", finish(vm).reason)
        assert.same({ { "write", 1, 1, 5 }, { "read", 1, 1, 0x21 } }, seen)
        assert.same({ 0x21 }, told)
        vm:close()
        assert.is_true(tap:remove())
    end)

    it("rewrites what a C device gives", function()
        local vm, told = make()
        assert(vm:tap { pio = { 0x500, 1 }, read = function(_, _, _, value) return value * 2 end })
        assert(vm:tap { pio = { 0x500, 1 }, read = function(_, _, _, value) return value + 1 end })
        finish(vm)
        assert.same({ 0x43 }, told)
        vm:close()
    end)

    it("rewrites and swallows what a device gets", function()
        local vm, told = make()
        assert(vm:tap {
            pio = { 0x43, 1 },
            write = function(_, _, _, value) return value == 0x21 and 0x99 or false end,
        })
        finish(vm)
        assert.same({ 0x99 }, told)
        vm:close()

        vm, told = make()
        assert(vm:tap { pio = { 0x43, 1 }, write = function() return false end })
        finish(vm)
        assert.same({}, told)
        vm:close()
    end)

    it("rewrites what a serial port prints", function()
        local vm = assert(vmm.vm {
            console = "capture",
            memory = { size_mib = 16 },
            kernel = { path = tiny.path "hello" },
        })
        assert(vm:tap {
            pio = { 0x3f8, 1 },
            write = function(_, _, _, value)
                return string.char(value):upper():byte()
            end,
        })
        assert(vm:start())
        assert(vm:wait { timeout = 20 })
        local output = vm.console:output()
        assert.matches("%u", output)
        assert.equal(output:upper(), output)
        vm:close()
    end)

    it("comes and goes while the guest runs", function()
        local vm = tiny.bare(bare.POLL)
        local await = bare.await_told(vm)
        assert(vm:start())
        await(0xff)
        for value = 1, 100 do
            local tap = assert(vm:tap { pio = { 0x500, 1 }, read = function() return value end })
            if value % 20 == 0 then
                await(value)
            end
            assert.is_true(tap:remove())
            assert.is_true(tap:remove())
        end
        await(0xff)
        local calls = 0
        assert(vm:tap {
            pio = { 0x500, 1 },
            read = function(tap)
                calls = calls + 1
                assert(tap:remove())
                return 3
            end,
        })
        await(0xff)
        assert.equal(1, calls)
        vm:close()
    end)

    it("that returns what is no integer stops the VM", function()
        local vm <close> = make()
        assert(vm:tap { name = "spy", pio = { 0x500, 1 }, write = function() return "x" end })
        assert.equal("tap spy: write of 1 bytes at offset 0x0: the handler returned a string, " ..
            "not an integer", finish(vm).text)
    end)

    it("is refused over memory, and where no range can be", function()
        local vm <close> = make()
        local ok, message, code = vm:tap { name = "spy", mmio = { 0xf000, 0x2000 } }
        assert.is_nil(ok)
        assert.equal("mmio: spy at 0xf000-0x10fff overlaps memory at 0x0-0xffff", message)
        assert.equal("EBUSY", code)
        ok, message, code = vm:tap { name = "spy", pio = { 0xffff, 2 } }
        assert.is_nil(ok)
        assert.matches("spy at 0xffff%-0x10000 goes beyond the last address 0xffff", message)
        assert.equal("EINVAL", code)
        assert.has_error(function() vm:tap { pio = { 1, 1 }, mmio = { 1, 1 } } end,
            "vm:tap: give pio = {base, len} or mmio = {base, len}, not both")
        assert.has_error(function() vm:tap { pio = { 1, 1 }, read = 1 } end,
            "read must be a function, not number")
    end)
end)
