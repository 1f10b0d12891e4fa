-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Linux boots from an ext4 image and lives there, and Debian's programs for disks see them right.

local disk = require "tests.spec.support.disk"
local json = require "vmm.json"
local linux = require "tests.spec.support.linux"

local FOLDER = "/dev/shm/vmm-disk-spec"
local function path(name) return FOLDER .. "/" .. name end

local function sparse(name, mib)
    local file <close> = assert(io.open(path(name), "wb"))
    file:seek("set", (mib << 20) - 1)
    assert(file:write "\0")
    return path(name)
end

setup(function()
    assert(os.execute("rm -rf " .. FOLDER .. "; mkdir -p " .. FOLDER))
    disk.root(path "folder", { "lsblk", "fio" })
    disk.ext4(path "root", path "folder", "200m")
    assert(os.execute("rm -r " .. path "folder"))
end)
teardown(function() os.execute("rm -rf " .. FOLDER) end)

-- Boots from the first of the disks; further options as vmm.vm takes them.
local function boot(transport, mode, disks, options)
    options = options or {}
    options.transport, options.block = transport, disks
    options.kernel = {
        initrd = disk.initramfs(transport),
        cmdline = ("console=ttyS0 i8042.nokbd reboot=k panic=1 quiet root=/dev/vda %s%s"):format(
            mode, transport == "pci" and "" or " pci=off"),
    }
    return linux.boot(options)
end

-- What `lsblk --json` says of each disk: name, ro, size, type, where it is mounted.
local function lsblk(vm)
    local text = linux.run(vm, "lsblk --json --bytes -o NAME,RO,SIZE,TYPE,MOUNTPOINT")
    local list = assert(json.decode(text)).blockdevices
    for index, device in ipairs(list) do
        list[index] = { device.name, device.ro, device.size // 1, device.type,
            type(device.mountpoint) == "string" and device.mountpoint or nil }
    end
    return list
end

describe("a guest with a root disk", function()
    it("boots from it, writes it, and finds what it wrote at its next boot, read-only", function()
        local vm <close> = boot("mmio", "rw", { { path = path "root" } })
        assert.same({ { "vda", false, 200 << 20, "disk", "/" } }, lsblk(vm))
        linux.run(vm, "echo from the guest >/root/answer; mount -o remount,ro /")
        assert.equal("reboot", linux.finish(vm, "reboot -f").reason)
        vm:close()

        local again <close> = boot("pci", "ro", { { path = path "root", readonly = true } })
        assert.same({ { "vda", true, 200 << 20, "disk", "/" } }, lsblk(again))
        assert.equal("from the guest", linux.run(again, "cat /root/answer"))
        assert.matches("Read%-only file system", linux.run(again, "touch /root/new 2>&1"))
        assert.matches("Permission denied", linux.run(again, "mount -o remount,rw / 2>&1"))
    end)
end)

describe("fio on disks of one, two and four queues", function()
    local vm

    setup(function()
        vm = boot("pci", "ro", {
            { path = path "root", readonly = true },
            { path = sparse("one", 32) },
            { path = sparse("two", 32), queues = 2 },
            { path = sparse("four", 32), queues = 4, io_uring = false },
        }, { vcpus = { num = 4 } })
        linux.run(vm, "mount -t tmpfs tmp /tmp; cd /tmp")
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    it("finds them, beside the root, with lsblk", function()
        assert.same({
            { "vda", true, 200 << 20, "disk", "/" }, { "vdb", false, 32 << 20, "disk" },
            { "vdc", false, 32 << 20, "disk" }, { "vdd", false, 32 << 20, "disk" },
        }, lsblk(vm))
    end)

    for index, queues in ipairs { 1, 2, 4 } do
        local name = ("vd%c"):format(("a"):byte() + index)

        it(("verifies what it has written by %d of them"):format(queues), function()
            assert.equal(tostring(queues),
                linux.run(vm, ("ls /sys/block/%s/mq | wc -l"):format(name)))
            -- A job on each CPU, whichever queue is whose.
            local text = linux.run(vm, ("fio --name=it --filename=/dev/%s --rw=randwrite "
                .. "--bsrange=512-64k --size=2m --offset_increment=8m --numjobs=4 --thread "
                .. "--cpus_allowed=0-3 --cpus_allowed_policy=split --direct=1 --iodepth=16 "
                .. "--ioengine=libaio --verify=crc32c --verify_fatal=1 --group_reporting "
                .. "2>&1; echo status $?"):format(name))
            assert.matches("err= 0", text, 1, true)
            assert.matches("status 0$", text)
            -- All of them were used.
            local used = 0
            for line in linux.run(vm, "cat /proc/interrupts"):gmatch "[^\n]+" do
                local device = ("virtio%d-req"):format(index)
                if line:find(device, 1, true) and line:match ":(.-)PCI":find "[1-9]" then
                    used = used + 1
                end
            end
            assert.equal(queues, used)
        end)
    end
end)
