-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs one spec file in a lab of its own and leaves what tests/support/results.lua wrote there.
--
-- usage: in_lab.lua DIRECTORY SPEC
-- Leaves DIRECTORY/results, and DIRECTORY/problem with a line that says why that is not whole.

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local guests = require "vmm.guests"
local lab = require "vmm.lab"
local process = require "vmm.process"

local directory, spec = arg[1], arg[2]

-- Seconds that no spec file should come near; a test has its own, shorter limit.
local LIMIT = 900

-- What specs read, beside what their command line names.
local FILES = { ".busted", "lua", "tests", "examples", ".build/guest", ".build/examples" }

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

local function add_mke2fs(files)
    files[#files + 1] = process.which "mke2fs" or process.stat1 "/sbin/mke2fs" and "/sbin/mke2fs"
end

local function add_lspci(files)
    files[#files + 1] = process.which "lspci"
end

local function add_virtiofsd(files)
    files[#files + 1] = process.which "virtiofsd"
    for _, path in ipairs { "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd" } do
        files[#files + 1] = process.stat1(path) and path
    end
    files[#files + 1] = process.which "setpriv"
end

local function add_qemu_img(files)
    for _, name in ipairs { "qemu-img", "qemu-storage-daemon", "setpriv" } do
        files[#files + 1] = process.which(name)
    end
end

local function add_disk_programs(files)
    add_mke2fs(files)
    files[#files + 1] = process.which "lsblk"
    files[#files + 1] = process.which "fio"
end

local function add_rngtest(files)
    files[#files + 1] = process.which "rngtest"
end

-- What single spec files need beside that.
local MORE = {
    ["gdb_spec.lua"] = add_gdb,
    ["virtio_block_spec.lua"] = add_mke2fs,
    ["virtio_block_root_spec.lua"] = add_mke2fs,
    ["pci_spec.lua"] = add_lspci,
    ["share_spec.lua"] = add_virtiofsd,
    ["image_spec.lua"] = add_qemu_img,
    ["disk_spec.lua"] = add_disk_programs,
    ["virtio_spec.lua"] = add_rngtest,
}

local files = {}
local kernel = assert(guests.kernel "cloud-amd64")
for _, path in ipairs(MODULES) do
    files[#files + 1] = kernel.modules .. "/" .. path
end
for _, path in ipairs(FILES) do
    files[#files + 1] = process.stat1(path) and path
end
local more = MORE[spec:match "[^/]+$"]
if more then more(files) end
local code, message = lab.run {
    args = { "/usr/bin/busted", "--output=tests/support/results.lua", "--pattern=_spec", spec },
    busted = true, files = files, input = false, out_directory = directory, run_limit = LIMIT,
    environment = { VMM_TEST_RESULTS = "/out/results" },
}

local results = io.open(directory .. "/results", "r")
local text = "\n" .. (results and results:read("a") or "")
if not code or not text:find("\nend\n$") or code ~= 0 and not text:find("\nfail\t") then
    local problem <close> = assert(io.open(directory .. "/problem", "w"))
    problem:write(message or ("ended early with exit code %d"):format(code), "\n")
end
