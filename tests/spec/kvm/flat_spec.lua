-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Flat guests on a machine made of building blocks: the modes they are entered in, and their
-- exits.

local flat_machine = require "tests.spec.support.flat_machine"
local tiny = require "tests.spec.support.tiny"

local function run(name, mode, setup)
    local vm <close> = flat_machine.start {
        path = ".build/guest/" .. name .. ".bin", mode = mode, setup = setup,
    }
    local stop = assert(vm:wait { timeout = 20 })
    return stop.reason, vm.console:output()
end

describe("a flat guest", function()
    it("is entered in real mode", function()
        local reason, output = run("hello16", 16)
        assert.equal("Hello from real mode\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("is entered in protected mode", function()
        local reason, output = run("hello32", 32)
        assert.equal("Hello from protected mode\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("is entered in long mode", function()
        local reason, output = run("hello", 64)
        assert.equal("Hello from a guest\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("needs no address in a machine from a config table, in any mode", function()
        for name, mode in pairs { hello16 = 16, hello32 = 32, hello = 64 } do
            local stop, output = tiny.run(name, {
                form = "bin", kernel = { flow = "flat", mode = mode },
            })
            assert.equal("reboot", stop.reason)
            assert.matches("PASS\n$", output)
        end
    end)

    it("ends by HLT where there is no irqchip", function()
        local reason, output = run("halt", 64)
        assert.equal("PASS\nreboot: System halted\n", output)
        assert.equal("halt", reason)
    end)
end)

describe("a loop of exits", function()
    local COUNT = 1000

    for name, where in pairs {
        pio_loop32 = { pio = { 0x500, 1 }, size = 1 },
        mmio_loop32 = { mmio = { 0xd0000000, 4 }, size = 4 },
    } do
        it("reaches a handler in Lua each time [" .. name .. "]", function()
            local seen, odd = 0, nil
            local reason = run(name, 32, function(vm, mem, plan)
                mem:u32(plan.entry + 4, COUNT)
                vm:device {
                    name = "sink", pio = where.pio, mmio = where.mmio,
                    write = function(_, offset, size)
                        seen = seen + 1
                        if offset ~= 0 or size ~= where.size then odd = { offset, size } end
                    end,
                }
            end)
            assert.equal("halt", reason)
            assert.equal(COUNT, seen)
            assert.is_nil(odd)
        end)
    end
end)
