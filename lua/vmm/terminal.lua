-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The user at the terminal: signals that ask to end, keys after Ctrl-A, lines typed.

local core = require "vmm.core"
local prompt = require "vmm.prompt"
local sched = require "vmm.sched"

local terminal = {}

terminal.ESCAPE = 1 -- Ctrl-A

-- Is standard input a terminal that this program may use?
terminal.is_tty = core.terminal.is_tty
-- Hand every key to the guest / give the terminal back as it was found.
terminal.raw = core.terminal.raw
terminal.restore = core.terminal.restore

-- ---- signals ----------------------------------------------------------------------------

local Interruption = { __name = "vmm.interruption" }

function Interruption:__tostring()
    return "interrupted by signal " .. self.signal
end

-- The exit code of the signal that asked the program to end; nil when none has.
function terminal.interrupted()
    local signal = core.terminal.take_signal()
    return signal and 128 + signal
end

local function on_signal()
    local signal = core.terminal.take_signal()
    if signal then
        sched.interrupt(setmetatable({ code = "interrupted", signal = signal }, Interruption))
    end
end

-- Runs fn(...) as the main task, as sched.run does. A signal that asks to end (SIGINT, SIGTERM,
-- SIGHUP, SIGQUIT) raises an error with code "interrupted" in every wait.
function terminal.run(fn, ...)
    local fd = core.terminal.signal_fd()
    local watch <close> = fd and core.watch(fd, "r", on_signal) -- luacheck: ignore watch
    return sched.run(fn, ...)
end

-- ---- the limit --------------------------------------------------------------------------

local Expiry = { __name = "vmm.expiry" }

function Expiry:__tostring()
    return ("%s: still running after %g s (--timeout)"):format(self.name, self.seconds)
end

-- Limits what runs: after some seconds (times VMM_TIMEOUT_SCALE) every wait raises an error with
-- code "timeout", whose text begins with name. Returns a function: that error, once it is due.
function terminal.limit(seconds, name)
    local scaled = sched.scaled(seconds)
    local due = core.now() + scaled
    local expiry = setmetatable({ code = "timeout", name = name, seconds = seconds }, Expiry)
    sched.limit(scaled, expiry)
    return function()
        return core.now() >= due and expiry or nil
    end
end

-- ---- lines ------------------------------------------------------------------------------

local typed = "" -- read, but not a whole line yet

-- Waits for input without holding up tasks.
local function await_input()
    local ready = false
    local watch <close> = assert(core.watch(0, "r", function() -- luacheck: ignore watch
        ready = true
    end))
    sched.wait(function()
        return ready or nil
    end)
end

-- Writes to standard output at once.
function terminal.write(text)
    io.stdout:write(text)
    io.stdout:flush()
end

-- A line from standard input without its end; nil at the end of input. On a terminal a prompt
-- is shown first.
function terminal.read_line(shown)
    if shown and terminal.is_tty() then terminal.write(shown) end
    while not typed:find("\n", 1, true) do
        await_input()
        local bytes = core.terminal.read()
        if not bytes or bytes == "" then
            local rest = typed
            typed = ""
            return rest ~= "" and rest or nil
        end
        typed = typed .. bytes
    end
    local line, rest = typed:match "^([^\n]*)\n(.*)$"
    typed = rest
    return line
end

-- ---- keys -------------------------------------------------------------------------------

local prompting = false -- a prompt beside a machine is open

-- The terminal is the user's, and the guest gets no keys, until the prompt is left.
local function open_prompt(vm)
    local held = vm.console
    held.core:hold_input(true)
    terminal.restore()
    terminal.write "\n"
    prompt.run(terminal, setmetatable({ vm = vm, vmm = require "vmm" }, {
        __index = _G,
        __newindex = _G,
    }))
    prompting = false
    if not vm.closed then
        terminal.raw()
        held.core:hold_input(false)
    end
end

local KEYS = {}

function KEYS.x(vm)
    vm:stop("closed", "quit by Ctrl-A x")
end

function KEYS.c(vm)
    if not prompting then
        prompting = true
        sched.spawn(open_prompt, vm)
    end
end

-- What the key after Ctrl-A does: x quits, c opens a prompt; others do nothing.
function terminal.on_key(vm, key)
    local action = KEYS[string.char(key):lower()]
    if action then action(vm) end
end

-- Waits until the user has left a prompt that is open.
function terminal.await_prompt()
    sched.wait(function()
        return not prompting or nil
    end)
end

return terminal
