-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What becomes of a VM whose handler throws, yields, waits, closes or pauses its own VM, or removes
-- itself: each kind of handler, each of these. None may end in a deadlock.

local bare = require "tests.spec.support.bare"
local core = require "vmm.core"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov dx, 0x500; mov al, 5; out dx, al; in al, dx; hlt
local CODE = "\xba\x00\x05\xb0\x05\xee\xec" .. bare.HLT

-- What the handler does; handle is what was added, which has a remove. What it returns is what the
-- spec looks at.
local ACTIONS = {
    throws = function()
        error "no such luck"
    end,
    yields = function()
        return coroutine.yield()
    end,
    waits = function()
        return vmm.sleep(0.001)
    end,
    ["closes its VM"] = function(vm)
        vm:close()
        return "closed it"
    end,
    ["pauses its VM"] = function(vm)
        return vm:pause()
    end,
    ["removes itself"] = function(_, handle)
        handle:remove()
        return "removed it"
    end,
}

-- A VM (of CODE) whose handler of a kind does this the first time. told: { calls =, result = }.
local function make(add, action, code)
    local vm = tiny.bare(code or CODE)
    local told, handle = { calls = 0 }, nil
    handle = add(vm, function()
        told.calls = told.calls + 1
        if told.calls == 1 then told.result = action(vm, handle) end
    end)
    return vm, told
end

-- A wait with an end, also where a spec fails.
local function wait(vm)
    return assert(vm:wait { timeout = 10 })
end

-- ---- on the vCPU's thread -----------------------------------------------------------------

-- Each: how a handler is added, what an error of it is said to be of, how often it runs when it
-- stays.
local ON_THE_VCPU = {
    ["the read of a device"] = {
        add = function(vm, fn)
            return assert(vm:device { name = "dev", pio = { 0x500, 1 }, read = fn })
        end,
        of = "device dev: read of 1 bytes at offset 0x0: ",
    },
    ["the write of a device"] = {
        add = function(vm, fn)
            return assert(vm:device { name = "dev", pio = { 0x4ff, 2 }, write = fn })
        end,
        of = "device dev: write of 1 bytes at offset 0x1: ",
    },
    ["the read of a tap"] = {
        add = function(vm, fn)
            return assert(vm:tap { name = "spy", pio = { 0x500, 1 }, read = fn })
        end,
        of = "tap spy: read of 1 bytes at offset 0x0: ",
    },
    ["the write of a tap"] = {
        add = function(vm, fn)
            return assert(vm:tap { name = "spy", pio = { 0x500, 1 }, write = fn })
        end,
        of = "tap spy: write of 1 bytes at offset 0x0: ",
    },
    ["a hook of exits"] = {
        add = function(vm, fn)
            return assert(vm:on("unhandled_pio", fn))
        end,
        of = "hook unhandled_pio: pio_write of 1 bytes at port 0x500: ",
        calls = 2,
    },
}

local function await_state(vm, state)
    local deadline = vmm.now() + 10
    while vm.first.state ~= state and vmm.now() < deadline do
        vmm.step(0.01)
    end
    assert.equal(state, vm.first.state)
end

