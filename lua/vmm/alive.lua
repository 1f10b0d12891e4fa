-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The VMs that vmm.vm has made and that are not closed, for whoever has no name for them.

local alive = {}

local made = setmetatable({}, { __mode = "v" })
local count = 0

-- Called for each VM that is made.
function alive.add(vm)
    count = count + 1
    made[count] = vm
    return vm
end

-- The VMs that are open, in the order they were made.
function alive.list()
    local numbers, list = {}, {}
    for number in pairs(made) do
        numbers[#numbers + 1] = number
    end
    table.sort(numbers)
    for _, number in ipairs(numbers) do
        local vm = made[number]
        if vm and not vm.closed then list[#list + 1] = vm end
    end
    return list
end

return alive
