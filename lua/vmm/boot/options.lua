-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Which options a boot flow takes.

local failure = require "vmm.boot.failure"

-- Every flow takes these; one that has no use for a value ignores it.
local COMMON = { "mem", "load", "image", "flow", "cmdline", "himem_start", "rsdp", "reserved" }
local REQUIRED = { "mem", "load", "image" }

-- These change what is asked for, so that a flow without them refuses them.
local OF_FLOWS = {
    initrd = { "linux64", "pvh" },
    unpack = { "linux64", "pvh" },
    slide = { "linux64" },
    address = { "flat" },
    mode = { "flat" },
    entry = { "flat" },
}

local function names()
    local list = table.move(COMMON, 1, #COMMON, 1, {})
    for name in pairs(OF_FLOWS) do
        list[#list + 1] = name
    end
    table.sort(list)
    return list
end

local function is_one_of(name, list)
    for _, other in ipairs(list) do
        if name == other then return true end
    end
    return false
end

local options = {}

-- Checks the option table of a flow: raises for a name that no flow has and for one that is
-- missing; fails for one that this flow has not.
function options.check(flow, given)
    for name, value in pairs(given) do
        local flows = OF_FLOWS[name]
        if not flows and not is_one_of(name, COMMON) then
            local valid = table.concat(names(), ", ")
            error(("boot: unknown option %s; valid: %s"):format(tostring(name), valid), 0)
        end
        local asked = not (name == "slide" and value == 0)
        if flows and asked and not is_one_of(flow, flows) then
            local format = "%s: not an option of the %s flow, but of %s"
            failure.raise("EINVAL", format, name, flow, table.concat(flows, " and "))
        end
    end
    for _, name in ipairs(REQUIRED) do
        if given[name] == nil then error(("boot: option %s is missing"):format(name), 0) end
    end
end

return options
