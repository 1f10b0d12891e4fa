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

local HEAD_BYTES = 0x206

--- Is this the head of a kernel rather than of a script?  (ELF, or bzImage's
--- "HdrS")
local function is_kernel(head)
    return head:sub(1, 4) == "\127ELF" or head:sub(0x203, 0x206) == "HdrS"
end

--- Read a file, which may be a pipe, once; a kernel's head is enough.
-- @return its bytes, or nil and a message
local function read(path)
    local file <close>, message = io.open(path, "rb")
    if not file then
        return nil, "cannot open " .. message
    end
    local head, why = file:read(HEAD_BYTES)
    local rest = ""
    if head and not is_kernel(head) then
        rest, why = file:read "a"
    end
    if why then
        return nil, ("cannot read %s: %s"):format(path, why)
    end
    return (head or "") .. rest
end

--- Without a byte order mark and a #! line, as loadfile does it.
local function strip(source)
    source = source:gsub("^\xef\xbb\xbf", "")
    return (source:gsub("^#[^\n]*", ""):gsub("^\n(\27Lua)", "%1"))
end

--- Load the script.
-- @return function, or nil and a message of one line
function script.load(command)
    local path = command.script
    if path == "-" then
        return loadfile()
    end
    local source, message = read(path)
    if not source then
        return nil, message
    elseif is_kernel(source) then
        return nil, ("%s is a kernel, not a Lua script; boot it by"
            .. " --kernel path=%s"):format(path, path)
    end
    return load(strip(source), "@" .. path)
end

local function run(command, on)
    _G.arg = make_arg(command)
    local given, chunk = command.given, nil
    local ok, wrong = code.check_pieces(given.e)
    if not ok then
        return 1, wrong
    end
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
        on.prompt(environment)
    end
    return 0
end

--- Run.  @return exit code, and a message when something is to be said
function script.run(command, on)
    return code.protect(on, command, run)
end

return script
