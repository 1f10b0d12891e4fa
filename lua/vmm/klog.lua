-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel's log on a console: its lines taken out of the dialogue that they cut, and kept.
--
-- A kernel line begins anywhere, also within a line of the dialogue, with the header that printk
-- gives it: "[    1.234567] ", or "<6>[    1.234567] " with console_msg_format=syslog; with
-- CONFIG_PRINTK_CALLER also "[    1.234567][    T1] ". It ends at its newline, where the dialogue
-- goes on.

local argument = require "vmm.argument"
local sched = require "vmm.sched"

local klog = {}

local LINE_BYTES = 4096 -- where a line is at its end; printk's are half as long at the most
local HEADER_BYTES = 48 -- no header is longer
local LEVEL_DIGITS = 4
local SECONDS_DIGITS = 12
local SECONDS_WIDTH = 5 -- filled up with spaces
local FRACTION_DIGITS = 6

-- As many as are kept at least, unless they have more bytes, and at the most twice as much.
local LINES_KEPT = 5000
local LINES_BYTES = 1 << 20
local LINES_SHOWN = 40

-- ---- headers ----------------------------------------------------------------------------

local MORE = "more" -- what has come so far may become a header

-- "<6>" at the beginning: where it ends, and the number in it; MORE; or nil.
local function read_level(text)
    local digits = text:match("^%d*", 2)
    local at = 2 + #digits
    if #digits > LEVEL_DIGITS then return nil end
    if at > #text then return MORE end
    if digits == "" or text:sub(at, at) ~= ">" then return nil end
    return at + 1, tonumber(digits)
end

-- "[    1.234567]" at a byte: where it ends, and the seconds; MORE; or nil.
local function read_stamp(text, at)
    if at > #text then return MORE end
    local spaces, digits = text:match("^%[( *)(%d*)", at)
    if not spaces then return nil end
    local width = #spaces + #digits
    local widest = spaces == "" and SECONDS_DIGITS or SECONDS_WIDTH
    if width > widest or digits == "" and width == SECONDS_WIDTH then return nil end
    local dot = at + 1 + width
    if dot > #text then return MORE end
    if width < SECONDS_WIDTH or text:sub(dot, dot) ~= "." then return nil end
    local fraction = text:match("^%d*", dot + 1)
    local last = dot + 1 + #fraction
    if #fraction > FRACTION_DIGITS then return nil end
    if last > #text then return MORE end
    if #fraction < FRACTION_DIGITS or text:sub(last, last) ~= "]" then return nil end
    return last + 1, tonumber(digits .. "." .. fraction)
end

-- The caller, "[    T1]", and the space that ends a header: where the text begins; MORE; or nil.
local function read_rest(text, at)
    local last = text:match("^%[ *[CT]%d+%]()", at) or at
    local rest = text:sub(last)
    if rest:find "^ " then return last + 1 end
    if rest == "" or last == at and rest:find "^%[ *[CT]?%d*$" then return MORE end
    return nil
end

local function read_bounded(text, leveled)
    local at, number = 1, nil
    if text:find "^<" then
        at, number = read_level(text)
    elseif leveled then
        return nil
    end
    if not at or at == MORE then return at end
    local next_at, stamp = read_stamp(text, at)
    if not next_at or next_at == MORE then return next_at end
    next_at = read_rest(text, next_at)
    return next_at, stamp, number
end

-- Is there a header at a byte, of a kernel whose lines have a level, or may have none? Returns how
-- many bytes it has, the seconds, the number with the level; MORE; or nil.
local function read_header(text, at, leveled)
    local next_at, stamp, number = read_bounded(text:sub(at, at + HEADER_BYTES - 1), leveled)
    if next_at == MORE then return #text - at + 1 < HEADER_BYTES and MORE or nil end
    return next_at and next_at - 1, stamp, number
end

-- The level, 0 to 7, and the facility: who wrote it, the kernel (0), or a program, by /dev/kmsg.
local function read_number(number)
    if number then return number & 7, number >> 3 end
end

-- The kernel's line that a text is: { stamp =, level =, facility =, text = }; nil: no header.
-- leveled: one without a level is none.
function klog.line(text, leveled)
    local bytes, stamp, number = read_header(text, 1, leveled)
    if not bytes or bytes == MORE then return nil end
    local level, facility = read_number(number)
    return { stamp = stamp, level = level, facility = facility, text = text:sub(bytes + 1) }
end

-- ---- the splitter -----------------------------------------------------------------------

local Splitter = { __name = "vmm.klog.splitter" }
Splitter.__index = Splitter

-- Splits a console's output. on_line(line) is called for each line of the kernel:
-- { time =, stamp =, level =, text = }.
--   leveled   only lines with a level ("<6>") are the kernel's. They are the only ones anyway from
--             the first of them on: a console has one format, and what dmesg prints has none.
function klog.splitter(on_line, leveled)
    return setmetatable({
        on_line = on_line,
        leveled = leveled or false,
        held = "", -- what has come of a header that is not whole
        line = nil, -- the kernel's, while it goes on
    }, Splitter)
end

local function end_line(self)
    local line = self.line
    self.line = nil
    line.text = table.concat(line.pieces):gsub("\r+$", "")
    line.pieces, line.bytes = nil, nil
    self.on_line(line)
end

