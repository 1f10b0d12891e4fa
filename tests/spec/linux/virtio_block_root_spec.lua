-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A root file system on a disk, and a disk that is a block device of the host, by direct I/O.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"

local MIB = 1 << 20
local FOLDER = "/dev/shm/vmm-block-root-spec"
local EXECUTABLE = tonumber("755", 8)

local function path(name) return FOLDER .. "/" .. name end

local function write(name, text, mode)
    local file <close> = assert(io.open(path(name), "wb"))
    assert(file:write(text))
    assert(file:close())
    if mode then assert(os.execute(("chmod %o %s"):format(mode, path(name)))) end
    return path(name)
end

local function shell(command, ...)
    assert(os.execute(command:format(...)))
end

setup(function() shell("rm -rf %s; mkdir -p %s", FOLDER, FOLDER) end)
teardown(function()
    os.execute("losetup -d /dev/loop0 2>/dev/null; rm -rf " .. FOLDER)
end)

-- What finds the root on a disk: it goes by root= and ro or rw.
local INITRAMFS = [[
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r name file; do insmod "$file"; done </etc/vmm/modules/chosen
mode=ro
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; rw) mode=rw ;; esac
done
mkdir -p /newroot
mount -t ext4 -o $mode $root /newroot
exec switch_root /newroot /sbin/init
]]

local ROOT_INIT = [[
#!/bin/sh
export PATH=/sbin:/bin PS1='guest# '
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec setsid cttyhack sh
]]

-- An ext4 image with a busybox to boot into; nil where the host cannot make one.
local function root_image()
    local mke2fs = process.which "mke2fs" or process.stat1 "/sbin/mke2fs" and "/sbin/mke2fs"
    if not mke2fs then return nil end
    shell("mkdir -p %s/root && cd %s/root && mkdir bin sbin proc dev && cp %s bin/busybox",
        FOLDER, FOLDER, process.which "busybox")
    for _, name in ipairs { "sh", "mount", "umount", "cat", "echo", "setsid", "cttyhack", "sync",
        "touch", "grep", "poweroff" } do
        shell("ln -sf busybox %s/root/bin/%s", FOLDER, name)
    end
    write("root/sbin/init", ROOT_INIT, EXECUTABLE)
    shell("%s -q -t ext4 -d %s %s 16m >/dev/null", mke2fs, path "root", path "root.img")
    return path "root.img"
end

local function boot(disk, cmdline)
    return linux.boot {
        kernel = {
            initrd = assert(guests.initramfs {
                kernel = assert(guests.kernel "cloud-amd64"),
                modules = { "virtio_mmio", "virtio_blk" },
                files = { ["/init"] = { host = write("init", INITRAMFS), mode = EXECUTABLE } },
            }),
            cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet " .. cmdline,
        },
        block = { disk },
    }
end

describe("a root file system on a disk", function()
    it("is written by one boot, and found by the next, which may not write", function()
        local image = root_image()
        if not image then return pending "no mke2fs" end
        do
            local vm <close> = boot({ path = image }, "root=/dev/vda rw")
            assert.matches("^/dev/vda on / type ext4 %(rw", linux.run(vm, "mount | grep ' on / '"))
            linux.run(vm, "echo by the first >/kept; mount -o remount,ro /")
        end
        local vm <close> = boot({ path = image, readonly = true }, "root=/dev/vda ro")
        assert.matches("^/dev/vda on / type ext4 %(ro", linux.run(vm, "mount | grep ' on / '"))
        assert.equal("by the first", linux.run(vm, "cat /kept"))
        assert.matches("Read%-only file system", linux.run(vm, "touch /more 2>&1"))
    end)
end)

-- The image as a block device of the host, or nil.
local function loop_device(image)
    local kernel = assert(guests.kernel "cloud-amd64")
    if not process.stat1 "/dev/loop-control" then
        os.execute(("insmod %s/kernel/drivers/block/loop.ko 2>/dev/null"):format(kernel.modules))
    end
    return os.execute("losetup /dev/loop0 " .. image .. " 2>/dev/null") and "/dev/loop0" or nil
end

describe("a block device of the host", function()
    it("is a disk past the host's page cache, whose blocks a guest gives back", function()
        local image = write("loop.img", ("L"):rep(8 * MIB))
        local device = loop_device(image)
        if not device then return pending "no loop device" end
        local function stored()
            return 512 * tonumber((process.capture { "stat", "-c", "%b", image }))
        end
        local vm <close> = linux.boot {
            kernel = { initrd = assert(guests.initramfs {
                kernel = assert(guests.kernel "cloud-amd64"),
                modules = { "virtio_mmio", "virtio_blk" },
            }) },
            block = { { path = device, direct = true } },
        }
        assert.equal(8 * MIB, vm.disks[1]:size())
        assert.equal("LLLL", linux.run(vm, "dd if=/dev/vda bs=4 count=1 skip=100 2>/dev/null"))
        linux.run(vm, "yes vmm | dd of=/dev/vda bs=64k count=16 iflag=fullblock seek=16 "
            .. "conv=fsync 2>/dev/null")
        local file <close> = assert(io.open(image, "rb"))
        file:seek("set", MIB)
        assert.equal(("vmm\n"):rep(MIB // 4), file:read(MIB))
        local before = stored()
        linux.run(vm, ("blkdiscard -o %d -l %d /dev/vda"):format(4 * MIB, 4 * MIB))
        assert.is_true(before - stored() >= 4 * MIB - 65536, before - stored())
        assert.same({ nil, "/dev/loop0: a block device has the size it has", "ENOTSUP" },
            { vm.disks[1]:resize(4 * MIB) })
    end)
end)
