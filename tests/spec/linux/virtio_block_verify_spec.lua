-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What several CPUs of a guest write to a disk at the same time is what they read: with one, two
-- and four queues, each engine; and over virtio-pci.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

local SECTOR = 512
local SECTORS = 16384
local FOLDER = "/dev/shm/vmm-block-verify-spec"

local DISKS = {
    { queues = 1 },
    { queues = 2 },
    { queues = 4 },
    { queues = 4, io_uring = false },
}

-- A disk that a string of each sector is kept of.
local function in_lua()
    local sectors = {}
    for sector = 1, SECTORS do
        sectors[sector] = ("\0"):rep(SECTOR)
    end
    return vmm.block {
        size = SECTORS * SECTOR,
        queues = 2,
        read = function(offset, length)
            return table.concat(sectors, "", offset // SECTOR + 1, (offset + length) // SECTOR)
        end,
        write = function(offset, bytes)
            for at = 1, #bytes, SECTOR do
                sectors[(offset + at - 1) // SECTOR + 1] = bytes:sub(at, at + SECTOR - 1)
            end
        end,
    }
end

local function boot(transport, list, more)
    local disks = {}
    for index, disk in ipairs(list) do
        local path = FOLDER .. "/" .. index
        local file <close> = assert(io.open(path, "wb"))
        file:seek("set", SECTORS * SECTOR - 1)
        assert(file:write "\0")
        disks[index] = { path = path, queues = disk.queues, io_uring = disk.io_uring }
    end
    disks[#disks + 1] = more
    return linux.boot {
        transport = transport,
        vcpus = { num = 4 },
        kernel = {
            initrd = assert(guests.initramfs {
                kernel = assert(guests.kernel "cloud-amd64"),
                modules = { "virtio_mmio", "virtio_pci", "virtio_blk" },
                files = { ["/bin/verify"] = {
                    host = ".build/guest/linux/verify", mode = tonumber("755", 8) } },
            }),
            cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 quiet",
        },
        block = disks,
    }
end

setup(function() assert(os.execute("rm -rf " .. FOLDER .. "; mkdir -p " .. FOLDER)) end)
teardown(function() os.execute("rm -rf " .. FOLDER) end)

describe("four CPUs read what they have written", function()
    local vm
    after_each(function()
        if vm then vm:close() end
    end)

    -- Of the disk at index, /dev/vda and so on.
    local function verify(index, queues, rounds)
        local name = "vd" .. ("abcde"):sub(index, index)
        assert.equal(tostring(queues), linux.run(vm, ("ls /sys/block/%s/mq | wc -l"):format(name)))
        assert.equal("ok", linux.run(vm, ("verify /dev/%s 4 %d %d"):format(name, SECTORS, rounds)))
    end

    it("to disks with one, two and four queues, by each engine and by functions", function()
        vm = boot("mmio", DISKS, in_lua())
        for index, disk in ipairs(DISKS) do
            verify(index, disk.queues, 60)
        end
        verify(#DISKS + 1, 2, 30)
    end)

    it("to a disk with four queues over virtio-pci", function()
        vm = boot("pci", { DISKS[3] })
        verify(1, 4, 60)
    end)
end)
