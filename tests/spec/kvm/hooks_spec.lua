-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:on: the events of a VM's life, told on the script's thread.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT, SPIN, OUT_43 = bare.HLT, bare.SPIN, bare.OUT_43
local append, result_of, run = bare.append, bare.result_of, bare.run

describe("vm:on", function()
    it("raises for an event that there is not, and lists those that there are", function()
        local vm <close> = tiny.bare(HLT)
        local ok, message = pcall(vm.on, vm, "rebot", print)
        assert.is_false(ok)
        assert.matches('vm:on: unknown event "rebot", did you mean "reboot"?', message, 1, true)
        for _, name in ipairs {
            "ready", "stop", "reboot", "poweroff", "shutdown", "panic", "triple_fault", "halt",
            "error", "closed", "crashloaded", "unhandled_pio", "unhandled_mmio", "msr",
            "hypercall", "debug", "unknown", "exit",
        } do
            assert.matches("[ ,]" .. name .. "%f[,\0]", message)
            if name ~= "msr" then assert(vm:on(name, print)):remove() end
        end
        assert.has_error(function()
            vm:on(nil, print)
        end)
    end)

    it("raises without a function, and for a closed VM", function()
        local vm <close> = tiny.bare(HLT)
        local ok, message = pcall(function()
            vm:on("stop", 5)
        end)
        assert.is_false(ok)
        assert.matches("hooks_spec.lua:%d+: vm:on: fn must be a function, not 5", message)
        vm:close()
        assert.error_matches(function()
            vm:on("stop", print)
        end, "the VM is closed")
    end)

    it("calls several in the order of subscription, until they are removed", function()
        local vm <close> = tiny.bare(HLT)
        local seen = {}
        local first = vm:on("halt", append(seen, "first"))
        local second = vm:on("stop", append(seen, "second"))
        vm:on("halt", append(seen, "third"))
        assert.equal("vmm.subscription: stop", tostring(second))
        second:remove()
        second:remove()
        assert.equal("vmm.subscription: stop, removed", tostring(second))
        run(vm)
        assert.same({ "first", "third" }, seen)
        vm:close()
        first:remove()
    end)

    it("lets a hook remove others and add more", function()
        local vm <close> = tiny.bare(HLT)
        local seen, second = {}, nil
        vm:on("stop", function()
            second:remove()
            vm:on("stop", append(seen, "late"))
            seen[#seen + 1] = "first"
        end)
        second = vm:on("stop", append(seen, "second"))
        run(vm)
        assert.same({ "first" }, seen)
    end)
end)

describe("ready", function()
    it("comes at the start, before the first instruction, and may change registers", function()
        local vm <close> = tiny.bare(OUT_43 .. HLT)
        local result, seen = result_of(vm), {}
        vm:on("ready", function(ready)
            seen[#seen + 1] = ready == vm
            vm.first.regs = { rax = 0x5a }
        end)
        assert.same({}, seen)
        assert.equal("halt", run(vm).reason)
        assert.same({ 0x5a }, result)
        assert.is_nil(vm:start())
        assert.same({ true }, seen)
    end)

    it("raises a hook's error in vm:start, which starts nothing", function()
        local vm <close> = tiny.bare(HLT)
        local subscription = vm:on("ready", function()
            error "not yet"
        end)
        assert.error_matches(function()
            vm:start()
        end, "not yet")
        assert.equal("none", vm.first.state)
        subscription:remove()
        assert.equal("halt", run(vm).reason)
    end)
end)

describe("the end", function()
    -- Which of all reasons' events come at the end of a VM, and with what.
    local function events_of(vm, finish)
        local seen = {}
        for _, name in ipairs {
            "stop", "reboot", "shutdown", "panic", "triple_fault", "halt", "error", "closed",
        } do
            vm:on(name, function(stop)
                seen[#seen + 1] = name .. ":" .. stop.reason
            end)
        end
        finish(vm)
        vm:close()
        return seen
    end

    for event, reason in pairs {
        reboot = "reboot",
        shutdown = "poweroff",
        panic = "panic",
        triple_fault = "triple_fault",
        halt = "halt",
        error = "error",
        closed = "closed",
    } do
        it("is told as stop and as " .. event .. ", once", function()
            local vm <close> = tiny.bare(SPIN)
            local seen = events_of(vm, function()
                assert(vm:start())
                vm:stop(reason, "for a test")
                assert.equal(reason, assert(vm:wait { timeout = 10 }).reason)
                vm:stopped()
                vmm.step(0)
            end)
            assert.same({ "stop:" .. reason, event .. ":" .. reason }, seen)
        end)
    end

    it("is told for what guests do: halt, triple fault, reboot, power off", function()
        for name, reason in pairs {
            halt = "halt",
            triple_fault = "triple_fault",
            reboot = "reboot",
            poweroff = "poweroff",
        } do
            local vm <close> = tiny.start(name)
            local told
            vm:on(reason, function(stop)
                told = stop
            end)
            if name == "halt" then vm:stop "halt" end
            assert(vm:wait { timeout = 20 })
            assert.equal(reason, told and told.reason)
        end
    end)

    it("is told when the script does nothing but step", function()
        local vm <close> = tiny.bare(HLT)
        local told
        vm:on("stop", function(stop)
            told = stop
        end)
        assert(vm:start())
        local deadline = vmm.now() + 10
        while not told and vmm.now() < deadline do
            vmm.step(0.1)
        end
        assert.equal("halt", told.reason)
    end)

    it("is told by vm:close, with what the guest did before", function()
        local closed = events_of(tiny.bare(SPIN), function(vm)
            assert(vm:start())
        end)
        assert.same({ "stop:closed", "closed:closed" }, closed)
        local never = events_of(tiny.bare(HLT), function() end)
        assert.same({ "stop:closed", "closed:closed" }, never)
        local halted = events_of(tiny.bare(HLT), function(vm)
            assert(vm:start())
            while vm.first.state ~= "finished" do
                os.execute "sleep 0.01"
            end
        end)
        assert.same({ "stop:halt", "halt:halt" }, halted)
    end)

    it("is told by a <close>, and lets a hook close the VM", function()
        local seen = {}
        do
            local vm <close> = tiny.bare(HLT)
            vm:on("stop", append(seen, "stop"))
        end
        local vm = tiny.bare(HLT)
        vm:on("halt", function()
            vm:close()
            seen[#seen + 1] = "halt"
        end)
        assert(vm:start())
        vm:wait { timeout = 10 }
        assert.is_true(vm.closed)
        assert.same({ "stop", "halt" }, seen)
    end)

    it("raises a hook's error in the script's next wait; the others are called", function()
        local vm <close> = tiny.bare(HLT)
        local seen = {}
        vm:on("stop", function()
            error "oh dear"
        end)
        vm:on("stop", append(seen, "second"))
        local ok, message = pcall(function()
            run(vm)
            vmm.sleep(0)
        end)
        assert.is_false(ok)
        assert.matches("oh dear", message)
        assert.same({ "second" }, seen)
    end)
end)
