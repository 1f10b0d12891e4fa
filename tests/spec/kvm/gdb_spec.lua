-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Debian's gdb on tiny guests, from attaching to detaching.

local gdb = require "tests.spec.support.gdb"
local process = require "vmm.process"
local vmm = require "vmm"

-- A script that serves a tiny guest, paused before its first instruction, and says how it ended.
local SCRIPT = [[
local tiny = require "tests.spec.support.tiny"
local vm <close> = assert(vmm.vm {
    memory = { size_mib = 16 },
    vcpus = { num = VCPUS },
    kernel = { path = tiny.path "GUEST" },
})
assert(vm:start { paused = PAUSED })
local server <close> = serve(vm)
MEANWHILE
local stop = assert(vm:wait { timeout = 40 })
io.write(stop.reason, "\n", (vm.console:output():gsub("\r", "")))
]]

local function run(guest, commands, options)
    options = options or {}
    local script = SCRIPT:gsub("%u%u%u%u+", {
        GUEST = guest,
        VCPUS = tostring(options.vcpus or 1),
        PAUSED = tostring(not options.runs),
        MEANWHILE = options.meanwhile or "",
    })
    local words = { "file .build/guest/" .. guest .. ".elf", "target remote %dir/gdb" }
    return gdb.run(script, table.move(commands, 1, #commands, #words + 1, words))
end

local function has(text, words)
    assert.is_truthy(text:find(words, 1, true), ("no %q in:\n%s"):format(words, text))
end

describe("Debian's gdb", function()
    if not gdb.path() then
        pending "gdb is not installed"
        return
    end

    it("breaks at a function, steps, writes registers and memory, detaches", function()
        local said, out, code = run("hello", {
            "break guest",
            "continue",
            "info breakpoints",
            "backtrace",
            "stepi",
            "stepi",
            "print (char *) $rdi",
            "set *(int *) $rdi = 0x64776f48", -- "Howd"
            "set $r12 = 0x123456789abcdef0",
            "set $eflags = $eflags | 1",
            "print/x $r12",
            "print $eflags",
            "delete",
            "detach",
        })
        has(said, "Breakpoint 1, 0x")
        has(said, "breakpoint already hit 1 time")
        assert.matches("#0 +0x%x+ in guest %(%)\n#1 +0x%x+ in _start %(%)", said)
        has(said, '"Hello from a guest')
        has(said, "= 0x123456789abcdef0")
        assert.matches("%$%d = %[ .*CF.*%]", said)
        has(said, "detached")
        assert.equal("reboot\nHowdo from a guest\nPASS\n", out)
        assert.equal(0, code)
    end)

    it("watches memory", function()
        local said, out = run("hello", {
            "stepi 2",
            "watch -location *(long *) ($rsp - 8)", -- where a call puts its return address
            "continue",
            "delete",
            "detach",
        })
        assert.matches("Old value = 0\nNew value = %d+\n0x%x+ in guest %(%)", said)
        has(out, "reboot\nHello from a guest\nPASS\n")
    end)

    it("uses hardware breakpoints where the host has them, and says so where not", function()
        local said, out = run("hello", { "monitor support", "hbreak pass", "continue", "detach" })
        if said:find "hardware_breakpoints +true" then
            assert.matches("Breakpoint 1, 0x%x+ in pass %(%)", said)
        else
            assert.matches("hardware_breakpoints +false: %w+", said)
            has(said, "Cannot insert hardware breakpoint 1.")
        end
        has(out, "reboot\nHello from a guest\nPASS\n")
    end)

    it("sees the instruction at a breakpoint of the script, not what covers it", function()
        local said, out = run("hello", { "x/i _start", "detach" }, { meanwhile = [[
            local entry = vm.plan.entry
            local before = vm.memory:read(entry, 1)
            assert(vm:breakpoint { at = entry, function() end })
            assert(vm.memory:read(entry, 1) ~= before)
        ]] })
        assert.matches("<_start>:\tcld", said)
        has(out, "reboot\n")
    end)

    it("sees the guest's end", function()
        local said, out = run("poweroff", { "continue" })
        has(said, "the guest has ended: poweroff")
        has(said, "exited normally")
        has(out, "poweroff\n")
    end)

    it("sees a triple fault as a signal", function()
        local said = run("triple_fault", { "continue" })
        has(said, "the guest has ended: triple_fault")
        has(said, "terminated with signal SIGSEGV")
    end)

    it("interrupts a guest that spins, and lets it go on", function()
        local said, out = run("spin", {
            "interrupt-me",
            "continue",
            "x/i $rip",
            "info threads",
            "stepi",
            "kill",
        }, { meanwhile = [[
            vm.console:expect("spinning\r?\n", { timeout = 20 })
            interrupt()
        ]] })
        has(said, "received signal SIGINT")
        assert.matches("=> 0x%x+[^\n]*:\tjmp ", said)
        has(said, "(vCPU 0)")
        has(out, "closed\n")
    end)

    it("attaches to a guest that runs, and leaves it running", function()
        local said, out = run("spin", { "info threads", "x/i $rip", "detach" }, {
            runs = true,
            meanwhile = [[
                assert(server:wait(20))
                assert(vm.vcpus[1].state == "running")
                vm:stop("closed")
            ]],
        })
        assert.matches("=> 0x%x+[^\n]*:\t%l+ ", said)
        has(said, "detached")
        has(out, "closed\n")
    end)

    it("is served by the command line, before the first instruction if it shall wait", function()
        local said = process.capture({ "sh", "-c", [[
            dir=$(mktemp -d) && trap 'rm -r "$dir"' EXIT && mkfifo "$dir/said"
            timeout 300 "$1" --kernel path=.build/guest/hello.elf --console file="$dir/console" \
                --gdb unix="$dir/gdb",wait=true 2>"$dir/said" &
            { read -r line; echo "${line%$dir*}DIR${line##*$dir}"; } <"$dir/said"
            timeout 300 gdb -nx -batch -ex "file .build/guest/hello.elf" \
                -ex "target remote $dir/gdb" -ex "info symbol \$rip" \
                -ex "break guest" -ex continue -ex detach 2>&1
            wait $! && cat "$dir/console"
        ]], "sh", vmm.executable }, { stderr = "merge" })
        assert.is_string(said)
        has(said, "vmm-reference: vm: for gdb: target remote DIR/gdb\n")
        has(said, "_start in section .text")
        has(said, "Breakpoint 1, 0x")
        has(said, "Hello from a guest\nPASS")
    end)

    it("has a thread for each vCPU, with registers of its own", function()
        local said, out = run("smp", {
            "info threads",
            "thread 2",
            "info registers rip cs cr0",
            "monitor regs",
            "thread 1",
            "print $_thread",
            "detach",
        }, { vcpus = 2 })
        assert.matches("%* 1 +Thread 1 %(vCPU 0%)", said)
        assert.matches("\n  2 +Thread 2 %(vCPU 1[^\n]*%)", said)
        assert.matches("\nrip +0xfff0 ", said)
        assert.matches("\ncs +0xf000 ", said)
        has(said, "cs        0xf000 base 0xffff0000")
        has(said, "$1 = 1")
        has(out, "PASS")
    end)
end)
