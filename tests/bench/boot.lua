-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot to init: the product, QEMU's microvm and, when VMM_KVMTOOL names its binary, kvmtool
-- with the same kernel and initramfs. Where the CPU offers no VMX or SVM all run in the lab.

local compare = require "compare"
local guests = require "vmm.guests"
local process = require "vmm.process"
local vmm = require "vmm"

local boot = {}

local QEMU, FIRMWARE = "qemu-system-x86_64", "/usr/share/qemu/bios-microvm.bin"

-- The ELF in a bzImage, unpacked to path: QEMU starts it by its PVH entry, without a decompressor
-- in the guest.
function boot.unpack(bzimage, path)
    assert(vmm.load.extract(bzimage, path))
    return path
end

-- What QEMU's microvm needs in the lab.
function boot.qemu_files()
    return { assert(process.which(QEMU), QEMU .. " is not installed"), FIRMWARE }
end

-- "lab" and its options, so that every program of the rounds is there.
local function lab_words(kvmtool)
    local qemu, firmware = table.unpack(boot.qemu_files())
    local words = { "lab", "--file", qemu, "--file", firmware }
    if kvmtool then
        table.move({ "--file", kvmtool }, 1, 2, #words + 1, words)
    end
    words[#words + 1] = "--"
    return words
end

-- options: rounds, launch (path of the program launch), program (ours), scratch (a directory).
function boot.run(options)
    local kernel = assert(guests.kernel("cloud-amd64"))
    local initrd = assert(guests.initramfs { hello = "bench: init", gzip = false })
    local vmlinux = boot.unpack(kernel.path, options.scratch .. "/vmlinux")
    local kvmtool = os.getenv("VMM_KVMTOOL")

    local argv = { options.program }
    if compare.needs_lab() then
        table.move(lab_words(kvmtool), 1, 7, 2, argv)
    end
    table.move({
        "tests/bench/boot_rounds.lua", tostring(options.rounds), options.launch, kernel.path,
        vmlinux, initrd, kvmtool,
    }, 1, 7, #argv + 1, argv)
    return process.run(argv) == 0
end

return boot
