-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One line of a run file: what it is about without reading all of it, and the event that it is.

local json = require "vmm.json"

local event = {}

-- What a field holds, or the event has none such: a report is made of any file.
local FIELDS = {
    event = "string", time = "number", test = "string", id = "string", file = "string",
    name = "string", vm = "string", kind = "string", text = "string", path = "string",
    reason = "string", status = "string", message = "string", traceback = "string",
    stream = "string", shard = "string", version = "string", host = "string",
    step = "number", parent = "number", duration = "number", level = "number", stamp = "number",
    t = "number", exits = "number", resident_bytes = "number", attempts = "number",
    passed = "number", failed = "number", skipped = "number", ok = "boolean",
    config = "table", metrics = "table", earlier = "table", paths = "table", problems = "table",
    left = "table",
}

local MOST = 1e15 -- times, bytes and counts are less; what is more, or no number, is none

-- The string that begins with the quote at a position, as it is written, with its quotes.
local function raw_string(line, quote)
    local at = quote + 1
    while true do
        local stop = line:find('["\\]', at)
        if not stop then return nil end
        if line:byte(stop) == 34 then return line:sub(quote, stop) end
        at = stop + 2
    end
end

-- The value of a key as it is written, if it is a string. A quote in a string has a backslash, so
-- that no text can look like a key.
local function raw_value(line, key)
    local _, quote = line:find('"' .. key .. '":%s*"')
    return quote and raw_string(line, quote)
end

-- What kind of event a line seems to be, and the test it is about, with quotes and backslashes as
-- they are written (nil: none); nil when it is no event.
function event.peek(line)
    local kind = line:match '"event":%s*"([%w_]+)"'
    if not kind then return nil end
    return kind, raw_value(line, kind == "test_start" and "id" or "test")
end

-- The event of a line, or nil and what is wrong. Fields of a type that they never have are absent.
function event.decode(line)
    local value, message = json.decode(line)
    if type(value) ~= "table" then return nil, message or "no object" end
    for key, item in pairs(value) do
        local wanted = FIELDS[key]
        if item == json.null or wanted and type(item) ~= wanted
            or type(item) == "number" and not (item > -MOST and item < MOST) then
            value[key] = nil
        end
    end
    if not value.event then return nil, "no event" end
    return value
end

-- The string that raw text of peek() stands for.
function event.unquote(raw)
    return type(raw) == "string" and json.decode(raw) or nil
end

return event
