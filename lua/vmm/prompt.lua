-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The Lua prompt: lines in, results out, as the lua program does it.
--
-- Who it talks to is a table of functions:
--   read_line(prompt)  the next line typed, nil at the end; prompt is shown first
--   write(text)
--   interrupted()      true once a signal has asked to end

local prompt = {}

local FIRST, MORE = "> ", ">> "

--- Is what was typed the beginning of something longer?
local function is_incomplete(message)
    return message:find("<eof>$") ~= nil
end

--- Compile as an expression, else as statements.
local function compile(source, globals)
    local chunk = load("return " .. source, "=prompt", "t", globals)
    if chunk then
        return chunk
    end
    return load(source, "=prompt", "t", globals)
end

--- Read lines until they are a whole chunk.
-- @return function; or nil and a message; or nil at the end of input
local function read_chunk(on, globals)
    local source = on.read_line(FIRST)
    while source do
        local chunk, message = compile(source, globals)
        if chunk or not is_incomplete(message) then
            return chunk, message
        end
        local line = on.read_line(MORE)
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
-- @param globals  the environment of what is typed
function prompt.run(on, globals)
    while true do
        local chunk, message = read_chunk(on, globals)
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