-- Adds to the kernel's line from a byte on; returns where the dialogue goes on, or the text ends.
local function add_to_line(self, text, at)
    local line = self.line
    local newline = text:find("\n", at, true)
    local last = math.min((newline or #text + 1) - 1, at + LINE_BYTES - line.bytes - 1)
    line.pieces[#line.pieces + 1] = text:sub(at, last)
    line.bytes = line.bytes + last - at + 1
    if last < #text then end_line(self) end
    return newline == last + 1 and last + 2 or last + 1
end

-- Begins a line of the kernel's, whose header was the text's.
local function begin_line(self, time, stamp, number)
    self.leveled = self.leveled or number ~= nil
    local level, facility = read_number(number)
    self.line = {
        time = time, stamp = stamp, level = level, facility = facility, pieces = {}, bytes = 0,
    }
end

-- Takes more of the output, which came at a time; returns what of it is dialogue. The rest is
-- the kernel's, or held until it is known what it is (splitter.held).
function Splitter:feed(bytes, time)
    local text = self.held .. bytes
    local out, from, at = {}, 1, 1
    self.held = ""
    while at <= #text do
        if self.line then
            at = add_to_line(self, text, at)
            from = at
        else
            at = text:find(self.leveled and "<" or "[<%[]", at)
            if not at then break end
            local skip, stamp, number = read_header(text, at, self.leveled)
            if skip == MORE then break end
            if skip then
                out[#out + 1] = text:sub(from, at - 1)
                begin_line(self, time, stamp, number)
                at = at + skip
                from = at
            else
                at = at + 1
            end
        end
    end
    if at and at <= #text then self.held = text:sub(at) end
    out[#out + 1] = text:sub(from, #text - #self.held)
    return table.concat(out)
end

-- The first bytes of what is held have been taken for dialogue; returns what more is dialogue now.
function Splitter:release(count)
    local rest = self.held:sub(count + 1)
    self.held = ""
    return self:feed(rest, 0)
end

-- No more will come: what is held is dialogue, the kernel's line is at its end.
function Splitter:finish()
    local rest = self.held
    self.held = ""
    if self.line then end_line(self) end
    return rest
end

-- ---- the log ----------------------------------------------------------------------------

local Log = { __name = "vmm.klog" }
Log.__index = Log

local Subscription = { __name = "vmm.klog.subscription" }
Subscription.__index = Subscription

-- Ends it.
function Subscription:remove()
    if self.removed then return end
    self.removed = true
    local list = self.log.subscriptions
    for i = #list, 1, -1 do
        if list[i] == self then table.remove(list, i) end
    end
    self.log.console:want_output(-1)
end

-- The log of a console.
function klog.new(console)
    return setmetatable({
        console = console,
        kept = {}, -- the newest lines, oldest first
        bytes = 0, -- of them
        forgotten = 0, -- how many came before them
        subscriptions = {},
    }, Log)
end

local function size_of(line)
    return #line.text + 64 -- with what a table takes
end

-- Forgets the oldest lines, once there is twice as much as is kept.
local function forget(self)
    if #self.kept <= 2 * LINES_KEPT and self.bytes <= 2 * LINES_BYTES then return end
    local first, bytes = #self.kept + 1, 0
    while first > 1 and #self.kept - first + 1 < LINES_KEPT do
        local more = bytes + size_of(self.kept[first - 1])
        if more > LINES_BYTES then break end
        first, bytes = first - 1, more
    end
    self.forgotten = self.forgotten + first - 1
    self.kept = table.move(self.kept, first, #self.kept, 1, {})
    self.bytes = bytes
end

-- Adds a line; deliver tells of it.
function Log:add(line)
    self.kept[#self.kept + 1] = line
    self.bytes = self.bytes + size_of(line)
end

-- Tells those who have subscribed of the lines that they do not know yet. What they call may add
-- lines, and so come here again.
function Log:deliver()
    for _, to in ipairs(table.move(self.subscriptions, 1, #self.subscriptions, 1, {})) do
        while not to.removed and to.told < self.forgotten + #self.kept do
            to.told = math.max(to.told, self.forgotten) + 1
            sched.call(to.fn, self.kept[to.told - self.forgotten])
        end
    end
    forget(self)
end

-- Has fn(line) called for each line of the kernel's to come. It may not wait.
-- Returns a subscription, which :remove() ends.
function Log:on_line(fn)
    argument.callable("console.log:on_line: fn", fn)
    local subscription = setmetatable({
        log = self, fn = fn, told = self.forgotten + #self.kept,
    }, Subscription)
    table.insert(self.subscriptions, subscription)
    self.console:want_output(1)
    return subscription
end

-- Does somebody wait for lines?
function Log:has_listeners()
    return #self.subscriptions > 0
end

-- The kernel's lines so far, oldest first: { time = seconds since the start, stamp = the kernel's
-- own seconds, level = 0 to 7 or nil, text = }; of more than 1 MiB or 5000 lines, the newest.
function Log:lines()
    self.console:pull()
    return table.move(self.kept, 1, #self.kept, 1, {})
end

-- The last `count` lines (40), as one text with the seconds since the start and the kernel's.
function Log:tail(count)
    local lines, out = self:lines(), {}
    for i = math.max(1, #lines - (count or LINES_SHOWN) + 1), #lines do
        local line = lines[i]
        out[#out + 1] = ("[%9.3f] %s[%12.6f] %s"):format(line.time,
            line.level and ("<%d>"):format(line.level) or "", line.stamp, line.text)
    end
    return table.concat(out, "\n")
end

return klog
