-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Breakpoints, watchpoints and single steps of tiny guests.

local flat32 = require "tests.spec.support.flat32"
local vmm = require "vmm"

local START = flat32.CODE
local NOP, NEXT = START + 7, START + 8 -- of COUNT
local COUNT = "\xff\x04\x8d\x00\x80\x00\x00" -- inc dword [ecx * 4 + 0x8000]
    .. "\x90\xeb\xf6" -- nop; jmp to the start

-- How far the vCPU of that index has counted.
local function counted(vm, index)
    return vm.memory:u32(0x8000 + 4 * (index or 1))
end

-- A running COUNT with a breakpoint at NOP.
local function start(fn, vcpus)
    local vm = flat32.vm(COUNT, vcpus)
    local breakpoint = assert(vm:breakpoint { at = NOP, fn })
    assert(vm:start())
    return vm, breakpoint
end

local function every(n)
    local hits = 0
    return function()
        hits = hits + 1
        return hits % n == 0
    end
end

local function supported(vm, feature)
    return assert(vm:debug_support())[feature]
end

describe("vm:debug_support", function()
    it("says what works, and why the rest does not", function()
        local vm <close> = flat32.vm(COUNT)
        local support = assert(vm:debug_support())
        for _, name in ipairs {
            "software_breakpoints", "hardware_breakpoints", "watchpoints", "single_step",
        } do
            assert.is_boolean(support[name])
            if not support[name] then assert.is_string(support.reasons[name]) end
        end
        assert.is_true(support.software_breakpoints)
        assert.is_true(support.single_step)
        assert.same(support, vm:debug_support())
    end)
end)

