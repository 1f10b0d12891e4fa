-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- JSON, written and read: what the program exchanges with others as text.
--
-- A table is an array when it has an element 1 or was made by json.array, else an object.

local json = {}

local DEPTH = 100 -- of tables in tables

local Array = { __name = "vmm.array" }

-- Has a table written as an array also when it is empty; returns it.
function json.array(list)
    return setmetatable(list, Array)
end

-- ---- writing ----------------------------------------------------------------------------

local ESCAPES = {
    ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(char)
    return ESCAPES[char] or ("\\u%04x"):format(char:byte())
end

local function write_string(value)
    value = value:gsub('[%c"\\]', escape)
    if not utf8.len(value) then value = value:gsub("[\x80-\xff]", escape) end
    return '"' .. value .. '"'
end

-- The shortest text that gives the same number again, with a point in a float.
local function write_number(value)
    if math.type(value) == "integer" then return ("%d"):format(value) end
    if value ~= value or value == math.huge or value == -math.huge then
        error("json: a number that is not finite", 0)
    end
    local text = ("%.15g"):format(value)
    if tonumber(text) ~= value then text = ("%.17g"):format(value) end
    return text:find "[.e]" and text or text .. ".0"
end

local function is_array(value)
    return value[1] ~= nil or (getmetatable(value) or {}).__name == Array.__name
end

local write

local function write_array(value, depth)
    local parts = {}
    for i, item in ipairs(value) do
        parts[i] = write(item, depth)
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function write_object(value, depth)
    local keys, parts = {}, {}
    for key in pairs(value) do
        if type(key) ~= "string" then
            error("json: a key that is a " .. type(key), 0)
        end
        keys[#keys + 1] = key
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
        parts[i] = write_string(key) .. ":" .. write(value[key], depth)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

function write(value, depth)
    local kind = type(value)
    if kind == "string" then
        return write_string(value)
    elseif kind == "number" then
        return write_number(value)
    elseif kind == "boolean" or value == json.null then
        return tostring(value)
    elseif kind ~= "table" then
        error("json: a " .. kind, 0)
    elseif depth > DEPTH then
        error("json: tables are too deep, or in themselves", 0)
    end
    return (is_array(value) and write_array or write_object)(value, depth + 1)
end

-- What null is read as, and written for.
json.null = setmetatable({}, {
    __name = "vmm.json.null",
    __tostring = function()
        return "null"
    end,
})

-- json.encode(value) -> text on one line, keys in order, ASCII where a string is not UTF-8.
-- Raises for what JSON does not have: functions, keys that are no strings, infinity, NaN.
function json.encode(value)
    local ok, text = pcall(write, value, 1)
    if not ok then error(text, 2) end
    return text
end

-- ---- reading ----------------------------------------------------------------------------

local function fail(at, what)
    error({ message = ("JSON at byte %d: %s"):format(at, what) }, 0)
end

local function skip(text, at)
    return text:match("^[ \t\r\n]*()", at)
end

local UNESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- What is behind a backslash, and the position after it.
local function read_escape(text, at)
    local char = text:sub(at, at)
    if char == '"' or char == "\\" or char == "/" then return char, at + 1 end
    if UNESCAPED[char] then return UNESCAPED[char], at + 1 end
    local hex = text:match("^u(%x%x%x%x)", at)
    if not hex then fail(at, "an unknown escape") end
    local code = tonumber(hex, 16)
    local low = code >= 0xd800 and code < 0xdc00 and text:match("^\\u([dD][c-fC-F]%x%x)", at + 5)
    if low then
        return utf8.char(0x10000 + ((code & 0x3ff) << 10) + (tonumber(low, 16) & 0x3ff)), at + 11
    elseif code >= 0xd800 and code < 0xe000 then
        fail(at, "half of a surrogate pair")
    end
    return utf8.char(code), at + 5
end

-- at: behind the opening quote.
local function read_string(text, at)
    local parts = {}
    while true do
        local plain, stop = text:match('^([^"\\%c]*)()', at)
        parts[#parts + 1] = plain
        local char = text:sub(stop, stop)
        if char == '"' then
            return table.concat(parts), stop + 1
        elseif char ~= "\\" then
            fail(stop, char == "" and "a string without an end" or "a control character")
        end
        parts[#parts + 1], at = read_escape(text, stop + 1)
    end
end

local function read_number(text, at)
    local whole, stop = text:match("^(-?%d+)()", at)
    if not whole or whole:match "^-?0%d" then fail(at, "not a value") end
    local fraction, after = text:match("^(%.%d+)()", stop)
    local exponent, last = text:match("^([eE][+-]?%d+)()", after or stop)
    return tonumber(whole .. (fraction or "") .. (exponent or "")), last or after or stop
end

local read

-- at: behind the opening bracket.
local function read_array(text, at, depth)
    local list = json.array {}
    at = skip(text, at)
    if text:sub(at, at) == "]" then return list, at + 1 end
    while true do
        list[#list + 1], at = read(text, at, depth)
        local char = text:sub(at, at)
        if char == "]" then return list, at + 1 end
        if char ~= "," then fail(at, 'no "," or "]"') end
        at = at + 1
    end
end

local function read_object(text, at, depth)
    local object = {}
    at = skip(text, at)
    if text:sub(at, at) == "}" then return object, at + 1 end
    while true do
        at = skip(text, at)
        if text:sub(at, at) ~= '"' then fail(at, "no key") end
        local key
        key, at = read_string(text, at + 1)
        at = skip(text, at)
        if text:sub(at, at) ~= ":" then fail(at, 'no ":"') end
        object[key], at = read(text, at + 1, depth)
        local char = text:sub(at, at)
        if char == "}" then return object, at + 1 end
        if char ~= "," then fail(at, 'no "," or "}"') end
        at = at + 1
    end
end

local WORDS = { ["true"] = true, ["false"] = false, null = json.null }

-- A value, and the position after it and the blanks behind it.
function read(text, at, depth)
    if depth > DEPTH then fail(at, "too deep") end
    at = skip(text, at)
    local char, word = text:sub(at, at), text:match("^%a+", at)
    local value
    if char == '"' then
        value, at = read_string(text, at + 1)
    elseif char == "[" then
        value, at = read_array(text, at + 1, depth + 1)
    elseif char == "{" then
        value, at = read_object(text, at + 1, depth + 1)
    elseif word and WORDS[word] ~= nil then
        value, at = WORDS[word], at + #word
    else
        value, at = read_number(text, at)
    end
    return value, skip(text, at)
end

-- json.decode(text) -> value, or nil, message, "EINVAL". null is json.null; integers stay integers.
function json.decode(text)
    local ok, result = pcall(function()
        local value, at = read(text, 1, 1)
        if at <= #text then fail(at, "more than one value") end
        return value
    end)
    if ok then return result end
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, "EINVAL"
end

return json
