-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A disk whose nth write fails under ext4: the file system saves itself by going read-only, tells
-- the kernel's log, and has lost nothing that it had promised.
--
--   vmm-reference test examples/scenarios/disk.lua

local vmm = require "vmm"

describe("ext4 on a disk whose nth write fails", function()
    local image, vm

    setup(function()
        image = os.tmpname()
        assert(os.execute("truncate -s 16M " .. image))
        vm = vmm.scenario.vm {
            guest = vmm.guest { programs = { "mkfs.ext4", "e2fsck" } },
            block = { { path = image } },
        }
        vm:boot():wait()
    end)

    before_each(function()
        vm:succeed("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 /dev/vda && "
            .. "mkdir -p /data && mount -t ext4 -o errors=remount-ro /dev/vda /data && "
            .. "echo promised >/data/old && sync")
    end)

    after_each(function()
        vm:succeed "umount /data"
    end)

    teardown(function()
        vm:close()
        os.remove(image)
    end)

    for _, nth in ipairs { 1, 2, 3 } do
        it(("goes read-only at write %d, and is whole after a repair"):format(nth), function()
            local fault <close> = vm.disks[1]:fault { op = "write", nth = nth, status = "ioerr" }
            local said = vm:wait_until_fails "mktemp -d /data/XXXXXX && sync"
            assert.matches("Read%-only file system", said)
            assert.equal(1, fault.hits)
            assert.matches("EXT4%-fs %(vda%): Remounting filesystem read%-only",
                vm:succeed "dmesg -c")

            vm:succeed "umount /data"
            assert.is_true(vm:run("e2fsck -p /dev/vda").status <= 1) -- clean, or repaired
            vm:succeed "mount -t ext4 /dev/vda /data"
            assert.equal("promised", vm:succeed "cat /data/old")
        end)
    end
end)
