-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Names for the VMs of a scenario that has given them none: errors and reports tell them apart.

local names = {}

local held = setmetatable({}, { __mode = "k" }) -- the VMs that there are

-- "vm"; or "vm2", "vm3", ... when VMs that are not closed have those before.
function names.free()
    local taken = {}
    for vm in pairs(held) do
        if not vm.closed then taken[vm.name] = true end
    end
    local name, number = "vm", 1
    while taken[name] do
        number = number + 1
        name = "vm" .. number
    end
    return name
end

-- From now on a VM has its name for itself.
function names.hold(vm)
    held[vm] = true
end

return names
