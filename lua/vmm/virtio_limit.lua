-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How much a device may do in a second, as scripts change it: disk:limit, nic:limit.

local argument = require "vmm.argument"

local limit = {}

local NS_PER_S = 1000000000

--- What holds when a script has named some of a device's limits; a mistake raises, at the caller's
-- caller.
-- @param what  "disk:limit"
-- @param rates  the names of its rates: integers, 0 is no limit
-- @param given  the script's table, or nil: rates and burst (seconds' worth that may come at once)
-- @param now  the limits so far, by name
-- @return all limits by name
function limit.change(what, rates, given, now)
    local names = table.move(rates, 1, #rates, 1, {})
    names[#names + 1] = "burst"
    given = argument.options(what, given, names, 4)
    local limits = {}
    for _, name in ipairs(names) do limits[name] = given[name] or now[name] end
    for _, name in ipairs(rates) do
        argument.integer(what .. ": " .. name, limits[name], 0, math.maxinteger, 4)
    end
    local burst = argument.seconds(what .. ": burst", limits.burst, 4)
    argument.check(burst >= 0 and burst <= 3600, what .. ": burst", "0 to 3600 seconds", burst, 4)
    return limits
end

--- A burst as C takes it, from seconds, and back.
function limit.to_ns(seconds)
    return math.floor(seconds * NS_PER_S)
end

function limit.from_ns(ns)
    return ns / NS_PER_S
end

return limit
