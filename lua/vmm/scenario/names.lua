-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Names for the VMs of a scenario that has given them none: errors and reports tell them apart.

local alive = require "vmm.alive"

local names = {}

-- "vm"; or "vm2", "vm3", ... when VMs that are not closed have those before.
function names.free()
    local taken = {}
    for _, vm in ipairs(alive.list()) do
        taken[vm.name] = true
    end
    local name, number = "vm", 1
    while taken[name] do
        number = number + 1
        name = "vm" .. number
    end
    return name
end

return names
