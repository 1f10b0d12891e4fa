-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What measuring costs: one guest writes to a port for ever, and the VM is switched between off,
-- measure, and measure with a trace, slice by slice, so that whatever else the host does falls on
-- all of them alike. Arguments: the guest's image (pio_loop32), how many rounds. Prints a table.

local vmm = require "vmm"

local path, rounds = ...
rounds = math.tointeger(rounds)
local PORT, COUNT_OFFSET = 0x500, 4
local SLICE_SECONDS = 0.03

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "metrics" })
local mem = assert(vmm.memory { ranges = { { 0, 256 << 20 } } })
assert(vm:map(mem))
local vcpu = assert(vm:create_vcpu(0))
vcpu.cpuid = assert(kvm:supported_cpuid())
local plan = assert(vmm.boot.load {
    flow = "flat", mode = 32, mem = mem, load = vmm.load, image = assert(vmm.load.open(path)),
})
vmm.boot.apply(plan, vcpu)
mem:u32(plan.entry + COUNT_OFFSET, 0xffffffff)
assert(vm:attach(vmm.debug_port { name = "sink" }, { pio = PORT }))

local MODES = {
    { name = "off", set = function() vm:measure(false) end },
    { name = "measured", set = function() vm:measure(true) end },
    { name = "measured and traced", set = function()
        vm:measure(true)
        return assert(vm:trace { events = 4096 })
    end },
}

-- CPU seconds and exits of the vCPU so far: what others do to the host does not count.
local function state()
    local of = vm:metrics().vcpus[1]
    return of.cpu, of.exits.pio_write or 0
end

local function slice(mode)
    local trace = mode.set()
    vmm.sleep(0.005)
    local cpu, exits = state()
    vmm.sleep(SLICE_SECONDS)
    local cpu_then, exits_then = state()
    if trace then trace:stop() end
    table.insert(mode.figures, (cpu_then - cpu) / (exits_then - exits) * 1e6)
end

local function median(list)
    table.sort(list)
    return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

for _, mode in ipairs(MODES) do
    mode.figures, mode.ratios = {}, {}
end
assert(vm:start())
for round = 1, rounds do
    for step = 0, #MODES - 1 do
        slice(MODES[(round + step) % #MODES + 1])
    end
    for _, mode in ipairs(MODES) do
        mode.ratios[round] = mode.figures[round] / MODES[1].figures[round]
    end
end
vm:stop()

print(("  %-22s %10s %10s"):format("us of CPU an exit", "median", "ratio"))
for _, mode in ipairs(MODES) do
    print(("  %-22s %10.3f %10.4f"):format(mode.name, median(mode.figures), median(mode.ratios)))
end
