-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A vCPU run by hand: run_once, typed exits, answers, state.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

describe("run_once", function()
    it("returns a port write with its port, size and data", function()
        -- mov al, 'A'; out 0x42, al
        local vm <close>, vcpu = tiny.bare "\xb0A\xe6\x42"
        local exit = assert(vcpu:run_once())
        assert.same({
            type = "pio_write", number = 2, port = 0x42, size = 1, count = 1, data = "A",
        }, exit)
    end)

    it("hands the answer to a port read to the guest", function()
        -- in al, 0x42; out 0x43, al
        local vm <close>, vcpu = tiny.bare "\xe4\x42\xe6\x43"
        assert.equal("pio_read", assert(vcpu:run_once()).type)
        vcpu:answer "z"
        assert.equal("z", assert(vcpu:run_once()).data)
    end)

    it("refuses an answer of another size", function()
        local vm <close>, vcpu = tiny.bare "\xe4\x42"
        vcpu:run_once()
        assert.error_matches(function()
            vcpu:answer "zz"
        end, "the guest reads 1 bytes, not 2")
    end)

    it("returns a memory-mapped write with its address", function()
        -- mov ax, 0x2000; mov ds, ax; mov word [0x10], 0x1234
        local vm <close>, vcpu = tiny.bare "\xb8\x00\x20\x8e\xd8\xc7\x06\x10\x00\x34\x12"
        assert.same({ type = "mmio_write", number = 6, gpa = 0x20010, size = 2, data = "\x34\x12" },
            assert(vcpu:run_once()))
    end)

    it("returns halt without an irqchip", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        assert.equal("halt", assert(vcpu:run_once()).type)
    end)

    it("ends a halting ELF guest well", function()
        local kvm = assert(vmm.kvm())
        local vm <close> = assert(kvm:create_vm {})
        local memory = assert(vmm.memory { ranges = { { 0, 2 << 20 } } })
        assert(vm:map(memory))
        local vcpu = assert(vm:create_vcpu(0))
        local plan = assert(vmm.boot.load {
            mem = memory, load = vmm.load, image = assert(vmm.load.open(tiny.path "halt")),
        })
        vmm.boot.apply(plan, vcpu)
        assert(vm:start())
        assert.same({ reason = "halt", text = "vCPU 0 halted" }, vm:wait { timeout = 10 })
    end)

    it("gives the last exit to the VM's devices by dispatch", function()
        local vm <close>, vcpu = tiny.bare "\xe4\x42\xe6\x43\xf4"
        local written
        assert(vm:device { name = "a", pio = { 0x42, 1 }, read = function() return 7 end })
        assert(vm:device {
            name = "b", pio = { 0x43, 1 },
            write = function(_, _, _, value) written = value end,
        })
        repeat
            assert(vcpu:run_once())
        until not vcpu:dispatch()
        assert.equal(7, written)
    end)
end)

describe("vCPU state", function()
    it("changes only the registers that a table names", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        vcpu.regs = { rax = 5 }
        vcpu.regs = { rbx = 6 }
        local regs = vcpu.regs
        assert.equal(5, regs.rax)
        assert.equal(6, regs.rbx)
        assert.equal(0x1000, regs.rip)
    end)

    it("refuses a register that does not exist", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        assert.error_matches(function()
            vcpu.regs = { eax = 1 }
        end, "regs has no field 'eax'")
    end)

    it("refuses a value that does not fit", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        assert.error_matches(function()
            vcpu.sregs = { cs = { selector = 0x10000 } }
        end, "selector does not fit 16 bits")
    end)

    it("reads and writes every kind of state as bytes", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        local names = { "regs", "sregs", "fpu", "xsave", "debugregs", "mp_state", "vcpu_events" }
        -- Not every host's CPU has extended control registers.
        if assert(vmm.kvm()):capability "KVM_CAP_XCRS" ~= 0 then names[#names + 1] = "xcrs" end
        for _, name in ipairs(names) do
            local state = vcpu:get_state(name)
            assert.is_true(#state > 0, name)
            assert.is_true(vcpu:set_state(name, state), name)
            assert.equal(state, vcpu:get_state(name))
        end
    end)

    it("keeps MSRs", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        assert(vcpu:set_msrs { [0x277] = 0x0007040600070406 })
        assert.same({ [0x277] = 0x0007040600070406 }, vcpu:get_msrs { 0x277 })
    end)

    it("names the MSR that KVM refuses", function()
        local vm <close>, vcpu = tiny.bare "\xf4"
        local ok, message = vcpu:set_msrs { [0x12345] = 1 }
        assert.is_nil(ok)
        assert.matches("0x12345", message)
    end)

    it("cannot be read of a closed VM", function()
        local vm, vcpu = tiny.bare "\xf4"
        vm:close()
        assert.error_matches(function()
            return vcpu.regs
        end, "the vCPU's VM is closed")
    end)
end)
