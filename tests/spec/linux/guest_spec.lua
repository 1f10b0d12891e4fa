-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What Linux finds in our machine: devices, tables, console.

local linux = require "tests.spec.support.linux"

describe("Linux in our machine", function()
    local vm

    -- One guest for all that only looks.
    setup(function()
        vm = linux.boot { vcpus = { num = 2 } }
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    it("has no complaint about ACPI in its log", function()
        assert.equal("", linux.run(vm,
            "dmesg | grep -E 'ACPI.*(Error|Warning|Exception)|Firmware (Bug|Warn)'"))
    end)

    it("has no other warning, bug or error in its log", function()
        assert.equal("", linux.run(vm, "dmesg -r | grep -E '^<[0-3]>' | grep -v 'PCI: Fatal'"))
    end)

    it("knows its TSC's frequency without calibrating it", function()
        assert.equal("", linux.run(vm, "dmesg | grep -iE 'calibrat.*(PIT|fail)'"))
    end)

    it("keeps the host's time", function()
        local guest = tonumber(linux.run(vm, "date +%s"))
        assert.is_true(math.abs(guest - os.time()) <= 5, guest .. " vs " .. os.time())
    end)

    it("has its serial port on IRQ 4, driven as a 16550A", function()
        assert.matches("ttyS0 at I/O 0x3f8 .* is a 16550A",
            linux.run(vm, "dmesg | grep 'ttyS0 at'"))
        assert.matches("ttyS0", linux.run(vm, "grep ttyS0 /proc/interrupts"))
    end)

    it("sees one package of two cores", function()
        assert.matches("cpu cores%s*: 2", linux.run(vm, "grep -m1 'cpu cores' /proc/cpuinfo"))
        assert.equal("0\n0", linux.run(vm,
            "cat /sys/devices/system/cpu/cpu*/topology/physical_package_id"))
    end)

    it("takes 64 KiB on its raw serial port, whole", function()
        local bytes = {}
        local seed = 12345
        for i = 1, 65536 do
            seed = (seed * 1103515245 + 12345) & 0x7fffffff
            bytes[i] = string.char(seed >> 16 & 0xff)
        end
        local sum = 0
        for _, byte in ipairs(bytes) do
            sum = (sum + byte:byte()) & 0xffffffff
        end
        vm.console:send_line "stty raw -echo crtscts; echo READY; head -c 65536 >/tmp/in; stty sane"
        vm.console:expect("\nREADY", { timeout = 6 })
        assert(vm.console:send(table.concat(bytes)))
        vm.console:expect("guest# ", { timeout = 30 })
        assert.equal("65536", linux.run(vm, "wc -c </tmp/in"))
        local counted = linux.run(vm,
            "od -An -v -tu1 /tmp/in | awk '{for (i = 1; i <= NF; i++) s += $i} END {print s}'")
        assert.equal(tostring(sum), counted)
    end)

    it("goes on after a pause, interrupt-driven console and all", function()
        assert(vm:pause(10))
        assert(vm:resume())
        assert.equal("here", linux.run(vm, "echo here"))
    end)
end)

describe("Linux without ACPI", function()
    it("finds all CPUs by the MP table", function()
        local vm <close> = linux.boot {
            vcpus = { num = 2 },
            kernel = {
                path = linux.bzimage "amd64",
                cmdline = "console=ttyS0 reboot=k panic=1 pci=off acpi=off quiet",
            },
        }
        assert.equal("2", linux.run(vm, "grep -c ^processor /proc/cpuinfo"))
        assert.equal("reboot", linux.finish(vm, "reboot -f").reason)
    end)
end)
