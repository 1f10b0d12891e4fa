-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Words for messages: what was given, shown on one line, and the name meant.

local text = {}

local SHOWN_BYTES = 80

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char)
    return ESCAPES[char] or string.format("\\x%02x", char:byte())
end

--- A value as a message shows it: strings in quotes, without control
--- characters and shortened, so that the message stays one line.
function text.show(value)
    if value ~= value then
        return "nan" -- its sign varies by machine
    elseif math.type(value) == "float" and value == math.floor(value) then
        return string.format("%.14g", value)
    end
    if type(value) == "table" or type(value) == "function" then
        return "a " .. type(value)
    end
    if type(value) ~= "string" then
        return tostring(value)
    end
    local rest = ""
    if #value > SHOWN_BYTES then
        value, rest = value:sub(1, SHOWN_BYTES), "..."
    end
    return '"' .. value:gsub("[%c\127]", escape) .. rest .. '"'
end

--- Edit distance (insert, delete, replace, swap neighbours).
local function distance(a, b)
    local before, last = {}, {}
    for j = 0, #b do
        last[j] = j
    end
    for i = 1, #a do
        local row = { [0] = i }
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            row[j] = math.min(last[j] + 1, row[j - 1] + 1,
                last[j - 1] + (same and 0 or 1))
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1)
                and a:byte(i - 1) == b:byte(j) then
                row[j] = math.min(row[j], before[j - 2] + 1)
            end
        end
        before, last = last, row
    end
    return last[#b]
end

--- Does one name start with the other, or are they a slip apart? How near they are, or nil.
local function close(given, name)
    if #given >= 3 and name:sub(1, #given) == given then return 0.5 end
    local d = distance(given, name)
    d = d <= math.max(1, #name // 3) and d or nil
    -- Of "virtio_blok" virtio_blk is meant rather than virtio.
    if #name >= 3 and given:sub(1, #name) == name then return math.min(d or 2.5, 2.5) end
    return d
end

--- The name that was probably meant.
-- @param given  what was written; names: a list of valid names
-- @return a name, or nil when none is near
function text.nearest(given, names)
    local best, best_distance
    given = given:sub(1, 64):lower()
    for _, name in ipairs(names) do
        local d = close(given, name)
        if d and (not best or d < best_distance) then
            best, best_distance = name, d
        end
    end
    return best
end

--- `, did you mean "NAME"?` or ";" : what stands between a refusal and the
--- list of what is allowed.
function text.suggest(given, names)
    local name = type(given) == "string" and text.nearest(given, names)
    return name and string.format(', did you mean "%s"?', name) or ";"
end

return text
