-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What several CPUs of a guest write to a disk at the same time is what they read: with one, two
-- and four queues, each engine, over both transports.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

local SECTOR = 512
local SECTORS = 16384
local FOLDER = "/dev/shm/vmm-block-verify-spec"

local DISKS = {
    { what = "one queue, by io_uring", queues = 1 },
    { what = "two queues, by io_uring", queues = 2 },
    { what = "four queues, by io_uring", queues = 4 },
    { what = "four queues, by threads", queues = 4, io_uring = false },
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

local function boot(transport)
    local disks = {}
    for index, disk in ipairs(DISKS) do
        local path = FOLDER .. "/" .. index
        local file <close> = assert(io.open(path, "wb"))
        file:seek("set", SECTORS * SECTOR - 1)
        assert(file:write "\0")
        disks[index] = { path = path, queues = disk.queues, io_uring = disk.io_uring }
    end
    disks[#disks + 1] = in_lua()
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

for _, transport in ipairs { "mmio", "pci" } do
    describe("over " .. transport .. ", four CPUs read what they have written to a disk", function()
        local vm
        setup(function() vm = boot(transport) end)
        teardown(function()
            if vm then vm:close() end
        end)

        local function verify(disk, rounds)
            return linux.run(vm, ("verify /dev/%s 4 %d %d"):format(disk, SECTORS, rounds))
        end

        for index, disk in ipairs(DISKS) do
            it("with " .. disk.what, function()
                assert.equal(tostring(disk.queues), linux.run(vm,
                    ("ls /sys/block/vd%s/mq | wc -l"):format(("abcd"):sub(index, index))))
                assert.equal("ok", verify("vd" .. ("abcd"):sub(index, index), 250))
            end)
        end

        it("with two queues, by functions in Lua", function()
            assert.equal("ok", verify("vde", 50))
        end)
    end)
end
