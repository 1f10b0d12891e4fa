-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Lua devices that come, go, move and are replaced, also while the vCPU runs.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- A guest that polls port 0x500 and tells what it read: vm, await(value), the set of all.
local function start_poll()
    local vm, seen = tiny.bare(bare.POLL), {}
    return vm, bare.await_told(vm, seen), seen
end

local function constant(value, name)
    return { name = name, pio = { 0x500, 1 }, read = function() return value end }
end

describe("a Lua device of a running guest", function()
    it("is added, removed and added again", function()
        local vm, await = start_poll()
        assert(vm:start())
        await(0xff)
        local dev = assert(vm:device(constant(7)))
        await(7)
        assert.is_true(dev:remove())
        await(0xff)
        assert.is_true(dev:remove())
        assert(vm:device(dev))
        await(7)
        vm:close()
        assert.is_true(dev:remove())
    end)

    it("is replaced without a hole", function()
        local vm, await, seen = start_poll()
        local dev = assert(vm:device(constant(1, "old")))
        assert(vm:start())
        await(1)
        for value = 2, 50 do
            local next = assert(dev:replace { read = function() return value end })
            local ok, message, code = dev:replace { read = function() return 0 end }
            assert.is_nil(ok)
            assert.matches("has been removed", message)
            assert.equal("ENOENT", code)
            assert.is_true(dev:remove())
            dev = next
            await(value)
        end
        assert.is_nil(seen[0xff])
        vm:close()
    end)

    it("moves", function()
        local vm, await = start_poll()
        local dev = constant(9, "mover")
        dev.pio = { 0x600, 1 }
        assert(vm:device(dev))
        assert(vm:device { name = "wall", pio = { 0x700, 4 } })
        assert(vm:start())
        await(0xff)
        assert.is_true(dev:move(0x500))
        await(9)
        local ok, message, code = dev:move(0x702)
        assert.is_nil(ok)
        assert.matches("mover at 0x702%-0x702 overlaps wall at 0x700%-0x703", message)
        assert.equal("EBUSY", code)
        assert.is_true(dev:move(0x600))
        await(0xff)
        dev:remove()
        assert.same({ nil, "device mover has been removed", "ENOENT" }, { dev:move(0x500) })
        vm:close()
    end)

    it("removes and replaces itself in its handler", function()
        local vm, await = start_poll()
        local reads = 0
        local dev
        dev = assert(vm:device {
            pio = { 0x500, 1 },
            read = function(self)
                reads = reads + 1
                assert.equal(dev, self)
                assert(self:replace {
                    read = function(second)
                        second:remove()
                        return 2
                    end,
                })
                return 1
            end,
        })
        assert(vm:start())
        await(0xff)
        assert.equal(1, reads)
        vm:close()
    end)

    it("survives a thousand comings and goings", function()
        local vm, await = start_poll()
        assert(vm:start())
        for value = 1, 1000 do
            local dev = assert(vm:device(constant(value % 100)))
            if value % 3 == 0 then
                collectgarbage()
                vmm.step(0)
            end
            assert(dev:remove())
        end
        await(0xff)
        vm:close()
    end)
end)

