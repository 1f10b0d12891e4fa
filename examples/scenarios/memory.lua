-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Memory is unplugged from a running guest by its balloon, until a program no longer fits: the
-- kernel kills it, which is detected, and told with the name of who was killed.
--
--   vmm-reference test examples/scenarios/memory.lua

local vmm = require "vmm"

-- A program that uses 64 MiB of memory.
local HUNGRY = "dd if=/dev/zero of=/dev/null bs=64M count=1"

describe("memory that is unplugged", function()
    local vm

    setup(function()
        vm = vmm.scenario.vm {
            guest = "debian-cloud",
            memory = { size_mib = 192 },
            balloon = { deflate_on_oom = false },
        }
        vm:boot():wait()
        -- Else the kernel refuses a program what it can see at once that it does not have.
        vm:succeed "echo 1 >/proc/sys/vm/overcommit_memory"
    end)

    teardown(function()
        vm:close()
    end)

    local function free_mib()
        return tonumber(vm:succeed "awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo")
    end

    local function unplug_all_but(mib)
        local balloon = math.floor(vm.balloon:actual()) + free_mib() - mib
        assert(vm.balloon:set(balloon))
        assert(vm.balloon:wait(balloon, { timeout = 30 }))
    end

    it("is missing in the guest, and comes back", function()
        local before = free_mib()
        unplug_all_but(48)
        assert.is_true(free_mib() < 64)
        assert(vm.balloon:set(0))
        assert(vm.balloon:wait(0, { timeout = 30 }))
        assert.is_true(free_mib() > before - 16)
        vm:succeed(HUNGRY)
    end)

    it("fails a program that needs it, and the failure says which", function()
        unplug_all_but(32)
        vm:background(HUNGRY)
        local failure = vm:wait_for_failure "oom"
        assert.matches("Out of memory: Killed process %d+ %(dd%)", tostring(failure))
    end)
end)
