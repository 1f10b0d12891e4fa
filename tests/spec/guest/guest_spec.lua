-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Every tiny guest of tests/guest on a default machine, or a flat one: what it says, how it ends.

package.path = "./tests/spec/support/?.lua;" .. package.path
local flat_machine = require "flat_machine"
local vmm = require "vmm"

local GUESTS = ".build/guest/"
local LIMIT = 30

-- Starts a guest on a default machine; options go to vmm.vm{ kernel = }.
local function start(name, options)
    options = options or {}
    options.path = GUESTS .. name
    local vm = assert(vmm.vm {
        name = name, memory = { size_mib = 32 }, vcpus = { num = options.vcpus or 1 },
        kernel = { path = options.path, cmdline = options.cmdline, flow = options.flow },
        console = "capture",
    })
    assert(vm:start())
    return vm
end

-- Runs one to its end: the reason, what it wrote, the reason's text.
local function finish(vm)
    local stop, message = vm:wait { timeout = LIMIT }
    local output = vm.console:output()
    vm:close()
    assert(stop, message)
    return stop.reason, output, stop.text
end

local function run(name, options)
    return finish(start(name, options))
end

local function run_flat(name, mode, setup)
    return finish(flat_machine.start { path = GUESTS .. name, mode = mode, setup = setup })
end

