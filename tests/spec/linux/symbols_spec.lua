-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What can be seen of a stock kernel that has moved itself (KASLR): its memory, symbols, types,
-- tasks, stacks and code.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

-- A bzImage that the guest unpacks by itself chooses where it runs.
local CMDLINE = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet "

-- For a guest to get to where it is sooner or later.
local PATIENCE_SECONDS = 60

local function boot(options)
    local kernel = assert(guests.kernel "cloud-amd64")
    return linux.boot {
        vcpus = options.vcpus,
        kernel = {
            initrd = assert(guests.initramfs { kernel = kernel, modules = { "pvpanic-mmio" } }),
            cmdline = CMDLINE .. (options.cmdline or ""),
            unpack = options.unpack,
        },
    }
end

local function names(trace)
    local list = {}
    for index, frame in ipairs(trace) do
        list[index] = frame.kind == "user" and "user" or frame.symbol:match("^[%w_.]+")
    end
    return list
end

-- The trace has these functions, one right after the other.
local function assert_frames(expected, trace)
    local found = table.concat(names(trace), " ")
    assert.matches(table.concat(expected, " "), found, 1, true)
end

local function task_named(vm, name)
    for _, task in ipairs(assert(vm:tasks())) do
        if task.comm == name then return task end
    end
    error("no task " .. name)
end

-- Pauses the machine again and again, until look() finds what is expected; in between the guest
-- goes on, by its own clock.
local function pause_when(vm, expected, look)
    local deadline = vmm.now() + PATIENCE_SECONDS
    assert(vm:pause(10))
    local found = look()
    while vmm.now() < deadline and not pcall(assert.same, expected, found) do
        assert(vm:resume())
        vmm.sleep(0.02)
        assert(vm:pause(10))
        found = look()
    end
    assert.same(expected, found)
end

-- A generator that awk and Lua share: 43165 generates all of 1 to 131070 modulo that prime.
local PRIME, FACTOR = 131071, 43165

