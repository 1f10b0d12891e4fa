-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Lua code of the user: loading it, and what its failure says.

local code = {}

local FAILED, TIMEOUT = 1, 124

--- Globals for code without a file of its own: vmm, and vm if there is one.
function code.set_globals(on, vm)
    _G.vmm, _G.vm = on.vmm(), vm
end

--- Compile a text, or raise why not as an error of the user's code.
function code.chunk(source, name)
    local chunk, message = load(source, name)
    if not chunk then
        error(message, 0)
    end
    return chunk
end

--- An error that ended the user's code, in words.
local function words(err, traceback)
    local said = tostring(err)
    if type(err) == "table" and not (getmetatable(err) or {}).__tostring then
        said = "(error object is a table)"
    end
    return traceback and said .. "\n" .. traceback or said
end

--- Call a function of ours that runs code of the user's, as the main task.
-- @return what it returns (exit code, message); the exit code of its failure
function code.protect(on, fn, ...)
    local results = table.pack(on.run(fn, ...))
    if results[1] then
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
