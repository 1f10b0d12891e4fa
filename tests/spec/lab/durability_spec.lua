-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a guest has flushed is on the disk, though its host dies: the host is a lab that is killed,
-- and what its kernel had only in memory is gone.

local guests = require "vmm.guests"
local process = require "vmm.process"

-- Seconds a lab may take here; the machine may be busy.
local LIMIT = 240

local ENOUGH = 40 -- records, before the host is killed

-- In the guest: record N is in sector N. It is told of once dd's fsync has returned.
local WRITER = [[
n=1
while :; do
    printf '%-512s' "record $n" | dd of=/dev/vda bs=512 seek=$n conv=fsync,notrunc 2>/dev/null &&
        echo "durable $n."
    n=$((n + 1))
done
]]

-- Has the process id of QEMU written, before QEMU is that process.
local WRAPPER = [[
#!/bin/sh
echo $$ >"${0%%/*}/pid"
exec %s "$@"
]]

-- Starts the words after three: a scratch directory, the number of records, seconds. Kills QEMU as
-- soon as so many are told of; what was told of before it is dead goes to the file "told".
local SCRIPT = [[
dir=$1 enough=$2 limit=$3
shift 3
PATH=$dir:$PATH timeout -k 10 "$limit" "$@" 2>"$dir/stderr" </dev/null |
while read -r line; do
    case $line in
    *"durable "*) echo "$line" >>"$dir/told" ;;
    esac
    case $line in
    *"durable $enough."*) kill -KILL "$(cat "$dir/pid")" ;;
    esac
done
]]

describe("a guest's disk", function()
    it("has all that the guest has flushed when the host is killed", function()
        local scratch <close> = setmetatable({
            path = assert(process.temporary_directory "durability"),
        }, { __close = function(self) process.remove(self.path) end })
        local function open(name, mode)
            return assert(io.open(scratch.path .. "/" .. name, mode))
        end
        local wrapper = open("qemu-system-x86_64", "w")
        wrapper:write(WRAPPER:format(assert(process.which "qemu-system-x86_64")))
        wrapper:close()
        process.run { "chmod", "755", scratch.path .. "/qemu-system-x86_64" }
        local disk <close> = open("disk", "w+b")
        disk:seek("set", (16 << 20) - 1)
        disk:write "\0"
        disk:flush()

        local kernel = assert(guests.kernel "cloud-amd64")
        local initrd = assert(guests.initramfs {
            kernel = kernel, modules = { "virtio_mmio", "virtio_blk" }, run = WRITER,
        })
        process.run { "sh", "-c", SCRIPT, "sh", scratch.path, tostring(ENOUGH), tostring(LIMIT),
            process.executable(), "lab", "--disk", scratch.path .. "/disk", "--",
            "--memory", "size_mib=256", "--kernel", ("path=%s,initrd=%s,cmdline=%s"):format(
                kernel.path, initrd, "console=ttyS0 panic=1 pci=off quiet"),
            "--block", "path=/dev/vda" }

        local told = 0
        local list <close> = open("told", "r")
        for line in list:lines() do
            local n = assert(tonumber(line:match "durable (%d+)%."))
            assert.equal(told + 1, n)
            told = n
            disk:seek("set", 512 * n)
            local record = "record " .. n
            assert.equal(record .. (" "):rep(512 - #record), disk:read(512))
        end
        assert.is_true(told >= ENOUGH, told)
        local stderr <close> = open("stderr", "r")
        assert.matches("QEMU ended %(status 137%)", stderr:read "a")
    end)
end)