-- Line numbers up to total, so many, chosen by the seed.
local function choose(count, total, seed)
    local chosen, list = {}, {}
    while #list < count do
        seed = seed * FACTOR % PRIME
        if seed <= total and not chosen[seed] then
            chosen[seed] = true
            list[#list + 1] = seed
        end
    end
    table.sort(list)
    return list
end

-- The MD5 sum of these lines of the guest's /proc/kallsyms: the console is slow.
local function their_sum(vm, count, total, seed)
    return linux.run(vm, ("awk -v x=%d 'BEGIN { while (k < %d) { x = x * %d %% %d; "
        .. "if (x <= %d && !(x in n)) { n[x]; k++ } } } NR in n' /tmp/k | md5sum"):format(seed,
        count, FACTOR, PRIME, total)):match("^%x+")
end

-- The same of the lines that it would have if a table of ours were true.
local function our_sum(symbols, chosen)
    local lines = {}
    for _, index in ipairs(chosen) do
        local name, address, kind = symbols:get(index)
        lines[#lines + 1] = ("%016x %s %s\n"):format(address, kind, name)
    end
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    assert(file:write(table.concat(lines)))
    assert(file:close())
    local sum = process.line { "md5sum", path }
    os.remove(path)
    return sum:match("^%x+"), #lines
end

describe("A kernel that has moved itself", function()
    local vm

    setup(function()
        vm = boot { unpack = false }
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    before_each(function()
        assert(vm:resume())
    end)

    it("has moved, and VMCOREINFO tells how far", function()
        assert(vm:load_symbols())
        assert.matches("^6%.1%.", vm.linux.release)
        assert.not_equal(0, vm.linux.slide)
        assert.equal(0xffffffff81000000 + vm.linux.slide, vm:symbol "_stext")
    end)

    it("has 1,000 random symbols where its own /proc/kallsyms has them", function()
        local symbols = assert(vm:load_symbols())
        -- Modules come last in it.
        local lines, others = linux.run(vm, "cat /proc/kallsyms >/tmp/k; "
            .. "wc -l </tmp/k; tail -n 500 /tmp/k | grep -c '\\['"):match("^(%d+)\n(%d+)$")
        assert.equal(symbols:count(), lines - others)
        local seed = os.time() % (PRIME - 1) + 1
        local ours, count = our_sum(symbols, choose(1000, symbols:count(), seed))
        assert.equal(1000, count)
        assert.equal(ours, their_sum(vm, 1000, symbols:count(), seed), "seed " .. seed)
    end)

    it("gives a name to each address within a symbol, and to none outside", function()
        local address = assert(vm:symbol "do_sys_openat2")
        assert.equal("do_sys_openat2", vm:symbolize(address))
        assert.equal("do_sys_openat2+0x10", vm:symbolize(address + 0x10))
        assert.equal(address + 0x10, vm:symbol "do_sys_openat2+0x10")
        assert.equal(address - 16, vm:symbol "do_sys_openat2-16")
        local found, message, code = vm:symbolize(0x1000)
        assert.same({ nil, "no symbol at 0x1000", "ENOENT" }, { found, message, code })
        found, message, code = vm:symbol "no_such_symbol"
        assert.same({ nil, "the guest's kernel has no symbol \"no_such_symbol\"", "ENOENT" },
            { found, message, code })
    end)

    it("names the symbols of its modules", function()
        local line = linux.run(vm, "tail -n 500 /proc/kallsyms | grep -m1 -E ' t .*\\[pvpanic'")
        local address, name, module = line:match("^(%x+) t (%S+)\t%[(%S+)%]")
        address = tonumber(address, 16)
        assert.equal(("%s+0x1 [%s]"):format(name, module), vm:symbolize(address + 1))
        assert.equal(address, (vm:symbol(name)))
    end)

    it("can be read and written by virtual address while it runs", function()
        local banner = assert(vm:read_virtual(vm:symbol "linux_banner", 17))
        assert.equal("Linux version 6.1", banner)
        -- The kernel's name, in the first process's namespace.
        local at = vm:symbol "init_uts_ns" + assert(vm:types()):offset("uts_namespace",
            "name.nodename")
        assert(vm:write_virtual(at, "renamed\0"))
        assert.equal("renamed", linux.run(vm, "hostname"))
    end)

    it("says which page is not there, and writes nothing", function()
        -- Whose address would this be, while the vCPU runs?
        assert.equal("EBUSY", (select(3, vm:read_virtual(0x7ffffffff000, 4))))
        assert(vm:pause(10))
        local found, message, code = vm:read_virtual(0xffffffffff000ff0 - (1 << 40), 32)
        assert.is_nil(found)
        assert.equal("EFAULT", code)
        assert.matches("0xfffffeffff000000 is not mapped", message, 1, true)
    end)

    it("has its types in BTF", function()
        local types = assert(vm:types())
        assert.equal(linux.run(vm, "wc -c </sys/kernel/btf/vmlinux"),
            tostring(vm:symbol "__stop_BTF" - vm:symbol "__start_BTF"))
        assert.equal(0, types:offset("list_head", "next"))
        assert.equal(8, types:offset("list_head", "prev"))
        assert.equal(16, types:size "list_head")
        assert.equal(types:offset("task_struct", "se") + types:offset("sched_entity", "vruntime"),
            types:offset("task_struct", "se.vruntime"))
        local offset, message, code = types:offset("task_struct", "nothing")
        assert.same({ nil, 'struct task_struct has no field "nothing"', "ENOENT" },
            { offset, message, code })
    end)

    it("shows the process that runs, in user mode and in the kernel", function()
        vm.console:send_line "while :; do :; done & echo PID=$!."
        local spinner = tonumber(vm.console:expect("PID=(%d+)%.", { timeout = 10 })[1])
        vm.console:expect("guest# ", { timeout = 10 })
        -- Others run for moments only.
        pause_when(vm, { comm = "sh", pid = spinner }, function()
            local task = assert(vm:current(1))
            return { comm = task.comm, pid = task.pid }
        end)
        assert(vm:resume())
        linux.run(vm, "kill " .. spinner)
    end)

    it("shows the idle task, in the idle loop", function()
        local trace
        pause_when(vm, { comm = "swapper/0", ends = "end" }, function()
            trace = assert(vm:backtrace(1))
            return { comm = vm:current(1).comm, ends = trace.ends }
        end)
        assert_frames({ "do_idle", "cpu_startup_entry", "rest_init" }, trace)
        assert.equal("secondary_startup_64_no_verify", names(trace)[#trace])
        assert.matches("^Call Trace:\n.* do_idle%+0x%x+\n cpu_startup_entry%+0x%x+\n",
            tostring(trace))
    end)

    it("shows a sleeping process's way into the kernel", function()
        vm.console:send_line "sleep 1000 &"
        vm.console:expect("guest# ", { timeout = 10 })
        linux.run(vm, "until grep -q nanosleep /proc/$!/wchan; do sleep 0.1; done")
        assert(vm:pause(10))
        local task = task_named(vm, "sleep")
        local trace = assert(vm:backtrace(task))
        assert_frames({
            "__schedule", "schedule", "do_nanosleep", "hrtimer_nanosleep", "common_nsleep",
            "__x64_sys_clock_nanosleep", "do_syscall_64", "entry_SYSCALL_64_after_hwframe", "user",
        }, trace)
        assert.equal("user", trace.ends)
        assert.equal(2, #assert(vm:backtrace(task, { depth = 2 })))
        -- What the process sees at its own addresses, by its own page tables.
        local pgd = assert(vm:fetch(assert(vm:follow(task, "mm")), "pgd"))
        local cr3 = pgd - ("<i8"):unpack(assert(vm:read_virtual(vm:symbol "page_offset_base", 8)))
        local frame = trace[#trace].address
        assert.equal("\x0f\x05", vm:read_virtual(frame - 2, 2,
            { cr3 = cr3, levels = vm.linux.space[2] }))
        assert(vm:resume())
        linux.run(vm, "kill $!")
    end)

    it("is disassembled with the names of what it calls", function()
        local at = assert(vm:symbol "default_idle")
        local code = assert(vm:disassemble(at, 3))
        -- Where ftrace may put a call.
        assert.equal("nop dword ptr [rax + rax]", code[1].text)
        assert.equal("default_idle", code[1].label)
        assert.matches("^call 0x", code[2].text)
        assert.equal("native_safe_halt", code[2].symbol)
        assert.equal(code[2].target, vm:symbol(code[2].symbol))
        assert.equal(at + code[1].size, code[2].address)
        local att = assert(vm:disassemble(at, 2, { syntax = "att" }))
        assert.equal("nopl (%rax, %rax)", att[1].text)
        assert.matches("^default_idle:\n 0x%x+: 0f 1f 44 00 00 +nop", tostring(code))
    end)

    it("is seen by a handler on the vCPU's own thread", function()
        local trace, comm, banner
        local tap = assert(vm:tap {
            pio = { 0x3f8, 1 },
            write = function()
                if trace then return end
                trace, comm = assert(vm:backtrace(1)), vm:current(1).comm
                banner = vm:read_virtual(vm:symbol "linux_banner", 5, { vcpu = 1 })
            end,
        })
        linux.run(vm, "dmesg -n 8; echo told >/dev/kmsg")
        tap:remove()
        assert.equal("Linux", banner)
        assert.is_string(comm)
        assert.matches("io_serial_out", names(trace)[1], 1, true)
    end)

    it("is traced through an interrupt to what it interrupted", function()
        local traces = {}
        -- The interrupt handler of the serial port asks which of its interrupts it is.
        local tap = assert(vm:tap {
            pio = { 0x3fa, 1 },
            read = function()
                if #traces < 100 then traces[#traces + 1] = assert(vm:backtrace(1)) end
            end,
        })
        linux.run(vm, "sleep 0.2")
        tap:remove()
        local seen, interrupted
        for _, trace in ipairs(traces) do
            for index, frame in ipairs(trace) do
                if frame.kind == "interrupt" then
                    seen, interrupted = trace, table.concat(names(trace), " ", index - 1)
                end
            end
        end
        assert_frames({ "serial8250_interrupt", "__handle_irq_event_percpu" }, seen)
        assert.matches("^asm_common_interrupt ", interrupted)
        -- Each leads to where its task began, or to user mode.
        for _, trace in ipairs(traces) do
            assert.is_true(trace.ends == "end" or trace.ends == "user", tostring(trace))
        end
        assert.matches("\n RIP: [%w_.]+%+0x%x+\n", tostring(seen))
    end)
end)

describe("A kernel with page-table isolation", function()
    it("is read while a process runs without it in its page tables", function()
        local vm <close> = boot { cmdline = "pti=on" }
        vm.console:send_line "while :; do :; done &"
        vm.console:expect("guest# ", { timeout = 10 })
        pause_when(vm, { privilege = 3 }, function()
            return { privilege = vm.vcpus[1].sregs.cs.dpl }
        end)
        -- By the process's tables alone there is none of it.
        local banner = assert(vm:symbol "linux_banner")
        local cr3, levels = vm.vcpus[1]:address_space()
        local found, _, code = vm:read_virtual(banner, 5, { cr3 = cr3, levels = levels })
        assert.same({ nil, "EFAULT" }, { found, code })
        assert.equal("Linux", vm:read_virtual(banner, 5))
        assert.equal("Linux", vm:read_virtual(banner, 5, { vcpu = 1 }))
        assert.equal("sh", vm:current(1).comm)
        assert.equal("user", assert(vm:backtrace(1)).ends)
    end)
end)
