-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Logs in where a getty asks for it on a console: vm:login.

local argument = require "vmm.argument"
local record = require "vmm.scenario.record"
local refusal = require "vmm.scenario.refusal"
local sched = require "vmm.sched"
local verbs = require "vmm.scenario.verbs"

-- A getty's question, on a line that it has begun: what is typed at a shell may look like one.
local LOGIN = "%c[^%c#$%%>]*[Ll]ogin: *$"
local PASSWORD = "[Pp]assword: *$"
local NEWLINE = "%c"
local REFUSED = "%s[Ii]ncorrect%s"
local PROMPT = "[#$%%>] $" -- of a shell, as a Lua pattern
local SECONDS = 60
local COMING_SECONDS = 0.5

local OPTIONS = { "user", "password", "console", "prompt", "timeout" }

local function check(what, level, options)
    options = argument.options(what, options, OPTIONS, level)
    for _, name in ipairs { "user", "password", "prompt" } do
        if options[name] ~= nil then
            argument.type(("%s: %s"):format(what, name), options[name], "string", level)
        end
    end
    return options
end

-- Who logs in, and the password, if one is known.
local function credentials(vm, options)
    local known = vm.scenario and (vm.scenario.prepared or {}).login or {}
    local user = options.user or known.user or "root"
    return user, options.password or user == known.user and known.password or nil
end

local function refused(vm, user, why)
    return refusal.new(vm, { subject = "login as " .. user, code = "refused", why = why })
end

-- Is the question there, or on its way? An expect in vain would be a failed step of the report.
local function is_asked(console, timeout)
    local _ <close> = console:listen()
    return sched.wait(function()
        return console:output():find(LOGIN) and true
    end, sched.scaled(math.min(COMING_SECONDS, timeout.timeout)))
end

-- The prompt may have been printed, and been consumed, before: Enter brings another one. Ahead of
-- one that is on its way, behind a refusal, Debian's login takes an Enter for a name.
local function await_login(console, timeout)
    if not is_asked(console, timeout) then console:send_line "" end
    return console:try_expect(LOGIN, timeout)
end

-- Is what was found the echo of the name, or the begin of it? It comes late, behind another
-- question, where a getty was given an Enter before it asked.
local function is_echo(found, user)
    local shown = (found.before .. found.match):match "[Ll]ogin: ([^\n]*)$"
    return shown ~= nil and user:sub(1, #shown) == shown
end

-- Gives the name, and waits for one of these behind its echo, which may look like any of them.
local function give_name(console, user, wanted, timeout)
    console:send_line(user)
    local found, err, code
    repeat
        found, err, code = console:try_expect(NEWLINE, timeout)
        if not found then return nil, err, code end
        found, err, code = console:try_expect(wanted, timeout)
        if not found then return nil, err, code end
    until not is_echo(found, user)
    return found
end

-- Waits for what a password is answered with. A greeting may say when the last login was.
local function await_answer(console, wanted, timeout)
    local found, err, code
    repeat
        found, err, code = console:try_expect(wanted, timeout)
        if not found then return nil, err, code end
    until not (found.before .. found.match):find "[Ll]ast login: *$"
    return found
end

-- Logs in; the console is at the shell's prompt then.
local function login(vm, options)
    local user, password = credentials(vm, options)
    local console = options.console or vm.console
    local step <close> = record.step("wait", "login as " .. user, vm)
    local timeout = { timeout = options.timeout or SECONDS }
    local prompt = options.prompt or PROMPT
    local found, err, code = await_login(console, timeout)
    if not found then return nil, err, code end
    found, err, code = give_name(console, user, { prompt, PASSWORD, REFUSED }, timeout)
    if not found then return nil, err, code end
    if found.index == 2 then
        if not password then return refused(vm, user, "wants a password, and none is given") end
        console:send_line(password)
        found, err, code = await_answer(console, { prompt, REFUSED, PASSWORD, LOGIN }, timeout)
        if not found then return nil, err, code end
    end
    if found.index ~= 1 then
        return refused(vm, user, password and "was refused: is the password right?"
            or "was refused")
    end
    step:finish(true)
    return true
end

verbs { login = { check, login } }

return login
