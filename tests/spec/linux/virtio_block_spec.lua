-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disks, driven by Linux's own virtio_blk.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local MIB = 1 << 20

-- tmpfs: it has holes, here as in the lab.
local FOLDER = "/dev/shm/vmm-block-spec"
local function path(name) return FOLDER .. "/" .. name end

local function write(name, bytes)
    local file <close> = assert(io.open(path(name), "wb"))
    assert(file:write(bytes))
end

local function read(name, offset, len)
    local file <close> = assert(io.open(path(name), "rb"))
    file:seek("set", offset)
    return file:read(len)
end

local function sparse(name, size)
    local file <close> = assert(io.open(path(name), "wb"))
    file:seek("set", size - 1)
    assert(file:write "\0")
end

-- How much of a file the host stores, in bytes.
local function stored(name)
    return 512 * tonumber((process.capture { "stat", "-c", "%b", path(name) }))
end

local function boot(transport, disks)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_" .. transport, "virtio_blk" } })
    return linux.boot {
        kernel = { initrd = initrd }, vcpus = { num = 2 }, transport = transport, block = disks,
    }
end

-- An ext4 image with a file in it, or nil where the host cannot make one.
local function ext4(name)
    local mke2fs = process.which "mke2fs" or process.stat1 "/sbin/mke2fs" and "/sbin/mke2fs"
    if not mke2fs then return nil end
    local folder = path "root"
    assert(os.execute("mkdir -p " .. folder))
    write("root/greeting", "from the host\n")
    assert(os.execute(("%s -q -t ext4 -d %s %s 16m >/dev/null"):format(mke2fs, folder, path(name))))
    return path(name)
end

setup(function() assert(os.execute("rm -rf " .. FOLDER .. "; mkdir -p " .. FOLDER)) end)
teardown(function() os.execute("rm -rf " .. FOLDER) end)

for _, transport in ipairs(linux.TRANSPORTS) do
    describe("Linux's driver of three disks over virtio-" .. transport, function()
        local vm, image

        setup(function()
            sparse("a", 64 * MIB)
            write("b", ("B"):rep(1 * MIB))
            image = ext4 "c"
            vm = boot(transport, {
                { path = path "a", queues = 2 },
                { path = path "b", readonly = true, serial = "vmm-serial-123456789" },
                { path = image or path "b", readonly = not image, io_uring = false },
            })
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        local function sys(disk, name)
            return linux.run(vm, ("cat /sys/block/%s/%s"):format(disk, name))
        end

        -- The first disk's size once it is that.
        local function size_once(sectors)
            return tonumber(linux.run(vm, ("while [ $(cat /sys/block/vda/size) != %d ]; do :; "
                .. "done; cat /sys/block/vda/size"):format(sectors)))
        end

        it("finds them in order, with their sizes", function()
            assert.equal("vda vdb vdc", linux.run(vm, "cd /sys/block; echo vd*; cd - >/dev/null"))
            assert.equal(tostring(64 * MIB // 512), sys("vda", "size"))
            assert.equal(tostring(1 * MIB // 512), sys("vdb", "size"))
        end)

        it("knows which may be written", function()
            assert.equal("0", sys("vda", "ro"))
            assert.equal("1", sys("vdb", "ro"))
            assert.equal("write back", sys("vda", "queue/write_cache"))
        end)

        it("reads a serial number of twenty characters", function()
            assert.equal("vmm-serial-123456789", sys("vdb", "serial"))
            assert.equal("", sys("vda", "serial"))
        end)

        it("has the queues and limits that were given", function()
            assert.equal("0 1", linux.run(vm, "cd /sys/block/vda/mq; echo *; cd - >/dev/null"))
            assert.equal("254", sys("vda", "queue/max_segments"))
            assert.equal("512", sys("vda", "queue/logical_block_size"))
            assert.equal("4096", sys("vda", "queue/physical_block_size"))
        end)

        it("writes what the host then finds, and reads what it has", function()
            linux.run(vm, "yes vmm | dd of=/dev/vda bs=64k count=32 iflag=fullblock oflag=direct "
                .. "seek=16 2>/dev/null; sync")
            assert.equal(("vmm\n"):rep(32 * 65536 // 4), read("a", MIB, 32 * 65536))
            assert.equal(linux.run(vm, "dd if=/dev/vda bs=1M count=4 2>/dev/null | md5sum"),
                (process.capture { "sh", "-c",
                    "head -c 4194304 " .. path "a" .. " | md5sum" }):gsub("\n$", ""))
            assert.equal("BBBB", linux.run(vm, "dd if=/dev/vdb bs=4 count=1 skip=100 2>/dev/null"))
        end)

        it("cannot write a read-only disk", function()
            assert.matches("Operation not permitted",
                linux.run(vm, "dd if=/dev/zero of=/dev/vdb bs=512 count=1 2>&1 | head -1"))
            assert.equal(("B"):rep(512), read("b", 0, 512))
        end)

        it("gives blocks back to the host that the guest discards", function()
            linux.run(vm, "dd if=/dev/zero of=/dev/vda bs=1M count=8 seek=32 oflag=direct "
                .. "2>/dev/null; sync")
            local before = stored "a"
            assert.is_true(before >= 8 * MIB, before)
            linux.run(vm, ("blkdiscard -o %d -l %d /dev/vda"):format(32 * MIB, 8 * MIB))
            assert.is_true(before - stored "a" >= 8 * MIB - 65536, before - stored "a")
            assert.equal(("\0"):rep(4096), read("a", 34 * MIB, 4096))
        end)

        it("sees a disk grow and shrink while it runs", function()
            assert.equal(80 * MIB, vm.disks[1]:resize(80 * MIB))
            assert.equal(80 * MIB // 512, size_once(163840))
            linux.run(vm, "echo end | dd of=/dev/vda bs=512 seek=163839 conv=sync "
                .. "2>/dev/null; sync")
            assert.equal("end\n", read("a", 80 * MIB - 512, 4))
            sparse("a", 48 * MIB) -- by somebody else
            assert.equal(48 * MIB, vm.disks[1]:resize())
            assert.equal(48 * MIB // 512, size_once(98304))
        end)

        it("mounts an ext4 image and changes it", function()
            if not image then return pending "no mke2fs" end
            linux.run(vm, "mkdir -p /mnt; mount -t ext4 /dev/vdc /mnt")
            assert.equal("from the host", linux.run(vm, "cat /mnt/greeting"))
            linux.run(vm, "echo from the guest >/mnt/answer; umount /mnt")
            linux.run(vm, "mount -t ext4 /dev/vdc /mnt")
            assert.equal("from the guest", linux.run(vm, "cat /mnt/answer; umount /mnt"))
        end)
    end)
end

describe("a disk", function()
    it("is one writer's, or many readers'", function()
        sparse("shared", MIB)
        local function open(readonly)
            return vmm.vm { block = { { path = path "shared", readonly = readonly } } }
        end
        local first <close> = assert(open(false))
        for _, readonly in ipairs { false, true } do
            local vm, message, code = open(readonly)
            assert.is_nil(vm)
            assert.matches("shared: is in use", message)
            assert.equal("EBUSY", code)
        end
        first:close()
        local reader <close> = assert(open(true))
        local other <close> = assert(open(true))
        assert.same({ MIB, MIB }, { reader.disks[1]:size(), other.disks[1]:size() })
        assert.is_nil((open(false)))
    end)
end)
