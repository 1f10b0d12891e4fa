-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A device written in Lua, a tap that watches it, and a doorbell that stops no vCPU, for a guest
-- of some bytes in real mode.
--
--   vmm-reference examples/05-device.lua

local vmm = require "vmm"

local code = "\xba\x00\x05" -- mov dx, 0x500: the counter
    .. "\xb0\x28\xee" -- mov al, 40; out dx, al: set it
    .. "\xec\xec" -- in al, dx, twice: count
    .. "\xba\x10\x05" -- mov dx, 0x510: the doorbell
    .. "\xee\xee\xee" -- out dx, al: ring it three times
    .. "\xf4" -- hlt

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "device" })
local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
assert(vm:map(memory))
assert(memory:write(0x1000, code))
local vcpu = assert(vm:create_vcpu(0))
vcpu.sregs = { cs = { base = 0, selector = 0 } }
vcpu.regs = { rip = 0x1000, rflags = 2 }

-- Its state is the table's own; both handlers run on the vCPU's thread.
local counter = assert(vm:device {
    name = "counter",
    pio = { 0x500, 1 },
    reset = function(dev)
        dev.count = 0
    end,
    read = function(dev)
        dev.count = dev.count + 1
        return dev.count
    end,
    write = function(dev, _, _, value)
        dev.count = value
    end,
})

-- Sees what goes to and fro, and gives the device one more than the guest wrote.
assert(vm:tap {
    pio = { 0x500, 1 },
    read = function(_, _, _, value)
        print(("the guest reads %d"):format(value))
    end,
    write = function(_, _, _, value)
        print(("the guest writes %d, the device gets %d"):format(value, value + 1))
        return value + 1
    end,
})

local rung = 0
assert(vm:doorbell {
    pio = 0x510,
    function(count)
        rung = rung + count
    end,
})

assert(vm:start())
assert(assert(vm:wait { timeout = 10 }).reason == "halt")
vmm.step(0) -- what was rung last
print(("the counter is at %d; the doorbell rang %d times, %d writes made an exit"):format(
    counter.count, rung, vm:exit_counts().pio_write))
