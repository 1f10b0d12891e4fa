-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The dialogue with a guest on a console: expect, settle, send.

local argument = require "vmm.argument"
local core = require "vmm.core"
local keys = require "vmm.keys"
local matcher = require "vmm.matcher"
local sched = require "vmm.sched"
local state = require "vmm.state"

local dialogue = {} -- methods of a console

local EXPECT_SECONDS = 60
local QUIET_SECONDS = 0.5
local SHOWN_BYTES = 16384 -- of what was sent, or was not to show
local SEND_BYTES = 65536 -- at a time
local LOOK_SHARE = 4 -- a look at the output is followed by so many times its duration without one

-- A step of a scenario, in the report of its run; nil outside of one.
local function begin_step(console, kind, text)
    if not console.vm.scenario then return nil end
    return require "vmm.scenario.record".step(kind, text, console.vm)
end

-- ---- what an error says -----------------------------------------------------------------

local ExpectError = { __name = "vmm.expect_error" }

function ExpectError:__tostring()
    return ("%s: expected %s, %s after %.1f s (limit %g s); %s"):format(
        self.vm, self.pattern, self.why, self.elapsed, self.timeout, self.state)
end

-- What a scenario's errors compare with in the end; nil for a VM that is none of a scenario's.
local function mark_of(console)
    local vm = console.vm
    if not vm.scenario or console ~= vm.console then return nil end
    return require "vmm.scenario.explain".mark(vm)
end

-- What the VM is at, with the console's last lines. A scenario has more to say.
local function state_of(console, mark)
    local vm = console.vm
    if mark and not vm.closed then return require "vmm.scenario.explain".state(vm, mark) end
    return ("the VM is %s; %s"):format(state.words(vm), state.last_lines(console))
end

-- What try_expect and try_settle return when it came to nothing. about: what the error has beside.
local function refuse(console, why, code, about)
    local failure = code == "timeout" and state.failure(console.vm, true)
    if failure then return nil, failure, "failed" end
    if code == "failed" then return nil, why, code end
    about.code, about.vm = code, console.name
    about.why = why == "timeout" and "timed out" or why
    about.elapsed = core.now() - about.start
    about.state = state_of(console, about.mark)
    return nil, setmetatable(about, ExpectError), code
end

-- ---- waiting ----------------------------------------------------------------------------

-- Output may still be on its way from the device when the VM has ended.
local function drain(console)
    if console.drained or console.vm.closed then return end
    console.drained = true
    console.core:flush(1)
    console:finish()
end

-- What ends every wait for output, once no more can come: false, why, code.
local function over(console)
    local ended = console.vm.closed or console.vm:stopped()
    if ended then drain(console) end
    local failure = state.failure(console.vm, ended)
    if failure then return false, failure, "failed" end
    if ended then return false, "the guest ended", "ended" end
end

-- What look() says of the output so far; else what over() says once all output is there.
local function look_or_over(console, look)
    console:pull()
    local found, why, code = look()
    if found ~= nil then return found, why, code end
    local ended, reason, kind = over(console)
    if ended == nil then return nil, why end
    found, why, code = look(true)
    if found ~= nil then return found, why, code end
    return ended, reason, kind
end

-- The earlier of two times to come, either of which may be nil, or over.
local function earlier(one, other)
    local now = core.now()
    one, other = one and one > now and one, other and other > now and other
    return one and other and math.min(one, other) or one or other or nil
end

-- Waits until look() returns something else than nil, or over() does. Looks again when output has
-- come, when it is time to show what of it was held, and when look() said, by nil and a time, that
-- it is to be asked again; look(true) is to answer at once.
local function await(console, look, timeout)
    local deadline = core.now() + timeout
    local again = {} -- the wait is for another time now
    local due
    console.vm:watch_end()
    local _ <close> = console:listen()
    while true do
        local limit = math.min(due or deadline, deadline)
        local found, why, code = sched.wait(function()
            local found, why, code = look_or_over(console, look)
            if found ~= nil then return found, why, code end
            local at = earlier(console:held_until(), why)
            if not at or due and due <= at then return nil end
            due = at
            return again
        end, limit - core.now())
        local timed_out = code == "timeout"
        if timed_out and limit == deadline then
            local last, reason, kind = look(true)
            if last ~= nil then return last, reason, kind end
            return nil, why, code
        elseif timed_out then
            due = nil
        elseif found ~= again then
            return found, why, code
        end
    end
end

-- ---- expect -----------------------------------------------------------------------------

local function check_expect(what, spec, options)
    options = argument.options(what, options, { "timeout", "never" }, 4)
    local wanted = matcher.new(what .. ": pattern", spec, 4)
    local never = options.never and matcher.new(what .. ": never", options.never, 4) or {}
    return wanted, never, options.timeout or EXPECT_SECONDS
end

-- What to say of something that was never to show.
local function broken(never, found, text)
    local shown = text:sub(found.first, math.min(found.last, found.first + SHOWN_BYTES))
    return ("%q showed (never: %s)"):format(shown, never[found.index].words)
end

-- Takes a match out of the output.
local function take(console, text, found)
    found.before = text:sub(1, found.first - 1)
    found.match = text:sub(found.first, found.last)
    console:consume(found.last)
    found.first, found.last = nil, nil
    return found
end

-- Looks for what is wanted, or never to be, in output that it has not seen, as await asks. All of
-- it is looked through, so this takes longer the more there is: from a guest that goes on and on,
-- byte by byte, most of the time must go into something else.
local function looker(console, wanted, never)
    local seen, next_look = nil, 0
    return function(at_once)
        local start = core.now()
        if start < next_look and not at_once then return nil, next_look end
        local text = console:shown()
        if text == seen then return nil end
        seen = text
        local found, wrong = matcher.first(wanted, text), matcher.first(never, text)
        local stop = core.now()
        next_look = stop + LOOK_SHARE * (stop - start)
        if wrong and not (found and found.first < wrong.first) then
            return false, broken(never, wrong, text), "never"
        end
        return found and take(console, text, found)
    end
