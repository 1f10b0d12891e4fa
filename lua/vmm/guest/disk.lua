-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A Debian root disk with systemd, made by mmdebstrap: an ext4 image that guests read only, and
-- share. It has packages and a password; what is of one guest alone is added when it boots.

local process = require "vmm.process"
local store = require "vmm.guest.store"

local disk = {}

-- What every such root has beside Debian's essential packages.
local PACKAGES = { "systemd-sysv", "udev", "kmod", "iproute2" }

-- A description of the contents; another number makes all of them anew.
local VERSION = 1

-- What a guest that is thrown away needs not: the kernel has made its devices, there is no hardware
-- to be found, and nothing to be kept. Each costs a second or more of an emulated CPU, udev ten,
-- and so does each generator.
local UNNEEDED = { "apt-daily.timer", "apt-daily-upgrade.timer", "cryptsetup.target",
    "dev-hugepages.mount", "dev-mqueue.mount", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "getty-static.service", "getty@tty1.service",
    "integritysetup.target", "kmod-static-nodes.service", "ldconfig.service",
    "proc-sys-fs-binfmt_misc.automount", "remote-fs.target", "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "systemd-binfmt.service", "systemd-firstboot.service", "systemd-initctl.socket",
    "systemd-journal-catalog-update.service", "systemd-journal-flush.service",
    "systemd-journald-audit.socket", "systemd-logind.service", "systemd-machine-id-commit.service",
    "systemd-modules-load.service", "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service", "systemd-pstore.service", "systemd-random-seed.service",
    "systemd-remount-fs.service", "systemd-repart.service", "systemd-sysctl.service",
    "systemd-sysusers.service", "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service", "systemd-udev-trigger.service",
    "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udevd.service",
    "systemd-update-utmp-runlevel.service", "systemd-update-utmp.service",
    "veritysetup.target" }

-- Nothing of it waits for udev to have seen ttyS0, nor for a generator to have.
local LOGIN = [=[
[Unit]
Description=Login on ttyS0
After=systemd-user-sessions.service

[Service]
Type=idle
ExecStart=-/sbin/agetty --keep-baud 115200,9600 ttyS0 vt220
Restart=always
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS0
TTYReset=yes
TTYVHangup=yes
KillMode=process
IgnoreSIGPIPE=no
SendSIGHUP=yes

[Install]
WantedBy=multi-user.target
]=]

-- Hosts may be slow, and a status that moves is more than a console of 115,200 baud can bear.
local MANAGER = "[Manager]\nShowStatus=error\nDefaultTimeoutStartSec=15min\n"
    .. "DefaultTimeoutStopSec=5min\n"

