-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs spec files in a lab of their own and leaves what tests/support/results.lua wrote there.
--
-- usage: in_lab.lua DIRECTORY SPEC[,SPEC...]
-- Leaves DIRECTORY/results, and DIRECTORY/problem with a line that says why that is not whole.

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local guest = require "vmm.guest"
local guests = require "vmm.guests"
local lab = require "vmm.lab"
local process = require "vmm.process"

local directory, specs = arg[1], {}
for spec in arg[2]:gmatch "[^,]+" do
    specs[#specs + 1] = spec
end

-- Seconds that no spec file should come near; a test has its own, shorter limit.
local LIMIT = 1700

-- What specs read, beside what their command line names.
local FILES = { ".busted", "lua", "tests", "examples", ".build/guest", ".build/examples",
    ".build/release/vmm/core.so" }

-- What guests in the lab load of the cloud kernel's modules.
local MODULES = { "modules.dep", "kernel/drivers/misc/pvpanic",
    "kernel/drivers/virtio", "kernel/drivers/block/virtio_blk.ko", "kernel/drivers/block/loop.ko",
    "kernel/drivers/char/hw_random",
    "kernel/drivers/char/virtio_console.ko",
    "kernel/drivers/net/virtio_net.ko", "kernel/drivers/net/net_failover.ko",
    "kernel/drivers/net/tun.ko", "kernel/net/core/failover.ko",
    "kernel/fs/fuse", "kernel/net/vmw_vsock",
    "kernel/drivers/acpi/button.ko", "kernel/drivers/input/evdev.ko" }

-- gdb starts no further than to the Python modules that it loads; it knows which.
local function add_gdb(files)
    files[#files + 1] = process.which "gdb"
    local modules = process.capture { "gdb", "-nx", "-batch", "-ex", "python import sys;"
        .. "[print(m.__file__, m.__cached__, sep='\\n') for m in list(sys.modules.values())"
        .. " if getattr(m, '__cached__', None)]" }
    for path in (modules or ""):gmatch "[^\n]+" do
        files[#files + 1] = process.stat1(path) and path
    end
end

-- Where programs are, beside the folders of PATH.
local FOLDERS = { "/sbin/", "/usr/sbin/", "/usr/libexec/", "/usr/lib/qemu/" }

local function find(name)
    local path = process.which(name)
    for _, folder in ipairs(FOLDERS) do
        path = path or process.stat1(folder .. name) and folder .. name
    end
    return path
end

-- Programs that single spec files need beside that.
local PROGRAMS = {
    ["disk_spec.lua"] = { "mke2fs", "lsblk", "fio" },
    ["examples_spec.lua"] = { "lua5.4" },
    ["guest_recipes_spec.lua"] = { "virtiofsd", "setpriv" },
    ["image_spec.lua"] = { "qemu-img", "qemu-storage-daemon", "setpriv" },
    ["pci_spec.lua"] = { "lspci" },
    ["scenarios/disk.lua"] = { "mkfs.ext4", "e2fsck" },
    ["share_spec.lua"] = { "virtiofsd", "setpriv" },
    ["virtio_block_root_spec.lua"] = { "mke2fs" },
    ["virtio_block_spec.lua"] = { "mke2fs" },
    ["virtio_net_flood_spec.lua"] = { "iperf3", "ethtool" },
    ["virtio_net_tap_spec.lua"] = { "iperf3", "ethtool" },
    ["virtio_spec.lua"] = { "rngtest" },
}

-- Guests by recipe that single spec files boot: what they are made of is made here.
local GUESTS = {
    ["guest_recipes_spec.lua"] = {
        { root = "debian" }, { kernel = "debian-cloud", modules = { "loop" } },
    },
    ["scenarios/ancestor.lua"] = { { root = "debian" } },
    ["scenarios/login.lua"] = { { root = "debian" } },
    ["scenarios/matrix.lua"] = { { kernel = "linux-image-rt-amd64" } },
}

local files, disks = {}, {}
local kernel = assert(guests.kernel "cloud-amd64")
for _, path in ipairs(MODULES) do
    files[#files + 1] = kernel.modules .. "/" .. path
end
for _, path in ipairs(FILES) do
    files[#files + 1] = process.stat1(path) and path
end
for _, spec in ipairs(specs) do
    local name = spec:match "scenarios/[^/]+$" or spec:match "[^/]+$"
    for _, program in ipairs(PROGRAMS[name] or {}) do
        files[#files + 1] = find(program)
    end
    for _, recipe in ipairs(GUESTS[name] or {}) do
        local needs = assert(guest(recipe):needs())
        table.move(needs.files, 1, #needs.files, #files + 1, files)
        table.move(needs.disks, 1, #needs.disks, #disks + 1, disks)
    end
    if name == "gdb_spec.lua" then add_gdb(files) end
end
local code, message = lab.run {
    args = { "/usr/bin/busted", "--output=tests/support/results.lua", "--pattern=_spec",
        table.unpack(specs) },
    busted = true, files = files, disks = disks, input = false, out_directory = directory,
    run_limit = LIMIT, environment = { VMM_TEST_RESULTS = "/out/results" },
}

local results = io.open(directory .. "/results", "r")
local text = "\n" .. (results and results:read("a") or "")
if not code or not text:find("\nend\n$") or code ~= 0 and not text:find("\nfail\t") then
    local problem <close> = assert(io.open(directory .. "/problem", "w"))
    problem:write(message or ("ended early with exit code %d"):format(code), "\n")
end
