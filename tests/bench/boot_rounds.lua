-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The rounds of boot.lua, on this host or in the lab.
-- Arguments: rounds, the program launch, a bzImage, its vmlinux, an initramfs [, kvmtool].

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local compare = require "compare"
local process = require "vmm.process"

local rounds, launch, bzimage, vmlinux, initrd, kvmtool = table.unpack(arg)
local self = process.executable()

-- What all share, our default with "quiet"; each adds how it reboots.
local CMDLINE = "console=ttyS0 quiet i8042.nokbd panic=1 pci=off"

local function ours(name, kernel)
    return {
        name = name,
        command = {
            self, "--memory", "size_mib=256", "--kernel",
            ("path=%s,initrd=%s,cmdline=%s reboot=k"):format(kernel, initrd, CMDLINE),
        },
    }
end

local function qemu(name, kernel)
    return {
        name = name,
        command = compare.microvm {
            kernel = kernel, initrd = initrd, cmdline = CMDLINE .. " reboot=t",
        },
    }
end

local contenders = {
    title = "process start to /init",
    unit = "ms",
    scale = 1000,
    rounds = math.tointeger(rounds),
    ours("bzImage", bzimage),
    ours("vmlinux", vmlinux),
    qemu("QEMU microvm, bzImage", bzimage),
    qemu("QEMU microvm, vmlinux", vmlinux),
}
if kvmtool then
    table.insert(contenders, {
        name = "kvmtool, bzImage",
        command = {
            kvmtool, "run", "--kernel", bzimage, "--initrd", initrd, "--mem", "256",
            "--cpus", "1", "--console", "serial", "--params", CMDLINE .. " reboot=k",
        },
    })
end
for _, contender in ipairs(contenders) do
    contender.prefix = { launch, "bench: init", "300" }
end
compare.run(contenders)
