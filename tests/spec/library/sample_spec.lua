-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Samples of what a VM does while a scenario runs.

local core = require "vmm.core"
local sample = require "vmm.scenario.sample"
local sched = require "vmm.sched"

local LIMIT = 60

-- A VM that has 10 exits more whenever it is looked at.
local function fake_vm()
    local vm = { name = "a", closed = false, exits = 0 }
    function vm:metrics()
        self.exits = self.exits + 10
        return { uptime = self.exits / 100, resident_bytes = 4096, vcpus = {
            { exits = { hlt = self.exits - 4, pio_read = 1 } }, { exits = { hlt = 3 } },
        } }
    end
    function vm:stopped()
        return self.stop
    end
    return vm
end

-- Samples, a function that waits until there are some, and the task that takes them.
local function collect(vm)
    local list = {}
    local task = sample.start(vm, function(event)
        list[#list + 1] = event
    end)
    return list, function(count)
        return assert(sched.wait(function()
            return #list >= count or nil
        end, LIMIT))
    end, task
end

local function await_end(task)
    task:wait(LIMIT)
    assert.is_true(task.done)
end

describe("The samples of a VM", function()
    it("have all vCPUs' exits and the memory, again and again", function()
        local vm = fake_vm()
        local list, await, task = collect(vm)
        await(3)
        vm.closed = true
        await_end(task)
        assert.same({ event = "sample", vm = "a", t = 0.1, exits = 10, resident_bytes = 4096 },
            list[1])
        assert.equal(30, list[3].exits)
    end)

    it("end with the VM, of which the last is taken", function()
        local vm = fake_vm()
        local list, await, task = collect(vm)
        await(1)
        vm.stop = { reason = "poweroff" }
        local before = #list
        await_end(task)
        assert.equal(before + 1, #list)
    end)

    it("do not keep a VM that is forgotten", function()
        local weak = setmetatable({ vm = fake_vm() }, { __mode = "v" })
        local _, await, task = collect(weak.vm)
        await(1)
        assert(sched.wait(function()
            collectgarbage()
            return weak.vm == nil or nil
        end, LIMIT))
        await_end(task)
    end)
end)

describe("The time of day", function()
    it("is the host's, and has fractions of a second", function()
        local before = os.time()
        local now = core.wall_clock()
        assert.is_true(now >= before)
        assert.is_true(now < os.time() + 1)
        assert.is_truthy(sched.wait(function()
            return core.wall_clock() % 1 ~= 0 or nil
        end, LIMIT))
    end)
end)
