-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The smallest VMM: a few bytes of real-mode code, a vCPU, and a loop of one's own around
-- run_once.  No thread, no device, no kernel image.
--
--   vmm-reference examples/01-flat.lua

local vmm = require "vmm"

-- mov dx, 0x3f8; then for each letter: mov al, letter; out dx, al; then hlt
local code = { "\xba\xf8\x03" }
for letter in ("Hello from real mode\n"):gmatch "." do
    code[#code + 1] = "\xb0" .. letter .. "\xee"
end
code[#code + 1] = "\xf4"

local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "flat" })
local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
assert(vm:map(memory))
assert(memory:write(0x1000, table.concat(code)))

local vcpu = assert(vm:create_vcpu(0))
vcpu.sregs = { cs = { base = 0, selector = 0 } }
vcpu.regs = { rip = 0x1000, rflags = 2 }

repeat
    local exit = assert(vcpu:run_once())
    if exit.type == "pio_write" and exit.port == 0x3f8 then
        io.write(exit.data)
    elseif exit.type ~= "halt" then
        error("unexpected exit " .. exit.type)
    end
until exit.type == "halt"
