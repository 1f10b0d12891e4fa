-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Every combination of some options, each with a name, for tests that are generated.

local argument = require "vmm.argument"

-- The name of one value of an option: "2" of { num = 2 }, "mmio", "debian-cloud".
local function name_of(value)
    if type(value) ~= "table" then return tostring(value) end
    if value.name then return tostring(value.name) end
    local keys, parts = {}, {}
    for key in pairs(value) do
        keys[#keys + 1] = tostring(key)
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
        parts[#parts + 1] = #keys == 1 and tostring(value[key]):match "[^/]*$"
            or ("%s=%s"):format(key, tostring(value[key]))
    end
    return table.concat(parts, " ")
end

local function check(dimensions)
    argument.type("vmm.scenario.matrix: dimensions", dimensions, "table", 4)
    local names = {}
    for name, values in pairs(dimensions) do
        argument.type("vmm.scenario.matrix: a dimension's name", name, "string", 4)
        local what = "vmm.scenario.matrix: " .. name
        argument.check(type(values) == "table" and #values > 0, what,
            "a list of at least one value", values, 4)
        names[#names + 1] = name
    end
    argument.check(#names > 0, "vmm.scenario.matrix: dimensions", "a table with lists", dimensions,
        4)
    table.sort(names)
    return names
end

-- All combinations of the values, the last dimension changing fastest.
local function combine(dimensions, names)
    local list = { { parts = {}, options = {} } }
    for _, name in ipairs(names) do
        local longer = {}
        for _, former in ipairs(list) do
            for _, value in ipairs(dimensions[name]) do
                local combination = {
                    parts = table.move(former.parts, 1, #former.parts, 1, {}), options = {},
                }
                for key, other in pairs(former.options) do
                    combination.options[key] = other
                end
                combination.options[name] = value
                table.insert(combination.parts, ("%s %s"):format(name, name_of(value)))
                longer[#longer + 1] = combination
            end
        end
        list = longer
    end
    return list
end

-- matrix{ vcpus = { { num = 1 }, { num = 2 } }, transport = { "mmio", "pci" } } -> an iterator of
-- name, options: "transport mmio, vcpus 1", { transport = "mmio", vcpus = { num = 1 } }, ...
-- Dimensions come in the order of their names, values in that of their lists.
return function(dimensions)
    local list = combine(dimensions, check(dimensions))
    local at = 0
    return function()
        at = at + 1
        local found = list[at]
        if found then return table.concat(found.parts, ", "), found.options end
    end
end
