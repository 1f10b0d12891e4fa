-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices whose registers are Lua functions.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov dx, 0x500; mov al, 5; out dx, al; in al, dx; out 0x43, al; hlt
local CODE = "\xba\x00\x05\xb0\x05\xee\xec\xe6\x43\xf4"

local function start(options)
    local vm = tiny.bare(CODE)
    options.pio = { 0x500, 4 }
    assert(vm:device(options))
    assert(vm:start())
    return vm
end

describe("a device in Lua", function()
    it("gets what the guest writes and gives what it reads", function()
        local seen = {}
        local vm <close> = start {
            name = "adder",
            write = function(dev, offset, size, value)
                dev.value = value + 1
                seen = { offset = offset, size = size, value = value }
            end,
            read = function(dev)
                return dev.value
            end,
        }
        local result
        assert(vm:device { pio = { 0x43, 1 }, write = function(_, _, _, v) result = v end })
        assert.equal("halt", assert(vm:wait { timeout = 10 }).reason)
        assert.same({ offset = 0, size = 1, value = 5 }, seen)
        assert.equal(6, result)
    end)

    it("that throws stops the VM with the traceback and the access", function()
        local vm <close> = start {
            name = "thrower",
            write = function()
                error "no such luck"
            end,
        }
        local stop = assert(vm:wait { timeout = 10 })
        assert.equal("error", stop.reason)
        assert.matches("device thrower: write of 1 bytes at offset 0x0: ", stop.text, 1, true)
        assert.matches("no such luck", stop.text, 1, true)
        assert.matches("stack traceback", stop.text, 1, true)
    end)

    it("may not wait", function()
        local vm <close> = start {
            name = "sleeper",
            write = function()
                vmm.sleep(1)
            end,
        }
        local stop = assert(vm:wait { timeout = 10 })
        assert.matches("a handler may not wait", stop.text, 1, true)
    end)

    it("may not yield", function()
        local vm <close> = start {
            name = "yielder",
            write = function()
                coroutine.yield()
            end,
        }
        local stop = assert(vm:wait { timeout = 10 })
        assert.matches("attempt to yield", stop.text, 1, true)
    end)

    it("may close its own VM", function()
        local vm
        vm = start {
            name = "closer",
            write = function()
                vm:close()
            end,
        }
        assert.equal("closed", assert(vm:wait { timeout = 10 }).reason)
        vm:close()
    end)

    it("may pause its own VM, served after it has returned", function()
        local vm, paused
        vm = start {
            name = "pauser",
            write = function()
                paused = vm:pause()
            end,
        }
        local vcpu = vm.first
        local deadline = vmm.now() + 10
        while vcpu.state ~= "paused" and vmm.now() < deadline do
            vmm.step(0.01)
        end
        assert.is_true(paused)
        assert.equal("paused", vcpu.state)
        vm:resume()
        assert.equal("halt", assert(vm:wait { timeout = 10 }).reason)
        vm:close()
    end)

    it("is refused where another device lies", function()
        local vm <close> = tiny.bare "\xf4"
        assert(vm:device { name = "one", pio = { 0x500, 4 } })
        local ok, message, code = vm:device { name = "two", pio = { 0x503, 1 } }
        assert.is_nil(ok)
        assert.matches("one", message)
        assert.equal("EBUSY", code)
    end)
end)
