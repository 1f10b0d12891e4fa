-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- --keep: the process of a test that fails stays with the test's VMs, which run on, and serves a
-- prompt on a unix socket, with what the test's functions have in scope, until a signal ends it.

local alive = require "vmm.alive"
local core = require "vmm.core"
local debugger = require "vmm.test.debug"
local prompt = require "vmm.prompt"
local record = require "vmm.scenario.record"
local sched = require "vmm.sched"
local show = require "vmm.show"
local socket = require "vmm.socket"
local terminal = require "vmm.terminal"

local hold = {}

local AGAIN_SECONDS = 1 -- after a connection that could not be taken

-- read_line of a prompt, from a socket; the last line needs no end.
local function reader(connection)
    local typed = ""
    return function(shown)
        connection:write(shown)
        local line, rest = typed:match "^([^\n]*)\n(.*)$"
        while not line do
            local bytes = connection:read() or ""
            if bytes == "" then
                line, rest = typed ~= "" and typed or nil, ""
                break
            end
            typed = typed .. bytes
            line, rest = typed:match "^([^\n]*)\n(.*)$"
        end
        typed = rest
        return line and (line:gsub("\r$", ""))
    end
end

local function serve(connection, globals, greeting)
    local closed <close> = connection -- luacheck: ignore closed
    local function write(text)
        connection:write(text)
    end
    local function say(...)
        local words = table.pack(...)
        for i = 1, words.n do
            words[i] = tostring(words[i])
        end
        write(table.concat(words, "\t") .. "\n")
    end
    write(greeting)
    prompt.run({
        hex = true, write = write, read_line = reader(connection),
        interrupted = terminal.interrupted,
    }, setmetatable({ print = say }, { __index = globals, __newindex = globals }))
end

-- Serves whoever connects, until the process is asked to end.
local function serve_all(listener, globals, greeting)
    while true do
        local connection = listener:accept()
        if connection then
            sched.spawn(serve, connection, globals, greeting)
        else
            sched.sleep(AGAIN_SECONDS)
        end
    end
end

-- What is typed sees the test's variables, the VMs and the library.
local function scope(vms)
    local globals = debugger.variables()
    globals.vmm = require "vmm"
    if globals.vm == nil then globals.vm = vms[1] end
    if globals.vms == nil then globals.vms = vms end
    return setmetatable(globals, { __index = _G, __newindex = _G })
end

local function names_of(vms)
    local names = {}
    for i, vm in ipairs(vms) do
        names[i] = vm.name
    end
    return names
end

local function own_pid()
    local file <close> = assert(io.open "/proc/self/stat")
    return file:read "n"
end

-- Where the prompt is: in the directory of --keep itself, as a socket's path must be short.
local function listen(output, pid)
    local path = ("%s/%d.prompt"):format(output.job.artefacts, pid)
    local listener, message = socket.listen { unix = path }
    return assert(listener, message), path
end

-- The error as the run is told of it, by busted's means.
local function told(output, message, trace, element)
    local kind = (debug.getmetatable(message) or {}).__type
    local text = output.busted.rewriteMessage(element, message, trace)
    local wrong = { message = output.words(text, trace), traceback = trace.traceback }
    return kind == "failure" and "fail" or "error", wrong
end

local function stay(output, message, trace, element)
    local vms = alive.list()
    if not vms[1] then return end
    local names, pid = names_of(vms), own_pid()
    local listener <close>, path = listen(output, pid)
    local globals = scope(vms)
    local status, wrong = told(output, message, trace, element)
    assert(core.terminal.detach(record.directory() .. "/kept.output"))
    output.budget:start(nil)
    output:tell_end(status, wrong, output.busted.monotime() - element.starttick)
    record.emit { event = "kept", vms = names, prompt = path }
    record.close()
    serve_all(listener, globals, ("%s has failed: %s\nVMs: %s; exit leaves them and this prompt,"
        .. " kill %d ends them\n"):format(output.name, wrong.message, table.concat(names, ", "),
        pid))
end

function hold.attach(output)
    debugger.on_failure(output, function(...)
        local ok, why = pcall(stay, ...)
        if not ok and why ~= sched.interruption() then
            io.stderr:write("--keep: the VMs are not kept: ", show.value(why), "\n")
        end
    end)
end

return hold
