-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A console: where it goes, the output that no expect has consumed, the kernel's log in it.
-- (vmm.dialogue is what one says to a guest on it.)

local argument = require "vmm.argument"
local core = require "vmm.core"
local dialogue = require "vmm.dialogue"
local klog = require "vmm.klog"
local sched = require "vmm.sched"
local terminal = require "vmm.terminal"
local transcript = require "vmm.transcript"

local Console = { __name = "vmm.console" }
Console.__index = Console

for name, method in pairs(dialogue) do
    Console[name] = method
end

local console = {}

local CAPTURE_BYTES = 1 << 20 -- what the core keeps, should the script be busy
local PENDING_BYTES = 1 << 20 -- what expect looks through at the most
local LINES_SHOWN = 40

-- How long what may be the beginning of a kernel's line is not shown, unless what comes decides.
local HOLD_SECONDS = 0.03

-- Kernel messages that say how a guest ended.
console.PANIC = "Kernel panic - not syncing"
console.PANIC_END = "---[ end Kernel panic"
console.HALTED = "reboot: System halted"

-- The output that no expect has consumed yet.
local function pending(self)
    if #self.pieces > 1 then
        self.pieces = { table.concat(self.pieces):sub(-PENDING_BYTES) }
        self.pieces_bytes = #self.pieces[1]
    end
    return self.pieces[1] or ""
end

local function add_pending(self, bytes)
    if bytes == "" then return end
    self.pieces[#self.pieces + 1] = bytes
    self.pieces_bytes = self.pieces_bytes + #bytes
    self.total = self.total + #bytes
    if self.pieces_bytes > 2 * PENDING_BYTES then pending(self) end
end

-- Adds output to the dialogue, without what is the kernel's.
local function add_output(self, bytes, time)
    if not self.splitter then return add_pending(self, bytes) end
    local held = self.splitter.held
    add_pending(self, self.splitter:feed(bytes, time - self.started))
    if self.splitter.held ~= held then self.held_since = core.now() end
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
        add_output(self, bytes, time)
        transcript.add(self, bytes, time)
        if self.splitter then self.log:deliver() end
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

-- The newest transcript line that contains a plain text, and not another one (nil); or nil.
function Console:find_line(text, but)
    argument.type("console:find_line: text", text, "string")
    if but ~= nil then argument.type("console:find_line: but", but, "string") end
    self:pull()
    for i = #self.lines, 1, -1 do
        local line, rest = self.lines[i], self.lines[i + 1]
        line = (line.text .. (line.broken and rest and rest.text or "")):gsub("\r", "")
        local unwanted = but and line:find(but, 1, true)
        if line:find(text, 1, true) and not unwanted then return line end
    end
end

-- Everything that no expect has consumed yet (of more than 1 MiB the newest), without consuming
-- it.
function Console:output()
    self:pull()
    return self:shown()
end

-- ---- for the dialogue -------------------------------------------------------------------

-- What is held because it may become a line of the kernel's, and until when; or nil.
function Console:held_until()
    if not self.splitter or self.splitter.held == "" then return nil end
    return self.held_since + sched.scaled(HOLD_SECONDS)
end

-- The output that can be consumed. What is held is shown in the end, for a prompt may look like
-- that, but is held on: what comes next may still tell.
function Console:shown()
    local due = self:held_until()
    if due and core.now() >= due then return pending(self) .. self.splitter.held end
    return pending(self)
end

-- Consumes the first bytes of what is shown.
function Console:consume(count)
    local text = pending(self)
    self.pieces = { text:sub(count + 1) }
    self.pieces_bytes = #self.pieces[1]
    if count > #text then add_pending(self, self.splitter:release(count - #text)) end
end

-- Takes what the VM has printed in the end: it has ended.
function Console:finish()
    self:pull()
    if not self.splitter then return end
    add_pending(self, self.splitter:finish())
    self.log:deliver()
end

-- How many want to hear of output at once changes: then the script's thread is woken for it.
function Console:want_output(change)
    self.wanted = self.wanted + change
    if not self.vm.closed then self.core:notify_output(self.wanted > 0) end
end

local listening = {
    __close = function(self)
        self.console:want_output(-1)
    end,
}

-- Has output wake the script's thread until the value that it returns is closed.
function Console:listen()
    self:want_output(1)
    return setmetatable({ console = self }, listening)
end

-- ---- the kernel's log -------------------------------------------------------------------

-- From now on lines of the kernel's log go to console.log, not to the dialogue, which they may
-- cut anywhere.
--   how  true; "leveled" when all of them have a level ("<6>", by console_msg_format=syslog), so
--        that what dmesg prints is the dialogue's; false: no longer
function Console:split_log(how)
    local valid = how == true or how == false or how == "leveled"
    argument.check(valid, "console:split_log: how", 'true, false or "leveled"', how)
    self:pull()
    if self.splitter then add_pending(self, self.splitter:finish()) end
    self.splitter = how and klog.splitter(function(line)
        self.log:add(line)
    end, how == "leveled") or nil
    self.log:deliver()
end

-- ---- its size ---------------------------------------------------------------------------

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
        self:want_output(1)
        return true
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
        total = 0, -- bytes of the dialogue so far
        started = core.now(),
        wanted = 0,
    }, Console)
    self.log = klog.new(self)
    local function on_event(bits)
        if vm.closed then return end -- raised before, delivered after
        if bits & core.CONSOLE_KEY ~= 0 and options.on_key then
            for key in self.core:keys():gmatch "." do
                options.on_key(key:byte())
            end
        end
        if bits & core.CONSOLE_TEXT ~= 0 and options.on_text then options.on_text() end
        if self.sink or self.log:has_listeners() then self:pull() end
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