end

local function try_expect(console, wanted, never, limit)
    local timeout = sched.scaled(limit)
    local about = {
        start = core.now(), pattern = matcher.words(wanted), timeout = timeout,
        mark = mark_of(console),
    }
    local step <close> = begin_step(console, "expect", about.pattern)
    local found, why, code = await(console, looker(console, wanted, never), timeout)
    if found then return found end
    local _, err, kind = refuse(console, why, code, about)
    if step then step:finish(false, err) end
    return nil, err, kind
end

-- Waits until something shows in the output that no expect has consumed yet (of more than 1 MiB
-- the newest): a Lua pattern, { plain = text }, { regex = POSIX extended }, or a list of these, of
-- which the one counts that shows first.
-- options: timeout in seconds (60), times VMM_TIMEOUT_SCALE; never: what ends the wait at once, by
-- the code "never", when it shows first.
-- Returns { before =, match =, index = which of the list, [1] = first capture, ... }, and consumes
-- all up to there; or consumes nothing and returns nil, error object, code: "timeout", "never",
-- "ended" when the guest has ended without it, "failed" when a scenario's VM has.
function dialogue:try_expect(spec, options)
    return try_expect(self, check_expect("console:try_expect", spec, options))
end

-- The same, raising the error object.
function dialogue:expect(spec, options)
    local wanted, never, limit = check_expect("console:expect", spec, options)
    local found, err = try_expect(self, wanted, never, limit)
    if not found then error(err, 2) end
    return found
end

-- ---- settle -----------------------------------------------------------------------------

local function check_settle(what, options)
    options = argument.options(what, options, { "quiet", "timeout" }, 4)
    local quiet = options.quiet or QUIET_SECONDS
    argument.seconds(what .. ": quiet", quiet, 4)
    return quiet, options.timeout or EXPECT_SECONDS
end

local function try_settle(console, quiet, limit)
    local timeout = sched.scaled(limit)
    local about = {
        start = core.now(), timeout = timeout, mark = mark_of(console),
        pattern = ("%g s without output"):format(sched.scaled(quiet)),
    }
    local deadline = about.start + timeout
    console:pull()
    repeat
        local total = console.total
        local more, why, code = await(console, function()
            return console.total ~= total or nil
        end, math.min(sched.scaled(quiet), deadline - core.now()))
        if not more and core.now() >= deadline and code == "timeout" then
            return refuse(console, "timeout", "timeout", about)
        elseif code == "failed" then
            return refuse(console, why, code, about)
        end
    until not more
    local text = console:shown()
    console:consume(#text)
    return text
end

-- Waits until the guest has been silent for `quiet` seconds (0.5; times VMM_TIMEOUT_SCALE), or has
-- ended; the kernel's log, where it is split off, counts as silence.
-- Returns the output that no expect has consumed, and consumes it; or nil, error object, code when
-- the guest is not silent within options.timeout (60) seconds.
function dialogue:try_settle(options)
    return try_settle(self, check_settle("console:try_settle", options))
end

-- The same, raising the error object.
function dialogue:settle(options)
    local quiet, limit = check_settle("console:settle", options)
    local text, err = try_settle(self, quiet, limit)
    if not text then error(err, 2) end
    return text
end

-- ---- send -------------------------------------------------------------------------------

-- Sends what fits; true when that was all from `at` on, and where to go on.
local function send_some(console, bytes, at)
    local taken
    -- Only what was refused is told of when there is room.
    repeat
        taken = console.core:input(bytes:sub(at, at + SEND_BYTES - 1))
        at = at + taken
    until taken == 0
    return at > #bytes, at
end

local function send(console, bytes)
    local at, done = 1, nil
    console.vm:watch_end()
    return sched.wait(function()
        if console.vm.closed or console.vm:stopped() then
            return false, "the guest ended", "closed"
        end
        done, at = send_some(console, bytes, at)
        return done or nil
    end)
end

local function send_paced(console, bytes, options)
    local pace = options.pace
    local _ <close> = begin_step(console, "send", ("%q"):format(bytes:sub(1, SHOWN_BYTES)))
    if not pace then return send(console, bytes) end
    for i = 1, #bytes do
        if i > 1 then sched.sleep(sched.scaled(pace)) end
        local ok, message, code = send(console, bytes:sub(i, i))
        if not ok then return nil, message, code end
    end
    return true
end

local function check_send(what, options)
    options = argument.options(what, options, { "pace" }, 4)
    if options.pace ~= nil then argument.seconds(what .. ": pace", options.pace, 4) end
    return options
end

-- Sends bytes to the guest; waits while its input is full.
-- options: pace, the seconds (times VMM_TIMEOUT_SCALE) between two bytes, for a guest that loses
-- what comes faster than it reads.
-- Returns true, or nil, message, "closed" when the guest ends meanwhile.
function dialogue:send(bytes, options)
    argument.type("console:send: bytes", bytes, "string")
    return send_paced(self, bytes, check_send("console:send", options))
end

-- Sends a line, ended by what the Enter key sends.
function dialogue:send_line(text, options)
    argument.type("console:send_line: text", text, "string")
    return send_paced(self, text .. "\r", check_send("console:send_line", options))
end

-- Sends what a key sends: "c" for Ctrl-C, or one by its name: "esc", "tab", "up", "f1", ...
function dialogue:control(key)
    local bytes = keys.bytes(key)
    argument.check(bytes, "console:control: key", keys.WANTED, key)
    return send_paced(self, bytes, {})
end

return dialogue
