-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Split "key=value,key=value" into pairs, where values may hold commas.
--
-- The shell takes the quotes of  path=a,cmdline="b,c d"  away, so a comma ends a
-- value only where a known "key=" follows it.  Where that guesses wrong, quotes
-- and backslashes that do arrive decide:
--   "..." or '...' around a whole value are taken off; commas inside are plain;
--   "..." in the middle of a value stays (the kernel reads it) and its commas
--   are plain;
--   a backslash makes the comma, quote or backslash after it plain, and stays
--   itself before anything else.

local text = require "vmm.text"

local QUOTES = { ['"'] = true, ["'"] = true }

--- The character at `at`, honouring a backslash before it.
-- @return character, position after it, whether it was escaped
local function take(source, at)
    local char, after = source:sub(at, at), source:sub(at + 1, at + 1)
    if char == "\\" and (after == "," or after == "\\" or QUOTES[after]) then
        return after, at + 2, true
    end
    return char, at + 1, false
end

--- Does a comma at `at` end a value: is a known "key=" behind it?
-- @return whether it does, and what looks like a key but is none
local function ends_value(source, at, known)
    local key = source:match("^,([%a_][%w_]*)=", at)
    if key and known[key] then
        return true
    end
    return false, key
end

--- A value wrapped in quotes that starts at `at`.
-- @return value, position after the closing quote; nil when it is not closed
local function wrapped(source, at)
    local quote, parts = source:sub(at, at), {}
    at = at + 1
    while at <= #source do
        local char, after, escaped = take(source, at)
        if char == quote and not escaped then
            return table.concat(parts), after
        end
        parts[#parts + 1] = char
        at = after
    end
    return nil
end

--- A value that is not wrapped, up to the comma that ends it.
-- @return value, position of that comma or the end, the first thing in it that
--  looks like a key; nil when a quote is open
local function bare(source, at, known)
    local parts, quoted, doubt = {}, false, nil
    while at <= #source do
        local char, after, escaped = take(source, at)
        if char == '"' and not escaped then
            quoted = not quoted
        elseif char == "," and not escaped and not quoted then
            local ends, like_key = ends_value(source, at, known)
            if ends then
                break
            end
            doubt = doubt or like_key
        end
        parts[#parts + 1] = char
        at = after
    end
    if quoted then
        return nil
    end
    return table.concat(parts), at, doubt
end

--- The value at `at`.
-- @return as bare(), or nil and what is wrong
local function value_at(source, at, known)
    if not QUOTES[source:sub(at, at)] then
        local value, after, doubt = bare(source, at, known)
        if not value then
            return nil, 'a " in it is not closed; write \\" for a plain one'
        end
        return value, after, doubt
    end
    local value, after = wrapped(source, at)
    if not value then
        return nil, "its opening quote is not closed"
    elseif after <= #source and not ends_value(source, after, known) then
        return nil, text.show(source:sub(after)) .. " follows its closing quote"
    end
    return value, after
end

--- Split the value of an option.
-- @param source  what was given, such as "path=a,cmdline=b c"
-- @param known   set (a table with the names as keys) of known keys
-- @return list of { key, value, doubt }, where doubt is an unknown key that a
--  comma in the value seems to begin, or nil; or nil, what is wrong and the key
--  at fault, if known
local function split(source, known)
    local found, at = {}, 1
    while at <= #source do
        local key, start = source:match("^([%a_][%w_]*)=()", at)
        if not key then
            return nil, text.show(source:sub(at)) .. " is not key=value"
        end
        local value, after, doubt = value_at(source, start, known)
        if not value then
            return nil, after, key
        end
        found[#found + 1] = { key, value, doubt }
        at = after + 1
    end
    return found
end

return split
