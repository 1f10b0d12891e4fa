-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The Lua prompt: lines in, results out, as the lua program does it.

local prompt = {}

local FIRST, MORE = "> ", ">> "

--- Is what was typed the beginning of something longer?
local function is_incomplete(message)
    return message:find("<eof>$") ~= nil
end

--- Compile as an expression, else as statements.
local function compile(source)
    local chunk = load("return " .. source, "=prompt")
    if chunk then
        return chunk
    end
    return load(source, "=prompt")
end

--- Read lines until they are a whole chunk.
-- @return function; or nil and a message; or nil at the end of input
local function read_chunk(on)
    on.ask(FIRST)
    local source = on.read_line()
    while source do
        local chunk, message = compile(source)
        if chunk or not is_incomplete(message) then
            return chunk, message
        end
        on.ask(MORE)
        local line = on.read_line()
        source = line and source .. "\n" .. line
    end
    return nil
end

local function show(on, ok, ...)
    local results = table.pack(...)
    if not ok then
        on.write(tostring(results[1]) .. "\n")
        return
    end
    for i = 1, results.n do
        results[i] = tostring(results[i])
    end
    if results.n > 0 then
        on.write(table.concat(results, "\t") .. "\n")
    end
end

--- The error and where in what was typed it came from.
local function traceback(err)
    if type(err) ~= "string" then
        return err
    end
    return (debug.traceback(err, 2):gsub(
        "\n%s+%[C%]: in function 'xpcall'.*$", ""))
end

--- Read, run and print until the end of input or a signal.
function prompt.run(on)
    while true do
        local chunk, message = read_chunk(on)
        if chunk then
            show(on, xpcall(chunk, traceback))
        elseif message then
            on.write(message .. "\n")
        else
            on.write("\n")
            return
        end
        if on.interrupted() then
            return
        end
    end
end

return prompt
