-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The one wait of a scenario's verbs: what ends it, and what its error says.

local fake_console = require "tests.spec.support.fake_console"
local wait = require "vmm.scenario.wait"

-- A VM that has printed nothing and does not end.
local function silent_vm()
    local console = fake_console.new()
    console.vm.console = console
    function console.vm.exit_counts() return {} end
    return console.vm
end

describe("A scenario's wait", function()
    it("returns what was awaited", function()
        assert.equal("it", wait(silent_vm(), "a thing", function() return "it" end, 600))
    end)

    it("says what, why and for how long when the time is over", function()
        local found, err, code = wait(silent_vm(), "a thing", function() end, 0)
        assert.is_nil(found)
        assert.equal("timeout", code)
        assert.equal("timeout", err.code)
        assert.matches("^fake: a thing: timed out after 0.0 s %(limit 0 s%); the VM is not started",
            tostring(err))
    end)

    it("ends at once when it is known to be in vain, with the reason and code given", function()
        local found, err, code = wait(silent_vm(), "a thing", function()
            return false, "it is broken", "EIO"
        end, 600)
        assert.is_nil(found)
        assert.equal("EIO", code)
        assert.equal("EIO", err.code)
        assert.matches("^fake: a thing: it is broken after ", tostring(err))
    end)

    it("has a reason of the caller's whatever code it comes with", function()
        for _, given in ipairs { "timeout", "failed", "ended" } do
            local _, err, code = wait(silent_vm(), "a thing", function()
                return false, "it says so", given
            end, 600)
            assert.equal(given, code)
            assert.equal("it says so", err.why)
        end
    end)

    it("ends with the VM's failure", function()
        local vm = silent_vm()
        local failure = { code = "oops" }
        vm.scenario = { failure = failure }
        local found, err, code = wait(vm, "a thing", function() end, 600)
        assert.is_nil(found)
        assert.equal(failure, err)
        assert.equal("oops", code)
    end)

    it("has what comes with the guest's end", function()
        local vm = silent_vm()
        function vm.stopped() return { reason = "poweroff", text = "" } end
        local looks = 0
        assert.equal("it", wait(vm, "a thing", function()
            looks = looks + 1
            return looks > 1 and "it" or nil
        end, 600))
        local _, err, code = wait(vm, "a thing", function() end, 600)
        assert.equal("ended", code)
        assert.equal("the guest ended", err.why)
    end)
end)
