-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The reset vector as a vCPU runs it.

local vmm = require "vmm"

describe("A jump to the reset vector", function()
    it("resets the machine", function()
        local kvm = assert(vmm.kvm())
        local vm <close> = assert(kvm:create_vm {})
        local memory = assert(vmm.memory { ranges = { { 0, 2 << 20 } } })
        assert(vm:map(memory))
        local vcpu = assert(vm:create_vcpu(0))
        vm.vcpus = { vcpu }
        assert(vm:attach(vmm.acpi_power { vm = vm }, { pio = vmm.layout.acpi_power_port }))
        assert(vmm.firmware.place(memory, { vcpus = 1 }))

        -- jmp 0xf000:0xfff0
        local plan = assert(vmm.boot.load {
            flow = "flat", mode = 16, mem = memory, load = vmm.load,
            image = vmm.load.bytes "\xea\xf0\xff\x00\xf0",
        })
        vmm.boot.apply(plan, vcpu)
        assert(vm:start())
        assert.equal("reboot", assert(vm:wait { timeout = 10 }).reason)
    end)
end)
