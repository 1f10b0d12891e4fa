-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Breakpoints, watchpoints and single steps in Debian's kernel, by its own symbols.

local linux = require "tests.spec.support.linux"

describe("Debian's kernel in the debugger", function()
    local vm, spare

    -- One guest for all. From before its first instruction on INT3s exit, so that the kernel's own
    -- ones (its self-test, the patching of its text) must have been given back to it.
    setup(function()
        vm = linux.start {
            vcpus = { num = 2 },
            before_start = function(new)
                spare = assert(new:breakpoint { at = 0x9f0 })
            end,
        }
        vm.console:expect("guest# ", { timeout = linux.BOOT_SECONDS })
        linux.run(vm, "echo 0 >/proc/sys/kernel/kptr_restrict")
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    local function address(name)
        local line = linux.run(vm, ("grep -m1 ' %s$' /proc/kallsyms"):format(name))
        return tonumber(assert(line:match "^%x+", name .. ": " .. line), 16)
    end

    -- The kernel has nothing to complain about, and both CPUs do their work.
    local function assert_healthy()
        assert.equal("", linux.run(vm, "dmesg -r | grep -E '^<[0-4]>' | grep -iE "
            .. "'int3|debug|trap|BUG|WARN|stall|lockup'"))
        for cpu = 0, 1 do
            assert.equal("well", linux.run(vm, ("taskset -c %d echo well"):format(cpu)))
        end
    end

    it("boots with INT3s that exit, and gets its own back", function()
        assert.equal(0, spare.hits)
        spare:remove()
        assert_healthy()
    end)

    it("comes to a breakpoint 800 times on two vCPUs, and goes on each time", function()
        local seen, strays = { 0, 0 }, 0
        local at = address "read_zero"
        local breakpoint = assert(vm:breakpoint { at = at, function(hit)
            seen[hit.vcpu] = seen[hit.vcpu] + 1
            if vm.vcpus[hit.vcpu].regs.rip ~= at then strays = strays + 1 end
        end })
        linux.run(vm, "for cpu in 0 1; do taskset -c $cpu dd if=/dev/zero of=/dev/null bs=1 "
            .. "count=400 2>/dev/null & done; wait")
        assert.same({ 400, 400, 0 }, { seen[1], seen[2], strays })
        assert.equal(800, breakpoint.hits)
        breakpoint:remove()
        linux.run(vm, "dd if=/dev/zero of=/dev/null bs=1 count=9 2>/dev/null")
        assert.equal(800, breakpoint.hits)
        assert_healthy()
    end)

    it("stands still at a breakpoint that is waited for", function()
        local at = address "__x64_sys_sethostname"
        vm.console:send_line "hostname debugged"
        local hit = assert(vm:wait_break(at, { timeout = 6 }))
        local regs = vm.vcpus[hit.vcpu].regs
        assert.equal(at, regs.rip)
        assert.equal(at, hit.address)
        for _, vcpu in ipairs(vm.vcpus) do
            assert.equal("paused", vcpu.state)
        end
        -- Its argument is the user's registers: RSI, the length, is at 0x68 of struct pt_regs.
        local gpa = assert(vm.vcpus[hit.vcpu]:translate(regs.rdi + 0x68))
        assert.equal(#"debugged", vm.memory:u64(gpa))
        vm:resume()
        vm.console:expect("guest# ", { timeout = 6 })
        assert.equal("debugged", linux.run(vm, "hostname"))
    end)

    it("stands still at a name of the kernel's, and knows the task and its stack", function()
        local breakpoint = assert(vm:breakpoint { at = "__x64_sys_sethostname" })
        vm.console:send_line "hostname named"
        local hit = assert(vm:wait_break { timeout = 20 })
        assert.equal("__x64_sys_sethostname", vm:symbolize(hit.address))
        assert.equal("hostname", vm:current(hit.vcpu).comm)
        local trace = assert(vm:backtrace(hit.vcpu))
        local names = {}
        for _, frame in ipairs(trace) do
            names[#names + 1] = frame.symbol and frame.symbol:match "^[^+]+" or frame.kind
        end
        assert.same({ "__x64_sys_sethostname", "do_syscall_64", "entry_SYSCALL_64_after_hwframe",
            "user" }, names)
        assert.matches("^Call Trace:\n .-\n do_syscall_64%+0x%x+\n", tostring(trace))
        breakpoint:remove()
        vm:resume()
        vm.console:expect("guest# ", { timeout = 6 })
        assert.equal("named", linux.run(vm, "hostname"))
    end)

    it("tells the change of a kernel variable, by single steps where it must", function()
        local variable, handler = address "panic_timeout", address "proc_dointvec"
        linux.run(vm, "echo 17 >/proc/sys/kernel/panic")
        local watchpoint
        local breakpoint = assert(vm:breakpoint { at = handler, function()
            watchpoint = watchpoint or assert(vm:watchpoint { at = variable, len = 4 })
        end })
        vm.console:send_line "echo 34 >/proc/sys/kernel/panic"
        local hit = assert(vm:wait_break { timeout = 20 })
        assert.equal(watchpoint, hit.breakpoint)
        assert.same({ 17, 34 }, { hit.old, hit.new })
        breakpoint:remove()
        watchpoint:remove()
        vm:resume()
        vm.console:expect("guest# ", { timeout = 6 })
        assert.equal("34", linux.run(vm, "cat /proc/sys/kernel/panic"))
        assert_healthy()
    end)

    it("makes 1,000 single steps, through the way back to the user and into the kernel", function()
        local at = address "__x64_sys_sethostname"
        for _, count in ipairs { 1, 1000 } do
            vm.console:send_line "hostname stepped"
            local hit = assert(vm:wait_break(at, { timeout = 6 }))
            local done = assert(vm:step { vcpu = hit.vcpu, count = count })
            assert.equal(count, done.steps)
            assert.equal(vm.vcpus[hit.vcpu].regs.rip, done.rip)
            assert.is_true(done.rip ~= at)
            vm:resume()
            vm.console:expect("guest# ", { timeout = 6 })
        end
        assert.equal("stepped", linux.run(vm, "hostname"))
        assert_healthy()
    end)
end)
