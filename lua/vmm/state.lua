-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM is at, for the errors of waits: in a few words, its console's last lines, and the
-- failure that a scenario has found.

local state = {}

local SHOWN_BYTES = 16384 -- of the last lines

-- "running", "closed", "ended: panic (...)", ...
function state.words(vm)
    if vm.closed then return "closed" end
    local stop = vm:stopped()
    if stop then
        return "ended: " .. stop.reason .. (stop.text ~= "" and " (" .. stop.text .. ")" or "")
    end
    local first = vm.vcpus and vm.vcpus[1] and vm.vcpus[1].state or "none"
    return first == "none" and "not started" or first
end

-- The last lines of a console; nil: there is none.
function state.last_lines(console)
    local tail = console and console:tail():sub(-SHOWN_BYTES) or ""
    return "last lines:\n" .. (tail == "" and "(the console is silent)" or tail)
end

-- The failure of a scenario's VM, if it has failed. whole: no more of what it says is waited for.
function state.failure(vm, whole)
    local scenario = vm.scenario
    return scenario and (scenario.settle and scenario.settle(whole) or scenario.failure)
end

return state
