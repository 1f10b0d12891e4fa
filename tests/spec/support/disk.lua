-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disk images for Linux guests, made of programs that this host has: an ext4 root, with an
-- initramfs that boots from it.

local guests = require "vmm.guests"
local initramfs = require "vmm.initramfs"
local process = require "vmm.process"

local disk = {}

-- The path of a program that may be for the administrator alone; or nil.
local function which(name)
    local path = process.which(name)
    for _, folder in ipairs { "/usr/sbin/", "/sbin/" } do
        path = path or process.stat1(folder .. name) and folder .. name
    end
    return path or nil
end

--- The paths of a program and of what it is linked with, for guests; fails where it is not
-- installed.
function disk.needs(name)
    local path = assert(which(name), name .. " is not installed")
    return { path, table.unpack(initramfs.libraries(path)) }
end

--- The same as `files` of guests.initramfs.
function disk.files(name)
    local files = {}
    for _, path in ipairs(disk.needs(name)) do
        files[path] = { host = path, mode = tonumber("755", 8) }
    end
    return files
end

local function run(script, ...)
    local code = process.run { "sh", "-e", "-c", script, "sh", ... }
    assert(code == 0, "cannot make a disk: a command failed")
end

-- A folder as Debian's root is laid out, with busybox.
local ROOT = [[
for name in bin sbin lib lib64; do mkdir -p "$1/usr/$name"; ln -s "usr/$name" "$1/$name"; done
for name in dev proc sys tmp root etc; do mkdir "$1/$name"; done
cp "$2" "$1/bin/busybox"
for name in $("$1/bin/busybox" --list); do
    [ -e "$1/bin/$name" ] || ln -s busybox "$1/bin/$name"
done
]]

-- What runs there first: a prompt, as in the initramfs of other guests.
local INIT = [[
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux PS1='guest# '
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
cd /root
exec 3<&0
while :; do
    setsid cttyhack sh <&3 3<&- &
    wait $!
done
]]

--- Makes a folder that becomes a root: programs by name, with their libraries.
function disk.root(folder, programs)
    assert(process.make_directory(folder))
    run(ROOT, folder, assert(which "busybox", "busybox is not installed"))
    for _, name in ipairs(programs or {}) do
        for _, path in ipairs(disk.needs(name)) do
            run('mkdir -p "$1${2%/*}"; cp -L "$2" "$1$2"', folder, path)
        end
    end
    local file <close> = assert(io.open(folder .. "/sbin/init", "w"))
    file:write(INIT)
    run('chmod 755 "$1/sbin/init"', folder)
end

--- An ext4 image of what is in a folder. size: as mke2fs takes it.
function disk.ext4(path, folder, size)
    run('"$1" -q -t ext4 -d "$2" "$3" "$4" >/dev/null', assert(which "mke2fs"), folder, path, size)
end

-- Mounts the root that the command line names, and goes there.
local SWITCH = [[
#!/bin/sh
mkdir -p /proc /dev /new
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in $(cat /etc/modules); do insmod "$module"; done
mode=rw
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    ro | rw) mode=$word ;;
    esac
done
mount -t ext4 -o "$mode" "$root" /new || exec sh
umount /dev /proc
exec switch_root /new /sbin/init
]]

--- An initramfs that boots from the disk that root= names, over a transport.
function disk.initramfs(transport)
    local kernel = assert(guests.kernel "cloud-amd64")
    local tree = initramfs.new()
    assert(tree:busybox())
    local order = assert(tree:modules(kernel.modules, { "virtio_" .. transport, "virtio_blk" }))
    tree:device("/dev/console", "c", 5, 1)
    tree:file("/init", SWITCH, tonumber("755", 8))
    tree:file("/etc/modules", table.concat(order, "\n") .. "\n")
    return assert(guests.store(tree))
end

return disk
