-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A disk made of functions: an image that the guest may change as it likes, and that stays as it
-- is, for what is written is kept in a table.
--
--   vmm-reference examples/08-overlay.lua KERNEL INITRD [IMAGE [COMMAND]]
--
-- INITRD loads virtio_mmio and virtio_blk. Without an image the disk has 16 MiB of zeroes. Runs the
-- shell command in the guest.

local vmm = require "vmm"

local SECTOR = 512
local COMMAND = "mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt && "
    .. "echo on the overlay >/mnt/file && umount /mnt && mount -t ext4 -o ro /dev/vda /mnt && "
    .. "cat /mnt/file"

if not arg[2] then
    io.stderr:write "usage: vmm-reference examples/08-overlay.lua KERNEL INITRD [IMAGE [COMMAND]]\n"
    os.exit(2)
end

-- A disk over a file, which may be nil; and how many of its sectors have been written.
local function overlay(file, size)
    local changed, count = {}, 0
    local zeroes = ("\0"):rep(SECTOR)

    local function base(sector)
        if not file then return zeroes end
        file:seek("set", sector * SECTOR)
        return file:read(SECTOR)
    end

    return vmm.block {
        size = size,
        serial = "overlay",
        read = function(offset, length)
            local parts = {}
            for sector = offset // SECTOR, (offset + length) // SECTOR - 1 do
                local bytes = changed[sector] or base(sector)
                if not bytes then return nil, "EIO" end -- the file has become shorter
                parts[#parts + 1] = bytes
            end
            return table.concat(parts)
        end,
        write = function(offset, bytes)
            for at = 1, #bytes, SECTOR do
                local sector = (offset + at - 1) // SECTOR
                count = count + (changed[sector] and 0 or 1)
                changed[sector] = bytes:sub(at, at + SECTOR - 1)
            end
        end,
    }, function() return count end
end

local file = arg[3] and assert(io.open(arg[3], "rb"))
local size = file and file:seek "end" // SECTOR * SECTOR or 16 << 20
local disk, changes = overlay(file, size)

local vm <close> = assert(vmm.vm {
    name = "overlay",
    memory = { size_mib = 512 },
    kernel = {
        path = arg[1],
        initrd = arg[2],
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
    },
    block = { disk },
    console = function(bytes)
        io.write(bytes)
        io.flush()
    end,
})

assert(vm:start())
vm.console:expect("guest# ", { timeout = 30 })
vm.console:send_line("mkdir -p /mnt; " .. (arg[4] or COMMAND) .. "; poweroff -f")
local stop = assert(vm:wait { timeout = 30 })
print(("\n-- ended: %s, %d sectors of the overlay are in use"):format(stop.reason, changes()))
