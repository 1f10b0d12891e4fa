-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Doorbells: writes that KVM counts and no vCPU stops for.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov dx, 0x510; mov al, 7; then out dx, al: three times with 7, once with 8; hlt
local CODE = "\xba\x10\x05\xb0\x07\xee\xee\xee\xb0\x08\xee\xf4"

local function step_until(done)
    local deadline = vmm.now() + 10
    while not done() and vmm.now() < deadline do
        vmm.step(0.01)
    end
end

-- Runs the guest to its end; the exits of writes to ports.
local function finish(vm)
    assert(vm:start())
    assert.equal("halt", assert(vm:wait { timeout = 10 }).reason)
    vmm.step(0)
    return vm:exit_counts().pio_write or 0
end

describe("a doorbell", function()
    it("counts the writes, without an exit", function()
        local vm <close> = tiny.bare(CODE)
        local count = 0
        assert(vm:doorbell { pio = 0x510, function(n) count = count + n end })
        collectgarbage()
        assert.equal(0, finish(vm))
        assert.equal(4, count)
    end)

    it("counts the writes of a value", function()
        local vm <close> = tiny.bare(CODE)
        local sevens, eights, rest = 0, 0, {}
        assert(vm:device {
            pio = { 0x510, 1 },
            write = function(_, _, _, value) rest[#rest + 1] = value end,
        })
        assert(vm:doorbell { pio = 0x510, len = 1, value = 7, function(n) sevens = sevens + n end })
        local eight = assert(vm:doorbell {
            pio = 0x510, len = 1, value = 8, function(n) eights = eights + n end,
        })
        assert.is_true(eight:remove())
        assert.is_true(eight:remove())
        assert.equal(1, finish(vm))
        assert.equal(3, sevens)
        assert.equal(0, eights)
        assert.same({ 8 }, rest)
    end)

    it("leaves writes of another size to devices", function()
        local vm <close> = tiny.bare(CODE)
        local count = 0
        assert(vm:doorbell { pio = 0x510, len = 2, function(n) count = count + n end })
        assert.equal(4, finish(vm))
        assert.equal(0, count)
    end)

    it("lies in memory too", function()
        -- mov ax, 0xf000; mov ds, ax; mov byte [0xfff0], 0x42; hlt
        local vm <close> = tiny.bare "\xb8\x00\xf0\x8e\xd8\xc6\x06\xf0\xff\x42\xf4"
        local count = 0
        assert(vm:doorbell { mmio = 0xffff0, len = 1, function(n) count = count + n end })
        finish(vm)
        assert.equal(1, count)
        assert.is_nil(vm:exit_counts().mmio_write)
    end)

    it("comes and goes while the guest runs", function()
        -- mov dx, 0x510; again: out dx, al; jmp again
        local vm = tiny.bare "\xba\x10\x05\xee\xeb\xfd"
        assert(vm:start())
        local other = 0
        for _ = 1, 5 do
            local rung = 0
            local bell
            bell = assert(vm:doorbell {
                pio = 0x510,
                function(n)
                    rung = rung + n
                    bell:remove()
                end,
            })
            step_until(function() return rung > 0 end)
            local before = rung
            assert.is_true(before > 0)
            vmm.step(0.005)
            assert.equal(before, rung)
        end
        -- From a handler of a device, on the vCPU's thread.
        local bell = assert(vm:doorbell { pio = 0x511, function() other = other + 1 end })
        local removed
        assert(vm:device { pio = { 0x510, 1 }, write = function() removed = bell:remove() end })
        step_until(function() return removed end)
        assert.is_true(removed)
        vm:close()
        assert.is_true(bell:remove())
        assert.equal(0, other)
    end)

    it("is refused where it cannot be", function()
        local vm <close> = tiny.bare "\xf4"
        local function nothing() end
        local ok, message, code = vm:doorbell { mmio = 0xfff0, nothing }
        assert.is_nil(ok)
        assert.equal("mmio: doorbell at 0xfff0-0xfff0 overlaps memory at 0x0-0xffff", message)
        assert.equal("EBUSY", code)
        ok, message, code = vm:doorbell { pio = 0x510, len = 3, nothing }
        assert.is_nil(ok)
        assert.matches("length 3 is not one of 0, 1, 2, 4", message)
        assert.equal("EINVAL", code)
        ok, message = vm:doorbell { pio = 0x510, value = 1, nothing }
        assert.is_nil(ok)
        assert.matches("a value to match needs a length", message)
        assert.has_error(function() vm:doorbell { pio = 1, mmio = 1, nothing } end,
            "vm:doorbell: give either pio or mmio, an address")
        assert.has_error(function() vm:doorbell { pio = 1 } end, "vm:doorbell: no function to call")
        assert.has_error(function() vm:doorbell { pio = 1, length = 1, nothing } end)
        assert.has_error(function() vm:doorbell { pio = 1, value = {}, nothing } end,
            "vm:doorbell: value must be an integer")
    end)
end)
