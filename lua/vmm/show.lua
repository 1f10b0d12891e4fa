-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Values in words that a person reads: tables with their keys, bounded whatever they hold.

local show = {}

local DEPTH = 3 -- tables in tables that are shown
local ITEMS, ITEMS_BELOW = 100, 16 -- of a table; of one in another
local NODES = 2000 -- values in all
local BYTES = 16384 -- of a text as a whole
local STRING_BYTES = 200 -- of a string in a table
local COLUMNS = 80
local INDENT = "    "
local HEX_FROM = 0x10000 -- integers that may be addresses

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(char)
    return ESCAPES[char] or ("\\x%02x"):format(char:byte())
end

local function escape_all(chars)
    return (chars:gsub(".", escape))
end

-- A text without what a terminal obeys beyond ASCII: U+0080 to U+009F; all of it where it is not
-- UTF-8.
local function plain(text)
    return (text:gsub(utf8.len(text) and "\xc2[\x80-\x9f]" or "[\x80-\xff]+", escape_all))
end

-- A string that a terminal shows and does not obey.
local function harmless(text)
    return plain((text:gsub("[%z\1-\8\11-\31\127]", escape)))
end

local function quote(text)
    local rest = #text - STRING_BYTES
    local shown = text:sub(1, STRING_BYTES):gsub('[%c"\\\127]', escape)
    return ('"%s"'):format(plain(shown)) .. (rest > 0 and (" (%d bytes more)"):format(rest) or "")
end

local function integer(value, hex)
    if hex and (value >= HEX_FROM or value <= -HEX_FROM) then
        return ("%d (0x%x)"):format(value, value)
    end
    return tostring(value)
end

-- tostring that does not raise.
local function words(value)
    local ok, text = pcall(tostring, value)
    return ok and harmless(text) or ("<%s: %s>"):format(type(value), harmless(tostring(text)))
end

local function is_name(key)
    return type(key) == "string" and key:find "^[%a_][%w_]*$" ~= nil
end

local ORDER = { number = 1, string = 2 }

local function before(a, b)
    local one, other = ORDER[type(a)] or 3, ORDER[type(b)] or 3
    if one ~= other then return one < other end
    if one < 3 then return a < b end
    return words(a) < words(b)
end

-- The keys after the array part, sorted, and how many entries there are in all.
local function keys_of(value, array, most)
    local keys, count = {}, 0
    for key in next, value do
        count = count + 1
        if not (math.type(key) == "integer" and key >= 1 and key <= array) and #keys < most then
            keys[#keys + 1] = key
        end
    end
    table.sort(keys, before)
    return keys, count
end

local render -- (state, value, depth, indent) -> text

local function entry(state, key, value, depth, indent)
    local text = render(state, value, depth + 1, indent .. INDENT)
    if key == nil then return text end
    if is_name(key) then return key .. " = " .. text end
    return ("[%s] = %s"):format(
        type(key) == "string" and quote(key) or words(key), text)
end

local function entries(state, value, depth, indent)
    local most = depth == 0 and ITEMS or ITEMS_BELOW
    local array = rawlen(value)
    local keys, count = keys_of(value, array, 50 * ITEMS)
    local parts = {}
    for i = 1, math.min(array, most) do
        parts[#parts + 1] = entry(state, nil, rawget(value, i), depth, indent)
    end
    for _, key in ipairs(keys) do
        if #parts >= most then break end
        parts[#parts + 1] = entry(state, key, rawget(value, key), depth, indent)
    end
    if count > #parts then parts[#parts + 1] = ("... %d more"):format(count - #parts) end
    return parts
end

-- On one line where that fits.
local function lay_out(parts, indent)
    if #parts == 0 then return "{}" end
    local line = "{ " .. table.concat(parts, ", ") .. " }"
    if #indent + #line <= COLUMNS and not line:find "\n" then return line end
    local inner = indent .. INDENT
    return "{\n" .. inner .. table.concat(parts, ",\n" .. inner) .. ",\n" .. indent .. "}"
end

local function render_table(state, value, depth, indent)
    local metatable = debug.getmetatable(value)
    if metatable and rawget(metatable, "__tostring") then return words(value) end
    if state.open[value] then return "{ itself }" end
    if depth >= DEPTH then return next(value) == nil and "{}" or "{ ... }" end
    state.open[value] = true
    local text = lay_out(entries(state, value, depth, indent), indent)
    state.open[value] = nil
    local name = metatable and rawget(metatable, "__name")
    return type(name) == "string" and name .. " " .. text or text
end

function render(state, value, depth, indent)
    state.nodes = state.nodes + 1
    if state.nodes > NODES then return "..." end
    if type(value) == "table" then return render_table(state, value, depth, indent) end
    if type(value) == "string" then return depth > 0 and quote(value) or harmless(value) end
    if math.type(value) == "integer" then return integer(value, state.hex) end
    return words(value)
end

local function bounded(text)
    if #text <= BYTES then return text end
    return ("%s\n... %d bytes more"):format(text:sub(1, BYTES), #text - BYTES)
end

-- A value as text, without a newline at its end. A string is shown as it is, but for control
-- characters; strings in tables are quoted.
-- options: hex (false): large integers in hexadecimal, too.
function show.value(value, options)
    local state = { nodes = 0, open = {}, hex = options and options.hex }
    return bounded(render(state, value, 0, ""))
end

-- Several values, a table.pack: on one line where each is a short one.
function show.values(values, options)
    local texts, short = {}, true
    for i = 1, values.n do
        texts[i] = show.value(values[i], options)
        short = short and not texts[i]:find "\n"
    end
    return bounded(table.concat(texts, short and "\t" or "\n"))
end

return show