describe("A breakpoint", function()
    it("stops the VM at its instruction each time, and the guest misses nothing", function()
        local vm <close>, breakpoint = start()
        for i = 1, 20 do
            local hit = assert(vm:wait_break { timeout = 10 })
            assert.same({ 1, NOP, breakpoint }, { hit.vcpu, hit.address, hit.breakpoint })
            assert.equal("paused", vm.vcpus[1].state)
            assert.same({ NOP, i, i }, { vm.vcpus[1].regs.rip, counted(vm), breakpoint.hits })
            assert(vm:resume())
        end
    end)

    it("lets the guest go on when its function does not return true", function()
        local vm <close>, breakpoint = start(every(100))
        assert(vm:wait_break { timeout = 20 })
        assert.same({ 100, 100 }, { breakpoint.hits, counted(vm) })
    end)

    it("has a function that reads and writes registers", function()
        local vm <close> = flat32.vm(COUNT)
        local seen
        assert(vm:breakpoint { at = NOP, function(hit)
            seen = vm.vcpus[hit.vcpu].regs.rip
            vm.vcpus[hit.vcpu].regs = { rcx = 7 }
            return counted(vm, 7) == 3
        end })
        assert(vm:start())
        assert(vm:wait_break { timeout = 10 })
        assert.same({ NOP, 1, 3 }, { seen, counted(vm, 1), counted(vm, 7) })
    end)

    it("is not stepped over when its function leads the vCPU elsewhere", function()
        local vm <close> = flat32.vm(COUNT .. "\xf4") -- hlt
        assert(vm:breakpoint { at = NOP, function(hit)
            vm.vcpus[hit.vcpu].regs = { rip = START + #COUNT }
        end })
        assert(vm:start())
        assert.equal("halt", assert(vm:wait { timeout = 10 }).reason)
        assert.equal(1, counted(vm))
    end)

    it("can be removed by its own function, which puts its byte back", function()
        local vm <close> = flat32.vm(COUNT)
        local breakpoint
        breakpoint = assert(vm:breakpoint { at = NOP, function()
            breakpoint:remove()
            breakpoint:remove()
        end })
        assert.is_not.equal(COUNT, vm.memory:read(START, #COUNT))
        assert(vm:start())
        assert(vm:wait_break(NEXT, { timeout = 10 }))
        assert.equal(1, breakpoint.hits)
        assert.equal(COUNT, vm.memory:read(START, #COUNT))
        assert.matches("^vmm.breakpoint: 0x1007, 1 hits, removed$", tostring(breakpoint))
    end)

    it("can be added by the function of another one, and while the guest runs", function()
        local vm <close> = flat32.vm(COUNT)
        local second
        local first = assert(vm:breakpoint { at = NOP, function()
            second = second or assert(vm:breakpoint { at = START })
        end })
        assert(vm:start())
        local hit = assert(vm:wait_break { timeout = 10 })
        assert.equal(second, hit.breakpoint)
        first:remove()
        second:remove()
        vm:resume()
        local third = assert(vm:breakpoint { at = NEXT })
        assert.equal(third, assert(vm:wait_break { timeout = 10 }).breakpoint)
        assert.equal("running", (vm:resume() and vm.vcpus[1].state))
    end)

    it("is told once for an instruction that repeats itself", function()
        -- mov ecx, 5; rep stosb; jmp to the start
        local vm <close> = flat32.vm "\xb9\x05\x00\x00\x00\xf3\xaa\xeb\xf7"
        vm.vcpus[1].regs = { rdi = 0x5000 }
        local breakpoint = assert(vm:breakpoint { at = START + 5, every(10) })
        assert(vm:start())
        assert(vm:wait_break { timeout = 10 })
        assert.same({ 10, 0x5000 + 9 * 5, 5 },
            { breakpoint.hits, vm.vcpus[1].regs.rdi, vm.vcpus[1].regs.rcx })
    end)

    it("is told to all that there are at an address", function()
        local vm <close> = flat32.vm(COUNT)
        local one = assert(vm:breakpoint { at = NOP, function() end })
        local two = assert(vm:breakpoint { at = NOP, every(5) })
        assert(vm:start())
        assert(vm:wait_break { timeout = 10 })
        assert.same({ 5, 5, 5 }, { one.hits, two.hits, counted(vm) })
        one:remove()
        assert.is_not.equal(COUNT, vm.memory:read(START, #COUNT))
        two:remove()
        assert.equal(COUNT, vm.memory:read(START, #COUNT))
    end)

    it("is hidden from who asks for memory without breakpoints", function()
        local vm <close> = flat32.vm(COUNT)
        assert(vm:breakpoint { at = NOP })
        local bytes = vm.memory:read(NOP - 2, 5)
        assert.is_not.equal("\x00\x00\x90\xeb\xf6", bytes)
        assert.equal("\x00\x00\x90\xeb\xf6", vm:without_breakpoints(bytes, NOP - 2))
        assert.equal("", vm:without_breakpoints("", NOP))
    end)

    it("ends the VM by an error with traceback when its function throws", function()
        local vm <close> = start(function()
            error "a mistake"
        end)
        local stop = assert(vm:wait { timeout = 10 })
        assert.equal("error", stop.reason)
        assert.matches("^breakpoint at 0x1007: .*_spec.lua:%d+: a mistake\nstack traceback",
            stop.text)
    end)

    it("may have a function that pauses its VM, or closes it", function()
        local vm <close>, breakpoint = start(function(hit)
            hit.breakpoint.vm:pause()
        end)
        assert.is_nil((vm:wait_break { timeout = 0.2 }))
        assert(vm:pause(10))
        assert.equal(1, breakpoint.hits)
        assert(vm:resume())
        vm:close()

        local other <close> = flat32.vm(COUNT)
        assert(other:breakpoint { at = NOP, function()
            other:close()
        end })
        assert(other:start())
        assert.equal("closed", assert(other:wait { timeout = 10 }).reason)
    end)

    it("has a function that may not wait", function()
        local vm <close> = start(function()
            vmm.sleep(1)
        end)
        assert.matches("a handler may not wait", assert(vm:wait { timeout = 10 }).text, 1, true)
    end)

    it("is told by vm:on, once the VM stands still", function()
        local vm <close> = flat32.vm(COUNT)
        local told = {}
        vm:on("break", function(hit)
            told[#told + 1] = { hit.address, vm.vcpus[1].state }
            if #told < 3 then vm:resume() end
        end)
        assert(vm:breakpoint { at = NOP })
        assert(vm:start())
        local deadline = vmm.now() + 10
        while #told < 3 and vmm.now() < deadline do
            vmm.step(0.1)
        end
        assert.same({ { NOP, "paused" }, { NOP, "paused" }, { NOP, "paused" } }, told)
    end)

    it("does not outlive the VM", function()
        local vm <close>, breakpoint = start(every(3))
        assert(vm:wait_break { timeout = 10 })
        vm:close()
        breakpoint:remove()
        assert.equal(3, breakpoint.hits)
    end)

    it("is refused where there is no RAM, and for what is no place", function()
        local vm <close> = flat32.vm(COUNT)
        assert.equal("EFAULT", select(3, vm:breakpoint { at = 0x40000000 }))
        assert.has_error(function()
            vm:breakpoint { at = 1.5 }
        end)
        assert.error_matches(function()
            vm:breakpoint { at = NOP, hardwired = true }
        end, 'vm:breakpoint: unknown option "hardwired".* valid: at, hardware, vcpu')
        assert.error_matches(function()
            vm:breakpoint { at = NOP, vcpu = 2 }
        end, "there is no vCPU 2, but 1 to 1")
        assert.is_nil((vm:breakpoint { at = "no_such_symbol" }))
    end)
end)

describe("A breakpoint that two vCPUs come to", function()
    it("counts each of them, while the script pauses and resumes", function()
        local seen = { 0, 0 }
        local vm <close>, breakpoint = start(function(hit)
            seen[hit.vcpu] = seen[hit.vcpu] + 1
            return (seen[1] + seen[2]) % 10 == 0
        end, 2)
        for i = 1, 60 do
            local hit = assert(vm:wait_break { timeout = 10 })
            assert.equal(NOP, vm.vcpus[hit.vcpu].regs.rip)
            assert(vm:resume())
            if i % 3 == 0 then
                assert(vm:pause(10))
                assert(vm:resume())
            end
        end
        assert(vm:pause(10))
        assert.equal(seen[1] + seen[2], breakpoint.hits)
        assert.is_true(breakpoint.hits >= 600)
        for i = 1, 2 do
            -- It is told before the instruction, and counted before that.
            assert.is_true(counted(vm, i) - seen[i] <= 1 and counted(vm, i) >= seen[i],
                ("vCPU %d counted %d, seen %d"):format(i, counted(vm, i), seen[i]))
        end
    end)

    it("comes and goes while they run", function()
        local vm <close> = flat32.vm(COUNT, 2)
        assert(vm:start())
        for i = 1, 30 do
            local breakpoint = assert(vm:breakpoint { at = i % 2 == 0 and NOP or START,
                function() end })
            breakpoint:remove()
        end
        assert(vm:pause(10))
        assert.equal(COUNT, vm.memory:read(START, #COUNT))
    end)

    it("is passed by the one while the other stands in its function", function()
        local vm <close> = flat32.vm(COUNT, 2)
        local others = {}
        assert(vm:breakpoint { at = NOP, function(hit)
            -- Adding one needs the other vCPU out of the guest, which may stand here as well.
            if #others < 20 then
                others[#others + 1] = assert(vm:breakpoint { at = START, function() end })
            else
                return hit.vcpu == 2
            end
        end })
        assert(vm:start())
        assert.equal(2, assert(vm:wait_break { timeout = 20 }).vcpu)
        assert.equal(20, #others)
    end)
end)

describe("A hardware breakpoint", function()
    it("stops the VM, or says why it can't here", function()
        local vm <close> = flat32.vm(COUNT)
        local breakpoint, message, code = vm:breakpoint { at = NOP, hardware = true, every(5) }
        if not supported(vm, "hardware_breakpoints") then
            assert.equal("ENOTSUP", code)
            assert.matches("^no hardware breakpoints on this host: ", message)
            return
        end
        assert.is_true(breakpoint.hardware)
        assert.equal(COUNT, vm.memory:read(START, #COUNT))
        assert(vm:start())
        assert(vm:wait_break { timeout = 10 })
        assert.same({ NOP, 5, 5 }, { vm.vcpus[1].regs.rip, breakpoint.hits, counted(vm) })
        breakpoint:remove()
        vm:resume()
        assert(vm:wait_break(START, { timeout = 10 }))
        assert.equal(5, breakpoint.hits)
    end)

    it("is one of four", function()
        local vm <close> = flat32.vm(COUNT)
        if not supported(vm, "hardware_breakpoints") then return end
        local four = {}
        for i = 1, 4 do
            four[i] = assert(vm:breakpoint { at = START + i, hardware = true })
        end
        assert.equal("ENOSPC", select(3, vm:breakpoint { at = NOP, hardware = true }))
        four[2]:remove()
        assert(vm:breakpoint { at = NOP, hardware = true })
        assert(vm:start())
        assert.equal(NOP, assert(vm:wait_break { timeout = 10 }).address)
    end)
end)

describe("vm:wait_break", function()
    it("times out, and takes its own breakpoint along", function()
        local vm <close> = flat32.vm(COUNT)
        assert(vm:start())
        local hit, message, code = vm:wait_break(0x5000, { timeout = 0.05 })
        assert.is_nil(hit)
        assert.same({ "timeout", "timeout" }, { message, code })
        assert.equal(0, vm.memory:u8(0x5000))
        assert.equal(NOP, assert(vm:wait_break(NOP, { timeout = 10 })).address)
        assert.equal(COUNT, vm.memory:read(START, #COUNT))
    end)

    it("is told when the VM ends, or is closed", function()
        local vm <close> = flat32.vm("\xf4")
        assert(vm:start())
        assert.equal("ended", select(3, vm:wait_break(NOP, { timeout = 10 })))
        local other = flat32.vm(COUNT)
        assert(other:start())
        local task = vmm.spawn(function()
            return select(3, other:wait_break(0x5000, { timeout = 10 }))
        end)
        vmm.spawn(function()
            other:close()
        end)
        assert.equal("interrupted", task:wait(10))
    end)

    it("finds the same place again after a resume", function()
        local vm <close> = flat32.vm(COUNT)
        assert(vm:start())
        local last = 0
        for _ = 1, 10 do
            assert(vm:wait_break(NOP, { timeout = 10 }))
            assert.is_true(counted(vm) > last, ("%d after %d"):format(counted(vm), last))
            last = counted(vm)
            assert(vm:resume())
        end
    end)
end)

describe("vm:step", function()
    it("makes one step after the other, over breakpoints too", function()
        local vm <close> = start()
        assert(vm:wait_break { timeout = 10 })
        local rips = {}
        for i = 1, 6 do
            rips[i] = assert(vm:step()).rip
        end
        assert.same({ NEXT, START, NOP, NEXT, START, NOP }, rips)
        assert.equal(3, counted(vm))
        assert.same({ vcpu = 1, rip = NOP, steps = 300 }, vm:step { count = 300 })
        assert.equal(103, counted(vm))
        assert.is_not.equal(COUNT, vm.memory:read(START, #COUNT))
    end)

    it("steps the one vCPU while the other stands still", function()
        local vm <close> = flat32.vm(COUNT, 2)
        assert(vm:start())
        assert(vm:pause(10))
        local before = { counted(vm, 1), counted(vm, 2) }
        assert.equal(30, assert(vm:step { vcpu = 2, count = 30 }).steps)
        assert.same({ before[1], before[2] + 10 }, { counted(vm, 1), counted(vm, 2) })
    end)

    it("lets devices serve the instruction", function()
        local vm <close> = flat32.vm "\xe4\x43\x40\xe6\x44\xeb\xf9" -- in; inc eax; out; jmp
        local written
        assert(vm:device { pio = { 0x43, 1 }, read = function()
            return 0x21
        end })
        assert(vm:device { pio = { 0x44, 1 }, write = function(_, _, _, value)
            written = value
        end })
        assert.same({ vcpu = 1, rip = START + 2, steps = 1 }, vm:step())
        assert.equal(START + 3, assert(vm:step()).rip)
        assert.is_nil(written)
        assert.equal(START + 5, assert(vm:step()).rip)
        assert.equal(0x22, written)
        assert.equal(START, assert(vm:step()).rip)
    end)

    it("is over when a handler that it calls resumes the VM, which runs on", function()
        local vm <close> = flat32.vm "\xe6\x44\x90\xeb\xfb" -- again: out; nop; jmp again
        local stepping, writes, state = false, 0, nil
        assert(vm:device { pio = { 0x44, 1 }, write = function()
            writes = writes + 1
            if not stepping then return end
            stepping = false
            assert.is_true(vm:resume())
            state = vm.vcpus[1].state
        end })
        assert(vm:start())
        assert(vm:pause(10))
        stepping = true
        assert.same({ nil, "the VM has been resumed", "EBUSY" }, { vm:step { count = 1000 } })
        assert.equal("paused", state) -- nothing took the exit from the handler meanwhile
        local before, deadline = writes, vmm.now() + 10
        while writes < before + 3 and vmm.now() < deadline do
            vmm.step(0.001)
        end
        assert.is_true(writes >= before + 3)
        assert.is_nil(vm:stopped())
        assert.equal("running", vm.vcpus[1].state)
    end)

    it("passes a breakpoint that a handler has added on the way", function()
        local vm <close> = flat32.vm "\xe6\x44\x90\x90\xeb\xfa" -- again: out; nop; nop; jmp again
        local breakpoint
        assert(vm:device { pio = { 0x44, 1 }, write = function()
            breakpoint = breakpoint or assert(vm:breakpoint { at = START + 3 })
        end })
        assert.same({ vcpu = 1, rip = START, steps = 4 }, vm:step { count = 4, timeout = 5 })
        assert.equal(0, breakpoint.hits)
        assert.equal(START + 3, assert(vm:step { count = 2 }).rip)
    end)

    it("goes on when a handler has resumed the VM and paused it again", function()
        local vm <close> = flat32.vm "\xe6\x44\x90\xeb\xfb"
        local writes = 0
        assert(vm:device { pio = { 0x44, 1 }, write = function()
            writes = writes + 1
            vm:resume()
            vm:pause()
        end })
        assert(vm:start { paused = true })
        assert.equal(30, assert(vm:step { count = 30 }).steps)
        assert.same({ 10, "paused" }, { writes, vm.vcpus[1].state })
    end)

    it("is refused while the vCPU runs, and ends with the VM", function()
        local vm <close> = flat32.vm(COUNT)
        assert(vm:start())
        assert.equal("EBUSY", select(3, vm:step()))
        local other <close> = flat32.vm "\xe6\x44\x90\x90" -- out; nop; nop
        assert(other:device { pio = { 0x44, 1 }, write = function()
            other:stop("error", "enough")
        end })
        local none, message, code = other:step { count = 3 }
        assert.is_nil(none)
        assert.same({ "the VM has ended: error", "ECANCELED" }, { message, code })
        assert.error_matches(function()
            vm:step { count = 0 }
        end, "vm:step: count must be a positive integer, not 0")
    end)
end)

describe("A watchpoint", function()
    it("tells what changed, from what to what, and where, by single steps", function()
        local vm <close> = flat32.vm(COUNT)
        local watchpoint = assert(vm:watchpoint { at = 0x8004, len = 4, single_step = true })
        assert.is_false(watchpoint.hardware)
        assert(vm:start())
        for i = 1, 5 do
            local hit = assert(vm:wait_break { timeout = 10 })
            assert.same({ i - 1, i, NOP, 0x8004 }, { hit.old, hit.new, hit.rip, hit.address })
            assert(vm:resume())
        end
        assert(vm:pause(10))
        watchpoint:remove()
        local hits, before = watchpoint.hits, counted(vm)
        for _ = 1, 2 do
            assert(vm:resume())
            assert(vm:wait_break(NOP, { timeout = 10 }))
        end
        assert.equal(hits, watchpoint.hits)
        assert.is_true(counted(vm) > before)
        assert.matches("^vmm.watchpoint: 0x8004", tostring(watchpoint))
    end)

    it("has a function that goes on, and does not miss a write of two vCPUs that run", function()
        local vm <close> = flat32.vm(COUNT, 2)
        local missed = 0
        local watchpoint = assert(vm:watchpoint {
            at = 0x8008, len = 4, single_step = true,
            function(hit)
                if hit.new ~= hit.old + 1 then missed = missed + 1 end
                return hit.new >= 20 and counted(vm, 1) > 0
            end,
        })
        assert(vm:start())
        assert(vm:wait_break { timeout = 20 })
        assert.same({ 0, counted(vm, 2) }, { missed, watchpoint.hits })
    end)

    it("goes together with a breakpoint", function()
        local vm <close>, breakpoint = start(function() end)
        assert(vm:watchpoint { at = 0x8004, len = 4, single_step = true, function(hit)
            return hit.new >= 10
        end })
        assert(vm:wait_break { timeout = 20 })
        assert.is_true(math.abs(breakpoint.hits - counted(vm)) <= 1)
    end)

    it("is a hardware one where the host has them, and can't be for reads elsewhere", function()
        local vm <close> = flat32.vm(COUNT)
        if supported(vm, "watchpoints") then
            assert(vm:watchpoint { at = 0x8004, len = 4, access = "rw" })
            assert(vm:start())
            assert.equal(1, assert(vm:wait_break { timeout = 10 }).new)
            return
        end
        local none, message, code = vm:watchpoint { at = 0x8004, len = 4, access = "rw" }
        assert.is_nil(none)
        assert.equal("ENOTSUP", code)
        assert.matches("^single steps can't see reads, and no hardware watchpoints", message)
        assert.equal("ENOTSUP", select(3,
            vm:watchpoint { at = 0x8004, len = 4, single_step = false }))
        assert.is_false(assert(vm:watchpoint { at = 0x8004, len = 4 }).hardware)
    end)

    it("is refused with a wrong length, place or access", function()
        local vm <close> = flat32.vm(COUNT)
        assert.error_matches(function()
            vm:watchpoint { at = 0x8000, len = 3 }
        end, "len must be 1, 2, 4 or 8, not 3")
        assert.error_matches(function()
            vm:watchpoint { at = 0x8001, len = 4 }
        end, "at must be a multiple of len, not 32769")
        assert.error_matches(function()
            vm:watchpoint { at = 0x8000, access = "r" }
        end, 'access must be "w" or "rw", not "r"')
    end)
end)
