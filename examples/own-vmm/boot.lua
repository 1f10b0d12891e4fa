-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The boot script of our VMM: a guest of some bytes that adds up with our own device.
--
--   ./own-vmm boot.lua

local abacus = require "abacus"
local vmm = require "vmm"

local code = "\xba\x10\x05" -- mov dx, 0x510: the abacus
    .. "\xb8\x28\x00\xef" -- mov ax, 40; out dx, ax
    .. "\xb0\x02\xee" -- mov al, 2; out dx, al
    .. "\xed" -- in ax, dx
    .. "\xa3\x00\x20" -- mov [0x2000], ax
    .. "\xf4" -- hlt

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "own" })
local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
assert(vm:map(memory))
assert(memory:write(0x1000, code))
local vcpu = assert(vm:create_vcpu(0))
vcpu.sregs = { cs = { base = 0, selector = 0 } }
vcpu.regs = { rip = 0x1000, rflags = 2 }
assert(vm:attach(assert(abacus.new()), { pio = 0x510 }))

assert(vm:start())
local stop = assert(vm:wait { timeout = 10 })
print(("the guest counted to %d and ended: %s"):format(memory:u16(0x2000), stop.reason))
