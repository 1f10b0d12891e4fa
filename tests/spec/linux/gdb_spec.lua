-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Debian's gdb on Debian's kernel, scripted from end to end.

local gdb = require "tests.spec.support.gdb"

-- Boots Linux, has it open files and print "tick" until there is a file /stop, lets gdb come, and
-- tells how the guest is when gdb has left.
local SCRIPT = [[
local linux = require "tests.spec.support.linux"
local vm <close> = linux.boot { vcpus = { num = 2 } }
linux.run(vm, "{ until [ -e /stop ]; do cat /etc/passwd >/dev/null; echo tick; done & }")
-- For "monitor lua": once the guest runs again, gdb gets its user's Ctrl-C.
function interrupt_soon()
    vm.console:expect ".*" -- what was printed before
    vmm.spawn(function()
        vm.console:expect("tick", { timeout = 20 })
        interrupt()
    end)
end
local server <close> = serve(vm, { lua = true, symbols = dir .. "/kernel.elf" })
assert(server:wait(60))
vm.console:send_line "touch /stop; wait; echo; echo stopped"
vm.console:expect("\nstopped\r\n", { timeout = 20 })
io.write("panic_timeout ", linux.run(vm, "cat /proc/sys/kernel/panic"), "\n")
io.write("vcpus ", linux.run(vm, "nproc"), "\n")
io.write((linux.finish(vm, "poweroff -f")).reason, "\n")
]]

local function has(text, words)
    assert.is_truthy(text:find(words, 1, true), ("no %q in:\n%s"):format(words, text))
end

local function matches(pattern, text)
    assert.is_truthy(text:find(pattern), ("no %q in:\n%s"):format(pattern, text))
end

describe("Debian's gdb on Debian's kernel", function()
    if not gdb.path() then
        pending "gdb is not installed"
        return
    end

    it("attaches, breaks by name, steps, reads and writes, interrupts, detaches", function()
        local said, out, code = gdb.run(SCRIPT, {
            "target remote %dir/gdb",
            "monitor symbols",
            "file %dir/kernel.elf",
            "info threads",
            "x/s &linux_banner",
            "break do_sys_openat2",
            "continue",
            "x/i $rip",
            "monitor backtrace",
            "print $before = (long) $rip",
            "stepi",
            "stepi",
            "print $stepped = (long) $rip - $before",
            "info registers cs efer k_gs_base",
            "continue",
            "info breakpoints",
            "delete",
            "set {int} &panic_timeout = 77",
            "interrupt-me",
            "monitor lua interrupt_soon()",
            "continue",
            "thread 2",
            "x/2i $rip",
            "detach",
        })
        matches("Thread 1 %(vCPU 0[^\n]*%)", said)
        matches("Thread 2 %(vCPU 1[^\n]*%)", said)
        matches('<linux_banner>:\t"Linux version 6', said)
        matches("Thread %d hit Breakpoint 1, 0xffffffff%x+ in do_sys_openat2 %(%)", said)
        matches("\n=> 0xffffffff%x+ <do_sys_openat2>:\t", said)
        matches("Call Trace:\n do_sys_openat2\n[^$]*do_syscall_64%+0x%x+", said)
        local stepped = tonumber(said:match "\n%$2 = (%-?%d+)\n") -- bytes, two instructions
        assert.is_truthy(stepped and stepped >= 2 and stepped <= 30, said)
        matches("\ncs +0x10 ", said)
        matches("\nk_gs_base +0x%x+ ", said)
        has(said, "breakpoint already hit 2 times")
        has(said, "received signal SIGINT")
        has(said, "Switching to thread 2")
        has(said, "detached")
        assert.equal("panic_timeout 77\nvcpus 2\npoweroff\n", out)
        assert.equal(0, code)
    end)
end)
