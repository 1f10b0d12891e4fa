-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The memory balloon under Linux's own driver: what the guest gives away, the host has.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local sched = require "vmm.sched"
local vmm = require "vmm"

local MIB = 1 << 20

local function boot(balloon, transport)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_" .. transport, "virtio_balloon" },
    })
    local vm = linux.boot {
        kernel = { initrd = initrd }, memory = { size_mib = 320 }, balloon = balloon,
        transport = transport,
    }
    linux.run(vm, "mount -t tmpfs -o size=90% tmp /tmp")
    return vm
end

-- MiB of this process that are in the host's memory, the guest's among them.
local function resident()
    local file <close> = assert(io.open "/proc/self/statm")
    local _, pages = file:read("n", "n")
    return pages / 256
end

-- MiB that are free in the guest.
local function free(vm)
    return tonumber(linux.run(vm, "awk '/^MemFree/ { print $2 }' /proc/meminfo")) / 1024
end

-- Has the guest use and let go of 180 MiB; what was resident with them.
local function touch(vm)
    linux.run(vm, "dd if=/dev/zero of=/tmp/x bs=1M count=180 2>/dev/null")
    local used = resident()
    linux.run(vm, "rm /tmp/x")
    return used
end

for _, transport in ipairs(linux.TRANSPORTS) do
    describe("Linux's virtio_balloon driver over virtio-" .. transport, function()
        local vm

        setup(function()
            vm = boot({ reporting = false }, transport)
            touch(vm)
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("gives the host the memory that is in the balloon, and gets it back", function()
            local resident_before, free_before = resident(), free(vm)
            assert.is_true(vm.balloon:set(128))
            assert.equal(128, vm.balloon:wait(128, { timeout = 12 }))
            local given = resident_before - resident()
            assert.is_true(given > 110 and given < 140, given .. " MiB less are resident")
            local taken = free_before - free(vm)
            assert.is_true(taken > 120 and taken < 136, taken .. " MiB less are free")

            assert.is_true(vm.balloon:set(0))
            assert.equal(0, vm.balloon:wait(0, { timeout = 12 }))
            assert.is_true(math.abs(free(vm) - free_before) < 8, "not all is free again")
            linux.run(vm, "dd if=/dev/zero of=/tmp/x bs=1M count=190 2>/dev/null")
            assert.equal("199229440", linux.run(vm, "wc -c </tmp/x"))
            linux.run(vm, "rm /tmp/x")
        end)

        it("tells how its memory is", function()
            local stats = assert(vm.balloon:stats { timeout = 12 })
            assert.is_true(stats.total > 250 * MIB and stats.total < 320 * MIB, stats.total)
            assert.is_true(math.abs(stats.free / MIB - free(vm)) < 16, stats.free)
            assert.is_true(stats.available < stats.total and stats.minor_faults > 0)
            local again = assert(vm.balloon:stats { timeout = 12 })
            assert.is_true(again.minor_faults > stats.minor_faults)
        end)

        it("takes memory out of the balloon before it kills for want of it", function()
            local most = math.floor(free(vm)) - 50
            assert.is_true(vm.balloon:set(most))
            assert.equal(most, vm.balloon:wait(most, { timeout = 12 }))
            linux.run(vm, "dd if=/dev/zero of=/tmp/x bs=1M count=64 2>/dev/null")
            assert.equal("67108864", linux.run(vm, "wc -c </tmp/x"))
            assert.is_true(vm.balloon:actual() < most, vm.balloon:actual())
            assert.equal("0", linux.run(vm, "dmesg | grep -c 'Killed process'"))
        end)
    end)
end

describe("Linux's free page reporting", function()
    it("returns memory that is free in the guest", function()
        local vm <close> = boot({}, "mmio")
        local used = touch(vm)
        local deadline = vmm.now() + sched.scaled(12)
        while resident() > used - 150 and vmm.now() < deadline do
            vmm.sleep(0.2)
        end
        assert.is_true(resident() <= used - 150,
            ("%g MiB resident while it was used, %g MiB now"):format(used, resident()))
    end)
end)
