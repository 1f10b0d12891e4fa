-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Lines of a guest's console as a run file has them.

local clean = require "vmm.report.clean"
local decode = require("vmm.report.event").decode

local console = {}

local LINE_BYTES = 4096

-- What printk puts before a line where the recorder has left it there.
local function take_apart(line)
    local level, stamp, rest = line.text:match "^<(%d+)>%[ *(%d+%.%d+)%] ?(.*)$"
    if not level then
        stamp, rest = line.text:match "^%[ *(%d+%.%d+)%] ?(.*)$"
    end
    if not stamp then return line end
    line.level = line.level or level and tonumber(level) & 7
    line.stamp, line.text, line.kernel = tonumber(stamp), rest, true
    return line
end

-- The line of an event, as it is written in the file: { t =, stamp =, level =, kernel =, text = },
-- or nil. Nothing in text is a control character, level is 0 to 7 or nil.
function console.line(written)
    local event = decode(written)
    if not event then return nil end
    local level = event.level and event.level // 1
    local line = {
        time = event.time, t = event.t, stamp = event.stamp,
        level = level and level >= 0 and level <= 7 and math.tointeger(level) or nil,
        kernel = event.stream == "kernel" or event.stamp ~= nil,
        text = clean.bounded(event.text or "", LINE_BYTES):gsub("\n$", ""):gsub("\n", "\u{21B5} "),
    }
    return line.stamp and line or take_apart(line)
end

return console
