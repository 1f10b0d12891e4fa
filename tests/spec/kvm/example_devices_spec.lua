-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The devices of examples/devices, driven by some bytes of real-mode code, and the HPET's
-- registers.

package.path = "examples/devices/?.lua;" .. package.path
local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT, OUT_43 = bare.HLT, bare.OUT_43
local result_of, run = bare.result_of, bare.run

local function dx(port)
    return "\xba" .. ("<I2"):pack(port) -- mov dx, port
end
local function out(port, value)
    return dx(port) .. "\xb0" .. string.char(value) .. "\xee" -- mov al, value; out dx, al
end
local function out32(port, value)
    return dx(port) .. "\x66\xb8" .. ("<I4"):pack(value) .. "\x66\xef" -- mov eax, value; out
end
local IN = "\xec" -- in al, dx

-- Lets the script's tasks run until something is so; that a clock has moved on is no event.
local function await(done)
    local deadline = vmm.now() + 10
    while not done() and vmm.now() < deadline do
        vmm.sleep(0.001)
    end
    assert.is_true(done())
end

describe("the counter", function()
    it("counts up, is set, and stays within its 32 bits", function()
        local vm <close> = tiny.bare(dx(0x510) .. IN .. OUT_43 .. IN .. OUT_43 ..
            out32(0x510, 0xffffffff) .. IN .. OUT_43 .. IN .. OUT_43 .. HLT)
        local device = require "counter"(vm)
        local result = result_of(vm)
        assert.equal("halt", run(vm).reason)
        assert.same({ 0, 1, 0xff, 0 }, result)
        assert.equal(1, device.count)
    end)
end)

describe("isa-debug-exit", function()
    it("ends the VM with an odd exit code", function()
        for value, code in pairs { [0] = 1, [5] = 11, [0xff] = 0xff } do
            local vm <close> = tiny.bare(out(0x501, value) .. bare.SPIN)
            local device = require "isa_debug_exit"(vm)
            local stop = run(vm)
            assert.equal("poweroff", stop.reason)
            assert.equal("isa-debug-exit: exit code " .. code, stop.text)
            assert.equal(code, device.code)
        end
    end)
end)

