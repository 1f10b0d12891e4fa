-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference test --attach: lines typed here go to the prompt on a unix socket, what it answers
-- is shown.

local sched = require "vmm.sched"
local socket = require "vmm.socket"
local terminal = require "vmm.terminal"

local attach = {}

-- Shows what comes, to its end.
local function show_all(connection)
    repeat
        local bytes = connection:read() or ""
        terminal.write(bytes)
    until bytes == ""
end

-- Returns an exit code, and a message when something is to be said.
function attach.main(path)
    local connection <close>, message = socket.connect { unix = path }
    if not connection then return 1, ("test: --attach %s: %s"):format(path, message) end
    local answers = sched.spawn(show_all, connection)
    local function over()
        return answers.done or nil
    end
    repeat
        local line = terminal.read_line(nil, over)
        local written = line and connection:write(line .. "\n")
    until not written
    connection:finish()
    answers:wait()
    return 0
end

return attach
