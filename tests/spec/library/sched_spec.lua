-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Tasks and waits: who runs when, and what becomes of errors.

local vmm = require "vmm"

describe("vmm.step", function()
    it("runs tasks, before and after it sleeps", function()
        local order = {}
        vmm.spawn(function()
            order[#order + 1] = "spawned"
            vmm.sleep(0.02)
            order[#order + 1] = "slept"
        end)
        local before = vmm.now()
        vmm.step(0)
        assert.same({ "spawned" }, order)
        while #order < 2 and vmm.now() < before + 10 do
            vmm.step(10)
        end
        assert.same({ "spawned", "slept" }, order)
        assert.is_true(vmm.now() < before + 5)
    end)

    it("sleeps no longer than it is told", function()
        local task = vmm.spawn(vmm.sleep, 60)
        local before = vmm.now()
        for _ = 1, 3 do
            vmm.step(0.01)
        end
        assert.is_true(vmm.now() < before + 5)
        assert.is_nil(task.done)
    end)
end)
