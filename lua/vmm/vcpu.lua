-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a vCPU object can do beyond the core's mechanisms, loaded when it is first used.

local core = require "vmm.core"

local methods = core.classes["vmm.vcpu"]

-- Each is replaced by the module's own.
for _, name in ipairs { "reg", "registers", "dump" } do
    methods[name] = function(...)
        require "vmm.registers"
        return methods[name](...)
    end
end

return methods
