-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A small machine for flat guests, made of building blocks: RAM, one vCPU, COM1, i8042.

local vmm = require "vmm"

local flat_machine = {}

-- options: path (the image), mode (16, 32 or 64), setup (function(vm, mem, plan): more devices,
-- before it starts), irqchip (false). Returns the VM, started.
function flat_machine.start(options)
    local kvm = assert(vmm.kvm())
    local vm = assert(kvm:create_vm { name = options.path:match "([^/]+)$" })
    local mem = assert(vmm.memory { ranges = { { 0, 16 << 20 } } })
    assert(vm:map(mem))
    if options.irqchip then assert(vm:create_irqchip()) end
    local vcpu = assert(vm:create_vcpu(0))
    vm.vcpus = { vcpu }
    vcpu.cpuid = assert(kvm:supported_cpuid())

    vm.console = assert(vmm.console(vm, { to = "capture" }))
    assert(vm:attach(vmm.serial { console = vm.console.core }, { pio = 0x3f8 }))
    assert(vm:attach(vmm.i8042 { vm = vm }, { pio = 0x64, region = 1 }))

    local plan = assert(vmm.boot.load {
        flow = "flat", mode = options.mode, mem = mem, load = vmm.load,
        image = assert(vmm.load.open(options.path)),
    })
    vmm.boot.apply(plan, vcpu)
    if options.setup then options.setup(vm, mem, plan) end
    assert(vm:start())
    return vm
end

return flat_machine
