-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The rounds of scenario.lua, on this host or in the lab: each run boots its guest, and prints the
-- median of what it does many times.
-- Arguments: rounds, a vmlinux, an initramfs, words for the command line, an ELF that prints
-- 512 KiB, the Python script.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local compare = require "compare"
local process = require "vmm.process"

local rounds, kernel, initrd, words, flood, script = table.unpack(arg)
rounds = math.tointeger(rounds)

local CMDLINE = "console=ttyS0 quiet i8042.nokbd panic=1 pci=off " .. words

local function ours(name, figure, of)
    return {
        name = name,
        command = { process.executable(), "tests/bench/scenario_ours.lua", figure,
            of or kernel, not of and initrd or nil, not of and CMDLINE or nil },
    }
end

local function pexpect(name, figure, has_guest)
    local command = { "/usr/bin/python3", script, figure }
    if has_guest then
        local qemu = compare.microvm {
            kernel = kernel, initrd = initrd, cmdline = CMDLINE .. " reboot=t", memory_mib = 512,
        }
        table.move(qemu, 1, #qemu, #command + 1, command)
    end
    return { name = name, command = command }
end

compare.run {
    title = "a command and its status: run \"true\"", unit = "ms", rounds = rounds,
    ours("vm:run, over the channel", "run"),
    ours("typed at the console", "console"),
    pexpect("pexpect, QEMU", "console", true),
}
compare.run {
    title = "Enter at the prompt until the next prompt is seen", unit = "ms", rounds = rounds,
    ours("console:expect", "enter"),
    pexpect("pexpect, QEMU", "enter", true),
}
compare.run {
    title = "output that has left the VMM until the script has it", unit = "us", rounds = rounds,
    ours("console:expect", "seen"),
    pexpect("pexpect, of a process", "seen"),
}
compare.run {
    title = "memory of the script's process for each MiB of 512 KiB of console",
    unit = "KiB", rounds = (rounds + 3) // 4,
    ours("console:expect", "memory", flood),
    pexpect("pexpect, of a process", "memory"),
}