-- Runs beside the new root, as its root: $1 is the root, $2 the image, $3 its size, $4 the
-- password, $5 mke2fs, $6 and $7 the texts above, the others units.
local CUSTOMIZE = [=[
root=$1 image=$2 size=$3 password=$4 mke2fs=$5 login=$6 manager=$7
shift 7
units=$root/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$root/etc/systemd/system.conf.d" \
    "$root/etc/systemd/system-generators"
echo guest >"$root/etc/hostname"
printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
: >"$root/etc/fstab"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
# A prompt of bytes that a script can expect.
echo 'set enable-bracketed-paste off' >>"$root/etc/inputrc"
hash=$(chroot "$root" perl -e 'print crypt($ARGV[0], q($6$guest$))' "$password")
sed -i "s|^root:[^:]*:|root:$hash:|" "$root/etc/shadow"
printf '%s' "$login" >"$units/serial-getty@ttyS0.service"
ln -sf ../serial-getty@ttyS0.service "$units/multi-user.target.wants/"
printf '%s' "$manager" >"$root/etc/systemd/system.conf.d/guest.conf"
for unit; do
    ln -sf /dev/null "$units/$unit"
done
if [ $# -gt 0 ]; then
    for path in "$root"/lib/systemd/system-generators/systemd-*; do
        ln -sf /dev/null "$root/etc/systemd/system-generators/${path##*/}"
    done
fi
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
# What is mounted in it is none of its.
mkdir "$image.root"
mount --bind "$root" "$image.root"
"$mke2fs" -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 -d "$image.root" "$image" "$size"
umount "$image.root"
rmdir "$image.root"
]=]

-- Words left out of the new root: nobody reads there.
local LEFT_OUT = { "/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*",
    "/usr/share/info/*" }

local function mke2fs()
    for _, path in ipairs { process.which "mke2fs" or "", "/usr/sbin/mke2fs", "/sbin/mke2fs" } do
        if path ~= "" and process.is_readable(path) then return path end
    end
end

local function packages_of(root)
    local list = table.move(PACKAGES, 1, #PACKAGES, 1, {})
    table.move(root.packages, 1, #root.packages, #list + 1, list)
    return table.concat(list, ",")
end

local function masked(root)
    return root.full and {} or UNNEEDED
end

-- mmdebstrap's command line. It quotes nothing of a hook, which a shell runs.
local function command(root, image)
    local hook = process.command { "sh", "-ec", CUSTOMIZE, "sh" } .. ' "$1" ' .. process.command {
        image, ("%dM"):format(root.size_mib), root.password, mke2fs(), LOGIN, MANAGER,
        table.unpack(masked(root)) }
    local argv = { "mmdebstrap", "--variant=essential", "--format=null",
        "--include=" .. packages_of(root), "--dpkgopt=force-unsafe-io",
        "--customize-hook=" .. hook }
    for _, path in ipairs(LEFT_OUT) do
        argv[#argv + 1] = "--dpkgopt=path-exclude=" .. path
    end
    argv[#argv + 1] = root.debian
    argv[#argv + 1] = "/dev/null"
    argv[#argv + 1] = root.mirror
    return argv
end

-- Why mmdebstrap failed: apt's first complaint, which says more than its own.
local function reason(output)
    local why = output:match "E: ([^\n]+)" or output:match "([^\n]+)%s*$" or "no reason given"
    return (why:gsub("  +", " "))
end

local function make(root, scratch, path)
    if not process.which "mmdebstrap" then
        return nil, "no mmdebstrap on this host; install Debian's mmdebstrap"
    elseif not mke2fs() then
        return nil, "no mke2fs on this host; install Debian's e2fsprogs"
    elseif not process.is_root() and not process.which "newuidmap" then
        return nil, "no newuidmap on this host, which mmdebstrap needs where it is not run by "
            .. "root; install Debian's uidmap"
    end
    io.stderr:write(("vmm-reference: making a disk with Debian %s\n"):format(root.debian))
    -- In a user's own namespace its root is another user.
    process.run { "chmod", "0777", scratch }
    local image = scratch .. "/image"
    local ok, output = process.capture(command(root, image), { stderr = "merge" })
    if not ok or not process.stat1(image) then
        return nil, ("cannot make a disk with Debian %s: %s"):format(root.debian, reason(output))
    end
    -- Which becomes the user's own so, and has no zeros on the disk.
    ok = process.capture { "cp", "--sparse=always", image, path }
    return ok and true, not ok and path .. ": cannot be written whole (disk full?)" or nil
end

local function describe(root)
    return ("Debian %s from %s, version %d, %d MiB\npackages %s\npassword %s\nmasked %s\n%s%s%s")
        :format(root.debian, root.mirror or "its mirror", VERSION, root.size_mib,
            packages_of(root), root.password, table.concat(masked(root), " "), LOGIN, MANAGER,
            CUSTOMIZE)
end

--- The image of such a root: { debian = suite, packages = names, size_mib =, password =,
-- mirror = }; from the cache when it was made before.
-- @return path; or nil, message
function disk.get(root)
    return store.get("disk", ".ext4", describe(root), function(path, scratch)
        return make(root, scratch, path)
    end)
end

--- Where it is, or will be, and the description beside it.
function disk.paths(root)
    return store.paths("disk", ".ext4", describe(root))
end

return disk
