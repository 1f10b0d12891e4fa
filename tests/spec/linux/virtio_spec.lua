-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Virtio devices, found through ACPI and driven by Linux's own modules.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"

local function boot(modules, options)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs { kernel = kernel, modules = modules })
    options.kernel = { initrd = initrd, cmdline = "console=ttyS0 panic=1 pci=off quiet" }
    return linux.boot(options)
end

describe("Linux's virtio-rng driver", function()
    local vm

    setup(function()
        vm = boot({ "virtio_mmio", "virtio-rng" }, { rng = {} })
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
        local interrupts = linux.run(vm, "awk '/virtio/ { print $2 }' /proc/interrupts")
        assert.is_true(tonumber(interrupts) >= 2, interrupts)
    end)

    it("notifies without an exit", function()
        local before = vm:exit_counts().mmio_write or 0
        linux.run(vm, "dd if=/dev/hwrng of=/dev/null bs=16 count=200 2>/dev/null")
        -- Each interrupt is acknowledged by one write; a notification would be one more.
        local interrupts = tonumber(linux.run(vm, "awk '/virtio/ { print $2 }' /proc/interrupts"))
        assert.is_true((vm:exit_counts().mmio_write or 0) - before <= interrupts + 20)
    end)
end)
