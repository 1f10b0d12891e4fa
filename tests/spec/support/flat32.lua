-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- VMs without devices whose vCPUs run 32-bit code at once, for specs that debug them: KVM without
-- VMX or SVM emulates INT3 in real mode, but fails at it here, which we take as a hit.

local vmm = require "vmm"

local flat32 = {}

flat32.CODE = 0x1000

local function segment(selector, type)
    return {
        base = 0, limit = 0xffffffff, selector = selector, type = type, present = 1, db = 1,
        s = 1, g = 1, dpl = 0, l = 0, avl = 0, unusable = 0,
    }
end

-- Each vCPU is about to run code at flat32.CODE, its index in ECX, a stack of its own. Not started.
function flat32.vm(code, vcpus)
    local vm = assert(assert(vmm.kvm()):create_vm { name = "flat32" })
    vm.memory = assert(vmm.memory { ranges = { { 0, 0x20000 } } })
    assert(vm:map(vm.memory))
    assert(vm.memory:write(flat32.CODE, code))
    vm.vcpus = {}
    for i = 1, vcpus or 1 do
        local vcpu = assert(vm:create_vcpu(i - 1))
        local data = segment(16, 3)
        local cr0 = vcpu.sregs.cr0 | 1
        vcpu.sregs = {
            cs = segment(8, 11), ss = data, ds = data, es = data, fs = data, gs = data, cr0 = cr0,
        }
        vcpu.regs = { rip = flat32.CODE, rflags = 2, rcx = i, rsp = 0x10000 + i * 0x1000 }
        vm.vcpus[i] = vcpu
    end
    return vm
end

return flat32
