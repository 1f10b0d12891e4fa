-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What tests/bench/raw.c does with "exits", through the product: a loop guest on its vCPU
-- thread, its exits taken from the bus by a device in C or by a handler in Lua.
-- Arguments: the guest's image, how many exits, "c" or "lua". Prints microseconds by exit.

local vmm = require "vmm"

local path, count, taker = arg[1], math.tointeger(arg[2]), arg[3]
local PORT, ADDRESS, COUNT_OFFSET = 0x500, 0xd0000000, 4

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "exits" })
local mem = assert(vmm.memory { ranges = { { 0, 256 << 20 } } })
assert(vm:map(mem))
local vcpu = assert(vm:create_vcpu(0))
vcpu.cpuid = assert(kvm:supported_cpuid())

local image = assert(vmm.load.open(path))
local plan = assert(vmm.boot.load {
    flow = "flat", mode = 32, mem = mem, load = vmm.load, image = image,
})
vmm.boot.apply(plan, vcpu)
mem:u32(plan.entry + COUNT_OFFSET, count)

local seen
if taker == "c" then
    local port = vmm.debug_port { name = "sink" }
    assert(vm:attach(port, { pio = PORT }))
    assert(vm:attach(port, { mmio = ADDRESS }))
else
    seen = 0
    local function take()
        seen = seen + 1
    end
    vm:device { name = "sink", pio = { PORT, 1 }, write = take }
    vm:device { name = "sink", mmio = { ADDRESS, 4 }, write = take }
end

local begin = vmm.now()
assert(vm:start())
local stop = assert(vm:wait { timeout = 300 })
local elapsed = vmm.now() - begin
assert(stop.reason == "halt", stop.text)
assert(not seen or seen == count, seen)
print(("%.3f"):format(elapsed / count * 1e6))
