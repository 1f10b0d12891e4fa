-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The dialogue with a guest over its serial console: expect, send, the transcript.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"
local terminal = require "vmm.terminal"

local Console = { __name = "vmm.console" }
Console.__index = Console

local console = {}

local CAPTURE_BYTES = 1 << 20 -- what the core keeps, should the script be busy
local PENDING_BYTES = 1 << 20 -- what expect looks through at the most
local LINES_KEPT = 1000
local LINE_BYTES = 4096 -- where a line without an end is broken
local LINES_BYTES = 1 << 20 -- of all lines together
local LINES_SHOWN = 40
local SHOWN_BYTES = 16384 -- of the last lines in an error
local EXPECT_SECONDS = 60

-- Kernel messages that say how a guest ended.
console.PANIC = "Kernel panic - not syncing"
console.PANIC_END = "---[ end Kernel panic"
console.HALTED = "reboot: System halted"

-- Appends to the last line, or begins one; it ends at LINE_BYTES at the latest.
local function add_piece(self, text, ended, time)
    local last = self.lines[#self.lines]
    if last and not last.ended and not last.broken then
        last.text = last.text .. text
    else
        last = { time = time - self.started, text = text }
        self.lines[#self.lines + 1] = last
    end
    last.ended = ended
    last.broken = not ended and #last.text >= LINE_BYTES
    self.lines_bytes = self.lines_bytes + #text
end

-- Adds a text without a newline in it, broken into lines of LINE_BYTES.
local function add_line(self, text, ended, time)
    local last = self.lines[#self.lines]
    local goes_on = last and not last.ended and not last.broken
    local room = LINE_BYTES - (goes_on and #last.text or 0)
    while #text > room do
        add_piece(self, text:sub(1, room), false, time)
        text, room = text:sub(room + 1), LINE_BYTES
    end
    add_piece(self, text, ended, time)
end

-- Forgets the oldest lines, once there is twice as much as is kept.
local function forget_lines(self)
    local lines = self.lines
    if #lines <= 2 * LINES_KEPT and self.lines_bytes <= 2 * LINES_BYTES then return end
    local first, bytes = #lines + 1, 0
    while first > 1 and #lines - first + 1 < LINES_KEPT do
        local more = bytes + #lines[first - 1].text
        if more > LINES_BYTES then break end
        first, bytes = first - 1, more
    end
    self.lines = table.move(lines, first, #lines, 1, {})
    self.lines_bytes = bytes
end

-- Adds captured bytes to the lines of the transcript, time-stamped.
local function add_lines(self, bytes, time)
    for text, ending in bytes:gmatch "([^\n]*)(\n?)" do
        if text ~= "" or ending ~= "" then add_line(self, text, ending ~= "", time) end
    end
    forget_lines(self)
end

-- The output that no expect has consumed yet.
local function pending(self)
    if #self.pieces > 1 then
        self.pieces = { table.concat(self.pieces):sub(-PENDING_BYTES) }
        self.pieces_bytes = #self.pieces[1]
    end
    return self.pieces[1] or ""
end

local function add_pending(self, bytes)
    self.pieces[#self.pieces + 1] = bytes
    self.pieces_bytes = self.pieces_bytes + #bytes
    if self.pieces_bytes > 2 * PENDING_BYTES then pending(self) end
end

-- Takes what the core has captured since the last time; from a guest that goes on and on, no
-- more than the core keeps.
function Console:pull()
    local taken = 0
    while not self.vm.closed and taken < CAPTURE_BYTES do
        local bytes, position, time = self.core:capture(self.position)
        if bytes == "" then return end
        self.position = position
        taken = taken + #bytes
        add_pending(self, bytes)
        add_lines(self, bytes, time)
        if self.sink then sched.call(self.sink, bytes) end
    end
end

-- The last `count` lines (40) of the transcript, as one text with seconds since the start.
function Console:tail(count)
    local out = {}
    for i = math.max(1, #self.lines - (count or LINES_SHOWN) + 1), #self.lines do
        local line = self.lines[i]
        out[#out + 1] = ("[%9.3f] %s"):format(line.time, (line.text:gsub("\r", "")))
    end
    return table.concat(out, "\n")
end

-- The newest transcript line that contains a plain text, or nil.
function Console:find_line(text)
    argument.type("console:find_line: text", text, "string")
    self:pull()
    for i = #self.lines, 1, -1 do
        local line, rest = self.lines[i], self.lines[i + 1]
        line = (line.text .. (line.broken and rest and rest.text or "")):gsub("\r", "")
        if line:find(text, 1, true) then return line end
    end
end

-- Everything that no expect has consumed yet (of more than 1 MiB the newest), without consuming
-- it.
function Console:output()
    self:pull()
    return pending(self)
end

-- ---- expect -----------------------------------------------------------------------------

local ExpectError = { __name = "vmm.expect_error" }

function ExpectError:__tostring()
    return ("%s: expected %q, %s after %.1f s (limit %g s); the VM is %s; last lines:\n%s"):format(
        self.vm,
        self.pattern,
        self.why,
        self.elapsed,
        self.timeout,
        self.state,
        self.tail == "" and "(the console is silent)" or self.tail
    )
end

local function state_of(vm)
    if vm.closed then return "closed" end
    local stop = vm:stopped()
    if stop then
        return "ended: " .. stop.reason .. (stop.text ~= "" and " (" .. stop.text .. ")" or "")
    end
    local state = vm.vcpus and vm.vcpus[1] and vm.vcpus[1].state or "none"
    return state == "none" and "not started" or state
end

-- A match as { before =, match =, captures... }, consumed from the pending output; or nil.
local function match(self, pattern)
    local output = pending(self)
    local results = table.pack(output:find(pattern))
    local first, last = results[1], results[2]
    if not first then return nil end
    local found = {
        before = output:sub(1, first - 1),
        match = output:sub(first, last),
    }
    table.move(results, 3, results.n, 1, found)
    self.pieces = { output:sub(last + 1) }
    self.pieces_bytes = #self.pieces[1]
    return found
end

-- Output may still be on its way from the device when the VM has ended.
local function drain(self)
    if self.drained or self.vm.closed then return end
    self.drained = true
    self.core:flush(1)
    self:pull()
end

local function check_expect(what, pattern, options)
    argument.type(what .. ": pattern", pattern, "string", 4)
    options = argument.options(what, options, { "timeout" }, 4)
    return options
end

-- Waits until a Lua pattern shows in the output that no expect has consumed yet (of more than
-- 1 MiB the newest).
-- options: timeout in seconds (60), times VMM_TIMEOUT_SCALE.
-- Returns { before =, match =, [1] = first capture, ... }, or nil, error object, code: "timeout",
-- or "ended" when the guest has ended without it.
function Console:try_expect(pattern, options)
    options = check_expect("console:try_expect", pattern, options)
    local timeout = sched.scaled(options.timeout or EXPECT_SECONDS)
    local start = core.now()
    self.vm:watch_end()
    self.waiting = self.waiting + 1
    if not self.vm.closed then self.core:notify_output(true) end
    local found, why, code = sched.wait(function()
        self:pull()
        local found = match(self, pattern)
        if found then return found end
        if self.vm.closed or self.vm:stopped() then
            drain(self)
            return match(self, pattern) or false, "the guest ended", "ended"
        end
    end, timeout)
    self.waiting = self.waiting - 1
    if self.waiting == 0 and not self.sink and not self.vm.closed then
        self.core:notify_output(false)
    end
    if found then return found end
    return nil,
        setmetatable({
            code = code,
            vm = self.name,
            pattern = pattern,
            why = why == "timeout" and "timed out" or why,
            timeout = timeout,
            elapsed = core.now() - start,
            state = state_of(self.vm),
            tail = self:tail():sub(-SHOWN_BYTES),
        }, ExpectError),
        code
end

-- The same, raising the error object.
function Console:expect(pattern, options)
    check_expect("console:expect", pattern, options)
    local found, err = self:try_expect(pattern, options)
    if not found then error(err, 2) end
    return found
end

-- ---- send -------------------------------------------------------------------------------

-- Sends bytes to the guest; waits while its input is full.
-- Returns true, or nil, message, "closed" when the guest ends meanwhile.
function Console:send(bytes)
    argument.type("console:send: bytes", bytes, "string")
    local at = 1
    self.vm:watch_end()
    return sched.wait(function()
        if self.vm.closed or self.vm:stopped() then return false, "the guest ended", "closed" end
        -- Only what was refused is told of when there is room.
        local taken
        repeat
            taken = self.core:input(bytes:sub(at, at + 65535))
            at = at + taken
        until taken == 0
        return at > #bytes or nil
    end)
end

-- Sends a line, ended by what the Enter key sends.
function Console:send_line(text)
    argument.type("console:send_line: text", text, "string")
    return self:send(text .. "\r")
end

local SIZE_MAX = 65535

local function check_size(what, value)
    local ok = math.type(value) == "integer" and value >= 1 and value <= SIZE_MAX
    argument.check(ok, what, "an integer from 1 to 65535", value, 4)
end

-- Tells the guest the size of its terminal (of vm.hvc; a serial port cannot tell).
-- Returns true, or nil, message, "ENOTSUP" or "closed".
function Console:resize(cols, rows)
    check_size("console:resize: cols", cols)
    check_size("console:resize: rows", rows)
    if not self.sized then return nil, "this console cannot tell a guest its size", "ENOTSUP" end
    if self.vm.closed then return nil, "the VM is closed", "closed" end
    return self.sized(cols, rows)
end

-- ---- where it goes ----------------------------------------------------------------------

-- The core makes a terminal raw and restores it when the VM closes.
local function to_stdio(self)
    local is_tty = terminal.is_tty()
    self.on_terminal = is_tty
    return self.core:attach {
        in_fd = 0,
        out_fd = 1,
        escape = is_tty and terminal.ESCAPE or nil,
        terminal = is_tty,
    }
end

local PLACES = { stdio = true, capture = true, pty = true }
local PLACES_TEXT = '"stdio", "capture", "pty", { file = path }, { unix = path } or a function'

-- Attaches the terminal, beside where the console goes already.
function Console:attach_terminal()
    return to_stdio(self)
end

-- Is this a place where a console can go?
local function is_place(to)
    if type(to) ~= "table" then return PLACES[to] or type(to) == "function" end
    local key, path = next(to)
    return (key == "file" or key == "unix") and type(path) == "string" and not next(to, key)
end

local function check_options(options)
    options = argument.options("vmm.console", options, { "to", "on_key", "on_text" }, 4)
    local to = options.to or "capture"
    argument.check(is_place(to), "vmm.console: to", PLACES_TEXT, to, 4)
    for _, name in ipairs { "on_key", "on_text" } do
        if options[name] ~= nil then
            argument.callable("vmm.console: " .. name, options[name], 4)
        end
    end
    return options, to
end

local function connect(self, spec)
    if spec == "stdio" then return to_stdio(self) end
    if spec == "capture" then return true end
    if type(spec) == "function" then
        self.sink = spec
        return self.core:notify_output(true)
    end
    if spec == "pty" then
        local message, code
        self.path, message, code = self.core:attach_pty()
        return self.path, message, code
    end
    if spec.file then return self.core:attach_file(spec.file) end
    self.path = spec.unix
    return self.core:attach_unix(spec.unix)
end

-- Makes the console of a VM. options:
--   to         "stdio", "capture", "pty", { file = path }, { unix = path }, function(bytes)
--   on_key     function(key): the key after Ctrl-A, when stdio is a terminal
--   on_text    function(): a kernel message about the guest's end has shown
-- Returns the console (its field core goes to vmm.serial), or nil, message, code.
function console.new(vm, options)
    local to
    options, to = check_options(options)
    local self = setmetatable({
        vm = vm,
        name = vm.name,
        position = 0,
        pieces = {},
        pieces_bytes = 0,
        lines = {},
        lines_bytes = 0,
        started = core.now(),
        waiting = 0,
    }, Console)
    local function on_event(bits)
        if vm.closed then return end -- raised before, delivered after
        if bits & core.CONSOLE_KEY ~= 0 and options.on_key then
            for key in self.core:keys():gmatch "." do
                options.on_key(key:byte())
            end
        end
        if bits & core.CONSOLE_TEXT ~= 0 and options.on_text then options.on_text() end
        if self.sink then self:pull() end
    end
    local message, code
    self.core, message, code = vm:create_console { capture = CAPTURE_BYTES, on_event = on_event }
    if not self.core then return nil, message, code end
    for _, text in ipairs { console.PANIC, console.PANIC_END, console.HALTED } do
        assert(self.core:watch_text(text))
    end
    local ok
    ok, message, code = connect(self, to)
    if not ok then return nil, message, code end
    return self
end

return console
