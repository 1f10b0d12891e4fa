-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disks that a daemon serves (vhost-user-blk), driven by Linux's own virtio_blk: a qcow2 image by
-- qemu-storage-daemon.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local MIB = 1 << 20
local FOLDER = "/dev/shm/vmm-image-spec"
local function path(name) return FOLDER .. "/" .. name end

local function run(command)
    local output, text = process.capture({ "sh", "-c", command }, { stderr = "merge" })
    assert(output, command .. "\n" .. tostring(text))
    return output
end

local function boot(disks, transport, size_mib)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_mmio", "virtio_pci", "virtio_blk" } })
    return linux.boot {
        block = disks, transport = transport, vcpus = { num = 2 },
        memory = { size_mib = size_mib or 512 },
        kernel = { initrd = initrd, cmdline = "console=ttyS0 panic=1 quiet" },
    }
end

setup(function() run("rm -rf " .. FOLDER .. "; mkdir -p " .. FOLDER) end)
teardown(function() os.execute("rm -rf " .. FOLDER) end)

for _, transport in ipairs { "mmio", "pci" } do
    describe("Linux's virtio_blk driver, with a qcow2 image, by " .. transport .. ",", function()
        local vm
        local function name(of) return path(transport .. "-" .. of) end

        setup(function()
            run(("qemu-img create -q -f qcow2 %s 256M"):format(name "a.qcow2"))
            run(("yes vmm | head -c %d >%s; qemu-img convert -f raw -O qcow2 %s %s"):format(
                4 * MIB, name "raw", name "raw", name "b.qcow2"))
            vm = boot({
                { path = name "a.qcow2", format = "qcow2", queues = 2 },
                { path = name "b.qcow2", format = "qcow2", readonly = true },
            }, transport)
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("sees the disk in it, not the file", function()
            assert.equal(tostring(256 * MIB // 512), linux.run(vm, "cat /sys/block/vda/size"))
            assert.equal("0 1", linux.run(vm, "cd /sys/block/vda/mq; echo *; cd - >/dev/null"))
            assert.equal("0 1", linux.run(vm, "cat /sys/block/vda/ro /sys/block/vdb/ro | xargs"))
        end)

        it("reads what was in it", function()
            assert.equal(process.line { "md5sum", name "raw" }:match "^%x+",
                linux.run(vm, "md5sum </dev/vdb"):match "^%x+")
        end)

        it("cannot write a read-only one", function()
            assert.matches("Operation not permitted",
                linux.run(vm, "dd if=/dev/zero of=/dev/vdb bs=512 count=1 2>&1 | head -1"))
        end)

        it("writes and reads it back", function()
            linux.run(vm, "dd if=/dev/urandom of=/r bs=1M count=8 2>/dev/null; "
                .. "dd if=/r of=/dev/vda bs=64k seek=1000 oflag=direct 2>/dev/null; sync; "
                .. "echo 3 >/proc/sys/vm/drop_caches")
            assert.equal(linux.run(vm, "md5sum </r"), linux.run(vm,
                "dd if=/dev/vda bs=64k skip=1000 count=128 2>/dev/null | md5sum"))
        end)

        it("finds it again after it has let go of the device", function()
            assert.equal("ok", linux.run(vm, "cd /sys/bus/virtio/drivers/virtio_blk; "
                .. "echo virtio0 >unbind; echo virtio0 >bind; cd /; "
                .. "while ! test -b /dev/vda; do :; done; "
                .. "dd if=/dev/vda bs=64k skip=1000 count=128 2>/dev/null | cmp - /r && echo ok"))
        end)

        it("leaves an image that is whole, with what was written, when the VM is closed", function()
            local sum = linux.run(vm, "md5sum </r"):match "^%x+"
            vm:close()
            assert.matches("No errors were found",
                run("qemu-img check -f qcow2 " .. name "a.qcow2"))
            run(("qemu-img convert -f qcow2 -O raw %s %s"):format(name "a.qcow2", name "after"))
            assert.equal(sum, run(("dd if=%s bs=64k skip=1000 count=128 2>/dev/null | md5sum")
                :format(name "after")):match "^%x+")
            -- Much smaller than the disk: it is no raw file by now.
            assert.is_true(tonumber(run("wc -c <" .. name "a.qcow2")) < 64 * MIB)
        end)
    end)
end

describe("a disk by a daemon that runs already", function()
    it("is used, and stays when the VM is closed", function()
        local socket = path "socket"
        run(("qemu-img create -q -f raw %s 16M"):format(path "c"))
        run(("qemu-storage-daemon --blockdev driver=file,filename=%s,node-name=disk "
            .. "--export type=vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=%s,"
            .. "writable=on --daemonize --pidfile %s"):format(path "c", socket, path "pid"))
        local vm = boot({ { socket = socket } }, "mmio")
        linux.run(vm, "echo from the guest | "
            .. "dd of=/dev/vda bs=512 seek=7 conv=sync 2>/dev/null; sync")
        vm:close()
        assert.equal("from the guest", run(("dd if=%s bs=512 skip=7 count=1 2>/dev/null | head -1")
            :format(path "c")):gsub("\n", ""))
        run("kill $(cat " .. path "pid" .. ")")
    end)
end)

describe("a guest with memory above 4 GiB", function()
    it("has its buffers there read and written as well", function()
        run(("qemu-img create -q -f qcow2 %s 64M"):format(path "high.qcow2"))
        local vm <close> = boot({ { path = path "high.qcow2", format = "qcow2" } }, "pci", 4096)
        assert.equal(2, #vm.memory:regions())
        assert.matches("100000000%-1%x%x%x%x%x%x%x%x : System RAM",
            linux.run(vm, "grep 'System RAM' /proc/iomem"))
        -- Linux takes pages from there first.
        assert.equal("same", linux.run(vm, "dd if=/dev/urandom of=/r bs=1M count=16 2>/dev/null; "
            .. "dd if=/r of=/dev/vda bs=1M oflag=direct 2>/dev/null; "
            .. "dd if=/dev/vda bs=1M count=16 iflag=direct 2>/dev/null | cmp - /r && echo same"))
    end)
end)

describe("an image that is not what it is said to be", function()
    it("is refused with the daemon's words", function()
        run("head -c 1048576 /dev/zero >" .. path "zeros")
        local vm, message = vmm.vm { block = { { path = path "zeros", format = "qcow2" } } }
        assert.is_nil(vm)
        assert.equal(("block %s: the daemon ended with exit code 1: Image is not in qcow2 format")
            :format(path "zeros"), message)
    end)
end)
