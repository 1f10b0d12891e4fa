-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM object can do beyond the core's mechanisms: waits, and how a guest's end is read.

local argument = require "vmm.argument"
local console = require "vmm.console"
local core = require "vmm.core"
local sched = require "vmm.sched"
require "vmm.hooks"
require "vmm.pause"
require "vmm.later"

local methods = core.classes["vmm.vm"]

local MP_STATE_HALTED = 3 -- KVM_MP_STATE_HALTED
local RFLAGS_IF = 1 << 9

-- Whoever waits for what only a living VM can bring calls this first: from then on a step of the
-- loop comes back when the VM ends, and tells so to those who have subscribed.
function methods.watch_end(vm)
    if vm.end_watch or vm.closed then return end
    vm.end_watch = assert(core.watch(vm:stopped_fd(), "r", function()
        vm.end_watch:close()
        if not vm.closed then vm:stopped() end
    end))
end

-- The line that says why a kernel has panicked. The one at the end, which the guest may or may not
-- come to before it is stopped, says it again.
local function panic_line(words)
    return words:find_line(console.PANIC, console.PANIC_END) or words:find_line(console.PANIC)
end

-- A guest that panicked and then rebooted, as panic=1 asks for, ended by panic.
local function with_panic(vm, stop)
    local line = vm.console and vm.panicked and (panic_line(vm.console)
        or vm.hvc and panic_line(vm.hvc))
    if line and (stop.reason == "reboot" or stop.reason == "panic") then
        return { reason = "panic", text = line }
    end
    return stop
end

local ended = methods.stopped

-- vm:stopped() -> { reason =, text = } once the VM has ended, else nil. reason: "reboot",
-- "poweroff", "panic", "triple_fault", "halt", "error", "closed".
function methods.stopped(vm)
    local stop = ended(vm)
    if not stop then return nil end
    if vm.console and not vm.end_seen then
        vm.end_seen = true
        vm.console.core:flush(1)
        vm.panicked = vm.panicked or vm.console:find_line(console.PANIC) ~= nil
    end
    stop = with_panic(vm, stop)
    vm:tell_end(stop)
    return stop
end

-- vm:wait{ timeout = seconds } -> { reason =, text = }, or nil, "timeout", "timeout"; nil,
-- "interrupted" when the VM is closed meanwhile; nil, failure, its kind when a scenario's VM fails
-- and goes on.
function methods.wait(vm, options)
    options = argument.options("vm:wait", options, { "timeout" })
    vm:watch_end()
    return sched.wait(function()
        if vm.closed then return false, "the VM was closed", "interrupted" end
        local stop = vm:stopped()
        local failure = not stop and vm.scenario and vm.scenario.settle and vm.scenario.settle()
        if failure then return false, failure, failure.code end
        return stop
    end, sched.scaled(options.timeout))
end

-- True when every vCPU is in HLT with interrupts off: only a reset would wake it.
local function halted_for_good(vm)
    if not vm:pause(1) then return false end
    for _, vcpu in ipairs(vm.vcpus) do
        local state = ("<I4"):unpack(vcpu:get_state "mp_state")
        if state ~= MP_STATE_HALTED or vcpu.regs.rflags & RFLAGS_IF ~= 0 then
            vm:resume()
            return false
        end
    end
    return true
end

-- Linux says that it halts a moment before it does.
local function await_halt(vm)
    for _ = 1, 20 do
        if vm.closed or vm:stopped() then return end
        if halted_for_good(vm) then
            vm:stop("halt", "the guest has halted")
            return
        end
        sched.sleep(0.05)
    end
end

-- A kernel message about the guest's end has shown on the console.
-- words: that console, when it is not vm.console.
function methods.on_last_words(vm, words)
    words = words or vm.console
    vm.panicked = vm.panicked or words:find_line(console.PANIC) ~= nil
    if words:find_line(console.PANIC_END) then
        vm:stop("panic", panic_line(words))
    elseif words:find_line(console.HALTED) then
        sched.spawn(await_halt, vm)
    end
end

return methods
