-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How large the program is, and how much memory it takes beside the guest's RAM: with all blocks,
-- and with the serial port alone (make FEATURES=serial).

local process = require "vmm.process"

local footprint = {}

local BUILDS = { { "all", "all" }, { "serial", "minimal" } }

local FORMAT = "  %-14s %9s %9s %12s %12s"

local function capture(...)
    local output, partial, code = process.capture({ ... }, { stderr = "merge" })
    assert(output, ("%s: exit code %s: %s"):format((...), tostring(code), partial))
    return output
end

-- The size of a program without symbols and debug information, in bytes.
local function size(program)
    return tonumber(capture("sh", "-c", [[
        strip -o "$1.stripped" "$1" && stat -c %s "$1.stripped" && rm "$1.stripped"
        ]], "sh", program))
end

-- guest: a flat image that says PASS.  To be called in the source tree, for make.
function footprint.run(guest)
    print "program, and memory beside the guest's RAM (KiB)"
    print(FORMAT:format("FEATURES", "program", "libraries", "resident", "of its own"))
    for _, each in ipairs(BUILDS) do
        local directory = ".build/features/" .. each[2]
        local program = directory .. "/release/vmm-reference"
        capture("env", "-u", "MAKEFLAGS", "make", "-s", "FEATURES=" .. each[1],
            "F=" .. directory, program)
        local _, libraries = capture("ldd", program):gsub("=>", "")
        local resident, own = capture(program, "tests/bench/resident.lua", guest)
            :match "(%d+)%s+(%d+)"
        print(FORMAT:format(each[1], size(program) // 1024, libraries, resident, own))
    end
    print ""
end

return footprint
