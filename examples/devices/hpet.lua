-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- An HPET (IA-PC HPET specification 1.0a): a counter of 10 MHz and three timers that interrupt,
-- good enough for Linux's /dev/hpet.
--
-- The counter is the script's clock; a task waits for the next timer that is due, so that timers
-- run while the script waits. Linux finds the HPET as an ACPI device (PNP0103) with the timers'
-- interrupts; as a clock source it uses none on hardware-reduced ACPI, which this machine has.

local aml = require "vmm.x86.aml"
local core = require "vmm.core"
local resource = require "vmm.x86.acpi_resource"
local sched = require "vmm.sched"

local BASE, SIZE = 0xfed00000, 0x400
local GSIS = { 20, 21, 22 } -- of the timers, as firmware would have routed them

local PERIOD_FS = 100 * 1000 * 1000 -- of the counter, in 10^-15 s
local HZ = 10 * 1000 * 1000

-- Registers (2.3.1), by their offset.
local CAPABILITIES, CONFIGURATION, STATUS, COUNTER = 0x00, 0x10, 0x20, 0xf0
local TIMERS, TIMER_SIZE = 0x100, 0x20
local T_CONFIGURATION, T_COMPARATOR = 0x00, 0x08
local ENABLE = 1 << 0 -- of CONFIGURATION; legacy replacement is not offered

-- Timer n's configuration (2.3.8); bits 9 to 13 are the GSI that it interrupts by.
local T_LEVEL, T_INTERRUPT, T_PERIODIC, T_SET = 1 << 1, 1 << 2, 1 << 3, 1 << 6
local T_WRITABLE = T_LEVEL | T_INTERRUPT | T_PERIODIC | T_SET
local T_CAN_PERIODIC, T_CAN_64 = 1 << 4, 1 << 5

-- A guest that asks for more interrupts than these a second gets fewer.
local INTERRUPTS_PER_S = 10000

local Hpet = {}
Hpet.__index = Hpet

-- ---- the counter ------------------------------------------------------------------------

function Hpet:enabled()
    return self.configuration & ENABLE ~= 0
end

function Hpet:count()
    if not self:enabled() then return self.stopped_at end
    return self.stopped_at + math.floor((core.now() - self.started) * HZ)
end

function Hpet:set_count(value)
    self.stopped_at, self.started = value, core.now()
end

-- ---- timers -----------------------------------------------------------------------------

-- Ticks until the timer is due, or nil. Differences are right also when the counter wraps.
local function ticks_left(hpet, timer)
    if not timer.armed or not hpet:enabled() then return nil end
    return timer.comparator - hpet:count()
end

-- A comparator has been written, or the counter: whether it lies ahead.
local function arm(hpet, timer)
    local periodic = timer.configuration & T_PERIODIC ~= 0
    timer.armed = periodic and timer.period > 0 or timer.comparator - hpet:count() > 0
end

local function interrupt(hpet, timer)
    if timer.configuration & T_INTERRUPT == 0 then return end
    timer.interrupts = timer.interrupts + 1
    if timer.configuration & T_LEVEL == 0 then
        timer.irq:pulse()
    else
        hpet.status = hpet.status | 1 << timer.number
        timer.irq:assert()
    end
end

