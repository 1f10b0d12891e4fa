-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The user at the terminal: signals that ask to end, keys after Ctrl-A, lines typed.

local core = require "vmm.core"
local sched = require "vmm.sched"

local terminal = {}

terminal.ESCAPE = 1 -- Ctrl-A

-- Is standard input a terminal that this program may use?
terminal.is_tty = core.terminal.is_tty
-- Hand every key to the guest / give the terminal back as it was found.
terminal.raw = core.terminal.raw
-- Hand every key to a line editor of ours.
terminal.edit = core.terminal.edit
terminal.restore = core.terminal.restore

-- ---- signals ----------------------------------------------------------------------------

local Interruption = { __name = "vmm.interruption" }

function Interruption:__tostring()
    return "interrupted by signal " .. self.signal
end

-- The exit code of the signal that asked the program to end, nil when none has. From then on every
-- wait raises: whoever asks here may have been quicker than the watch.
function terminal.interrupted()
    local signal = core.terminal.take_signal()
    if not signal then return nil end
    if not sched.interruption() then
        sched.interrupt(setmetatable({ code = "interrupted", signal = signal }, Interruption))
    end
    return 128 + signal
end

-- Runs fn(...) as the main task, as sched.run does. A signal that asks to end (SIGINT, SIGTERM,
-- SIGHUP, SIGQUIT) raises an error with code "interrupted" in every wait.
function terminal.run(fn, ...)
    local fd = core.terminal.signal_fd()
    local watch <close> = fd and core.watch(fd, "r", terminal.interrupted) -- luacheck: ignore watch
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

local ENDED = {} -- what stands for a wait's nil

-- Waits for input, and reads some of it, without holding up tasks; false at its end. meanwhile():
-- optional, whatever it returns ends the wait and is returned as the second result.
local function read_more(meanwhile)
    local ready = false
    local watch <close> = assert(core.watch(0, "r", function() -- luacheck: ignore watch
        ready = true
    end))
    local why = sched.wait(function()
        return meanwhile and meanwhile() or ready and ENDED or nil
    end)
    if why ~= ENDED then return nil, why end
    local bytes = core.terminal.read()
    if not bytes or bytes == "" then return false end
    typed = typed .. bytes
    return true
end

-- Writes to standard output at once.
function terminal.write(text)
    io.stdout:write(text)
    io.stdout:flush()
end

-- A line from standard input without its end; nil at the end of input. On a terminal a prompt
-- is shown first. meanwhile(): optional, once it returns something what was typed is forgotten:
-- nil and that.
function terminal.read_line(shown, meanwhile)
    if shown and terminal.is_tty() then terminal.write(shown) end
    while not typed:find("\n", 1, true) do
        local more, why = read_more(meanwhile)
        if not more then
            local rest = typed
            typed = ""
            if why then return nil, why end
            return rest ~= "" and rest or nil
        end
    end
    local line, rest = typed:match "^([^\n]*)\n(.*)$"
    typed = rest
    return line
end

-- A byte from standard input; nil at the end of input; nil and what meanwhile() returned, once it
-- returns something.
function terminal.read_key(meanwhile)
    local why = meanwhile and meanwhile()
    if why then return nil, why end
    while typed == "" do
        local more
        more, why = read_more(meanwhile)
        if not more then return nil, why or "end" end
    end
    local byte = typed:byte()
    typed = typed:sub(2)
    return byte
end

-- The console of a VM that has the terminal, or would get it.
function terminal.console_of(vm)
    return vm.hvc and vm.hvc.on_terminal and vm.hvc or vm.console
end

-- What was typed beyond the last line is for a VM's guest.
function terminal.give_typed(vm)
    local bytes = typed
    if not vm or vm.closed then return end
    typed = ""
    if bytes ~= "" then terminal.console_of(vm).core:input(bytes) end
end

-- ---- keys -------------------------------------------------------------------------------

local prompting = 0 -- prompts that are open

local Counted = {
    __close = function()
        prompting = prompting - 1
    end,
}

-- Runs a prompt that is counted already.
local function run_prompt(globals, to)
    local counted <close> = setmetatable({}, Counted) -- luacheck: ignore counted
    require("vmm.prompt.session").run(globals, to)
end

-- Runs a prompt to its end. globals: the environment of what is typed.
function terminal.prompt(globals)
    prompting = prompting + 1
    run_prompt(globals)
end

-- After a prompt, gives the terminal to the console of a VM that runs on; without a terminal does
-- nothing.
function terminal.adopt(vm)
    local usable = terminal.is_tty() and core.terminal.shows()
    if not usable or vm.closed or vm:stopped() then return end
    terminal.write "[the guest's console: Ctrl-A c prompts, Ctrl-A x quits]\n"
    require("vmm.prompt.session").adopt(vm)
end

-- The terminal is the user's, and the guest gets no keys, until the prompt is left.
local function open_prompt(vm)
    run_prompt(setmetatable({ vm = vm, vmm = require "vmm" }, {
        __index = _G,
        __newindex = _G,
    }), vm)
end

local KEYS = {}

function KEYS.x(vm)
    vm:stop("closed", "quit by Ctrl-A x")
end

function KEYS.c(vm)
    if prompting > 0 then return end
    prompting = prompting + 1
    sched.spawn(open_prompt, vm)
end

-- What the key after Ctrl-A does: x quits, c opens a prompt; others do nothing.
function terminal.on_key(vm, key)
    local action = KEYS[string.char(key):lower()]
    if action then action(vm) end
end

-- Waits until the user has left a prompt that is open.
function terminal.await_prompt()
    sched.wait(function()
        return prompting == 0 or nil
    end)
end

return terminal
