-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Breakpoints, watchpoints and single steps: vm:breakpoint, vm:watchpoint, vm:wait_break, vm:step.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"

local methods = core.classes["vmm.vm"]

local GO_ON, STOP, LATER = 0, 1, 2 -- what the core's function of hits returns
local PAUSE_SECONDS = 10

-- ---- what the host can do ---------------------------------------------------------------

local support -- the same for all VMs of a process

-- vm:debug_support() -> { software_breakpoints =, hardware_breakpoints =, watchpoints =,
-- single_step = booleans, reasons = { [name] = why not, or with what limits } }
function methods.debug_support(vm)
    if not support then
        local found, message, code = vm:probe_debug()
        if not found then return nil, message, code end
        support = found
    end
    local copy = { reasons = {} }
    for name, value in pairs(support) do
        if name ~= "reasons" then copy[name] = value end
    end
    for name, reason in pairs(support.reasons) do
        copy.reasons[name] = reason
    end
    return copy
end

-- True, or nil, message, "ENOTSUP" when the host lacks it.
local function need(vm, feature, what)
    local found, message, code = vm:debug_support()
    if not found then return nil, message, code end
    if found[feature] then return true end
    return nil, ("no %s on this host: %s"):format(what, found.reasons[feature] or "it has none"),
        "ENOTSUP"
end

-- ---- where ------------------------------------------------------------------------------

-- An address, or nil, message, code.
local function resolve(vm, what, at)
    if math.type(at) == "integer" then return at end
    argument.check(type(at) == "string", what .. ": at", "an address or a symbol's name", at, 4)
    return vm:symbol(at)
end

-- The index of the vCPU whose page tables count.
local function check_vcpu(what, vm, index)
    if index == nil then return 1 end
    if vm.vcpus then
        argument.vcpu(what, vm, index, 4)
    else
        argument.integer(what .. ": vcpu", index, nil, nil, 4)
    end
    return index
end

local function check_boolean(what, value)
    if value ~= nil then argument.type(what, value, "boolean", 4) end
end

-- ---- breakpoints and watchpoints --------------------------------------------------------

local Breakpoint = {}
Breakpoint.__index = Breakpoint
Breakpoint.__name = "vmm.breakpoint"

function Breakpoint:__tostring()
    return ("%s: 0x%x, %d hits%s"):format(self.watched and "vmm.watchpoint" or "vmm.breakpoint",
        self.address, self.hits, self.removed and ", removed" or "")
end

-- Ends it, from anywhere, also from its own function; idempotent.
function Breakpoint:remove()
    if self.removed then return end
    self.removed = true
    self.vm.breakpoints[self.id] = nil
    if not self.vm.closed then self.vm:remove_break(self.id) end
end

Breakpoint.__close = Breakpoint.remove

-- A hit's function, on the vCPU's thread. What stops the VM is told to the script by and by; what
-- another vCPU comes to meanwhile waits until the VM goes on, if it can.
local function on_hit(vm)
    return function(id, vcpu, again, rip, old, new)
        local breakpoint = vm.breakpoints[id]
        if not breakpoint then return GO_ON end -- removed meanwhile
        if again and vm.stopping_breaks[1] then return LATER end
        breakpoint.hits = breakpoint.hits + 1
        local hit = {
            vcpu = vcpu,
            address = breakpoint.address,
            breakpoint = breakpoint,
            rip = rip,
            old = old,
            new = new,
        }
        if breakpoint.fn and breakpoint.fn(hit) ~= true then return GO_ON end
        table.insert(vm.stopping_breaks, hit)
        return STOP
    end
end

-- Options and the function among them.
local function options_of(what, given, names)
    local options, fn = given, nil
    if type(given) == "table" then
        options, fn = {}, given[1]
        for key, value in pairs(given) do
            if key ~= 1 then options[key] = value end
        end
    end
    if fn ~= nil then argument.callable(what .. ": fn", fn, 4) end
    return argument.options(what, options, names, 4), fn
end

local function add(vm, breakpoint, kind, len, vcpu)
    if not vm.breakpoints then
        vm.breakpoints, vm.stopping_breaks, vm.stopped_breaks = {}, {}, {}
        vm:hook_breaks(on_hit(vm))
    end
    local id, message, code = vm:add_break(kind, breakpoint.address, len, vcpu, support.by_port)
    if not id then return nil, message, code end
    breakpoint.id, breakpoint.vm, breakpoint.hits = id, vm, 0
    vm.breakpoints[id] = breakpoint
    return setmetatable(breakpoint, Breakpoint)
end

-- vm:breakpoint{ at = address | "symbol+offset", hardware =, vcpu =, [1] = fn } -> breakpoint with
-- address, hits, hardware, remove(). fn(hit) runs on the vCPU's thread, may not wait, may read and
-- write the vCPU's registers; true, or no fn: the VM stays paused.
function methods.breakpoint(vm, options)
    local what = "vm:breakpoint"
    local fn
    options, fn = options_of(what, options, { "at", "hardware", "vcpu" })
    check_boolean(what .. ": hardware", options.hardware)
    local vcpu = check_vcpu(what, vm, options.vcpu)
    local address, message, code = resolve(vm, what, options.at)
    if not address then return nil, message, code end
    local hardware = options.hardware and true or false
    local ok
    if hardware then
        ok, message, code = need(vm, "hardware_breakpoints", "hardware breakpoints")
    else
        ok, message, code = need(vm, "software_breakpoints", "software breakpoints")
    end
    if not ok then return nil, message, code end
    local breakpoint = { address = address, hardware = hardware, fn = fn }
    return add(vm, breakpoint, hardware and "hardware" or "software", 1, vcpu)
