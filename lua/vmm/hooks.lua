-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:on(event, fn): what a script does when something happens to a VM, and at exits that no device
-- took.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"
local text = require "vmm.text"

local methods = core.classes["vmm.vm"]

-- On the script's thread, in the order of a VM's life.
local EVENTS = {
    "ready", -- before the first instruction
    "break", -- a breakpoint or watchpoint has stopped it (vmm.debug)
    "device_failed", -- a daemon that serves a device has failed (vmm.vhost_user)
    "crashloaded", -- a crash kernel takes over from one that has panicked (pvpanic)
    "stop", -- the end, whatever the reason; then each reason as an event of its own
    "reboot",
    "poweroff",
    "panic",
    "triple_fault",
    "halt",
    "error",
    "closed",
}
-- On the vCPU's thread.
local EXITS = { "unhandled_pio", "unhandled_mmio", "msr", "hypercall", "debug", "unknown" }
local ANY_EXIT = "exit"
local ALIASES = { shutdown = "poweroff" }

local NAMES = table.move(EXITS, 1, #EXITS, #EVENTS + 1, table.move(EVENTS, 1, #EVENTS, 1, {}))
NAMES[#NAMES + 1] = ANY_EXIT
NAMES[#NAMES + 1] = "shutdown"

local function set_of(names)
    local set = {}
    for _, name in ipairs(names) do
        set[name] = true
    end
    return set
end
local IS_NAME, IS_EXIT = set_of(NAMES), set_of(EXITS)

-- A VM's subscriptions are an array in their order, never changed but replaced: whoever walks it
-- may call what changes it.
local Subscription = { __name = "vmm.subscription" }
Subscription.__index = Subscription

function Subscription:__tostring()
    return ("vmm.subscription: %s%s"):format(self.event, self.removed and ", removed" or "")
end

local function subscribed(vm, event)
    for _, subscription in ipairs(vm.subscriptions or {}) do
        if subscription.event == event then return true end
    end
    return false
end

-- Calls call(fn, ...) for each function that has subscribed to one of the events, in order.
local function each(vm, events, call, ...)
    for _, subscription in ipairs(vm.subscriptions or {}) do
        if events[subscription.event] and not subscription.removed then
            call(subscription.fn, ...)
        end
    end
end

-- ---- exits ------------------------------------------------------------------------------

-- The function that is asked about exits: every subscriber is called, the first answer counts. A
-- guest may call it a million times: it makes no table and no closure.
local function exit_function(vm)
    return function(event, index, exit)
        local answer
        for _, subscription in ipairs(vm.subscriptions) do
            local name = subscription.event
            if (name == event or name == ANY_EXIT) and not subscription.removed then
                local result = subscription.fn(index, exit)
                answer = answer or result
            end
        end
        return answer
    end
end

-- Tells the core which exits there are subscriptions to.
local function select_exits(vm)
    local names = EXITS
    if not subscribed(vm, ANY_EXIT) then
        names = {}
        for _, name in ipairs(EXITS) do
            if subscribed(vm, name) then names[#names + 1] = name end
        end
    end
    vm.exit_function = vm.exit_function or exit_function(vm)
    vm:hook_exits(names, vm.exit_function)
end

-- What KVM serves itself exits only while somebody has subscribed to it: the method that says so.
local TRAPS = { msr = "trap_msrs", hypercall = "trap_hypercalls" }

-- Has KVM do what the subscriptions to an event want.
local function select_traps(vm, event)
    local trap = TRAPS[event]
    local wanted = subscribed(vm, event)
    vm.trapped = vm.trapped or {}
    if not trap or wanted == (vm.trapped[event] or false) then return true end
    local ok, message, code = vm[trap](vm, wanted)
    if not ok then return nil, message, code end
    vm.trapped[event] = wanted
    return true
end

-- ---- subscriptions ----------------------------------------------------------------------

-- Ends the subscription; idempotent.
function Subscription:remove()
    if self.removed then return end
    self.removed = true
    local vm, rest = self.vm, {}
    for _, subscription in ipairs(vm.subscriptions) do
        if subscription ~= self then rest[#rest + 1] = subscription end
    end
    vm.subscriptions = rest
    if vm.closed then return end
    if IS_EXIT[self.event] or self.event == ANY_EXIT then select_exits(vm) end
    select_traps(vm, self.event)
end

local function check(vm, event, fn)
    if not IS_NAME[event] then
        error(("vm:on: unknown event %s%s valid: %s"):format(text.show(event),
            text.suggest(event, NAMES), table.concat(NAMES, ", ")), 3)
    end
    argument.callable("vm:on: fn", fn, 4)
    if vm.closed then error("vm:on: the VM is closed", 3) end
end

-- vm:on(event, fn) -> subscription, or nil, message, code when the host cannot deliver it.
--   ready                       fn(vm) when vm:start is called
--   stop, or a reason           fn(stop) at the end, once; stop as vm:stopped gives it
--   crashloaded                 fn()
--   device_failed               fn{ device =, message = }: the guest has lost that device
--   break                       fn(hit), the VM being paused; see vm:breakpoint
--   an exit's event, "exit"     fn(vcpu_index, exit), on the vCPU's thread, may not wait. What it
--                               returns: what a read gives (an integer, or all bytes), true: done,
--                               nil: the default
function methods.on(vm, event, fn)
    check(vm, event, fn)
    event = ALIASES[event] or event
    local subscription = setmetatable({ vm = vm, event = event, fn = fn }, Subscription)
    local list = table.move(vm.subscriptions or {}, 1, #(vm.subscriptions or {}), 1, {})
    list[#list + 1] = subscription
    vm.subscriptions = list
    if IS_EXIT[event] or event == ANY_EXIT then
        select_exits(vm)
        local ok, message, code = select_traps(vm, event)
        if not ok then
            subscription:remove()
            return nil, message, code
        end
    elseif event ~= "ready" then
        vm:watch_end()
    end
    return subscription
end

-- ---- events -----------------------------------------------------------------------------

-- Something has happened; on the script's thread.
function methods.happened(vm, event, ...)
    each(vm, { [event] = true }, sched.call, ...)
end

-- The VM has ended: tells those who have subscribed by now, once. Not on a vCPU's thread, where
-- nothing of this may run: a step of the script's is to come.
function methods.tell_end(vm, stop)
    if vm.end_told or core.in_handler() then return end
    vm.end_told = true
    if not vm.closed then vm:take_events() end
    each(vm, { stop = true, [stop.reason] = true }, sched.call, stop)
end

-- The core's, also for those who load this module anew.
methods.start_vcpus = methods.start_vcpus or methods.start

-- vm:start(): vCPUs run on threads of their own, once those are through that wait for "ready". An
-- error of theirs is raised. With { paused = true } they run no instruction before vm:resume().
function methods.start(vm, options)
    local paused = argument.options("vm:start", options, { "paused" }).paused
    if vm.started then return vm:start_vcpus() end -- the core says why not
    each(vm, { ready = true }, function(fn)
        fn(vm)
    end)
    local ok, message, code = vm:start_vcpus(paused)
    vm.started = ok
    return ok, message, code
end

return methods
