-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What runs first in a guest: its initramfs's /init, for each kind of root, and process 1.

local modules = require "vmm.modules"

local boot = {}

boot.SCRIPTS = "/usr/lib/vmm/" -- where a guest has agent, run and init
boot.LATER = "/etc/vmm/files" -- where files that go into a root of another kind wait for it

local EXECUTABLE = 0x1ed

-- The drivers are those of the devices that there are, which saves half of a second and more in a
-- slow guest. /etc/vmm/modules/NAME has a line for each module that NAME needs, and itself.
local START = [=[
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM="${TERM:-linux}"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null

load() {
    [ -e "/etc/vmm/modules/$1" ] || return 0
    while read -r name file; do
        [ -d "/sys/module/$name" ] || insmod "$file" || echo "guest: cannot load $file"
    done <"/etc/vmm/modules/$1"
}
give_up() {
    echo "guest: $1"
    poweroff -f
}

for device in /sys/bus/pci/devices/*; do
    [ ! -e "$device" ] || load virtio_pci
    break
done
for device in /sys/bus/platform/devices/LNRO0005*; do
    [ ! -e "$device" ] || load virtio_mmio
    break
done
! grep -q virtio_mmio.device= /proc/cmdline || load virtio_mmio
for device in /sys/bus/virtio/devices/*; do
    case $(cat "$device/device" 2>/dev/null) in
    0x0001) load virtio_net ;;
    0x0002) load virtio_blk ;;
    0x0003) load virtio_console ;;
    0x0004) load virtio_rng ;;
    0x0005) load virtio_balloon ;;
    0x0013) load vmw_vsock_virtio_transport ;;
    0x001a) load virtiofs ;;
    esac
done
for name in $(cat /etc/vmm/load); do
    load "$name"
done
]=]

-- Process 1, where the guest has no other, is busybox's init: it ends the guest when "reboot" or
-- "poweroff" without -f asks it to, and starts the shell, anew when that ends. No signal is ignored
-- there, as in what a script starts by "&": Ctrl-C would end nothing.
local INITTAB = [=[
::sysinit:/run/vmm/busybox sh /usr/lib/vmm/init
::respawn:/run/vmm/busybox sh /usr/lib/vmm/init shell
]=]

-- What it runs: what is left to do, and the shell, whose terminal the console becomes.
local SCRIPT = [=[
export PATH=/run/vmm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root PS1='guest# '
cd /root 2>/dev/null || cd /
[ "$1" != shell ] || exec cttyhack /bin/sh
mkdir -p /dev/pts /dev/shm /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
hostname guest
ip link set lo up
[ ! -e /usr/lib/vmm/agent ] ||
    setsid setsid /bin/sh /usr/lib/vmm/agent </dev/null >/dev/null 2>&1
[ ! -e /usr/lib/vmm/run ] || /bin/sh /usr/lib/vmm/run
]=]

local INITRAMFS = [=[
mount -t tmpfs run /run
mkdir /run/vmm
ln -s /bin/busybox /run/vmm/busybox
exec /run/vmm/busybox init
]=]

-- A root that is only read, with what the guest writes on top, in its memory.
local OVERLAY = [=[
mount -t tmpfs -o mode=755 upper /upper && mkdir /upper/data /upper/work &&
    mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /new ||
    give_up 'no overlay on the root: has the kernel overlayfs?'
mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp
cp -a /etc/vmm/files/. /new/ || give_up 'cannot add files to the root'
mount -t tmpfs -o mode=755,size=50% run /new/run
]=]

local SWITCH = [=[
for name in proc sys dev; do
    mount --move "/$name" "/new/$name"
done
]=]

-- Programs are the host's, but for those that would look for the host's init.
local FOLDER = [=[
mount -t virtiofs -o ro vmm-root /lower || give_up 'cannot mount the root: has the kernel virtiofs?'
]=] .. OVERLAY .. [=[
mkdir -p /new/run/vmm/bin
cp /bin/busybox /new/run/vmm/
for name in poweroff reboot halt; do
    ln -s ../busybox "/new/run/vmm/bin/$name"
done
]=] .. SWITCH .. [=[
exec switch_root /new /run/vmm/busybox init
]=]

boot.SERIAL = "vmm-root" -- of the disk that has the root
boot.TAG = "vmm-root" -- of the folder that is it

local DISK = [=[
disk=
for serial in /sys/block/*/serial; do
    [ "$(cat "$serial" 2>/dev/null)" != vmm-root ] || disk=${serial%/serial}
done
[ -n "$disk" ] || give_up 'no disk with the root: has the kernel a driver for it?'
mount -o ro "/dev/${disk##*/}" /lower || give_up 'cannot mount the root'
]=] .. OVERLAY .. SWITCH .. [=[
exec switch_root /new /sbin/init
]=]

local KINDS = { initramfs = INITRAMFS, folder = FOLDER, disk = DISK }

--- What the path of a file begins with in the initramfs: of one that goes into a root of another
-- kind it is where that waits.
function boot.prefix(kind)
    return kind == "initramfs" and "" or boot.LATER
end

--- What every initramfs has beside programs and modules, for a kind of root: "initramfs", "folder",
-- "disk".
-- @return an array of { path, text, mode or nil }
function boot.files(kind)
    local list = {
        { "/init", START .. KINDS[kind], EXECUTABLE },
        { "/etc/passwd", "root::0:0:root:/root:/bin/sh\n" },
        { "/etc/group", "root:x:0:\n" },
        { "/etc/hosts", "127.0.0.1 localhost guest\n" },
    }
    if kind ~= "disk" then
        local prefix = boot.prefix(kind)
        list[#list + 1] = { prefix .. "/etc/inittab", INITTAB }
        list[#list + 1] = { prefix .. boot.SCRIPTS .. "init", SCRIPT }
    end
    return list
end

--- Adds them to a tree of vmm.initramfs, with the folders and devices that they need.
function boot.furnish(tree, kind)
    for _, path in ipairs { "/proc", "/sys", "/dev", "/tmp", "/root", "/run", "/lower", "/upper",
            "/new", boot.LATER } do
        tree:directory(path)
    end
    tree:device("/dev/console", "c", 5, 1)
    for _, file in ipairs(boot.files(kind)) do
        tree:file(table.unpack(file))
    end
end

--- Adds the list of modules, paths in the image in the order of loading, that /init's `load NAME`
-- reads.
function boot.modules(tree, name, paths)
    local lines = {}
    for i, path in ipairs(paths) do
        lines[i] = ("%s %s\n"):format(modules.name(path), path)
    end
    tree:file("/etc/vmm/modules/" .. name, table.concat(lines))
end

--- A unit of systemd's that runs a script of ours.
function boot.unit(description, path, service)
    return ([[
[Unit]
Description=%s

[Service]
ExecStart=/bin/sh %s
%s

[Install]
WantedBy=multi-user.target
]]):format(description, path, service)
end

return boot