describe("debugcon", function()
    it("is known by what it reads as, and keeps or passes on what is written", function()
        local code = dx(0xe9) .. IN .. OUT_43 .. out(0xe9, ("h"):byte()) .. out(0xe9, 10) .. HLT
        local vm <close> = tiny.bare(code)
        local device, result = require "debugcon"(vm), result_of(vm)
        assert.equal("halt", run(vm).reason)
        assert.same({ 0xe9 }, result)
        assert.equal("h\n", device.text)

        local other <close> = tiny.bare(code)
        local got = {}
        require "debugcon"(other, nil, { to = function(byte) got[#got + 1] = byte end })
        assert.equal("halt", run(other).reason)
        assert.same({ "h", "\n" }, got)
    end)
end)

-- A VM with an irqchip, whose HLT waits: its guest ends by isa-debug-exit. data: base of DS.
local function with_irqchip(code, data)
    local kvm = assert(vmm.kvm())
    local vm = assert(kvm:create_vm { name = "irqchip" })
    local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
    assert(vm:map(memory))
    assert(vm:create_irqchip())
    local vcpu = assert(vm:create_vcpu(0))
    vcpu.sregs = { cs = { base = 0, selector = 0 }, ds = { base = data or 0 } }
    vcpu.regs = { rip = 0x1000, rflags = 2 }
    assert(memory:write(0x1000, code .. out(0x501, 0) .. bare.SPIN))
    require "isa_debug_exit"(vm)
    return vm
end

describe("pc-testdev", function()
    it("has one register behind two places", function()
        local vm <close> = with_irqchip(out32(0xe0, 0x12345678) .. dx(0xea) .. IN .. OUT_43 ..
            out(0xe8, 0x99) .. dx(0xe0) .. IN .. OUT_43)
        require "pc_testdev"(vm)
        local result = result_of(vm)
        assert.equal("poweroff", run(vm).reason)
        assert.same({ 0x34, 0x99 }, result)
    end)

    it("raises and lowers interrupt lines", function()
        -- struct kvm_irqchip: chip_id, pad, then the PIC's last_irr (the level).
        local function levels(code)
            local vm <close> = with_irqchip(code)
            require "pc_testdev"(vm)
            assert.equal("poweroff", run(vm).reason)
            return vm:get_state("pic_master"):byte(9)
        end
        assert.equal(1 << 5 | 1 << 3, levels(out(0x2005, 1) .. out(0x2003, 7)))
        assert.equal(1 << 3, levels(out(0x2005, 1) .. out(0x2003, 7) .. out(0x2005, 0)))
    end)

    it("has memory behind exits", function()
        -- mov word [0xfffe], 0xbeef; mov al, [0xffff]; out 0x43, al; mov al, [0]; out 0x43, al
        local vm <close> = with_irqchip("\xc7\x06\xfe\xff\xef\xbe\xa0\xff\xff" .. OUT_43 ..
            "\xa0\x00\x00" .. OUT_43, 0xff000000)
        require "pc_testdev"(vm)
        local result = result_of(vm)
        assert.equal("poweroff", run(vm).reason)
        assert.same({ 0xbe, 0 }, result)
    end)
end)

describe("pvpanic in Lua", function()
    it("takes the place of the one in C, and is described in its stead", function()
        local device, parts
        local vm <close> = assert(vmm.vm {
            memory = { size_mib = 16 },
            kernel = { path = tiny.path "hello" },
            setup = function(vm, given)
                parts = given
                device = require "pvpanic"(vm, parts)
            end,
        })
        assert.is_false(parts.pvpanic)
        assert.equal(1, #parts.devices)
        device:write(0, 1, 2)
        device:write(0, 1, 0)
        assert.same({ panicked = 0, crash_loaded = 1 }, device.events)
        device:write(0, 1, 3)
        assert.same({ panicked = 1, crash_loaded = 1 }, device.events)
        assert.equal("panic", assert(vm:wait { timeout = 10 }).reason)
    end)
end)

-- ---- the HPET -----------------------------------------------------------------------------

local CAPABILITIES, CONFIGURATION, STATUS, COUNTER = 0x00, 0x10, 0x20, 0xf0
local T0_CONFIGURATION, T0_COMPARATOR = 0x100, 0x108
local LEVEL, INTERRUPT, PERIODIC, SET = 1 << 1, 1 << 2, 1 << 3, 1 << 6
local MS = 10000 -- ticks

-- An HPET on what is no VM: its device's functions are called here. log: what its lines did.
local function fake()
    local log, device = {}, nil
    local vm = {
        closed = false,
        irq = function(_, gsi)
            local function note(what)
                return function()
                    log[#log + 1] = what .. " " .. gsi
                end
            end
            return { pulse = note "pulse", assert = note "assert", deassert = note "deassert" }
        end,
        device = function(_, options)
            options.reset()
            device = options
            return options
        end,
    }
    local hpet = require "hpet"(vm, { devices = {} })
    local function get(offset, size)
        return device.read(device, offset, size or 8)
    end
    local function set(offset, value, size)
        device.write(device, offset, size or 8, value)
    end
    finally(function()
        vm.closed = true
    end)
    return hpet, get, set, log
end

describe("the HPET", function()
    it("says what it is, as a whole and by halves", function()
        local _, get = fake()
        assert.equal(100000000, get(CAPABILITIES + 4, 4))
        assert.equal(0x80862201, get(CAPABILITIES, 4))
        assert.equal(100000000 << 32 | 0x80862201, get(CAPABILITIES))
        assert.equal(20 << 9 | 1 << 4 | 1 << 5, get(T0_CONFIGURATION, 4))
        assert.equal(7 << 20, get(T0_CONFIGURATION + 4, 4))
        assert.equal(0, get(0x1f8))
    end)

    it("counts while it is enabled", function()
        local _, get, set = fake()
        set(COUNTER, 5)
        assert.equal(5, get(COUNTER))
        set(CONFIGURATION, 1)
        await(function() return get(COUNTER) > 5 + 2 * MS end)
        set(CONFIGURATION, 0)
        local at = get(COUNTER)
        assert.equal(at, get(COUNTER))
        set(COUNTER + 4, 1, 4)
        assert.equal(1 << 32 | at & 0xffffffff, get(COUNTER))
    end)

    it("interrupts once at a comparator, and not for one that has passed", function()
        local hpet, get, set, log = fake()
        set(CONFIGURATION, 1)
        set(T0_CONFIGURATION, INTERRUPT | 5 << 9) -- which is no line of its
        assert.equal(20 << 9 | INTERRUPT, get(T0_CONFIGURATION, 4) & 0xff0f)
        set(T0_COMPARATOR, get(COUNTER) + 2 * MS)
        await(function() return hpet.timers[1].interrupts > 0 end)
        assert.is_true(get(COUNTER) >= get(T0_COMPARATOR))
        assert.same({ "pulse 20" }, log)
        set(T0_COMPARATOR, get(COUNTER) - 1)
        set(T0_COMPARATOR + 0x20, get(COUNTER) + 2 * MS) -- whose interrupts are off
        await(function() return get(COUNTER) > get(T0_COMPARATOR + 0x20) + MS end)
        assert.same({ "pulse 20" }, log)
    end)

    it("interrupts each period where it is told to", function()
        local hpet, get, set, log = fake()
        set(CONFIGURATION, 1)
        set(T0_CONFIGURATION, INTERRUPT | PERIODIC | SET | 21 << 9)
        set(T0_COMPARATOR, get(COUNTER) + MS)
        set(T0_COMPARATOR, 2 * MS)
        local before = get(COUNTER)
        await(function() return hpet.timers[1].interrupts >= 4 end)
        assert.is_true(get(COUNTER) - before > 6 * MS)
        assert.equal("pulse 21", log[4])
        set(T0_CONFIGURATION, 0)
        local seen = #log
        await(function() return get(COUNTER) - before > 20 * MS end)
        assert.equal(seen, #log)
    end)

    it("holds a level until its status is cleared", function()
        local hpet, get, set, log = fake()
        set(CONFIGURATION, 1)
        set(T0_CONFIGURATION, INTERRUPT | LEVEL | 22 << 9)
        set(T0_COMPARATOR, get(COUNTER) + MS)
        await(function() return hpet.timers[1].interrupts > 0 end)
        assert.equal(1, get(STATUS))
        set(STATUS, 2)
        assert.same({ "assert 22" }, { log[1] })
        assert.equal(1, get(STATUS))
        set(STATUS, 1)
        assert.equal(0, get(STATUS))
        assert.equal("deassert 22", log[#log])
    end)

    it("bounds how often a guest has it interrupt", function()
        local hpet, get, set = fake()
        set(CONFIGURATION, 1)
        set(T0_CONFIGURATION, INTERRUPT | PERIODIC | SET)
        set(T0_COMPARATOR, 1)
        local before, counted = get(COUNTER), hpet.timers[1].interrupts
        await(function() return get(COUNTER) - before > 20 * MS end)
        local ticks = get(COUNTER) - before
        assert.is_true(hpet.timers[1].interrupts - counted <= ticks // 1000 + 2)
        for _, period in ipairs { 0, -1, math.mininteger } do
            set(T0_CONFIGURATION, INTERRUPT | PERIODIC | SET)
            set(T0_COMPARATOR, period)
            vmm.sleep(0)
            local seen = hpet.timers[1].interrupts
            vmm.sleep(0.002)
            assert.equal(seen, hpet.timers[1].interrupts)
        end
    end)
end)
