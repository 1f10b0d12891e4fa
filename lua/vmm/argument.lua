-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a function of the library is given, checked: what it does not take raises an error that
-- says what it takes, at the line of the caller.

local text = require "vmm.text"

local argument = {}

local CALLER = 3 -- of the function that checks
local HERE = 2 -- how error counts: the function that called fail

local function fail(level, format, ...)
    error(format:format(...), (level or CALLER) + HERE - 1)
end

-- Raises, unless ok, that value is not what is wanted, in words.
function argument.check(ok, what, wanted, value, level)
    if not ok then fail(level, "%s must be %s, not %s", what, wanted, text.show(value)) end
    return value
end

-- Checks a value's type. what names it: "console:send: bytes"; level: of whom to blame, for a
-- check inside a helper (3).
function argument.type(what, value, wanted, level)
    if type(value) ~= wanted then
        fail(level, "%s must be a %s, not %s", what, wanted, text.show(value))
    end
    return value
end

-- Checks an integer, from least to most where they are given.
function argument.integer(what, value, least, most, level)
    if math.type(value) ~= "integer" then
        fail(level, "%s must be an integer, not %s", what, text.show(value))
    elseif least and (value < least or value > most) then
        fail(level, "%s must be %d to %d, not %d", what, least, most, value)
    end
    return value
end

-- Checks the index of a vCPU in vm.vcpus; returns the vCPU.
function argument.vcpu(what, vm, index, level)
    local vcpus = vm.vcpus or {}
    local vcpu = math.type(index) == "integer" and vcpus[index]
    if not vcpu then
        fail(level, "%s: there is no vCPU %s, but %s", what, text.show(index),
            vcpus[1] and "1 to " .. #vcpus or "none in vm.vcpus")
    end
    return vcpu
end

-- Checks that a value can be called.
function argument.callable(what, value, level)
    if type(value) ~= "function" and not (getmetatable(value) or {}).__call then
        fail(level, "%s must be a function, not %s", what, text.show(value))
    end
    return value
end

-- Checks a number of seconds; negative ones are over already.
function argument.seconds(what, value, level)
    if type(value) ~= "number" or value ~= value then
        fail(level, "%s must be a number of seconds, not %s", what, text.show(value))
    end
    return value
end

-- Checks a table of options, or nil, and a timeout in it; names: those that are valid.
-- Returns the table, empty for nil.
function argument.options(what, given, names, level)
    if given == nil then return {} end
    if type(given) ~= "table" then
        fail(level, "%s: options must be a table, not %s; valid: %s", what, text.show(given),
            table.concat(names, ", "))
    end
    local known = {}
    for _, name in ipairs(names) do
        known[name] = true
    end
    for key in pairs(given) do
        if not known[key] then
            fail(level, "%s: unknown option %s%s valid: %s", what, text.show(key),
                text.suggest(key, names), table.concat(names, ", "))
        end
    end
    if given.timeout ~= nil then
        argument.seconds(what .. ": timeout", given.timeout, (level or CALLER) + 1)
    end
    return given
end

return argument
