-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a dialogue with a guest costs: the scenario library, and pexpect with QEMU's microvm, with
-- the same kernel and initramfs. Where the CPU offers no VMX or SVM both run in the lab, in which
-- Python is emulated code as our program is.

local boot = require "boot"
local compare = require "compare"
local process = require "vmm.process"
local vmm = require "vmm"

local scenario = {}

local PYTHON = "/usr/bin/python3"

local function capture(...)
    local output, partial, code = process.capture({ ... }, { stderr = "merge" })
    assert(output, ("%s: exit code %s: %s"):format((...), tostring(code), partial))
    return output
end

-- Python, and all modules that the contender loads.
local function python_files()
    local files = { PYTHON }
    local modules = capture(PYTHON, "-c", [[
import encodings.latin_1, pexpect, statistics, sys
for module in list(sys.modules.values()):
    for path in getattr(module, "__file__", None), getattr(module, "__cached__", None):
        if path:
            print(path)
]])
    for path in modules:gmatch "[^\n]+" do
        files[#files + 1] = process.stat1(path) and path
    end
    return files
end

local function lab_words(rounds)
    local words = { "lab", "--timeout", tostring(1800 + 600 * rounds) }
    local files = boot.qemu_files()
    table.move(python_files(), 1, 1 << 12, #files + 1, files)
    for _, path in ipairs(files) do
        table.move({ "--file", path }, 1, 2, #words + 1, words)
    end
    words[#words + 1] = "--"
    return words
end

-- options: rounds, program (ours), scratch (a directory), flood (an ELF that prints 512 KiB).
function scenario.run(options)
    local prepared = vmm.guest("debian-cloud"):prepare()
    local argv = { options.program }
    if compare.needs_lab() then
        local words = lab_words(options.rounds)
        table.move(words, 1, #words, 2, argv)
    end
    for _, word in ipairs {
        "tests/bench/scenario_rounds.lua", tostring(options.rounds),
        boot.unpack(prepared.kernel, options.scratch .. "/vmlinux"), prepared.initrd,
        prepared.cmdline or "", options.flood, "tests/bench/scenario_pexpect.py",
    } do
        argv[#argv + 1] = word
    end
    return process.run(argv) == 0
end

return scenario
