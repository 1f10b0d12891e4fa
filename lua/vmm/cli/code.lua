-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Lua code of the user: loading it, and what its failure says.

local code = {}

local FAILED, TIMEOUT = 1, 124

--- The environment of code without a file of its own: the globals, vmm and, if
--- there is one, vm.
function code.environment(on, vm)
    return setmetatable({ vmm = on.vmm(), vm = vm },
        { __index = _G, __newindex = _G })
end

--- Is what -e gave Lua?  @return true; or nil, message of one line
function code.check_pieces(pieces)
    for _, source in ipairs(pieces or {}) do
        local chunk, message = load(source, "=(command line)", "t")
        if not chunk then
            return nil, message
        end
    end
    return true
end

--- Run the pieces of code that -e gave, which have been checked.
function code.run_pieces(pieces, environment)
    for _, source in ipairs(pieces or {}) do
        assert(load(source, "=(command line)", "t", environment))()
    end
end

--- An error that ended the user's code, in words.
local function words(err, traceback)
    local said = tostring(err)
    if type(err) == "table" and not (getmetatable(err) or {}).__tostring then
        said = "(error object is a table)"
    end
    return traceback and said .. "\n" .. traceback or said
end

--- What a message calls what runs.
local function name_of(command)
    return command.action == "boot" and command.config.name
        or command.script or (command.given.e and "-e") or "-i"
end

--- The limit for what runs code of the user's; without any, it is the machine
--- that --timeout limits.
-- @return function() that returns the error once the time is over
local function limit(on, command)
    local given = command.given
    if given.timeout and (command.script or given.e or given.i) then
        return on.limit(given.timeout, name_of(command))
    end
    return function() end
end

--- Call fn(command, on), which runs code of the user's, as the main task.
-- @return what it returns (exit code, message); the exit code of its failure
function code.protect(on, command, fn)
    local expired = limit(on, command)
    local results = table.pack(on.run(fn, command, on))
    local expiry = expired()
    if expiry and not on.interrupted() then
        return TIMEOUT, tostring(expiry)
    elseif results[1] then
        return table.unpack(results, 2, results.n)
    end
    local err, traceback = results[2], results[3]
    if on.interrupted() then
        return FAILED -- the signal is what ended it
    end
    local timed_out = type(err) == "table" and err.code == "timeout"
    return timed_out and TIMEOUT or FAILED, words(err, traceback)
end

return code