end

-- "write", "access" or "stepped": how this host can watch; or nil, message, "ENOTSUP".
local function watch_kind(vm, access, single_step)
    local ok, message, code
    if not single_step then
        ok, message, code = need(vm, "watchpoints", "hardware watchpoints")
        if ok then return access == "w" and "write" or "access" end
        if single_step == false then return nil, message, code end
    end
    if access == "rw" then
        return nil, "single steps can't see reads" .. (message and ", and " .. message or ""),
            "ENOTSUP"
    end
    ok, message, code = need(vm, "single_step", "single step")
    return ok and "stepped", message, code
end

-- vm:watchpoint{ at =, len = 1|2|4|8, access = "w"|"rw", single_step =, vcpu =, [1] = fn } ->
-- watchpoint, as a breakpoint; hits have old and new. single_step: nil where the host has no
-- watchpoints of its own, true always, false never.
function methods.watchpoint(vm, options)
    local what = "vm:watchpoint"
    local fn
    options, fn = options_of(what, options, { "at", "len", "access", "single_step", "vcpu" })
    local len, access = options.len or 8, options.access or "w"
    argument.check(len == 1 or len == 2 or len == 4 or len == 8, what .. ": len", "1, 2, 4 or 8",
        len)
    argument.check(access == "w" or access == "rw", what .. ": access", '"w" or "rw"', access)
    check_boolean(what .. ": single_step", options.single_step)
    local vcpu = check_vcpu(what, vm, options.vcpu)
    local address, message, code = resolve(vm, what, options.at)
    if not address then return nil, message, code end
    argument.check(address % len == 0, what .. ": at", "a multiple of len", address)
    local kind
    kind, message, code = watch_kind(vm, access, options.single_step)
    if not kind then return nil, message, code end
    local watchpoint = {
        address = address,
        len = len,
        access = access,
        watched = true,
        hardware = kind ~= "stepped",
        fn = fn,
    }
    return add(vm, watchpoint, kind, len, vcpu)
end

-- ---- stops ------------------------------------------------------------------------------

-- The VM goes on: hits that nobody has taken are forgotten.
function methods.forget_breaks(vm)
    vm.stopping_breaks, vm.stopped_breaks = {}, {}
end

-- Hits have stopped the VM: once it stands still they are told. On the script's thread.
function methods.tell_breaks(vm)
    local hits = vm.stopping_breaks
    if vm.closed or not hits or not hits[1] then return end
    if not vm:pause(sched.scaled(PAUSE_SECONDS)) or vm.stopping_breaks ~= hits then return end
    for i = (vm.told_breaks == hits and vm.told_count or 0) + 1, #hits do
        table.insert(vm.stopped_breaks, hits[i])
        vm.told_breaks, vm.told_count = hits, i
        vm:happened("break", hits[i])
    end
end

-- vm:wait_break([where], { timeout = seconds }) -> hit once the VM stands still at a breakpoint or
-- watchpoint; where: a breakpoint there meanwhile. nil, message, "timeout", "ended" or
-- "interrupted" (the VM was closed).
function methods.wait_break(vm, where, options)
    if type(where) == "table" and options == nil then where, options = nil, where end
    options = argument.options("vm:wait_break", options, { "timeout" })
    local breakpoint, message, code
    if where ~= nil then
        argument.check(math.type(where) == "integer" or type(where) == "string",
            "vm:wait_break: where", "an address or a symbol's name", where)
        breakpoint, message, code = vm:breakpoint { at = where }
        if not breakpoint then return nil, message, code end
    end
    local _ <close> = breakpoint -- goes with the wait, however that ends
    vm:watch_end()
    return sched.wait(function()
        if vm.closed then return false, "the VM was closed", "interrupted" end
        if vm.stopped_breaks and vm.stopped_breaks[1] then
            return table.remove(vm.stopped_breaks, 1)
        end
        local stop = vm:stopped()
        if stop then
            return false, ("the VM has ended: %s %s"):format(stop.reason, stop.text), "ended"
        end
    end, sched.scaled(options.timeout))
end

-- ---- steps ------------------------------------------------------------------------------

-- vm:step{ vcpu = 1, count = 1, timeout = 10 } -> { vcpu =, rip =, steps = }: single-steps one vCPU
-- of a paused VM; the others stand still, and this script waits. nil, message, "EBUSY" while it
-- runs, "ETIMEDOUT", "ECANCELED" when the VM has ended.
function methods.step(vm, options)
    options = argument.options("vm:step", options, { "vcpu", "count", "timeout" })
    local index = check_vcpu("vm:step", vm, options.vcpu)
    local count = options.count or 1
    argument.check(math.type(count) == "integer" and count > 0, "vm:step: count",
        "a positive integer", count)
    local ok, message, code = need(vm, "single_step", "single step")
    if not ok then return nil, message, code end
    local steps, rip, why = vm:step_vcpu(index, count, sched.scaled(options.timeout or 10))
    if not steps then return nil, rip, why end
    return { vcpu = index, rip = rip, steps = steps }
end

return methods
