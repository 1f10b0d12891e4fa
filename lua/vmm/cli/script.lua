-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Run a Lua script, with the code of -e before it and the prompt of -i after it.

local code = require "vmm.cli.code"

local script = {}

--- The table arg as the lua program makes it, and the configuration.
local function make_arg(command)
    local arg = table.move(command.args, 1, #command.args, 1, {})
    arg[0] = command.script
    arg.config = command.config
    return arg
end

--- Is this a kernel rather than a script?  (ELF, or bzImage's "HdrS")
local function is_kernel(path)
    local file <close> = io.open(path, "rb")
    local head = file and file:read(0x206) or ""
    return head:sub(1, 4) == "\127ELF" or head:sub(0x203, 0x206) == "HdrS"
end

--- Load the script.
-- @return function, or nil and a message of one line
function script.load(command)
    local path = command.script
    if path == "-" then
        return loadfile()
    elseif is_kernel(path) then
        return nil, ("%s is a kernel, not a Lua script; boot it by"
            .. " --kernel path=%s"):format(path, path)
    end
    return loadfile(path)
end

local function run(command, on)
    _G.arg = make_arg(command)
    local given, chunk = command.given, nil
    if command.script then
        local message
        chunk, message = script.load(command)
        if not chunk then
            return 1, message
        end
    end
    local environment = (given.e or given.i) and code.environment(on)
    code.run_pieces(given.e, environment)
    if chunk then
        chunk(table.unpack(command.args))
    end
    if given.i then
        require("vmm.prompt").run(on, environment)
    end
    return 0
end

--- Run.  @return exit code, and a message when something is to be said
function script.run(command, on)
    return code.protect(on, run, command, on)
end

return script
