-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Faults of network devices and of links: link:fault, nic:fault, and heal.

local argument = require "vmm.argument"
local core = require "vmm.core"

local net_fault = {}

local DIRECTIONS = { tx = { "tx" }, rx = { "rx" }, both = { "tx", "rx" } }

--- Puts a fault in the place of those that an object has in the same directions.
-- @param owner  keeps them, in owner.faults
-- @param what  options, or a function
-- @param directed  may what.direction be given?
-- @param put  function(fault, direction): called for "tx", "rx"
-- @return the fault; or nil, message, code. Mistakes are raised at the line of its caller's caller,
--   which returns what this does (a tail call).
function net_fault.put(owner, what, directed, put)
    if type(what) == "function" then what = { what } end
    if type(what) ~= "table" then
        error("fault: options or a function, not a " .. type(what), 2)
    end
    local options = {}
    for key, value in pairs(what) do options[key] = value end
    if directed then options.direction = nil end
    local directions = DIRECTIONS[directed and what.direction or "both"]
    if not directions then
        error('fault: direction must be one of "tx", "rx", "both"', 2)
    end
    if what[1] ~= nil then
        argument.type("fault: [1]", what[1], "function", 3)
        for key in pairs(options) do
            if key ~= 1 then
                error(("fault: %s: not beside a function"):format(tostring(key)), 2)
            end
        end
    end
    local ok, fault, message, code = pcall(core.net_fault, options)
    if not ok then error("fault: " .. fault, 2) end
    if not fault then return nil, message, code end
    owner.faults = owner.faults or {}
    for _, direction in ipairs(directions) do
        owner.faults[direction] = fault
        put(fault, direction)
    end
    return fault
end

--- Removes what net_fault.put has put, in all directions; nothing when there is nothing.
function net_fault.heal(owner)
    for _, fault in pairs(owner.faults or {}) do
        fault:remove()
    end
    owner.faults = nil
end

return net_fault
