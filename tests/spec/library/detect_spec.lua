-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Failures of guests, found in what their kernels print: kinds, wholes, policies, waits.

local core = require "vmm.core"
local fake_console = require "tests.spec.support.fake_console"
local sched = require "vmm.sched"
local texts = require "tests.spec.support.kernel_texts"
local vmm = require "vmm"

local methods = core.classes["vmm.vm"]

local function watch(console, options)
    local vm = console.vm
    vm.console, vm.subscriptions, vm.vcpus = console, {}, {}
    function vm.on(_, event, fn)
        vm.subscriptions[event] = fn
    end
    function vm.exit_counts() return {} end
    for _, name in ipairs { "allow", "check", "wait_for_failure" } do
        vm[name] = methods[name]
    end
    console:split_log(true)
    vmm.scenario.watch(vm, options)
    return vm
end

local function puller(console, print)
    return function(text)
        print(text)
        console:pull()
    end
end

-- A VM that is a string, watched; print(text) has it print.
local function watched(options)
    local console, print = fake_console.new()
    return watch(console, options), puller(console, print)
end

-- A VM with two consoles that are strings; print and print_hvc(text) have it print on them.
local function watched_twice(options)
    local console, print = fake_console.new()
    local vm = console.vm
    local hvc, print_hvc = fake_console.new(nil, nil, vm)
    vm.hvc = hvc
    hvc:split_log(true)
    return watch(console, options), puller(console, print), puller(hvc, print_hvc)
end

-- How it ends: as the core tells.
local function finish(vm, reason, text)
    local stop = { reason = reason, text = text }
    function vm.stopped() return stop end
    vm.subscriptions.stop(stop)
end

