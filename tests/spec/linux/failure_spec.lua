-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What goes wrong in Debian's kernel, found by its own words. Nothing in it fails by itself, so
-- functions of it are replaced by what does, and vCPUs are held in a loop.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

-- What a function is replaced by.
local LOOP = "\xeb\xfe" -- jmp to itself
local NULL = "\x31\xc0\x88\x00" -- xor eax, eax; mov [rax], al
local UD2 = "\x0f\x0b\xc3" -- ud2; ret

-- struct bug_entry, of 12 bytes: how far away the address is, the file's name; the line, flags.
local BUGFLAG_WARNING = 1 | 9 << 8 -- with TAINT_WARN

local FAILURE_SECONDS = 15

-- A system call that nothing else makes, and one line that makes it.
local CALL, CALLER = "__x64_sys_sethostname", "hostname x"
-- The same of what is called under rcu_read_lock.
local READER, READER_CALLER = "security_task_kill", "sh -c 'kill -0 1'"

describe("Debian's kernel", function()
    local vm, disk

    setup(function()
        local initrd = linux.initramfs {
            kernel = assert(guests.kernel "cloud-amd64"), modules = { "virtio_mmio", "virtio_blk" },
        }
        disk = vmm.block {
            size = 1 << 20,
            read = function(_, length) return ("\0"):rep(length) end,
            write = function() end,
        }
        vm = vmm.scenario.vm {
            guest = "debian-cloud", vcpus = { num = 2 }, memory = { size_mib = 256 },
            block = { disk },
            kernel = { initrd = initrd },
        }
        vm:boot():wait()
        assert(vm:load_symbols())
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    -- Replaces the first bytes of a function; they are put back when the variable goes.
    local function replace(name, code)
        local address = assert(vm:symbol(name))
        local before = assert(vm:read_virtual(address, #code))
        assert(vm:write_virtual(address, code))
        return setmetatable({}, { __close = function()
            assert(vm:write_virtual(address, before))
        end })
    end

    -- Makes the first entry of the kernel's table of BUGs and WARNs one of an address, with flags.
    local function enter_bug(name, flags)
        local entry = assert(vm:symbol "__start___bug_table")
        local before = assert(vm:read_virtual(entry, 12))
        local address = assert(vm:symbol(name))
        assert(vm:write_virtual(entry, ("<i4"):pack(address - entry)))
        assert(vm:write_virtual(entry + 10, ("<I2"):pack(flags)))
        return setmetatable({}, { __close = function()
            assert(vm:write_virtual(entry, before))
        end })
    end

    local function set(path, value)
        linux.run(vm, ("echo %s >/proc/sys/kernel/%s"):format(value, path))
    end

    local function await(kind)
        return vm:wait_for_failure(kind, { timeout = FAILURE_SECONDS })
    end

    -- The guest goes on as if nothing had been.
    local function assert_healthy()
        assert.equal("well", linux.run(vm, "echo well"))
        vm:check()
    end

    -- The first: a kernel that has oopsed does not look for these any more.
    it("has a hung task when a disk does not answer", function()
        set("hung_task_warnings", 1)
        set("hung_task_check_interval_secs", 1)
        set("hung_task_timeout_secs", 1)
        local _ <close> = assert(vm.disks[1]:fault { op = "write", delay_ms = 1e9 })
        vm.console:send_line "dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync &"
        local failure = await "hung_task"
        assert.matches("^INFO: task dd:%d+ blocked for more than %d+ seconds%.$", failure.title)
        assert.matches("io_schedule", failure.backtrace)
        set("hung_task_timeout_secs", 0)
        assert_healthy()
    end)

    it("warns, and goes on", function()
        local _ <close> = replace(CALL, UD2)
        local _ <close> = enter_bug(CALL, BUGFLAG_WARNING)
        vm.console:send_line(CALLER)
        local failure = await "warning"
        assert.same({ "warning" }, failure.kinds)
        assert.matches("^WARNING: CPU: %d PID: %d+ at .*:%d+ __x64_sys_sethostname%+0x0/0x%x+$",
            failure.title)
        assert.matches("^%-+%[ cut here %]%-+$", failure.lines[1])
        assert.matches("^%-%-%-%[ end trace", failure.lines[#failure.lines])
        assert.matches("^RIP: 0010:__x64_sys_sethostname%+0x0/0x%x+\nCall Trace:\n <TASK>\n"
            .. " do_syscall_64%+.* </TASK>$", failure.backtrace)
        vm.console:expect "guest# "
        assert_healthy()
    end)

    it("comes to a BUG, which ends a process", function()
        local _ <close> = replace(CALL, UD2)
        local _ <close> = enter_bug(CALL, 0)
        vm.console:send_line(CALLER)
        local failure = await "bug"
        assert.same({ "bug" }, failure.kinds)
        assert.matches("^kernel BUG at .*:%d+!$", failure.title)
        assert.matches("\nCall Trace:\n <TASK>\n do_syscall_64%+.* </TASK>$", failure.backtrace)
        vm.console:expect "guest# "
        assert_healthy()
    end)

    it("oopses, which ends what waits for the guest", function()
        local _ <close> = replace(CALL, NULL)
        vm.console:send_line(CALLER)
        local ok, failure = pcall(vm.console.expect, vm.console, "never printed",
            { timeout = FAILURE_SECONDS })
        assert.is_false(ok)
        assert.equal("oops", failure.code)
        assert.equal("vm: kernel oops: BUG: kernel NULL pointer dereference, address: "
            .. "0000000000000000", tostring(failure):match "[^\n]*")
        assert.matches("\nthe VM is running$", tostring(failure))
        assert.equal(failure, await "oops")
        vm.console:expect "guest# "
        assert_healthy()
    end)

    it("has a soft lockup when a vCPU is held, and is well when it is let go", function()
        set("watchdog_thresh", 1)
        local allowed <close> = vm:allow "soft_lockup" -- it may be told more than once
        do
            local _ <close> = replace(CALL, LOOP)
            vm.console:send_line("taskset -c 1 " .. CALLER)
            local failure = await "soft_lockup"
            assert.matches("^watchdog: BUG: soft lockup %- CPU#1 stuck for %d+s! %[hostname:%d+%]$",
                failure.title)
            assert.matches("^RIP: 0010:__x64_sys_sethostname%+0x0/0x%x+\nCall Trace:\n <TASK>\n"
                .. " do_syscall_64%+.* </TASK>$", failure.backtrace)
        end
        vm.console:expect "guest# "
        set("watchdog_thresh", 10)
        assert_healthy()
        assert.is_true(allowed.count >= 0)
    end)

    it("stalls RCU when a vCPU is held that reads", function()
        set("soft_watchdog", 0)
        linux.run(vm, "echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout")
        local _ <close> = vm:allow "rcu_stall"
        do
            local _ <close> = replace(READER, LOOP)
            linux.run(vm, ("taskset -c 1 %s & taskset -c 0 true"):format(READER_CALLER))
            vm.console:send_line "while jobs | grep -q Running; do taskset -c 0 true; done"
            local failure = await "rcu_stall"
            assert.matches("^rcu: INFO: rcu_preempt .*detected stalls? on CPU", failure.title)
            assert.matches("security_task_kill", failure.text)
        end
        vm.console:expect "guest# "
        linux.run(vm, "echo 100 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout")
        set("soft_watchdog", 1)
        assert_healthy()
    end)

    it("kills a process when memory is out", function()
        vm.console:send_line "tail /dev/zero"
        local failure = await "oom"
        assert.matches("^tail invoked oom%-killer: ", failure.title)
        assert.matches("^Out of memory: Killed process %d+ %(tail%) ",
            failure.lines[#failure.lines])
        vm.console:expect "guest# "
        assert_healthy()
    end)

    it("explains a wait that was in vain by the functions that it is in", function()
        local ok, err = pcall(vm.console.expect, vm.console, "never printed", { timeout = 0.1 })
        assert.is_false(ok)
        local text = tostring(err)
        assert.matches('^vm: expected "never printed", timed out after [%d.]+ s %(limit [%d.]+ s%);'
            .. " the VM is running; vCPUs? 1.- at ", text)
        assert.matches("; exits meanwhile: ", text)
        assert.matches("; last lines:\n", text)
        assert.matches("vCPU[s%d, ]+ at [%a_][%w_.]*%+0x%x+", text)
    end)
end)

describe("A panic of Debian's kernel", function()
    it("ends what waits for the guest by its own report, and the guest", function()
        local vm <close> = vmm.scenario.vm { guest = "debian-cloud" }
        vm:boot():wait()
        vm.console:send_line "echo c >/proc/sysrq-trigger"
        local ok, failure = pcall(vm.console.expect, vm.console, "never printed",
            { timeout = FAILURE_SECONDS })
        assert.is_false(ok)
        assert.equal("panic", failure.code)
        assert.equal("Kernel panic - not syncing: sysrq triggered crash", failure.title)
        assert.equal(failure.title, failure.lines[1])
        assert.matches("^Rebooting in 1 seconds", failure.lines[#failure.lines])
        assert.matches("^Call Trace:\n <TASK>\n dump_stack_lvl%+.*\n sysrq_handle_crash%+"
            .. ".* </TASK>$", failure.backtrace)
        assert.equal(failure, vm:wait_for_failure "panic")
        assert.equal("panic", assert(vm:wait { timeout = linux.END_SECONDS }).reason)
        vm:check()
    end)

    it("is one failure when it is printed on two consoles", function()
        local vm <close> = vmm.scenario.vm {
            guest = vmm.guest { cmdline = "console=hvc0 console=ttyS0" },
        }
        vm:boot():wait()
        vm.console:send_line "echo c >/proc/sysrq-trigger"
        local failure = vm:wait_for_failure("panic", { timeout = FAILURE_SECONDS })
        assert.equal("panic", assert(vm:wait { timeout = linux.END_SECONDS }).reason)
        for _, console in ipairs { vm.console, vm.hvc } do
            assert.is_truthy(console:find_line(failure.title), console:tail())
        end
        local count = 0
        for _, line in ipairs(failure.lines) do
            if line == failure.title then count = count + 1 end
        end
        assert.equal(1, count, failure.text)
        vm:check()
        assert.same({}, vm.scenario.notes)
    end)
end)
