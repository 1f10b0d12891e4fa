-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How guests end that halt, or that run what KVM cannot emulate.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local hardware = assert(vmm.kvm()):hardware()

describe("a halting guest", function()
    for _, form in ipairs { "elf", "bzimage" } do
        it("ends well [" .. form .. "]", function()
            local stop, output = tiny.run("halt", { form = form, memory = { size_mib = 32 } })
            assert.equal("PASS\nreboot: System halted\n", output)
            assert.equal("halt", stop.reason)
        end)
    end
end)

describe("an instruction that KVM's emulator lacks", function()
    it("ends the machine where ring 0 is emulated, and points to the lab", function()
        local stop, output = tiny.run "fwait"
        if hardware then
            assert.equal("PASS\n", output)
        else
            assert.equal("error", stop.reason)
            assert.matches("at rip 0x100000 (64-bit, ring 0), bytes 9b ", stop.text, 1, true)
            assert.matches("vmm-reference lab", stop.text, 1, true)
        end
    end)

    it("ends it likewise as a breakpoint without an IDT, elsewhere by a triple fault", function()
        local stop = tiny.run "int3"
        assert.equal(hardware and "triple_fault" or "error", stop.reason)
    end)
end)
