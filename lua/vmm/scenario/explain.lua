-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM is at, in words, for errors: its state and its last console lines.

local explain = {}

local SHOWN_BYTES = 16384 -- of the last lines

-- The state of a VM in a few words.
function explain.words(vm)
    if vm.closed then return "closed" end
    local stop = vm:stopped()
    if stop then
        return "ended: " .. stop.reason .. (stop.text ~= "" and " (" .. stop.text .. ")" or "")
    end
    local state = vm.vcpus and vm.vcpus[1] and vm.vcpus[1].state or "none"
    return state == "none" and "not started" or state
end

-- The same with the console's last lines.
function explain.state(vm)
    local tail = vm.console:tail():sub(-SHOWN_BYTES)
    return ("the VM is %s; last lines:\n%s"):format(explain.words(vm),
        tail == "" and "(the console is silent)" or tail)
end

return explain
