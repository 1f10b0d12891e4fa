-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a script does to a running guest from outside: vm:nmi, vm:power_button.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

-- vm:nmi([index]) -> true, or nil, message, code: a non-maskable interrupt for every vCPU, or for
-- the one of that index in vm.vcpus. A paused vCPU gets it when it goes on.
function methods.nmi(vm, index)
    if index ~= nil then
        local vcpu = argument.vcpu("vm:nmi", vm, index)
        return vcpu:nmi()
    end
    for _, vcpu in ipairs(vm.vcpus or {}) do
        local ok, message, code = vcpu:nmi()
        if not ok then return nil, message, code end
    end
    return true
end

-- vm:power_button() -> true, or nil, message, "ENXIO" when the machine has none: the button is
-- pressed. What the guest makes of it is its own affair.
function methods.power_button(vm)
    if not vm.acpi_events then
        return nil, "the VM has no power button: its field acpi_events is nil", "ENXIO"
    end
    vm.acpi_events:raise(require("vmm.x86.acpi_events").POWER_BUTTON)
    return true
end

return methods