describe("a tiny guest", function()
    for _, kind in ipairs { ".elf", ".bzimage" } do
        it("says hello and resets the machine [" .. kind .. "]", function()
            local reason, output = run("hello" .. kind)
            assert.equal("Hello from a guest\nPASS\n", output)
            assert.equal("reboot", reason)
        end)

        it("halts, and the machine ends [" .. kind .. "]", function()
            local reason, output = run("halt" .. kind)
            assert.equal("PASS\nreboot: System halted\n", output)
            assert.equal("halt", reason)
        end)
    end

    it("halts without an irqchip, and the exit ends the machine", function()
        local reason, output = run_flat("halt.bin", 64)
        assert.equal("PASS\nreboot: System halted\n", output)
        assert.equal("halt", reason)
    end)

    it("reboots by the i8042", function()
        local reason, output = run "reboot.elf"
        assert.equal("rebooting\n", output)
        assert.equal("reboot", reason)
    end)

    it("powers off by ACPI's sleep control register", function()
        local reason, output = run "poweroff.elf"
        assert.equal("powering off\n", output)
        assert.equal("poweroff", reason)
    end)

    it("ends by a triple fault", function()
        local reason, _, text = run "triple_fault.elf"
        assert.equal("triple_fault", reason)
        assert.equal("vCPU 0 had a triple fault", text)
    end)

    it("starts in real mode", function()
        local reason, output = run_flat("hello16.bin", 16)
        assert.equal("Hello from real mode\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("starts in protected mode", function()
        local reason, output = run_flat("hello32.bin", 32)
        assert.equal("Hello from protected mode\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("starts in long mode", function()
        local reason, output = run_flat("hello.bin", 64)
        assert.equal("Hello from a guest\nPASS\n", output)
        assert.equal("reboot", reason)
    end)

    it("starts by its PVH entry and finds the command line", function()
        local _, output = run("pvh.elf", { flow = "pvh", cmdline = "some words" })
        assert.equal("some words\nPASS\n", output)
    end)

    for _, kind in ipairs { ".elf", ".bzimage" } do
        it("finds the zero page [" .. kind .. "]", function()
            local _, output = run("boot_params" .. kind, { cmdline = "a=b c,d" })
            assert.equal("cmdline a=b c,d\n"
                .. "initrd 0 0\n"
                .. "rsdp e0000\n"
                .. "e820 0 9fc00 1\n"
                .. "e820 9fc00 60400 2\n"
                .. "e820 100000 1f00000 1\n"
                .. "PASS\n", output)
        end)
    end

    it("reads all-ones where no device is", function()
        local _, output = run "unclaimed.elf"
        assert.equal("PASS\n", output)
    end)

    it("does string I/O", function()
        local _, output = run "string_io.elf"
        assert.equal("fifteen bytes.\nPASS\n", output)
    end)

    it("uses the UART in loopback", function()
        local _, output = run "loopback.elf"
        assert.equal("PASS\n", output)
    end)

    it("reads the host's time from the RTC, and the memory sizes", function()
        local before = os.time(os.date "!*t")
        local _, output = run "rtc.elf"
        local after = os.time(os.date "!*t")
        local year, month, day, hour, min, sec, rest =
            output:match "^rtc (%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+)\n(.*)$"
        local time = os.time {
            year = year, month = month, day = day, hour = hour, min = min, sec = sec,
            isdst = os.date("!*t").isdst,
        }
        assert.is_true(before <= time and time <= after,
            ("%d is not in %d..%d"):format(time, before, after))
        assert.equal("memory 2000000 0\nPASS\n", rest)
    end)

    for _, count in ipairs { 1, 2, 4 } do
        it(("starts all of %d vCPUs"):format(count), function()
            local _, output = run("smp.elf", { vcpus = count })
            assert.equal(("cpus %d\nPASS\n"):format(count), output)
        end)
    end

    it("gets every line it sends back, by interrupts", function()
        local vm = start "serial_irq.elf"
        vm.console:expect("^ready\n", { timeout = LIMIT })
        local line = ("0123456789"):rep(20)
        for _, text in ipairs { "short", line, "end" } do
            vm.console:send_line(text)
            vm.console:expect("^" .. text .. "\r", { timeout = LIMIT })
        end
        vm.console:expect("^PASS\n", { timeout = LIMIT })
        assert.equal("reboot", (finish(vm)))
    end)

    it("floods the console, and no line is lost", function()
        local expected = {}
        for number = 0, 1023 do
            expected[#expected + 1] = ("line %04x "):format(number) .. ("."):rep(53) .. "\n"
        end
        local _, output = run "flood.elf"
        assert.equal(table.concat(expected) .. "PASS\n", output)
    end)

    it("is stopped while it spins without an exit", function()
        local vm = start "spin.elf"
        vm.console:expect("^spinning\n", { timeout = LIMIT })
        assert.is_true(vm:pause(LIMIT))
        local rip = vm.vcpus[1].regs.rip
        assert.is_true(rip >= 0x100000 and rip < 0x101000, ("rip 0x%x"):format(rip))
        assert(vm:resume())
        vm:stop("halt", "enough")
        local reason, _, text = finish(vm)
        assert.equal("halt", reason)
        assert.equal("enough", text)
    end)
end)

describe("the emulation of an instruction", function()
    local hardware = assert(vmm.kvm()):hardware()

    it("that KVM lacks for device memory ends the machine with what is known", function()
        local reason, _, text = run "emulation_failure.elf"
        assert.equal("error", reason)
        assert.matches("could not emulate an instruction at rip 0x100005 %(64%-bit, ring 0%)", text)
        assert.matches("bytes f0 48 0f c7 0e f4", text, 1, true)
    end)

    it("that KVM lacks ends the machine where all is emulated, and points to the lab", function()
        local reason, output, text = run "fwait.elf"
        if hardware then
            assert.equal("PASS\n", output)
        else
            assert.equal("error", reason)
            assert.matches("at rip 0x100000 (64-bit, ring 0), bytes 9b ", text, 1, true)
            assert.matches("vmm-reference lab", text, 1, true)
        end
    end)

    it("of INT3 without an IDT ends the machine", function()
        local reason = run "int3.elf"
        assert.equal(hardware and "triple_fault" or "error", reason)
    end)
end)

describe("a loop of exits", function()
    local COUNT = 1000

    for name, where in pairs {
        pio_loop32 = { pio = { 0x500, 1 }, size = 1 },
        mmio_loop32 = { mmio = { 0xd0000000, 4 }, size = 4 },
    } do
        it("reaches a handler in Lua each time [" .. name .. "]", function()
            local seen, odd = 0, nil
            local reason = run_flat(name .. ".bin", 32, function(vm, mem, plan)
                mem:u32(plan.entry + 4, COUNT)
                vm:device {
                    name = "sink", pio = where.pio, mmio = where.mmio,
                    write = function(_, offset, size)
                        seen = seen + 1
                        if offset ~= 0 or size ~= where.size then odd = { offset, size } end
                    end,
                }
            end)
            assert.equal("halt", reason)
            assert.equal(COUNT, seen)
            assert.is_nil(odd)
        end)
    end
end)

describe("a long paste", function()
    -- The sums that the guest echo.c computes over 64-bit words.
    local function sums(bytes)
        local a, b = 0, 0
        bytes = bytes .. ("\0"):rep(-#bytes % 8)
        for at = 1, #bytes, 8 do
            a = a + ("<i8"):unpack(bytes, at)
            b = b + a
        end
        return ("%x %x"):format(a, b)
    end

    it("of 1 MiB reaches the guest whole", function()
        local bytes, seed = {}, 0x9e3779b97f4a7c15
        for i = 1, (1 << 20) // 8 do
            seed = seed ~ seed << 13
            seed = seed ~ seed >> 7
            seed = seed ~ seed << 17
            bytes[i] = ("<i8"):pack(seed)
        end
        bytes = table.concat(bytes)

        local vm = start "echo.elf"
        vm.console:expect("^ready\n", { timeout = LIMIT })
        vm.console:send_line("sum " .. #bytes)
        assert(vm.console:send(bytes))
        local found = vm.console:expect("sum (%d+) (%x+ %x+)\n", { timeout = 300 })
        assert.equal(tostring(#bytes), found[1])
        assert.equal(sums(bytes), found[2])

        vm.console:send_line "echo 5"
        vm.console:send "again"
        vm.console:expect("again", { timeout = LIMIT })
        vm.console:send_line "end"
        vm.console:expect("PASS\n", { timeout = LIMIT })
        assert.equal("reboot", (finish(vm)))
    end)
end)
