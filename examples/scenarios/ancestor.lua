-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the python suite of rust-vmm's vmm-reference checks, scenario by scenario, under its names.
--
--   vmm-reference test examples/scenarios/ancestor.lua

local json = require "vmm.json"
local record = require "vmm.scenario.record"
local vmm = require "vmm"

local HELLO = "Hello, world, from the rust-vmm reference VMM!"
local CMDLINE = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off"

-- The suite runs most of its scenarios with a bzImage, and with the ELF file that is packed in it.
local bzimage = vmm.guest("debian-cloud"):prepare().kernel

local elf = os.tmpname()
local KERNELS = { { name = "ELF", path = elf }, { name = "bzImage", path = bzimage } }

-- Lines of 8 bytes that a virtio console carries: on hvc0, where Linux spins until each 16 bytes
-- are taken, by whom a lab's one CPU has to turn to; and so many times on a port.
local HVC_LINES = os.getenv "VMM_LAB" and 300 or 10000
local ROUNDS, PORT_LINES = 4, 64000

-- The lines of a round, and the numbers that they begin and end with.
local function text(round, count)
    local lines, first = {}, 1000000 * (round + 1)
    for i = 1, count do
        lines[i] = ("%d\n"):format(first + i - 1)
    end
    return table.concat(lines), first, first + count - 1
end

-- Ends a guest as the suite does, which allows three seconds for it.
local function shutdown(vm)
    vm.console:send_line "reboot -f"
    assert.equal("reboot", assert(vm:wait { timeout = 3 }).reason)
end

describe("vmm-reference:", function()
    setup(function()
        assert(vmm.load.extract(bzimage, elf))
    end)

    teardown(function()
        os.remove(elf)
    end)

    -- A machine at its prompt.
    local function boot(options)
        local vm = vmm.scenario.vm(options)
        vm:boot():wait()
        return vm
    end

    for _, kernel in ipairs(KERNELS) do
        it("test_reference_vmm, " .. kernel.name, function()
            local vm <close> = boot {
                guest = vmm.guest { run = "echo " .. HELLO }, kernel = { path = kernel.path },
            }
            assert.matches(HELLO, vm.console:tail(), 1, true)
            shutdown(vm)
        end)

        it("test_reference_vmm_with_default_cmdline, " .. kernel.name, function()
            local vm <close> = boot { kernel = { path = kernel.path, cmdline = CMDLINE } }
            vm.console:send_line "cat /proc/cmdline"
            vm.console:expect { plain = "\n" .. CMDLINE .. "\r\n" }
            shutdown(vm)
        end)
    end

    it("test_expect_string_timeout", function()
        local vm <close> = boot {}
        local found, err, code = vm.console:try_expect("Goodbye, world", { timeout = 1 })
        assert.is_nil(found)
        assert.equal("timeout", code)
        assert.matches("Goodbye, world", tostring(err), 1, true)
        shutdown(vm)
    end)

    for _, num in ipairs { 1, 2, 4 } do
        it(("test_reference_vmm_num_vcpus, %d"):format(num), function()
            local vm <close> = boot { vcpus = { num = num } }
            assert.equal(tostring(num), vm:succeed "grep -c ^processor /proc/cpuinfo")
            shutdown(vm)
        end)
    end

    -- Around the hole of devices, which begins 768 MiB below 4 GiB, and far above it.
    for _, mib in ipairs { 512, 3327, 3328, 3329, 8192 } do
        it(("test_reference_vmm_mem, %d MiB"):format(mib), function()
            local vm <close> = boot { memory = { size_mib = mib } }
            local total = vm:succeed("dmesg"):match "Memory: %d+K/(%d+)K available"
            local missing = mib - total / 1024
            assert.is_true(missing >= 0 and missing <= math.max(0.4, mib / 1000), total .. " KiB")
            shutdown(vm)
        end)
    end

    describe("with a Debian root on a disk,", function()
        local vm, scratch

        setup(function()
            scratch = os.tmpname()
            assert(os.execute("truncate -s 1M " .. scratch))
            vm = vmm.scenario.vm {
                guest = "debian-disk", block = { { path = scratch } },
                virtio_console = { ports = { "data" } },
            }
            vm:boot({ timeout = 120 }):wait()
        end)

        teardown(function()
            vm:close()
            os.remove(scratch)
        end)

        it("test_reference_vmm_with_disk", function()
            local disks = json.decode(vm:succeed "lsblk --json").blockdevices
            assert.same({ "vda", true }, { disks[1].name, disks[1].ro }) -- the root
            assert.same({ "vdb", false }, { disks[2].name, disks[2].ro })
        end)

        -- How long that takes is in the report; how long it may is for no test to say.
        it("test_reference_vmm_virtio_console_perf", function()
            vm:background "exec agetty 115200 hvc0 vt220"
            vm:login { console = vm.hvc, timeout = 120 }
            local numbers, first, last = text(0, HVC_LINES)
            local on_hvc <close> = record.step("note", #numbers .. " bytes on hvc0", vm)
            vm.hvc:send_line(("echo BEGIN; seq %d %d; echo END"):format(first, last))
            local arrived = vm.hvc:expect("\nBEGIN\r\n(.-)END\r\n", { timeout = 60 })[1]
            assert.is_true(numbers:gsub("\n", "\r\n") == arrived, "other bytes have arrived")
            on_hvc:finish(true)

            local on_port <close> = record.step("note", ROUNDS .. " x 512 KB on a port", vm)
            local port = vm:succeed "grep -lx data /sys/class/virtio-ports/*/name"
            for round = 1, ROUNDS do
                numbers, first, last = text(round, PORT_LINES)
                vm:succeed(("seq %d %d >/dev/%s"):format(first, last, port:match "([^/]+)/name"))
                local found = vm.ports.data:expect { plain = last .. "\n" }
                assert.is_true(found.before .. found.match == numbers, "other bytes have arrived")
            end
            on_port:finish(true)
        end)
    end)
end)
