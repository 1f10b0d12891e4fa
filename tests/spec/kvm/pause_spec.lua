-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Pause, resume and what is injected, where no guest's time has to be moved; the rest is in
-- tests/spec/linux/pause_spec.lua, for KVM on some hosts cannot.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT, SPIN = bare.HLT, bare.SPIN
local PAUSE = 0.1 -- seconds; far more than a pause and a resume take

local function clock_of(vm)
    return ("<I8"):unpack(assert(vm:get_state "clock")) / 1e9
end

describe("vm:resume", function()
    it("lets the guest's time go on, unless told otherwise", function()
        local vm <close> = tiny.bare(SPIN)
        assert(vm:start())
        for _, options in ipairs { { time = "runs" }, {} } do
            assert(vm:pause(10))
            local before = clock_of(vm)
            vmm.sleep(PAUSE)
            assert.same({ true, 0 }, { vm:resume(options) })
            assert(vm:pause(10))
            local went = clock_of(vm) - before
            assert(vm:resume())
            assert.is_true(went >= PAUSE and went < PAUSE + 5, went .. " s")
        end
    end)

    it("stops it, or says that this KVM can't and leaves the VM paused", function()
        local vm <close>, vcpu = tiny.bare(SPIN)
        assert(vm:start())
        assert(vm:pause(10))
        local before = clock_of(vm)
        vmm.sleep(PAUSE)
        local ok, message, code = vm:resume { time = "stops" }
        local went = clock_of(vm) - before
        if ok then
            assert.is_true(went < PAUSE, went .. " s")
            assert.equal("running", vcpu.state)
        else
            assert.matches('^state "tsc_offset": ', message)
            assert.equal("ENOTSUP", code)
            assert.is_true(went >= PAUSE, went .. " s")
            assert.equal("paused", vcpu.state)
        end
    end)

    it("has nothing to set back in a VM that has never run", function()
        local vm <close> = tiny.bare(HLT)
        assert.same({ true, 0 }, { vm:resume { time = "stops" } })
    end)

    it("refuses to stop the time of vCPUs that run, and leaves all as it is", function()
        local vm <close> = tiny.bare(SPIN)
        assert(vm:start())
        assert.same({ nil, "vCPU 0 runs: pause it to set its time back", "EBUSY" },
            { vm:resume { time = "stops" } })
        assert.equal("running", vm.first.state)
    end)

    it("stops no time in a handler, whose vCPU goes on", function()
        local vm <close> = tiny.bare("\xe6\x50" .. HLT) -- out 0x50, al
        local seen
        assert(vm:device { pio = { 0x50, 1 }, write = function()
            seen = { vm:resume { time = "stops" } }
        end })
        assert.equal("halt", bare.run(vm).reason)
        assert.same({ nil, "vCPU 0 is in a handler: its time goes on", "EBUSY" }, seen)
    end)

    it("raises for what it does not know", function()
        local vm <close> = tiny.bare(HLT)
        assert.error_matches(function()
            vm:resume { time = "stop" }
        end, 'vm:resume: time = "stop", did you mean "stops"%? valid: runs, stops')
        assert.error_matches(function()
            vm:resume { tiem = "runs" }
        end, 'vm:resume: unknown option "tiem", did you mean "time"%? valid: time')
        assert.error_matches(function()
            vm:pause { time = 1 }
        end, 'vm:pause: unknown option "time"')
    end)
end)

describe("vm:pause", function()
    it("takes its timeout as a number or by name", function()
        local vm <close> = tiny.bare(SPIN)
        assert(vm:start())
        for _, options in ipairs { 10, { timeout = 10 }, {} } do
            assert.is_true(vm:pause(options))
            assert.equal("paused", vm.first.state)
            assert(vm:resume())
            assert.equal("running", vm.first.state)
        end
    end)
end)

describe("vm:nmi", function()
    it("names the vCPUs there are when it is given another", function()
        local vm <close> = tiny.spinning()
        assert.error_matches(function()
            vm:nmi(2)
        end, "vm:nmi: there is no vCPU 2, but 1 to 1")
        assert.is_true(vm:nmi(1))
    end)
end)

describe("vm:power_button", function()
    it("says when a machine has none", function()
        local vm <close> = tiny.bare(HLT)
        assert.same({ nil, "the VM has no power button: its field acpi_events is nil", "ENXIO" },
            { vm:power_button() })
    end)

    it("presses what another device is not", function()
        assert.error_matches(function()
            vmm.debug_port { name = "post" }:raise(1)
        end, "post has no events to raise")
        local vm <close> = tiny.spinning()
        assert.error_matches(function()
            vm.acpi_events:raise(0)
        end, "events are 1 to 255")
        assert.is_true(vm:power_button())
    end)
end)