describe("vm:device", function()
    it("resets a device when it is made", function()
        local vm <close> = tiny.bare "\xba\x00\x05\xec\xe6\x43\xf4"
        local told
        local dev = assert(vm:device {
            pio = { 0x500, 1 },
            reset = function(self) self.count = 40 end,
            read = function(self)
                self.count = self.count + 1
                return self.count
            end,
        })
        assert.equal(40, dev.count)
        assert(vm:device { pio = { 0x43, 1 }, write = function(_, _, _, value) told = value end })
        assert(vm:start())
        assert(vm:wait { timeout = 10 })
        assert.equal(41, told)
    end)

    it("wants a place, and just one", function()
        local vm <close> = tiny.bare "\xf4"
        assert.has_error(function() vm:device {} end,
            "vm:device: give pio = {base, len} or mmio = {base, len}")
        assert.has_error(function() vm:device { pio = { 1, 1 }, mmio = { 1, 1 } } end,
            "vm:device: give pio = {base, len} or mmio = {base, len}, not both")
        assert.has_error(function() vm:device { pio = { 1 } } end,
            "vm:device: pio must be {base, len}: two integers")
        assert.has_error(function() vm:device { pio = 5 } end,
            "vm:device: pio must be {base, len}")
    end)

    it("refuses memory, by both names", function()
        local vm <close> = tiny.bare "\xf4"
        for _, range in ipairs { { 0xfff8, 16 }, { 0, 1 }, { 0xffff, 1 }, { 0, -1 } } do
            local ok, message, code = vm:device { name = "timer", mmio = range }
            assert.is_nil(ok)
            assert.matches("timer at 0x%x+%-0x%x+ overlaps memory at 0x0%-0xffff", message)
            assert.equal("EBUSY", code)
        end
        local dev = assert(vm:device { name = "timer", mmio = { 0x10000, 16 } })
        local ok, message = dev:move(0xfff1)
        assert.is_nil(ok)
        assert.matches("timer at 0xfff1%-0x10000 overlaps memory at 0x0%-0xffff", message)
    end)

    it("serves memory", function()
        -- mov ax, 0xf000; mov ds, ax; mov byte [0xfff0], 0x42; mov al, [0xfff4]; out 0x43, al; hlt
        local vm <close> = tiny.bare
            "\xb8\x00\xf0\x8e\xd8\xc6\x06\xf0\xff\x42\xa0\xf4\xff\xe6\x43\xf4"
        local told
        assert(vm:device {
            mmio = { 0xffff0, 16 },
            write = function(self, _, _, value) self.value = value end,
            read = function(self, offset) return self.value + offset end,
        })
        assert(vm:device { pio = { 0x43, 1 }, write = function(_, _, _, value) told = value end })
        assert(vm:start())
        assert(vm:wait { timeout = 10 })
        assert.equal(0x46, told)
    end)
end)

describe("the irq of a Lua device", function()
    -- A VM with an irqchip that is made before its vCPU.
    local function with_irqchip()
        local kvm = assert(vmm.kvm())
        local vm = assert(kvm:create_vm { name = "irq" })
        vm.memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
        assert(vm:map(vm.memory))
        assert(vm:create_irqchip())
        return vm
    end

    it("is made from a gsi, or is the one given", function()
        local vm <close> = with_irqchip()
        local dev = assert(vm:device { pio = { 0x500, 1 }, irq = 5 })
        -- struct kvm_irqchip: chip_id, pad, then the PIC's last_irr (the level) and irr.
        local function pic(index) return vm:get_state("pic_master"):byte(index) end
        dev.irq:assert()
        assert.equal(1 << 5, pic(9))
        assert.equal(1 << 5, pic(10))
        dev.irq:deassert()
        assert.equal(0, pic(9))
        dev.irq:pulse()
        assert.equal(1 << 5, pic(10))
        local line = vm:irq(6)
        assert.equal(line, assert(vm:device { pio = { 0x501, 1 }, irq = line }).irq)
    end)

    it("may be a message instead, sent by a handler to the vCPU that is in it", function()
        local VECTOR = 0x41
        local vm <close> = with_irqchip()
        local vcpu = assert(vm:create_vcpu(0))
        vcpu.sregs = { cs = { base = 0, selector = 0 } }
        vcpu.regs = { rip = 0x1000, rflags = 2 } -- interrupts off: it stays pending
        assert(vcpu:reg("lapic.svr", 0x1ff)) -- enabled
        assert(vm.memory:write(0x1000, "\xe6\x50" .. bare.OUT_43 .. bare.HLT)) -- out 0x50, al
        assert(vm:device { pio = { 0x50, 1 }, write = function()
            assert(vm:signal_msi(0xfee00000, VECTOR))
        end })
        local before, after = vcpu:reg "lapic.irr2", nil
        assert(vm:device { pio = { 0x43, 1 }, write = function()
            after = vcpu:reg "lapic.irr2" -- vectors 0x40 to 0x5f
            vm:stop()
        end })
        bare.run(vm)
        assert.same({ 0, 1 << VECTOR - 0x40 }, { before, after })
    end)

    it("is refused from another VM, without an irqchip, or when it is none", function()
        local vm <close> = with_irqchip()
        local other <close> = tiny.bare "\xf4"
        assert.has_error(function() other:device { pio = { 1, 1 }, irq = vm:irq(5) } end,
            "the irq is of another VM")
        assert.has_error(function() vm:device { pio = { 1, 1 }, irq = {} } end,
            "irq must be a gsi or an irq, not table")
        assert.has_error(function() vm:device { pio = { 1, 1 }, irq = 1024 } end,
            "irq: a gsi is 0 to 1023")
        local ok, message = other:device { pio = { 1, 1 }, irq = 5 }
        assert.is_nil(ok)
        assert.matches("no irqchip", message)
    end)
end)
