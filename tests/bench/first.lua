-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What tests/bench/raw.c does with "first", through the building blocks: runs a flat 32-bit
-- guest up to its first exit and writes the byte it sent. Argument: the guest's image.

local vmm = require "vmm"

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "first" })
local mem = assert(vmm.memory { ranges = { { 0, 256 << 20 } } })
assert(vm:map(mem))
assert(vm:create_irqchip())
local vcpu = assert(vm:create_vcpu(0))
vcpu.cpuid = assert(kvm:supported_cpuid())

local image = assert(vmm.load.open(arg[1]))
local plan = assert(vmm.boot.load {
    flow = "flat", mode = 32, mem = mem, load = vmm.load, image = image,
})
vmm.boot.apply(plan, vcpu)

local exit = assert(vcpu:run_once())
assert(exit.type == "pio_write" and exit.port == 0x3f8, exit.type)
io.stdout:write(exit.data)
io.stdout:flush()
