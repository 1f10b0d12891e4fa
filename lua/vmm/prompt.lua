-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The Lua prompt: lines in, results out, as the lua program does it.
--
-- Who it talks to is a table of functions:
--   read_line(prompt)  the next line typed; nil at the end; nil, "interrupted" when the user has
--                      given up what was typed so far
--   write(text)
--   interrupted()      true once a signal has asked to end
--   xpcall(fn, handler, ...)  optional: Lua's, of what the user can interrupt
--   hex                optional: large integers are shown in hexadecimal, too

local sched = require "vmm.sched"
local show = require "vmm.show"

local prompt = {}

local FIRST, MORE = "> ", ">> "

--- The error that the user's interrupt raises.
prompt.INTERRUPTED = setmetatable({}, {
    __name = "vmm.interrupt",
    __tostring = function()
        return "interrupted"
    end,
})

local HELP = [[
Type Lua: an expression shows its values, a statement runs; an unfinished one goes on on >> lines.

  vm              the machine; vms when there are several; vmm is the library
  vm:pause()      the guest stands still; vm:resume() lets it go on
  vm.vcpus[1].regs                      registers, of a paused guest
  vm.memory:read(0x1000, 16)            guest memory
  vm.console:tail(20)                   the last lines that the guest printed
  vm.console:send_line "uname -a"       type at the guest
  vm:stop()       end it

Tab completes names, the arrows and Ctrl-R bring back lines typed before. Ctrl-C gives up the line,
or interrupts what runs. exit or Ctrl-D leaves the prompt; the guest runs on meanwhile.]]

local help = setmetatable({}, {
    __tostring = function()
        return HELP
    end,
    -- Shown as any value: whose prompt it is knows where to.
    __call = function(self)
        return self
    end,
})

local LEAVE = { exit = true, [".exit"] = true }

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
-- @return function; or nil and a message ("": nothing to say); or nil at the
-- end of input
local function read_chunk(on, globals)
    local source, why = on.read_line(FIRST)
    local word = source and source:match "^%s*(%S+)%s*$"
    if word and LEAVE[word] and globals[word] == nil then
        return nil
    end
    while source do
        local chunk, message = compile(source, globals)
        if chunk or not is_incomplete(message) then
            return chunk, message
        end
        local line
        line, why = on.read_line(MORE)
        source = line and source .. "\n" .. line
    end
    return nil, why and ""
end

--- The same; the error of a callback that came meanwhile is shown.
local function read(on, globals)
    local ok, chunk, message = pcall(read_chunk, on, globals)
    if ok then
        return chunk, message
    elseif chunk == sched.interruption() then
        error(chunk, 0) -- all waits are over
    elseif chunk == prompt.INTERRUPTED then
        return nil, ""
    end
    return nil, show.value(chunk)
end

local function show_results(on, ...)
    local results = table.pack(...)
    if results.n > 0 then
        on.write(show.values(results, { hex = on.hex }) .. "\n")
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

--- Run what was typed and show its results, or its error.
local function run_chunk(on, chunk)
    local protect = on.xpcall or xpcall
    local results = table.pack(protect(chunk, traceback))
    if results[1] then
        -- A __tostring is the user's code, too.
        results = table.pack(protect(show_results, traceback, on,
            table.unpack(results, 2, results.n)))
    end
    if not results[1] then
        on.write(show.value(results[2]) .. "\n")
    end
end

--- Read, run and print until the end of input or a signal.
-- @param globals  the environment of what is typed
function prompt.run(on, globals)
    if globals.help == nil then
        rawset(globals, "help", help)
    end
    while true do
        local chunk, message = read(on, globals)
        if chunk then
            run_chunk(on, chunk)
        elseif message == nil then
            return
        elseif message ~= "" then
            on.write(message .. "\n")
        end
        if on.interrupted() then
            return
        end
    end
end

return prompt
