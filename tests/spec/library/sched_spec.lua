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

describe("a task", function()
    it("that yields of its own fails, and closes its variables", function()
        for _, value in pairs { false, 5, {}, "x" } do
            local closed
            local task = vmm.spawn(function()
                local variable <close> = setmetatable({}, { -- luacheck: ignore variable
                    __close = function()
                        vmm.sleep(0.01)
                        closed = true
                    end,
                })
                coroutine.yield(value or nil)
            end)
            local ok, err = pcall(task.wait, task)
            assert.is_false(ok)
            assert.equal("a task may not yield: use vmm.sleep, or a coroutine of your own", err)
            assert.matches("sched_spec.lua", task.traceback, 1, true)
            assert.is_true(closed)
        end
    end)

    it("may have a coroutine of its own, in which it may wait", function()
        local task = vmm.spawn(function()
            local step = coroutine.wrap(function()
                vmm.sleep(0.01)
                coroutine.yield(1)
                vmm.sleep(0.01)
                return 2
            end)
            return step(), step()
        end)
        assert.same({ 1, 2 }, { task:wait(10) })
    end)
end)
