-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs the program on scripts of a few lines.

local process = require "vmm.process"
local vmm = require "vmm"

local program = {}

-- Runs a shell command in which $vmm is the program, half a minute at the most. Returns what it
-- and its errors say, and its exit code.
function program.shell(command)
    local output, partial, code = process.capture(
        { "env", "vmm=" .. vmm.executable, "timeout", "-k1", "30", "bash", "-c", command },
        { stderr = "merge" }
    )
    return output or partial, code or 0
end

-- Runs a script, with options before it and its text on standard input.
function program.run(text, options)
    return program.shell(("cat <<'END' | $vmm %s -\n%s\nEND\n"):format(options or "", text))
end

return program
