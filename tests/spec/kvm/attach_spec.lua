-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Which devices a VM takes on its bus.

local vmm = require "vmm"

local FOREIGN = "the device was made for another VM"

local function with_irqchip()
    local vm = assert(assert(vmm.kvm()):create_vm())
    assert(vm:create_irqchip())
    return vm
end

describe("a VM", function()
    it("refuses a device with a part of another VM", function()
        local a <close> = with_irqchip()
        local b <close> = with_irqchip()
        local foreign = {
            vmm.i8042 { vm = a },
            vmm.acpi_power { vm = a },
            vmm.serial { irq = a:irq(4) },
            vmm.serial { console = assert(a:create_console {}) },
        }
        for _, device in ipairs(foreign) do
            assert.error_matches(function()
                b:attach(device, { pio = 0x3f8 })
            end, FOREIGN)
        end
        assert(a:attach(foreign[1], { pio = 0x60 }))
    end)

    it("takes a device that has no part of any", function()
        local a <close> = with_irqchip()
        local b <close> = with_irqchip()
        local port = vmm.debug_port {}
        assert(a:attach(port, { pio = 0x80 }))
        assert(b:attach(port, { pio = 0x80 }))
    end)

    it("has no device where its memory is, whichever came first", function()
        local vm <close> = assert(assert(vmm.kvm()):create_vm())
        local low = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
        local split = assert(vmm.memory { ranges = { { 0, 0x10000 }, { 0x40000, 0x10000 } } })
        local timer = assert(vm:device { name = "timer", mmio = { 0x4fff0, 0x20 } })
        assert.same({
            nil, "mmio: timer at 0x4fff0-0x5000f overlaps memory at 0x40000-0x4ffff", "EBUSY",
        }, { vm:map(split) })
        assert(timer:move(0x50000))
        assert(vm:map(split))
        assert.same({
            nil, "mmio: post at 0xffff-0xffff overlaps memory at 0x0-0xffff", "EBUSY",
        }, { vm:attach(vmm.debug_port { name = "post" }, { mmio = 0xffff }) })
        assert(vm:attach(vmm.debug_port { name = "post" }, { mmio = 0x10000 }))
        low:close()
    end)
end)

describe("a serial port", function()
    it("is not made of parts of two VMs", function()
        local a <close> = with_irqchip()
        local b <close> = with_irqchip()
        assert.error_matches(function()
            vmm.serial { irq = a:irq(4), console = assert(b:create_console {}) }
        end, "vmm.serial: the irq and the console are of different VMs")
    end)
end)
