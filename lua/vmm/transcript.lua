-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The transcript of a console: what it has shown, line by line, with times.

local transcript = {}

local LINES_KEPT = 1000
local LINE_BYTES = 4096 -- where a line without an end is broken
local LINES_BYTES = 1 << 20 -- of all lines together

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

-- Adds captured bytes to a console's lines, time-stamped.
function transcript.add(self, bytes, time)
    for text, ending in bytes:gmatch "([^\n]*)(\n?)" do
        if text ~= "" or ending ~= "" then add_line(self, text, ending ~= "", time) end
    end
    forget_lines(self)
end

return transcript
