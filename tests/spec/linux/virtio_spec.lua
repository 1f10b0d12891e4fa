-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Virtio devices over each transport, found and driven by Linux's own modules.

local disk = require "tests.spec.support.disk"
local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"

local CMDLINE = "console=ttyS0 i8042.nokbd reboot=k panic=1 quiet"

-- How a guest is told of the device, and what its interrupts are called in /proc/interrupts.
local CASES = {
    { name = "virtio-mmio", transport = "mmio", module = "virtio_mmio", cmdline = " pci=off",
        interrupt = "-edge +virtio0" },
    { name = "virtio-pci with MSI-X", transport = "pci", module = "virtio_pci", cmdline = "",
        interrupt = "PCI%-MSI .*virtio0%-input" },
    { name = "virtio-pci with its line", transport = "pci", module = "virtio_pci",
        cmdline = " pci=nomsi", interrupt = "fasteoi +virtio0" },
}

local function boot(case)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { case.module, "virtio-rng" }, files = disk.files "rngtest",
    })
    return linux.boot {
        transport = case.transport,
        rng = {},
        kernel = { initrd = initrd, cmdline = CMDLINE .. case.cmdline },
    }
end

-- How many interrupts the line of /proc/interrupts counts that the pattern finds.
local function interrupts(vm, pattern)
    for line in linux.run(vm, "cat /proc/interrupts"):gmatch "[^\n]+" do
        if line:find(pattern) then return tonumber(line:match ":%s+(%d+)") end
    end
    error("no line of /proc/interrupts has " .. pattern)
end

for _, case in ipairs(CASES) do
    describe("Linux's virtio-rng driver over " .. case.name, function()
        local vm

        setup(function()
            vm = boot(case)
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("finds the device", function()
            assert.equal("virtio_rng.0",
                linux.run(vm, "cat /sys/class/misc/hw_random/rng_current"))
        end)

        it("reads what is different each time, and takes notifications and interrupts", function()
            local command = "dd if=/dev/hwrng bs=1024 count=64 2>/dev/null | md5sum"
            local first, second = linux.run(vm, command), linux.run(vm, command)
            assert.matches("^%x+", first)
            assert.not_equal(first, second)
            assert.equal("65536", linux.run(vm,
                "dd if=/dev/hwrng bs=1024 count=64 2>/dev/null | wc -c"))
            assert.is_true(interrupts(vm, case.interrupt) >= 2)
        end)

        -- Of random bits about 8 blocks in 10,000 fail; that 4 of 100 do is as good as never.
        it("reads what rngtest finds random: at most 3 of 100 blocks fail FIPS 140-2", function()
            local text = linux.run(vm, "rngtest -c 100 </dev/hwrng 2>&1")
            local passed, failed = text:match "successes: (%d+)\n.-failures: (%d+)\n"
            assert.equal(100, tonumber(passed) + tonumber(failed), text)
            assert.is_true(tonumber(failed) <= 3, text)
        end)

        it("notifies without an exit", function()
            local exits = vm:exit_counts().mmio_write or 0
            local before = interrupts(vm, case.interrupt)
            linux.run(vm, "dd if=/dev/hwrng of=/dev/null bs=16 count=200 2>/dev/null")
            -- Each interrupt may be acknowledged by one write; a notification would be one more.
            local taken = interrupts(vm, case.interrupt) - before
            assert.is_true((vm:exit_counts().mmio_write or 0) - exits <= taken + 20)
        end)
    end)
end
