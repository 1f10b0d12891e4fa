-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A budget for the time to boot. How fast a host is, and how busy, is no affair of a test: the
-- budget is a share of what a reference takes on the same host, at the same time.
--
--   vmm-reference test --kernel path=~/linux/arch/x86/boot/bzImage examples/scenarios/boot_time.lua

local vmm = require "vmm"

local BUDGET = 1.5 -- times what the reference takes
local ROUNDS = 5 -- at the most; a round that something else slowed down counts for nothing

-- Seconds until a guest prompts.
local function boot_seconds(guest)
    local vm <close> = vmm.scenario.vm { guest = guest }
    local start = vmm.now()
    vm:boot():wait()
    return vmm.now() - start
end

describe("the time to boot", function()
    local reference -- seconds, the shortest

    setup(function()
        reference = boot_seconds "debian-cloud"
    end)

    it("is within its budget", function()
        local candidate = math.huge
        for _ = 1, ROUNDS do
            candidate = math.min(candidate, boot_seconds(vmm.guest.default()))
            if candidate <= reference * BUDGET then return end
            reference = math.min(reference, boot_seconds "debian-cloud")
        end
        error(("%.1f s; the reference takes %.1f s"):format(candidate, reference))
    end)

    it("is over it for a guest that sleeps while it starts", function()
        local sleeper = vmm.guest { run = ("sleep %d"):format(math.ceil(2 * reference)) }
        local candidate = boot_seconds(sleeper)
        assert.is_true(candidate > reference * BUDGET, candidate .. " s")
    end)
end)
