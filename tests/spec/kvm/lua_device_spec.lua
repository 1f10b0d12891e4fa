-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices whose registers are Lua functions.

local tiny = require "tests.spec.support.tiny"

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

    it("is refused where another device lies", function()
        local vm <close> = tiny.bare "\xf4"
        assert(vm:device { name = "one", pio = { 0x500, 4 } })
        local ok, message, code = vm:device { name = "two", pio = { 0x503, 1 } }
        assert.is_nil(ok)
        assert.matches("one", message)
        assert.equal("EBUSY", code)
    end)
end)
