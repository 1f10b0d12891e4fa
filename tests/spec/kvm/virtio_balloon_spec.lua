-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The balloon of a machine whose guest has no driver for it.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local function machine(balloon, memory)
    return vmm.vm {
        console = "capture", memory = memory or { size_mib = 16 }, balloon = balloon,
        kernel = { path = tiny.path "hello" },
    }
end

describe("vm.balloon", function()
    it("is there where it was asked for", function()
        local vm <close> = assert(machine(nil))
        assert.is_nil(vm.balloon)
    end)

    it("holds no more than the VM has", function()
        assert.same({ nil, "17 MiB in the balloon: the VM has 16", "EINVAL" },
            { machine { mib = 17 } })
        local vm <close> = assert(machine { mib = 4 })
        assert.is_true(vm.balloon:set(16))
        assert.same({ nil, "17 MiB in the balloon: the VM has 16", "EINVAL" },
            { vm.balloon:set(17) })
        assert.error_matches(function() vm.balloon:set(1.5) end, "a whole number of MiB")
        assert.equal(0, vm.balloon:actual())
    end)

    it("waits for a guest that does not answer no longer than it is told", function()
        local vm <close> = assert(machine {})
        assert.equal("timeout", (select(3, vm.balloon:stats { timeout = 0.05 })))
        assert.equal("timeout", (select(3, vm.balloon:wait(1, { timeout = 0.05 }))))
        assert.same({ nil, "the guest is not ready to be asked for statistics", "EAGAIN" },
            { vmm.virtio_balloon_ask(vm.balloon.device) })
    end)

    it("says so when the VM is closed", function()
        local vm = assert(machine {})
        local balloon = vm.balloon
        vm:close()
        for _, method in ipairs { "set", "actual", "stats", "wait" } do
            local argument = (method == "set" or method == "wait") and 1 or nil
            assert.equal("closed", (select(3, balloon[method](balloon, argument))), method)
        end
    end)
end)
