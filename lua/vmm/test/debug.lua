-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- --debug-on-fail: where a test fails, all VMs are paused and a prompt opens, with what the test's
-- functions have in scope.

local alive = require "vmm.alive"
local harmless = require("vmm.test.progress").harmless
local terminal = require "vmm.terminal"

local debugger = {}

local PAUSE_SECONDS = 5
local LEVELS = 60 -- of the stack, that are looked at

-- Is a function one of the test's, not of busted's or ours?
local function is_users(info)
    if info.what == "C" then return false end
    for _, ours in ipairs { "/busted/", "/luassert/", "vmm/test/", "vmm/scenario/" } do
        if info.source:find(ours, 1, true) then return false end
    end
    return true
end

-- Adds variables as get(of, 1), get(of, 2), ... tells them, unless there are some of these names.
local function add(found, get, of)
    local at = 1
    local name, value = get(of, at)
    while name do
        local hidden = name:find "^%(" or name == "_ENV"
        if not hidden and found[name] == nil then found[name] = value end
        at = at + 1
        name, value = get(of, at)
    end
end

-- What the functions that are running see: the innermost of each name.
function debugger.variables()
    local found = {}
    for level = 2, LEVELS do
        local info = debug.getinfo(level, "Sf")
        if not info then break end
        if is_users(info) then
            add(found, function(_, at) return debug.getlocal(level + 2, at) end)
            add(found, debug.getupvalue, info.func)
        end
    end
    return found
end

-- Without what busted and this program were called by.
local function traceback()
    return (debug.traceback("", 5):gsub("^%s+", ""):gsub("\n%s+%[C%]: in function 'xpcall'.*$", ""))
end

local function pause_all()
    local names = {}
    for _, vm in ipairs(alive.list()) do
        local paused = not vm:stopped() and pcall(vm.pause, vm, PAUSE_SECONDS)
        names[#names + 1] = paused and vm.name .. " (paused)" or vm.name
    end
    return names
end

local function open(output, message)
    output.budget:start(nil)
    local globals = debugger.variables()
    local names = pause_all()
    globals.vmm = require "vmm"
    terminal.write(("\n%s has failed: %s\n%s\nVMs: %s; exit goes on with the tests\n"):format(
        output.name, harmless(tostring(message)), traceback(),
        names[1] and table.concat(names, ", ") or "none"))
    terminal.prompt(setmetatable(globals, { __index = _G, __newindex = _G }))
end

-- Calls fn(output, message, trace, element) where a test has failed, once for each: busted asks for
-- the trace of an error while the stack is still there.
function debugger.on_failure(output, fn)
    local busted = output.busted
    local get_trace = busted.getTrace
    function busted.getTrace(element, level, message)
        local trace = get_trace(element, (level or 3) + 1, message)
        local kind = (debug.getmetatable(message) or {}).__type
        local failed = output.id and element.descriptor == "it" and kind ~= "pending"
        if failed and not output.looked_at then
            output.looked_at = true
            local ok, why = pcall(fn, output, message, trace, element)
            if not ok then terminal.write(tostring(why) .. "\n") end
        end
        return trace
    end
end

function debugger.attach(output)
    debugger.on_failure(output, open)
end

return debugger
