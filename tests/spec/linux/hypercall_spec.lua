-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:on("hypercall"), by some bytes of real-mode code: they need a CPU that KVM runs guests on.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov eax, 12; mov ebx, 0x4000; mov ecx, 2; mov edx, 0x10; vmmcall; mov [0x3000], eax; hlt
local CALL = "\x66\xb8\x0c\0\0\0\x66\xbb\0\x40\0\0\x66\xb9\2\0\0\0\x66\xba\x10\0\0\0"
    .. "\x0f\x01\xd9\x66\xa3\0\x30" .. bare.HLT
local ENOSYS = -1000 & 0xffffffff -- KVM's

-- What the guest is given by its hypercall.
local function result(subscribe)
    local kvm = assert(vmm.kvm())
    local vm <close>, vcpu = tiny.bare(CALL, kvm)
    vcpu.cpuid = assert(kvm:supported_cpuid())
    if subscribe then subscribe(vm) end
    assert.equal("halt", bare.run(vm).reason)
    return vm.memory:u32(0x3000)
end

describe("a hypercall", function()
    it("is asked about, with its number and arguments, and given an answer", function()
        local seen = {}
        assert.equal(0x77, result(function(vm)
            assert(vm:on("hypercall", function(index, exit)
                seen = { index, exit.type, exit.nr, table.unpack(exit.args, 1, 3) }
                return 0x77
            end))
        end))
        assert.same({ 1, "hypercall", 12, 0x4000, 2, 0x10 }, seen)
    end)

    it("is refused without an answer, and without a subscription", function()
        local calls = 0
        local function count()
            calls = calls + 1
        end
        assert.equal(ENOSYS, result(function(vm) assert(vm:on("hypercall", count)) end))
        assert.equal(1, calls)
        assert.equal(ENOSYS, result())
        assert.equal(ENOSYS, result(function(vm) assert(vm:on("hypercall", count)):remove() end))
        assert.equal(1, calls)
    end)
end)