local function names()
    local list = {}
    for name, text in pairs(texts) do
        if type(text) == "string" then list[#list + 1] = name end
    end
    table.sort(list)
    return list
end

describe("A kernel's report", function()
    for _, name in ipairs(names()) do
        local kind = texts.KINDS[name] or name
        local lines = texts.lines(texts[name])

        for _, header in ipairs { "syslog", "stamp", "caller", "level", "none" } do
            it(("is a failure of its kind: %s, lines with header %s"):format(name, header),
                function()
                    local vm, print = watched()
                    print(texts.printed(texts[name], header))
                    local failure = vm.scenario.settle(true)
                    assert.equal(kind, failure.code)
                    assert.same({ kind }, failure.kinds)
                    -- All from its first line on, "cut here" included, but a panic's last.
                    local first = name == "panic" and 2 or 1
                    local last = name == "panic" and #lines - 1 or #lines
                    local wanted = table.move(lines, first, last, 1, {})
                    assert.same(wanted, failure.lines)
                    assert.equal("fake", failure.vm)
                end)
        end

        it("is found in pieces of any size: " .. name, function()
            local printed = texts.printed(texts[name], "syslog")
            for size = 1, 7 do
                local vm, print = watched()
                for at = 1, #printed, size do
                    print(printed:sub(at, at + size - 1))
                end
                assert.equal(kind, vm.scenario.settle(true).code)
            end
        end)
    end

    it("is not one that a program has written into the kernel's log", function()
        local vm, print = watched()
        print "<12>[   12.345678] BUG: kernel NULL pointer dereference, address: 0\r\n"
        assert.is_nil(vm.scenario.settle(true))
        print "<1>[   12.345679] BUG: kernel NULL pointer dereference, address: 0\r\n"
        assert.equal("oops", vm.scenario.settle(true).code)
    end)

    it("is not one that a program has printed, once the kernel's log is known", function()
        local vm, print = watched()
        print "<6>[    0.000000] Linux version 6.1.0\r\n"
        print "Kernel panic - not syncing: says cat\r\n"
        assert.is_nil(vm.scenario.settle(true))
    end)

    it("is none: what only looks like one", function()
        local vm, print = watched()
        print(texts.printed([[
<4>------------[ cut here ]------------
<6>rcu: 	RCU restricting CPUs from NR_CPUS=512 to nr_cpu_ids=2.
<6>NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.
<6>panic: a word
<6>oom_reaper: reaped process 137 (tail), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
<6>Mitigation: WARNING: none
<6>debug: BUG in a word
]], "syslog"))
        assert.is_nil(vm.scenario.settle(true))
    end)

    it("has the kernel's own calls as its backtrace, from where it was on", function()
        local vm, print = watched()
        print(texts.printed(texts.oops, "syslog"))
        assert.equal([[
RIP: 0010:__do_sys_sethostname+0x4/0x10
Call Trace:
 <TASK>
 __x64_sys_sethostname+0x14/0x20
 do_syscall_64+0x5b/0xc0
 entry_SYSCALL_64_after_hwframe+0x64/0xce
RIP: 0033:0x45f3a7
 </TASK>]], vm.scenario.settle(true).backtrace)
    end)

    it("has those calls, too, when it does not say where it was on", function()
        local vm, print = watched()
        print(texts.printed(texts.panic, "syslog"))
        assert.equal([[
Call Trace:
 <TASK>
 dump_stack_lvl+0x44/0x5c
 panic+0x118/0x2ed
 sysrq_handle_crash+0x16/0x20
 __handle_sysrq.cold+0x48/0x121
 </TASK>]], vm.scenario.settle(true).backtrace)
    end)

    it("is of several kinds when one leads to another", function()
        local vm, print = watched()
        print(texts.printed(texts.oops, "syslog"))
        print(texts.printed("<0>Kernel panic - not syncing: Fatal exception\n"
            .. "<0>Rebooting in 1 seconds..\n", "syslog"))
        local failure = vm.scenario.settle(true)
        assert.equal("oops", failure.code)
        assert.same({ "oops", "panic" }, failure.kinds)
        assert.is_true(failure:is "panic")
        assert.is_false(failure:is "bug")
        assert.equal("fake: kernel oops, kernel panic: BUG: kernel NULL pointer dereference, "
            .. "address: 0000000000000008", tostring(failure):match "[^\n]*")
    end)

    it("is one when two CPUs print theirs in turn", function()
        local vm, print = watched()
        local one, other = texts.lines(texts.warning), texts.lines(texts.oops)
        local mixed = {}
        for i = 1, math.max(#one, #other) do
            mixed[#mixed + 1] = one[i]
            mixed[#mixed + 1] = other[i]
        end
        print(texts.printed("<4>" .. table.concat(mixed, "\n<4>") .. "\n", "syslog"))
        local failure = vm.scenario.settle(true)
        assert.same(mixed, failure.lines)
        assert.same({ "oops", "warning" }, failure.kinds)
    end)

    it("of two warnings in turn ends with the second end", function()
        local vm, print = watched()
        local lines = texts.lines(texts.warning)
        local mixed = {}
        for _, line in ipairs(lines) do
            mixed[#mixed + 1] = line
            mixed[#mixed + 1] = line
        end
        print(texts.printed("<4>" .. table.concat(mixed, "\n<4>") .. "\n", "syslog"))
        assert.same(mixed, vm.scenario.settle().lines)
    end)

    for _, name in ipairs { "panic", "reboot_after_panic", "warning", "oom" } do
        it("that has an end is whole at once: " .. name, function()
            local vm, print = watched()
            print(texts.printed(texts[name], "syslog"))
            assert.equal(texts.KINDS[name] or name, vm.scenario.settle().code)
        end)
    end

    it("that has no end is awaited until the log is quiet, and then has all of it", function()
        local vm, print = watched()
        local printed = texts.printed(texts.soft_lockup, "syslog")
        print(printed:sub(1, 300))
        assert.is_nil(vm.scenario.settle())
        print(printed:sub(301))
        assert.is_nil(vm.scenario.settle())
        local failure = sched.wait(function() return vm.scenario.failure end, 60)
        assert.same(texts.lines(texts.soft_lockup), failure.lines)
    end)

    it("that never ends is cut off", function()
        local vm, print = watched()
        print(texts.printed(texts.oops, "syslog"))
        local line = texts.printed("<4>and so on\n", "syslog")
        print(line:rep(5000))
        local failure = vm.scenario.settle(true)
        assert.equal(400, #failure.lines)
        assert.is_truthy(failure.text:find("(and 4625 lines)", 1, true), failure.text:sub(-40))
    end)

    it("that never ends is awaited for so long only", function()
        local vm, print = watched()
        print(texts.printed(texts.oops, "syslog"))
        local line = texts.printed("<4>and so on\n", "syslog")
        local start = core.now()
        local failure = sched.wait(function()
            print(line)
            core.wake()
            return vm.scenario.failure
        end, 60 + sched.scaled(10))
        assert.equal("oops", failure.code)
        assert.is_true(core.now() - start >= sched.scaled(4), "awaited at all")
    end)

    it("comes to no harm by a flood of them", function()
        local vm, print = watched()
        print((texts.printed(texts.warning, "syslog")):rep(300))
        assert.equal("warning", vm.scenario.settle(true).code)
        assert.equal(100, #vm.scenario.detector.failing)
    end)

    it("may have any bytes", function()
        local vm, print = watched()
        local state = 1
        local function random()
            state = state * 1103515245 + 12345 & 0x7fffffff
            return state >> 8
        end
        local bytes = {}
        for i = 1, 20000 do
            bytes[i] = string.char(random() & 255)
        end
        print("<1>[    1.000000] BUG: " .. table.concat(bytes) .. "\n")
        print("<1>[    1.000000] Oops: " .. ("0xffffffff81000000 "):rep(2000) .. "\n")
        local failure = vm.scenario.settle(true)
        assert.equal("bug", failure.code)
        assert.is_true(#tostring(failure) < 1 << 20)
    end)
end)

describe("A VM's failure", function()
    it("ends a wait for a prompt at once", function()
        local vm, print = watched()
        local task = vmm.spawn(function()
            return vm.console:try_expect("guest# ", { timeout = 600 })
        end)
        vmm.spawn(print, texts.printed(texts.panic, "syslog"))
        local found, failure, code = task:wait(60)
        assert.is_nil(found)
        assert.equal("failed", code)
        assert.equal("panic", failure.code)
    end)

    it("is what a wait ends with whose time is over while a report goes on", function()
        local vm, print = watched()
        print(texts.printed("<1>BUG: kernel NULL pointer dereference, address: 0\n", "syslog"))
        local found, failure = vm.console:try_expect("guest# ", { timeout = 0 })
        assert.is_nil(found)
        assert.equal("oops", failure.code)
    end)

    it("is what a wait ends with whose guest ends while a report goes on", function()
        local vm, print = watched()
        print(texts.printed("<1>BUG: kernel NULL pointer dereference, address: 0\n", "syslog"))
        finish(vm, "reboot", "")
        local _, failure = vm.console:try_expect("guest# ", { timeout = 600 })
        assert.equal("oops", failure.code)
    end)

    for reason, kind in pairs { triple_fault = "triple_fault", error = "lost", panic = "panic" } do
        it("is its end by " .. reason, function()
            local vm = watched()
            finish(vm, reason, "vCPU 1 did it")
            local failure = vm.scenario.settle()
            assert.equal(kind, failure.code)
            assert.equal("vCPU 1 did it", failure.title)
        end)
    end

    for _, reason in ipairs { "poweroff", "reboot", "halt", "closed" } do
        it("is not its end by " .. reason, function()
            local vm = watched()
            finish(vm, reason, "")
            assert.is_nil(vm.scenario.settle(true))
        end)
    end

    it("is not a second one when a panic has been its end", function()
        local vm, print = watched()
        print(texts.printed(texts.panic, "syslog"))
        finish(vm, "panic", "Kernel panic - not syncing: sysrq triggered crash")
        assert.equal("panic", vm:wait_for_failure("panic").code)
        assert.is_nil(vm.scenario.settle(true))
    end)

    it("is raised by vm:check", function()
        local vm, print = watched()
        vm:check()
        print(texts.printed(texts.warning, "syslog"))
        local ok, failure = pcall(vm.check, vm)
        assert.is_false(ok)
        assert.equal("warning", failure.code)
    end)

    it("is raised when the VM is closed, if no wait was told", function()
        local vm, print = watched()
        print(texts.printed(texts.warning, "syslog"))
        local ok, failure = pcall(vm.before_close, vm)
        assert.is_false(ok)
        assert.equal("warning", failure.code)
    end)

    it("is not raised when the VM is closed by another error, or when a wait was told", function()
        local vm, print = watched()
        print(texts.printed(texts.warning, "syslog"))
        vm.before_close(vm, "another error")
        assert.equal("warning", vm.scenario.failure.code)
        vm.before_close(vm)
    end)
end)

describe("A VM with two consoles", function()
    -- On both, the first so many bytes ahead of the second.
    local function print_both(ahead, printed, print, print_other)
        for at = 1, #printed + ahead, 100 do
            print(printed:sub(at, at + 99))
            if at > ahead then print_other(printed:sub(at - ahead, at - ahead + 99)) end
        end
    end

    for _, header in ipairs { "syslog", "stamp", "none" } do
        it("fails when its kernel prints on the other one alone, header " .. header, function()
            local vm, _, print_hvc = watched_twice()
            print_hvc(texts.printed(texts.oops, header))
            local failure = vm.scenario.settle(true)
            assert.equal("oops", failure.code)
            assert.same(texts.lines(texts.oops), failure.lines)
        end)

        for _, name in ipairs { "oops", "warning", "panic" } do
            it(("fails once when both have the same report: %s, header %s"):format(name, header),
                function()
                    for _, ahead in ipairs { 0, 300, 100000 } do
                        for _, turned in ipairs { false, true } do
                            local vm, print, print_hvc = watched_twice()
                            local printed = texts.printed(texts[name], header)
                            print_both(ahead, printed, turned and print_hvc or print,
                                turned and print or print_hvc)
                            local failure = vm.scenario.settle(true)
                            local first = name == "panic" and 2 or 1
                            local lines = texts.lines(texts[name])
                            local last = name == "panic" and #lines - 1 or #lines
                            assert.same(table.move(lines, first, last, 1, {}), failure.lines)
                            assert.equal(failure, vm:wait_for_failure(name))
                            assert.is_nil(vm.scenario.settle(true))
                        end
                    end
                end)
        end
    end

    it("fails once when the second one comes later and is given all that was", function()
        local vm, print, print_hvc = watched_twice { policy = { warning = "note" } }
        local printed = texts.printed(texts.warning, "syslog")
        print(printed)
        vm.scenario.settle(true)
        print_hvc(printed)
        vm.scenario.settle(true)
        assert.equal(1, #vm.scenario.notes)
    end)

    it("fails for each of two reports that are the same but for their times", function()
        local vm, print, print_hvc = watched_twice { policy = { warning = "note" } }
        local printed = texts.printed(texts.warning, "syslog")
        local later = printed:gsub("%[   12%.", "[   99.")
        print(printed)
        print_hvc(printed)
        print(later)
        print_hvc(later)
        vm.scenario.settle(true)
        assert.equal(2, #vm.scenario.notes)
    end)

    it("is silent only when both are", function()
        local vm, print, print_hvc = watched_twice()
        print "four"
        print_hvc "seven\r\n"
        assert.equal(11, vm.scenario.detector.lines:total())
    end)

    it("remembers no more lines for the other one than it may be behind", function()
        local vm, print = watched_twice()
        local lines = {}
        for i = 1, 12000 do
            lines[i] = ("<6>[%12.6f] line %d\r\n"):format(i / 1000, i)
        end
        print(table.concat(lines))
        local count = 0
        for _, source in ipairs(vm.scenario.detector.lines.sources) do
            for _ in pairs(source.shown) do count = count + 1 end
            for _ in pairs(source.keys) do count = count + 1 end
        end
        assert.equal(10000, count)
    end)
end)

describe("A policy", function()
    it("has failures noted", function()
        local vm, print = watched { policy = { warning = "note" } }
        print(texts.printed(texts.warning, "syslog"))
        assert.is_nil(vm.scenario.settle(true))
        assert.equal("warning", vm.scenario.notes[1].code)
    end)

    it("has failures ignored", function()
        local vm, print = watched { policy = { warning = "ignore" } }
        print(texts.printed(texts.warning, "syslog"))
        assert.is_nil(vm.scenario.settle(true))
        assert.same({}, vm.scenario.notes)
    end)

    it("counts for its kind only", function()
        local vm, print = watched { policy = { warning = "ignore" } }
        print(texts.printed(texts.warning .. texts.oops, "syslog"))
        local failure = vm.scenario.settle(true)
        assert.equal("oops", failure.code)
    end)

    it("is refused when it names what there is not", function()
        assert.has_error(function() watched { policy = { warnin = "note" } } end)
        assert.has_error(function() watched { policy = { warning = "not" } } end)
        assert.has_error(function() watched { silense = 1 } end)
    end)
end)

describe("vm:allow", function()
    it("has failures that are expected noted, and counts them", function()
        local vm, print = watched()
        local allowed = vm:allow("warning", "refcount_t")
        print(texts.printed(texts.warning, "syslog"))
        assert.is_nil(vm.scenario.settle(true))
        assert.equal(1, allowed.count)
        assert.equal("warning", vm.scenario.notes[1].code)
        print(texts.printed(texts.ubsan, "syslog"))
        assert.equal("warning", vm.scenario.settle(true).code)
        assert.equal(1, allowed.count)
    end)

    it("ends", function()
        local vm, print = watched()
        do
            local _ <close> = vm:allow "warning"
        end
        print(texts.printed(texts.warning, "syslog"))
        assert.equal("warning", vm.scenario.settle(true).code)
    end)

    it("refuses kinds that there are not", function()
        local vm = watched()
        assert.has_error(function() vm:allow "warnings" end)
        assert.has_error(function() vm:allow() end)
    end)
end)

describe("vm:wait_for_failure", function()
    it("returns one that has been, which is none of the VM's then", function()
        local vm, print = watched()
        print(texts.printed(texts.warning, "syslog"))
        assert.equal("warning", vm.scenario.settle(true).code)
        assert.equal("warning", vm:wait_for_failure("warning").code)
        assert.is_nil(vm.scenario.failure)
        vm:check()
    end)

    it("returns the next one, whatever the policy", function()
        for _, policy in ipairs { "fail", "note", "ignore" } do
            local vm, print = watched { policy = { oops = policy } }
            local task = vmm.spawn(vm.wait_for_failure, vm, "oops", { timeout = 600 })
            vmm.spawn(print, texts.printed(texts.oops, "syslog"))
            assert.equal("oops", task:wait(60).code)
            vm:check()
        end
    end)

    it("raises another failure", function()
        local vm, print = watched()
        local task = vmm.spawn(pcall, vm.wait_for_failure, vm, "panic", { timeout = 600 })
        vmm.spawn(print, texts.printed(texts.warning, "syslog"))
        local ok, failure = task:wait(60)
        assert.is_false(ok)
        assert.equal("warning", failure.code)
    end)

    it("takes the one that has the pattern", function()
        local vm, print = watched { policy = { warning = "note" } }
        print(texts.printed(texts.lockdep .. texts.warning, "syslog"))
        vm.scenario.settle(true)
        print(texts.printed(texts.ubsan, "syslog"))
        vm.scenario.settle(true)
        local failure = vm:wait_for_failure("warning", { pattern = "out%-of%-bounds" })
        assert.equal("UBSAN: array-index-out-of-bounds in drivers/x.c:12:3", failure.title)
    end)

    it("says what it has waited for", function()
        local vm = watched()
        local ok, err = pcall(vm.wait_for_failure, vm, "oops", { timeout = 0 })
        assert.is_false(ok)
        assert.equal("timeout", err.code)
        assert.equal("fake: a failure, oops: timed out after 0.0 s (limit 0 s); the VM is not "
            .. "started; exits meanwhile: none; last lines:\n(the console is silent)",
            tostring(err))
    end)
end)
