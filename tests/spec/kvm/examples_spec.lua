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
