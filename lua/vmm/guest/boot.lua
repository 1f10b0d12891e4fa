-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What runs first in a guest: the text of its initramfs's /init, for each kind of root.

local boot = {}

boot.SCRIPTS = "/usr/lib/vmm/" -- where a guest has agent, run and init

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

-- What is left to do where no other init does it. The shell is a child in the background, so that
-- "reboot" and "poweroff" without -f, which signal process 1, work while it runs.
local SHELL = [=[
trap 'reboot -f' TERM
trap 'poweroff -f' USR2
trap 'halt -f' USR1
export PS1='guest# '
mkdir -p /dev/pts /dev/shm /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
hostname guest
ip link set lo up
cd /root 2>/dev/null || cd /
[ ! -e /usr/lib/vmm/agent ] || setsid setsid /bin/sh /usr/lib/vmm/agent </dev/null >/dev/null 2>&1
[ ! -e /usr/lib/vmm/run ] || /bin/sh /usr/lib/vmm/run
exec 3<&0
while :; do
    setsid cttyhack /bin/sh <&3 3<&- &
    wait $!
done
]=]

local INITRAMFS = [=[
mount -t tmpfs run /run
]=] .. SHELL

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
exec switch_root /new /run/vmm/busybox sh /usr/lib/vmm/init
]=]

-- Process 1 of a root that is a folder.
boot.FOLDER_INIT = [=[
export PATH=/run/vmm/bin:$PATH
]=] .. SHELL

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

--- The text of /init, for a kind of root: "initramfs", "folder", "disk".
function boot.init(kind)
    return START .. KINDS[kind]
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
