-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A VM that is none, for specs of what a debugger may do: vCPUs with registers, 64 KiB of memory,
-- and a record of what was asked of it.

local fake_vm = {}

local RAM_BASE, RAM_SIZE = 0x1000, 0x10000
local XSAVE_BYTES = 4096

local function vcpu(id)
    local segment = {
        selector = 8 * id, base = 0, limit = 0xffffffff, type = 11, dpl = 0, present = 1,
    }
    local sregs = { cr0 = 0x80050033, cr2 = 0, cr3 = 0x1000, cr4 = 0x20, cr8 = 0, efer = 0xd01,
        apic_base = 0xfee00900, gdt = { base = 1, limit = 2 }, idt = { base = 3, limit = 4 } }
    for name in ("cs ss ds es fs gs tr ldt"):gmatch "%S+" do
        sregs[name] = setmetatable({}, { __index = segment })
    end
    local regs = { rflags = 2 }
    for name in ("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip")
        :gmatch "%S+" do
        regs[name] = 0
    end
    regs.rax, regs.rip = 0x1122334455667788 + id, 0x2000 + id
    -- What can't be had of a vCPU that runs.
    local hidden = {
        regs = regs, sregs = sregs, cpuid = { { function_ = 1, ecx = 0 } },
    }
    local self = setmetatable({
        id = id, state = "paused", msrs = {},
        states = { xsave = ("\0"):rep(XSAVE_BYTES), mp_state = ("<I4"):pack(id == 0 and 0 or 3) },
    }, {
        __index = function(self, name)
            assert(self.state ~= "running", "the vCPU runs")
            return hidden[name]
        end,
        __newindex = function(self, name, value)
            -- As KVM refuses what no CPU has.
            assert(name ~= "sregs" or value.cr0 ~= -1, "KVM can't set sregs: Invalid argument")
            if hidden[name] ~= nil then hidden[name] = value else rawset(self, name, value) end
        end,
    })
    function self.get_state(_, name) return self.states[name] end
    function self.set_state(_, name, bytes)
        self.states[name] = bytes
        return true
    end
    function self.translate(_, address) return address + 0x100000 end
    function self.get_msrs() return self.msrs end
    function self.set_msrs(_, values)
        for index, value in pairs(values) do self.msrs[index] = value end
        return true
    end
    return self
end

local methods = {}

local function set_states(vm, state)
    for _, one in ipairs(vm.vcpus) do one.state = state end
end

function methods.pause(vm)
    vm.calls[#vm.calls + 1] = "pause"
    set_states(vm, "paused")
    return true
end

-- Calls vm.on_resume, if the spec has set it, once: it may bring about whatever it likes.
function methods.resume(vm)
    vm.calls[#vm.calls + 1] = "resume"
    set_states(vm, "running")
    local fn = vm.on_resume
    vm.on_resume = nil
    if fn then fn() end
    return true
end

function methods.start(vm, options)
    vm.started = true
    vm.calls[#vm.calls + 1] = options and options.paused and "start paused" or "start"
    if not (options and options.paused) then set_states(vm, "running") end
    return true
end

function methods.step(vm, options)
    vm.calls[#vm.calls + 1] = "step " .. options.vcpu
    local one = vm.vcpus[options.vcpu]
    if vm.cannot_step then return nil, vm.cannot_step, "ENOTSUP" end
    one.regs.rip = one.regs.rip + 1
    return { vcpu = options.vcpu, rip = one.regs.rip, steps = 1 }
end

function methods.stopped(vm) return vm.end_of_it end

function methods.stop(vm, reason, text)
    vm.calls[#vm.calls + 1] = "stop " .. reason
    vm:finish { reason = reason, text = text }
end

function methods.finish(vm, stop)
    vm.end_of_it = stop
    set_states(vm, "finished")
    vm:tell("stop", stop)
end

function methods.on(vm, event, fn)
    local subscription = { event = event, fn = fn }
    function subscription.remove() vm.subscriptions[subscription] = nil end
    vm.subscriptions[subscription] = true
    return subscription
end

function methods.tell(vm, event, ...)
    for subscription in pairs(vm.subscriptions) do
        if subscription.event == event then subscription.fn(...) end
    end
end

local function point(vm, text, options)
    local made = { address = options.at, options = options }
    vm.points[made] = true
    vm.calls[#vm.calls + 1] = text
    function made.remove() vm.points[made] = nil end
    return made
end

function methods.breakpoint(vm, options)
    if not options.hardware and vm.no_software then return nil, "not here", "ENOTSUP" end
    return point(vm, ("break 0x%x%s"):format(options.at, options.hardware and " hardware" or ""),
        options)
end

function methods.watchpoint(vm, options)
    return point(vm, ("watch 0x%x %d %s"):format(options.at, options.len, options.access), options)
end

-- A vCPU has come to the only point at this address: the VM stands.
function methods.hit(vm, index, address)
    for made in pairs(vm.points) do
        if made.address == address then
            set_states(vm, "paused")
            vm.vcpus[index].regs.rip = address
            vm:tell("break", { vcpu = index, address = address, rip = address, breakpoint = made })
            return
        end
    end
    error(("no point at 0x%x"):format(address))
end

local function offset(address, len)
    local at = address - RAM_BASE
    if at >= 0 and at + len <= RAM_SIZE then return at end
end

function methods.read_virtual(vm, address, len, options)
    vm.read_of = options.vcpu
    local at = offset(address, len)
    if not at then return nil, "no memory", "EFAULT" end
    return vm.ram:sub(at + 1, at + len)
end

function methods.write_virtual(vm, address, bytes)
    local at = offset(address, #bytes)
    if not at then return nil, "no memory", "EFAULT" end
    vm.ram = vm.ram:sub(1, at) .. bytes .. vm.ram:sub(at + #bytes + 1)
    return true
end

function methods.without_breakpoints(vm, bytes, gpa)
    return vm.hidden and vm.hidden(gpa, bytes) or bytes
end

function methods.write_symbols(vm, path)
    vm.calls[#vm.calls + 1] = "symbols " .. path
    if path == "none" then return nil, "no kernel", "ENOENT" end
    return true
end

function methods.backtrace(_, index)
    if index == 2 then return nil, "no kernel is known" end
    return setmetatable({}, { __tostring = function() return " do_one+0x1/0x20" end })
end

function methods.exit_counts() return { pio_write = 3 } end

function methods.debug_support()
    return { software_breakpoints = false, single_step = true,
        reasons = { software_breakpoints = "INT3 is not delivered" } }
end

-- A VM with so many vCPUs, started, running.
function fake_vm.new(count)
    local vm = setmetatable({
        vcpus = {}, calls = {}, subscriptions = {}, points = {}, started = true,
        ram = ("\0"):rep(RAM_SIZE),
    }, { __index = methods })
    for id = 0, count - 1 do
        vm.vcpus[id + 1] = vcpu(id)
    end
    set_states(vm, "running")
    return vm
end

return fake_vm
