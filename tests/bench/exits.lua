-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What tests/bench/raw.c does with "exits", through the product: a loop guest on its vCPU
-- thread, its exits taken by a device in C or by something in Lua.
-- Arguments: the guest's image, how many exits, who takes them (below). Prints microseconds of CPU
-- time by exit.

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
local function take()
    seen = seen + 1
end
local PIO, MMIO = { PORT, 1 }, { ADDRESS, 4 }

local function device_in_c()
    local port = vmm.debug_port { name = "sink" }
    assert(vm:attach(port, { pio = PORT }))
    assert(vm:attach(port, { mmio = ADDRESS }))
end

-- Who takes the exits; those in Lua count them.
local takers = {
    c = device_in_c,
    -- The same with a hook that other exits are for, and a tap elsewhere.
    watched = function()
        device_in_c()
        vm:on("exit", error)
        assert(vm:tap { pio = { PORT + 0x100, 1 }, write = error })
        assert(vm:tap { mmio = { ADDRESS + 0x100, 4 }, write = error })
    end,
    lua = function()
        seen = 0
        assert(vm:device { name = "sink", pio = PIO, write = take })
        assert(vm:device { name = "sink", mmio = MMIO, write = take })
    end,
    tap = function()
        seen = 0
        device_in_c()
        assert(vm:tap { pio = PIO, write = take })
        assert(vm:tap { mmio = MMIO, write = take })
    end,
    hook = function()
        seen = 0
        vm:on("unhandled_pio", take)
        vm:on("unhandled_mmio", take)
    end,
    nobody = function() end,
    -- KVM counts the writes, as the notifications of virtio queues; the script's thread hears of
    -- some at a time.
    doorbell = function()
        local function rung() end
        assert(vm:doorbell { pio = PORT, rung })
        assert(vm:doorbell { mmio = ADDRESS, rung })
    end,
}
takers[taker]()

local begin = os.clock()
assert(vm:start())
local stop = assert(vm:wait { timeout = 300 })
local elapsed = os.clock() - begin
assert(stop.reason == "halt", stop.text)
assert(not seen or seen == count, seen)
print(("%.3f"):format(elapsed / count * 1e6))
