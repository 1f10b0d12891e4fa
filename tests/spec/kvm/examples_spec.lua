-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The examples that need no Linux, run as a user runs them.

local process = require "vmm.process"
local vmm = require "vmm"

describe("examples/01-flat.lua", function()
    it("prints what its thirty bytes of guest say", function()
        local output, _, code = process.capture { vmm.executable, "examples/01-flat.lua" }
        assert.is_nil(code)
        assert.equal("Hello from real mode\n", output)
    end)

    it("runs under a stock lua5.4 with the module", function()
        local output = process.capture {
            "env", "LUA_PATH=lua/?.lua;lua/?/init.lua;;", "LUA_CPATH=.build/release/?.so;;",
            "lua5.4", "examples/01-flat.lua",
        }
        assert.equal("Hello from real mode\n", output)
    end)
end)

describe("examples/05-device.lua", function()
    it("shows a device, a tap and a doorbell", function()
        local output, _, code = process.capture { vmm.executable, "examples/05-device.lua" }
        assert.is_nil(code)
        assert.equal("the guest writes 40, the device gets 41\nthe guest reads 42\n" ..
            "the guest reads 43\nthe counter is at 43; the doorbell rang 3 times, " ..
            "1 writes made an exit\n", output)
    end)
end)