for kind, case in pairs(ON_THE_VCPU) do
    describe(kind .. ", on the vCPU's thread,", function()
        for action, text in pairs {
            throws = "handlers_spec.lua:%d+: no such luck",
            yields = "attempt to yield across a C%-call boundary",
            waits = "a handler may not wait",
        } do
            it("that " .. action .. " stops the VM with the access and the traceback", function()
                local vm <close>, told = make(case.add, ACTIONS[action])
                local stop = bare.run(vm)
                assert.equal("error", stop.reason)
                assert.equal(case.of, stop.text:sub(1, #case.of))
                assert.matches(text, stop.text)
                assert.matches("\nstack traceback:\n", stop.text, 1, true)
                assert.equal(1, told.calls)
            end)
        end

        it("that closes its VM ends it when it has returned; somebody else frees it", function()
            local vm, told = make(case.add, ACTIONS["closes its VM"])
            assert.equal("closed", bare.run(vm).reason)
            assert.same({ calls = 1, result = "closed it" }, told)
            assert.is_false(vm.closed)
            vm:close()
            assert.is_true(vm.closed)
        end)

        it("that pauses its VM does so when it has returned", function()
            local vm <close>, told = make(case.add, ACTIONS["pauses its VM"])
            assert(vm:start())
            await_state(vm, "paused")
            assert.same({ calls = 1, result = true }, told)
            vm:resume()
            assert.equal("halt", wait(vm).reason)
            assert.equal(case.calls or 1, told.calls)
        end)

        it("that removes itself runs to its end, and no more", function()
            local vm <close>, told = make(case.add, ACTIONS["removes itself"])
            assert.equal("halt", bare.run(vm).reason)
            assert.same({ calls = 1, result = "removed it" }, told)
        end)
    end)
end

describe("handlers of two VMs", function()
    it("may pause, and close, each other's VM", function()
        local vms, asked, over = {}, 0, false
        for name, other in pairs { a = "b", b = "a" } do
            vms[name] = tiny.bare(bare.POLL)
            assert(vms[name]:device {
                pio = { 0x500, 1 },
                read = function()
                    if over then return end
                    asked = asked + 1
                    assert(vms[other]:pause())
                end,
            })
        end
        local a, b = vms.a, vms.b
        assert(a:start())
        assert(b:start())
        for _ = 1, 100 do
            vmm.step(0.001)
            a:resume()
            b:resume()
        end
        assert.is_true(asked >= 2, asked)
        over = true
        assert(a:pause(10))
        assert(b:pause(10))
        assert(b:device { pio = { 0x43, 1 }, write = function() a:close() end })
        a:resume()
        b:resume()
        assert.equal("closed", wait(a).reason)
        a:close()
        b:close()
    end)
end)

-- ---- on the script's thread ---------------------------------------------------------------

-- Lets the VM run to its end in a task, as a script of its own would, with a wait after it; the
-- error of that task, or nil.
local function run_as_script(vm)
    local task = vmm.spawn(function()
        bare.run(vm)
        vmm.sleep(0.05)
    end)
    local ok, message = pcall(task.wait, task, 20)
    return not ok and tostring(message) or nil
end

-- What is raised in the main task, be it in this wait or the next one.
local function raised_by_waits(vm)
    local ok, message = pcall(function()
        bare.run(vm)
        vmm.sleep(0.05)
    end)
    return not ok and tostring(message) or nil
end

local CALLBACKS = {
    ["the function of a doorbell"] = {
        add = function(vm, fn)
            return assert(vm:doorbell { pio = 0x500, fn })
        end,
        yields = "attempt to yield from outside a coroutine",
        code = "\xba\x00\x05\xee" .. bare.SPIN, -- which does not end: mov dx, 0x500; out dx, al
    },
    ['the function of on("stop")'] = {
        add = function(vm, fn)
            return assert(vm:on("stop", fn))
        end,
        yields = "a callback may not yield: use vmm.spawn",
    },
}

for kind, case in pairs(CALLBACKS) do
    local add = case.add
    describe(kind .. ", on the script's thread,", function()
        it("that throws raises in a wait of the script, and the VM goes on", function()
            local vm <close>, told = make(add, ACTIONS.throws)
            assert.matches("no such luck", raised_by_waits(vm), 1, true)
            assert.equal("halt", wait(vm).reason)
            assert.equal(1, told.calls)
        end)

        it("that yields raises likewise", function()
            local vm <close> = make(add, ACTIONS.yields)
            assert.matches(case.yields, raised_by_waits(vm), 1, true)
            assert.equal("halt", wait(vm).reason)
        end)

        it("that yields raises likewise where the VM has ended before the wait", function()
            local vm <close> = make(add, ACTIONS.yields)
            assert(vm:start())
            while vm.first.state ~= "finished" do
                os.execute "sleep 0.01" -- no step of the script's loop
            end
            local ok, message = pcall(function()
                wait(vm)
                vmm.sleep(0.05)
            end)
            assert.is_false(ok)
            assert.matches("yield", message, 1, true)
        end)

        it("that waits lets everything else go on meanwhile", function()
            local vm <close>, told = make(add, ACTIONS.waits)
            assert.is_nil(run_as_script(vm))
            assert.equal("halt", wait(vm).reason)
            assert.same({ calls = 1, result = true }, told)
        end)

        it("that closes its VM interrupts who waits for it, unless it had ended", function()
            local vm <close>, told = make(add, ACTIONS["closes its VM"], case.code)
            assert(vm:start())
            local stop, message, code = vm:wait { timeout = 10 }
            if stop and not case.code then
                assert.equal("halt", stop.reason)
            else
                assert.same({ nil, "the VM was closed", "interrupted" }, { stop, message, code })
            end
            assert.is_true(vm.closed)
            assert.same({ calls = 1, result = "closed it" }, told)
        end)

        it("that pauses its VM finds it paused, or at its end", function()
            local vm <close>, told = make(add, ACTIONS["pauses its VM"])
            assert(vm:start())
            local deadline = vmm.now() + 10
            while told.calls == 0 and vmm.now() < deadline do
                vmm.step(0.01)
            end
            assert.same({ calls = 1, result = true }, told)
            vm:resume()
            assert.equal("halt", wait(vm).reason)
        end)

        it("that removes itself runs to its end, and no more", function()
            local vm <close>, told = make(add, ACTIONS["removes itself"])
            assert.is_nil(run_as_script(vm))
            assert.same({ calls = 1, result = "removed it" }, told)
        end)
    end)
end

-- ---- in the call that the script makes ----------------------------------------------------

describe('the function of on("ready"), in vm:start,', function()
    local function ready(vm, fn)
        return assert(vm:on("ready", fn))
    end

    it("that throws raises there, and nothing is started", function()
        local vm <close> = make(ready, ACTIONS.throws)
        assert.error_matches(function() vm:start() end, "no such luck")
        assert.equal("none", vm.first.state)
        assert.equal("halt", bare.run(vm).reason)
    end)

    it("that yields ends the task that starts the VM, and nothing is started", function()
        local vm <close> = make(ready, ACTIONS.yields)
        assert.matches("a task may not yield", run_as_script(vm), 1, true)
        assert.equal("none", vm.first.state)
        assert.equal("halt", bare.run(vm).reason)
    end)

    it("that waits delays the start", function()
        local vm <close>, told = make(ready, ACTIONS.waits)
        assert.equal("halt", bare.run(vm).reason)
        assert.same({ calls = 1, result = true }, told)
    end)

    it("that closes its VM has vm:start raise", function()
        local vm <close> = make(ready, ACTIONS["closes its VM"])
        assert.error_matches(function() vm:start() end, "the VM is closed")
        assert.is_true(vm.closed)
    end)

    it("that pauses its VM changes nothing: no vCPU runs yet", function()
        local vm <close>, told = make(ready, ACTIONS["pauses its VM"])
        assert.equal("halt", bare.run(vm).reason)
        assert.same({ calls = 1, result = true }, told)
    end)

    it("that removes itself runs to its end", function()
        local vm <close>, told = make(ready, ACTIONS["removes itself"])
        assert.equal("halt", bare.run(vm).reason)
        assert.same({ calls = 1, result = "removed it" }, told)
    end)
end)

describe("the reset of a device, in vm:device and dev:replace,", function()
    local function device(vm, fn)
        return assert(vm:device { name = "dev", pio = { 0x500, 1 }, reset = fn })
    end

    it("that throws or yields raises there, and there is no device", function()
        for action, text in pairs {
            throws = "no such luck", yields = "attempt to yield across a C%-call boundary",
        } do
            local vm <close> = tiny.bare(CODE)
            assert.error_matches(function() device(vm, ACTIONS[action]) end, text)
            assert(vm:device { name = "other", pio = { 0x500, 1 } })
            assert.equal("halt", bare.run(vm).reason)
        end
    end)

    it("that waits delays it; in a handler it raises, as any wait there", function()
        local vm <close>, told = make(device, ACTIONS.waits)
        assert.same({ calls = 1, result = true }, told)
        local other <close> = tiny.bare(CODE)
        assert(other:device {
            name = "old",
            pio = { 0x500, 1 },
            write = function(self)
                self:replace { reset = ACTIONS.waits }
            end,
        })
        local stop = bare.run(other)
        assert.equal("device old: write of 1 bytes at offset 0x0: ", stop.text:sub(1, 44))
        assert.matches("a handler may not wait", stop.text, 1, true)
    end)

    it("that closes its VM has it raise, or return that the device is gone", function()
        local vm = tiny.bare(CODE)
        assert.error_matches(function()
            device(vm, function() vm:close() end)
        end, "the VM is closed")
        assert.is_true(vm.closed)

        vm = tiny.bare(CODE)
        local dev = device(vm)
        local next, _, code = dev:replace { reset = function() vm:close() end }
        assert.is_nil(next)
        assert.equal("ENOENT", code)
    end)

    it("that pauses its VM finds it paused", function()
        local vm <close> = tiny.bare("\xba\x00\x05\xec\xeb\xfd") -- in al, dx again and again
        local dev = device(vm)
        assert(vm:start())
        assert(dev:replace {
            name = "next",
            reset = function()
                assert(vm:pause(10))
                assert.equal("paused", vm.first.state)
            end,
        })
        assert.equal("paused", vm.first.state)
        vm:resume()
        await_state(vm, "running")
    end)

    it("that removes what it is to replace has no range to take over", function()
        local vm <close> = tiny.bare(CODE)
        local dev = device(vm)
        local next, message, code = dev:replace { reset = function() dev:remove() end }
        assert.is_nil(next)
        assert.equal("device dev has been removed", message)
        assert.equal("ENOENT", code)
        assert.equal("halt", bare.run(vm).reason)
    end)
end)

-- ---- all at once ----------------------------------------------------------------------------

describe("two vCPUs and the script, each changing what the others use,", function()
    it("come to no deadlock where one resumes what the other pauses", function()
        local vm <close> = tiny.bare(bare.POLL)
        local resumed = 0
        assert(vm:device {
            pio = { 0x500, 1 },
            read = function()
                resumed = resumed + 1
                vm:resume()
                core.wake()
            end,
        })
        assert(vm:start())
        -- A host that is busy may not let the guest run between two pauses.
        local deadline = vmm.now() + 10
        while resumed == 0 and vmm.now() < deadline do
            vmm.step(deadline - vmm.now())
        end
        assert.is_true(resumed > 0)
        for _ = 1, 200 do
            local ok, _, code = vm:pause() -- without a limit
            assert.equal(ok and "paused" or "ECANCELED", code or "paused")
            vm:resume()
        end
    end)

    it("come to no deadlock, and close", function()
        local vm = tiny.bare(bare.POLL)
        local second = assert(vm:create_vcpu(1))
        second.sregs = vm.first.sregs
        second.regs = vm.first.regs

        -- Every handler of the guest's accesses does one of these in turn.
        local reads, polled = 0, nil
        local turns = {
            function() vm:pause() end,
            function() polled:remove() end,
            function() vm:tap { pio = { 0x500, 1 }, read = function(tap) tap:remove() end } end,
            function() local hook = vm:on("exit", print) hook:remove() end,
            function() polled:move(0x600) polled:move(0x500) end,
            function() vm:resume() end,
        }
        local function poll(self)
            reads = reads + 1
            polled = self
            turns[reads % #turns + 1]()
        end

        assert(vm:start())
        for round = 1, 100 do
            local device = assert(vm:device { pio = { 0x500, 1 }, read = poll })
            local tap = assert(vm:tap { pio = { 0x43, 1 }, write = function() return round end })
            local sink = assert(vm:device { pio = { 0x43, 1 }, write = function() end })
            vmm.step(0.001)
            local paused, _, code = vm:pause(10)
            assert.equal(paused and "paused" or "ECANCELED", code or "paused")
            vm:resume()
            assert.is_true(tap:remove())
            assert.is_true(sink:remove())
            assert.is_true(device:remove())
        end
        assert.is_true(reads > 6, reads)
        vm:close()
        assert.is_true(vm.closed)
    end)
end)
