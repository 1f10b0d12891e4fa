-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One parameter: from text or from a Lua value to a checked value.
--
-- A parameter is a table with
--   name, aliases, metavar, help
--   type          integer, number, boolean, choice, string, path, callable,
--                 place (where a console goes), ports (names with places) or
--                 functions (a table of them, their names are choices)
--   forms         those of a place or of ports' places (vmm.place)
--   default       the value when none is given; default_text says it in words
--   default_unless  { name, value } of another parameter: then it has no default
--   required      there is no default
--   min, max      range of a number; multiple_of; hex: show it in hex
--   choices       the valid strings of a choice, or the valid integers
--   only_with     { name, value } of another parameter that this one needs
--   max_bytes, pattern, pattern_help   limits of a string

local place = require "vmm.place"
local text = require "vmm.text"

local parameter = {}

local function number_text(param, n)
    if param.hex then
        return string.format("0x%x", n)
    end
    return math.type(n) == "integer" and tostring(n)
        or string.format("%.14g", n)
end

--- What is allowed, in words: "1 to 254", "true or false".
function parameter.allowed(param)
    if param.type == "boolean" then
        return "true, false"
    elseif param.choices then
        return table.concat(param.choices, ", ")
    elseif param.type == "place" then
        return place.list(param.forms)
    elseif param.type == "string" or param.type == "path" then
        return param.pattern_help or "text"
    end
    local range = number_text(param, param.min) .. " to "
        .. number_text(param, param.max)
    if param.multiple_of then
        range = range .. " in steps of "
            .. number_text(param, param.multiple_of)
    end
    return range
end

local function refuse(param, given, what)
    return nil, string.format("%s %s; allowed: %s", text.show(given), what,
        parameter.allowed(param))
end

-- ---- text to value ------------------------------------------------------------

--- Whole numbers, decimal or 0x hex; too large for 64 bits is math.huge.
local function integer_from_text(given)
    local sign, digits = given:match "^(-?)(%d+)$"
    local value
    if digits then
        value = math.tointeger(tonumber(digits)) or math.huge
    else
        sign, digits = given:match "^(-?)0[xX](%x+)$"
        if not digits then
            return nil
        end
        digits = digits:gsub("^0+", "")
        value = #digits > 15 and math.huge or tonumber("0x0" .. digits)
    end
    return sign == "-" and -value or value
end

local function number_from_text(given)
    if given:match "^-?%d+%.?%d*$" or given:match "^-?%.%d+$" then
        return tonumber(given)
    end
    return nil
end

local from_text = {
    integer = integer_from_text,
    number = number_from_text,
    boolean = function(given)
        if given == "true" or given == "false" then
            return given == "true"
        end
        return nil
    end,
    ports = place.split_ports,
}

-- ---- checks on values -----------------------------------------------------------

local function check_number(param, value, given)
    if value ~= value or value < param.min or value > param.max then
        return refuse(param, given, "is out of range")
    end
    if param.multiple_of and value % param.multiple_of ~= 0 then
        return refuse(param, given, "is not a multiple of "
            .. number_text(param, param.multiple_of))
    end
    return value
end

local function contains(list, value)
    for _, item in ipairs(list) do
        if item == value then
            return true
        end
    end
    return false
end

local check = {}

function check.integer(param, value, given)
    if type(value) ~= "number"
        or (value ~= math.huge and value ~= -math.huge
            and not math.tointeger(value)) then
        return refuse(param, given, "is not a whole number")
    end
    value = math.tointeger(value) or value
    if not param.choices then
        return check_number(param, value, given)
    elseif not contains(param.choices, value) then
        return refuse(param, given, "is not among them")
    end
    return value
end

function check.number(param, value, given)
    if type(value) ~= "number" then
        return refuse(param, given, "is not a number")
    end
    return check_number(param, value, given)
end

function check.boolean(param, value, given)
    if type(value) ~= "boolean" then
        return refuse(param, given, "is not a boolean")
    end
    return value
end

function check.choice(param, value, given)
    if contains(param.choices, value) then
        return value
    end
    return nil, string.format("%s is not known%s allowed: %s",
        text.show(given), text.suggest(value, param.choices),
        parameter.allowed(param))
end

function check.string(param, value, given)
    if type(value) ~= "string" then
        return nil, text.show(given) .. " is not a string"
    end
    if value:find("\0", 1, true) then
        return nil, text.show(given) .. " has a NUL character"
    end
    if param.max_bytes and #value > param.max_bytes then
        return nil, string.format("%s has %d bytes; allowed: %d",
            text.show(given), #value, param.max_bytes)
    end
    if param.pattern and not value:match(param.pattern) then
        return refuse(param, given, "has other characters")
    end
    return value
end

function check.path(param, value, given)
    if value == "" then
        return nil, "the path is empty"
    end
    return check.string(param, value, given)
end

function check.callable(_, value, given)
    if type(value) ~= "function" then
        return nil, text.show(given) .. " is not a function"
    end
    return value
end

function check.functions(param, value, given)
    if type(value) ~= "table" then
        return nil, text.show(given) .. " is not a table of functions"
    end
    for name, fn in pairs(value) do
        if not contains(param.choices, name) then
            return nil, string.format("%s is not known; allowed: %s", text.show(name),
                table.concat(param.choices, ", "))
        elseif type(fn) ~= "function" then
            return nil, string.format("%s: %s is not a function", name, text.show(fn))
        end
    end
    return value
end

function check.place(param, value)
    return place.read(param.forms, value)
end

function check.ports(param, value)
    return place.read_ports(param.forms, value)
end

--- Check what a script gave.
-- @return the value, or nil and what is wrong with it
function parameter.from_value(param, value)
    return check[param.type](param, value, value)
end

--- Convert and check what a command line gave.
-- @return the value, or nil and what is wrong with it
function parameter.from_text(param, given)
    local value = given
    if from_text[param.type] then
        value = from_text[param.type](given)
    end
    return check[param.type](param, value, given)
end

return parameter