-- The timer is due. A period that was missed is not made up for.
local function expire(hpet, timer)
    interrupt(hpet, timer)
    timer.armed = timer.configuration & T_PERIODIC ~= 0
    if timer.armed then
        local behind = math.max(0, hpet:count() - timer.comparator)
        local period = math.max(timer.period, HZ // INTERRUPTS_PER_S)
        timer.comparator = timer.comparator + (behind // period + 1) * period
    end
end

-- The task: waits until a timer is due or a register has changed.
local function run(hpet)
    while not hpet.vm.closed do
        local next_ticks
        for _, timer in ipairs(hpet.timers) do
            local left = ticks_left(hpet, timer)
            if left and left <= 0 then
                expire(hpet, timer)
                left = ticks_left(hpet, timer)
            end
            if left then next_ticks = math.min(left, next_ticks or left) end
        end
        hpet.changed = false
        sched.wait(function()
            return hpet.changed or hpet.vm.closed or nil
        end, next_ticks and math.max(next_ticks, 0) / HZ)
    end
end

-- ---- registers --------------------------------------------------------------------------

local function read_timer(hpet, timer, offset)
    if offset == T_CONFIGURATION then
        return timer.configuration | timer.gsi << 9 | T_CAN_PERIODIC | T_CAN_64 | hpet.routes << 32
    end
    return offset == T_COMPARATOR and timer.comparator or 0 -- the rest: no FSB interrupts
end

-- A line that the timers do not have leaves it at the one before.
local function route(hpet, timer, gsi)
    if hpet.irqs[gsi] then timer.gsi, timer.irq = gsi, hpet.irqs[gsi] end
end

local function write_timer(hpet, timer, offset, value)
    if offset == T_CONFIGURATION then
        timer.configuration = value & T_WRITABLE
        route(hpet, timer, value >> 9 & 0x1f)
    elseif offset == T_COMPARATOR then
        local periodic = timer.configuration & T_PERIODIC ~= 0
        if not periodic or timer.configuration & T_SET ~= 0 then timer.comparator = value end
        if periodic then timer.period = math.max(value, 0) end
        timer.configuration = timer.configuration & ~T_SET
    end
    arm(hpet, timer)
end

function Hpet:read_register(register)
    local timer = self.timers[(register - TIMERS) // TIMER_SIZE + 1]
    if timer then return read_timer(self, timer, (register - TIMERS) % TIMER_SIZE) end
    if register == CAPABILITIES then
        local count_64, vendor = 1 << 13, 0x8086 << 16
        return PERIOD_FS << 32 | vendor | count_64 | #self.timers - 1 << 8 | 1
    end
    return register == CONFIGURATION and self.configuration
        or register == STATUS and self.status
        or register == COUNTER and self:count()
        or 0
end

-- Level-triggered lines stay up until their bit is written.
function Hpet:clear_status(bits)
    self.status = self.status & ~bits
    for _, timer in ipairs(self.timers) do
        if bits & 1 << timer.number ~= 0 then timer.irq:deassert() end
    end
end

function Hpet:write_register(register, value)
    local timer = self.timers[(register - TIMERS) // TIMER_SIZE + 1]
    if timer then
        write_timer(self, timer, (register - TIMERS) % TIMER_SIZE, value)
    elseif register == CONFIGURATION then
        self:set_count(self:count())
        self.configuration = value & ENABLE
    elseif register == STATUS then
        self:clear_status(value)
    elseif register == COUNTER then
        self:set_count(value)
        for _, each in ipairs(self.timers) do
            arm(self, each)
        end
    end
    self.changed = true
    core.wake() -- the task may be waiting for a later time
end

-- Registers have 64 bits, and are read and written as a whole or by halves.
function Hpet:read(offset, size)
    local mask = size < 8 and (1 << 8 * size) - 1 or -1
    return self:read_register(offset & ~7) >> 8 * (offset & 7) & mask
end

function Hpet:write(offset, size, value)
    local register, shift = offset & ~7, 8 * (offset & 7)
    if size < 8 then
        local mask = (1 << 8 * size) - 1 << shift
        local rest = register == STATUS and 0 or self:read_register(register)
        value = rest & ~mask | value << shift & mask
    end
    self:write_register(register, value)
end

function Hpet:reset()
    self.configuration, self.status, self.started, self.stopped_at = 0, 0, 0, 0
    for i, timer in ipairs(self.timers) do
        timer.configuration, timer.comparator, timer.period, timer.armed = 0, -1, 0, false
        route(self, timer, GSIS[i])
    end
end

-- ---- making one -------------------------------------------------------------------------

local function description()
    local resources = { resource.memory32_fixed { base = BASE, size = SIZE } }
    for _, gsi in ipairs(GSIS) do
        table.insert(resources, resource.interrupt { gsis = { gsi }, edge = true })
    end
    return aml.device("HPET", {
        aml.name("_HID", aml.eisaid "PNP0103"),
        aml.name("_UID", 0),
        aml.name("_CRS", aml.resources(resources)),
    })
end

-- parts: of vmm.vm's setup. Returns the HPET; its timers[n].interrupts counts what timer n - 1
-- has raised.
return function(vm, parts)
    local hpet = setmetatable({ vm = vm, timers = {}, irqs = {}, routes = 0 }, Hpet)
    for number, gsi in ipairs(GSIS) do
        hpet.timers[number] = { number = number - 1, interrupts = 0 }
        hpet.irqs[gsi] = vm:irq(gsi)
        hpet.routes = hpet.routes | 1 << gsi
    end
    table.insert(parts.devices, description())
    assert(vm:device {
        name = "hpet",
        mmio = { BASE, SIZE },
        reset = function()
            hpet:reset()
        end,
        read = function(_, offset, size)
            return hpet:read(offset, size)
        end,
        write = function(_, offset, size, value)
            hpet:write(offset, size, value)
        end,
    })
    sched.spawn(run, hpet)
    return hpet
end
