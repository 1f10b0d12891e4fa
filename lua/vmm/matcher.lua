-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a dialogue waits for: Lua patterns, plain texts, POSIX regexes, or several of them, of which
-- the one that shows first counts.

local argument = require "vmm.argument"
local core = require "vmm.core"

local matcher = {}

local WANTED = "a Lua pattern, { pattern = }, { plain = }, { regex = } or a list of these"

local function mistake(what, level, format, ...)
    error(("%s: " .. format):format(what, ...), level)
end

-- Each makes find(text), which is like string.find, and what an error calls it.
local make = {}

function make.pattern(pattern, what, level)
    local ok, message = pcall(string.find, "", pattern)
    if not ok then mistake(what, level + 1, "%q: %s", pattern, message) end
    return function(text)
        return text:find(pattern)
    end, ("%q"):format(pattern)
end

function make.plain(plain)
    return function(text)
        return text:find(plain, 1, true)
    end, ("the text %q"):format(plain)
end

function make.regex(source, what, level)
    local regex, message = core.regex(source)
    if not regex then mistake(what, level + 1, "regex %q: %s", source, message) end
    return function(text)
        return regex:find(text)
    end, ("the regex %q"):format(source)
end

-- The kind and text of one that is written as a table with a key.
local function read(spec, what, level)
    local kind, text = next(spec)
    argument.check(make[kind] and next(spec, kind) == nil, what, WANTED, spec, level + 1)
    argument.type(("%s: %s"):format(what, kind), text, "string", level + 1)
    return kind, text
end

local function is_list(spec)
    if type(spec) ~= "table" or #spec == 0 then return false end
    for key in pairs(spec) do
        if math.type(key) ~= "integer" or key < 1 or key > #spec then return false end
    end
    return true
end

-- Adds one.
local function add(list, spec, what, level)
    local kind, text = "pattern", spec
    argument.check(type(spec) == "string" or type(spec) == "table", what, WANTED, spec, level + 1)
    if type(spec) == "table" then kind, text = read(spec, what, level + 1) end
    local find, words = make[kind](text, what, level + 1)
    list[#list + 1] = { find = find, words = words }
end

-- Reads what is to be waited for. what names it in errors, which blame level.
-- Returns a list for matcher.first.
function matcher.new(what, spec, level)
    local list = {}
    if is_list(spec) then
        for i, one in ipairs(spec) do
            add(list, one, ("%s[%d]"):format(what, i), level + 1)
        end
    else
        add(list, spec, what, level + 1)
    end
    return list
end

-- What a list waits for, in words.
function matcher.words(list)
    local words = {}
    for i, one in ipairs(list) do
        words[i] = one.words
    end
    local last = table.remove(words)
    return words[1] and table.concat(words, ", ") .. " or " .. last or last
end

-- Finds which of the list shows first in a text; of those that begin at the same byte, the one that
-- stands first in the list. Returns { first =, last =, index =, captures... }, or nil.
function matcher.first(list, text)
    local best, first
    for index, one in ipairs(list) do
        local found = table.pack(one.find(text))
        if found[1] and (not first or found[1] < first) then
            best, first = found, found[1]
            best.index = index
        end
    end
    if not best then return nil end
    local result = { first = first, last = best[2], index = best.index }
    return table.move(best, 3, best.n, 1, result)
end

return matcher
