-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disks, networks and sockets of the product beside those of QEMU's microvm: the same kernel,
-- initramfs, disks and commands. Where the CPU offers no VMX or SVM both run in one lab.

local boot = require "boot"
local compare = require "compare"
local guests = require "vmm.guests"
local initramfs = require "vmm.initramfs"
local process = require "vmm.process"

local virtio = {}

local PROGRAMS = { "fio", "iperf3" } -- Debian's, with their libraries
local TOOLS_MIB = 160

-- What the lab itself loads: taps, vsock for QEMU, and a disk for the file system with the images.
local LAB_MODULES = { "tun", "brd", "vhost_vsock" }

local function run(...)
    local output, partial, code = process.capture({ ... }, { stderr = "merge" })
    assert(output, ("%s: exit code %s: %s"):format((...), tostring(code), partial))
    return output
end

local function mke2fs()
    return process.which "mke2fs" or assert(process.stat1 "/sbin/mke2fs" and "/sbin/mke2fs",
        "no mke2fs on this host; install Debian's e2fsprogs")
end

-- A disk image with the programs and all libraries of theirs in one folder, to be started by the
-- dynamic linker there: the guest's own root stays small.
local function tools(scratch, stream)
    local folder, image = scratch .. "/tools", scratch .. "/tools.img"
    process.remove(folder)
    process.remove(image)
    assert(process.make_directory(folder))
    local files = { stream }
    for _, name in ipairs(PROGRAMS) do
        local path = assert(process.which(name), name .. " is not installed")
        files[#files + 1] = path
        for library in run("ldd", path):gmatch "(/%S+) %(0x%x+%)" do
            files[#files + 1] = library
        end
    end
    run("cp", "-L", "-t", folder, "--", table.unpack(files))
    run(mke2fs(), "-q", "-t", "ext4", "-O", "^has_journal", "-d", folder, image, TOOLS_MIB .. "m")
    process.remove(folder)
    return image
end

-- The paths of what the lab loads, in order.
local function lab_modules(kernel)
    local order = assert(initramfs.module_order(kernel.modules, LAB_MODULES))
    for index, path in ipairs(order) do
        order[index] = kernel.modules .. "/" .. path
    end
    return order
end

-- "lab", its options, "--".
local function lab_words(modules, rounds)
    -- An emulated CPU has been seen to halt for good.
    local words = { "lab", "--timeout", tostring(3600 + 1200 * rounds) }
    local files = boot.qemu_files()
    table.move({ mke2fs(), process.which "iperf3", table.unpack(modules) }, 1, 2 + #modules,
        #files + 1, files)
    for _, path in ipairs(files) do
        table.move({ "--file", path }, 1, 2, #words + 1, words)
    end
    words[#words + 1] = "--"
    return words
end

-- ---- the lab's CPU time -------------------------------------------------------------------------

-- The process ID of the QEMU that runs the lab: a descendant of this process.
local function find_qemu()
    local self = io.open("/proc/self/stat"):read "n"
    local parents, name = {}, {}
    for pid, parent, command in run("ps", "-eo", "pid=,ppid=,comm="):gmatch "(%d+) +(%d+) (%S+)" do
        parents[tonumber(pid)], name[tonumber(pid)] = tonumber(parent), command
    end
    for pid in pairs(parents) do
        local above = pid
        while above and above ~= self do above = parents[above] end
        if above and name[pid]:find "^qemu%-system" then return pid end
    end
end

-- User and system time in seconds, whatever the process is called.
local function cpu_seconds(pid)
    local file <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
    local user, system = file:read("a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
    return (user + system) / 100
end

-- Runs the rounds in the lab; they ask by a line "@cpu" for its CPU time, which only the host
-- knows, and read the answer.
local function run_lab(argv, scratch)
    local fifo = scratch .. "/answers"
    process.remove(fifo)
    run("mkfifo", fifo)
    local output = assert(io.popen(process.command(argv) .. " <" .. process.quote(fifo)))
    local answers <close> = assert(io.open(fifo, "w"))
    local qemu
    for line in output:lines() do
        if line == "@cpu" then
            qemu = qemu or find_qemu()
            answers:write(cpu_seconds(qemu), "\n")
            answers:flush()
        else
            print(line)
        end
    end
    return output:close()
end

-- options: rounds, program (ours), stream (path of the program stream), scratch (a directory),
-- parts (some of "block", "net", "vsock").
function virtio.run(options)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs { kernel = kernel, modules = {
        "virtio_mmio", "virtio_blk", "virtio_net", "vmw_vsock_virtio_transport" } })
    local argv = { options.program }
    local image = tools(options.scratch, options.stream)
    local modules = {}
    if compare.needs_lab() then
        modules = lab_modules(kernel)
        local words = lab_words(modules, options.rounds)
        table.move(words, 1, #words, 2, argv)
    end
    for _, word in ipairs {
        "tests/bench/virtio_rounds.lua", tostring(options.rounds),
        #modules > 0 and table.concat(modules, ":") or "none",
        boot.unpack(kernel.path, options.scratch .. "/vmlinux"), initrd, image, options.stream,
        table.unpack(options.parts),
    } do
        argv[#argv + 1] = word
    end
    if #modules > 0 then return run_lab(argv, options.scratch) end
    return process.run(argv) == 0
end

return virtio
