-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The MSRs that a vCPU starts with.

local msrs = require "vmm.x86.msrs"

describe("initial MSRs", function()
    it("turn on fast strings and write-back memory, each time in a table of its own", function()
        local first = msrs.initial()
        assert.same({ [0x1a0] = 1, [0x2ff] = 0x806 }, first)
        first[0x1a0] = nil
        assert.equal(1, msrs.initial()[0x1a0])
    end)
end)
