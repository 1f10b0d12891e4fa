-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guests that are paused and resumed: what the clocks of tiny ones and of Linux show, and that
-- Linux takes a thousand pauses under load. These need a KVM that can move a TSC.

local bare = require "tests.spec.support.bare"
local linux = require "tests.spec.support.linux"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HZ = 250 -- of Debian's kernels
local PAUSE = 3 -- seconds
local SHORT = 0.2 -- seconds; far more than a pause and a resume of a tiny guest take
local COM1 = 0x3f8

-- In the guest: CLOCK_MONOTONIC in ns, the tick count, and behind it the time since boot in s. By
-- the shell alone: to start a program takes longer than what is measured. Then a byte 1.
local READ_CLOCKS = [[now=; while read -r a b c d; do case "$a $b" in "now at") now=$c;; ]]
    .. [[jiffies:*) read -r up c </proc/uptime; printf '%s %s %s\1' "$now" "$b" "$up"; ]]
    .. [[break;; esac; done </proc/timer_list]]

-- What Linux says when it finds that its clocks or CPUs have gone wrong.
local COMPLAINTS = "dmesg | grep -iE 'clocksource.*(skew|watchdog)|unstable|"
    .. "soft lockup|hard lockup|rcu.*stall|blocked for more' || true"

-- A guest's clocks in seconds, with the host's time before and after they were read.
local function read_clocks(vm)
    local after
    local tap = assert(vm:tap {
        pio = { COM1, 1 },
        write = function(_, _, _, value)
            if value == 1 then after = vmm.now() end
        end,
    })
    local before = vmm.now()
    local text = linux.run(vm, READ_CLOCKS)
    assert(tap:remove())
    local ns, jiffies, up = text:match "^(%d+) (%d+) ([%d.]+)\1$"
    assert(ns, text)
    return {
        clock = ns / 1e9, ticks = jiffies / HZ, later = tonumber(up),
        before = before, after = after,
    }
end

-- How much the guest's clock went between two readings, and between what bounds the host's has.
local function went(first, second)
    return second.clock - first.clock, second.before - first.after, second.after - first.before
end

-- Two clocks of one host may differ by that much in the seconds that a test takes.
local function within(value, least, most)
    return value > least - 0.01 and value < most + 0.01
end

describe("Linux's CLOCK_MONOTONIC", function()
    local vm

    setup(function()
        vm = linux.boot { vcpus = { num = 2 } }
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    local function over_a_pause(options)
        local first = read_clocks(vm)
        assert(vm:pause { timeout = 10 })
        vmm.sleep(PAUSE)
        local _, stood = assert(vm:resume(options))
        local guest, least, most = went(first, read_clocks(vm))
        return guest, least, most, stood
    end

    it("goes on during a pause, unless told otherwise", function()
        for _, options in ipairs { { time = "runs" }, {} } do
            local guest, least, most, stood = over_a_pause(options)
            assert.equal(0, stood)
            assert.is_true(guest >= PAUSE, guest .. " s in the guest")
            assert.is_true(within(guest, least, most),
                ("%g s in the guest, %g to %g s outside"):format(guest, least, most))
        end
    end)

    it("stands still during a pause when asked to", function()
        local guest, least, most, stood = over_a_pause { time = "stops" }
        assert.is_true(stood >= PAUSE and stood < PAUSE + 1, stood .. " s stood still")
        assert.is_true(guest < most - PAUSE, guest .. " s in the guest")
        assert.is_true(within(guest, least - stood, most - stood),
            ("%g s in the guest, %g to %g s outside"):format(guest, least - stood, most - stood))
    end)

    it("leaps ahead when it is stepped, and what was waited for is due", function()
        linux.run(vm, "(sleep 3000; echo slept well >/tmp/woken) & "
            .. "until grep -q nanosleep /proc/[0-9]*/wchan; do :; done")
        local complaints = linux.run(vm, COMPLAINTS)
        local first = read_clocks(vm)
        assert(vm:step_clock(3600))
        local guest, least, most = went(first, read_clocks(vm))
        assert.is_true(within(guest - 3600, least, most),
            ("%g s in the guest, %g to %g s outside"):format(guest, least, most))
        assert.matches("slept well$", linux.run(vm,
            "until [ -s /tmp/woken ]; do usleep 10000; done; cat /tmp/woken"))
        assert.equal(complaints, linux.run(vm, COMPLAINTS))
    end)

    it("loses nothing when an idle guest's time stands still again and again", function()
        local first, all = read_clocks(vm), 0
        for _ = 1, 50 do
            assert(vm:pause(10))
            local _, stood = assert(vm:resume { time = "stops" })
            all = all + stood
        end
        local guest, least, most = went(first, read_clocks(vm))
        assert.is_true(within(guest, least - all, most - all),
            ("%g s in the guest, %g to %g s outside"):format(guest, least - all, most - all))
    end)
end)

describe("an SMP Linux under load", function()
    local PAUSES = 1000
    -- One tick lost at each pause would make 4 s. Measured: the bounds below are 1 s apart for the
    -- clock and 0.1 s for the ticks, a few times that on a busy host.
    local LOAD = "for i in 1 2; do while :; do :; done & done; "
        .. "(n=0; while sleep 0.01; do n=$((n+1)); echo $n >/tmp/ticks; done) & true"

    -- The file is empty for a moment each time it is written.
    local function ticks(vm)
        return tonumber(linux.run(vm,
            "n=; until [ $n ]; do read -r n </tmp/ticks; done; echo $n"))
    end

    it("is paused and resumed a thousand times, losing no tick and no time", function()
        local vm <close> = linux.boot { vcpus = { num = 2 } }
        local complaints = linux.run(vm, COMPLAINTS)
        linux.run(vm, LOAD)
        local first, slept, all_stood = read_clocks(vm), ticks(vm), 0
        for i = 1, PAUSES do
            assert(vm:pause { timeout = 10 })
            vmm.sleep(i % 5 * 0.001)
            local _, stood = assert(vm:resume { time = i % 2 == 0 and "stops" or "runs" })
            all_stood = all_stood + stood
            vmm.sleep(i % 3 * 0.001)
        end
        local second = read_clocks(vm)
        local guest, least, most = went(first, second)
        assert.is_true(within(guest, least - all_stood, most - all_stood),
            ("%g s in the guest, %g to %g s outside"):format(guest, least - all_stood,
                most - all_stood))
        assert.is_true(all_stood > PAUSES / 2 * 0.002, all_stood .. " s stood still")
        local counted = second.ticks - first.ticks
        least, most = second.clock - first.later, second.later - first.clock
        -- A tick may be late, while the host runs something else.
        assert.is_true(counted > least - 0.2 and counted < most + 0.2,
            ("%g s of ticks in %g to %g s"):format(counted, least, most))
        assert.equal(complaints, linux.run(vm, COMPLAINTS))
        -- Timers still come, and the guest still does as it is told.
        assert.is_true(ticks(vm) > slept)
        local later = ticks(vm)
        assert.equal("0", linux.run(vm, "sleep 0.2; echo $?"))
        assert.is_true(ticks(vm) > later)
        assert.equal("poweroff", linux.finish(vm, "poweroff -f").reason)
    end)
end)

-- ---- tiny guests -------------------------------------------------------------------------------

local function clock_of(vm)
    return ("<I8"):unpack(assert(vm:get_state "clock")) / 1e9
end

local function tsc_of(vcpu)
    return vcpu:reg "msr.tsc" / (("<I4"):unpack(vcpu:get_state "tsc_khz") * 1e3)
end

-- By how much read(vm, vcpu) goes when the VM is paused for SHORT seconds. When time stops, it goes
-- on from what it was when the vCPU stopped, a moment before it is read first.
local function over_a_short_pause(vm, vcpu, read, options)
    assert(vm:pause(10))
    local first = read(vm, vcpu)
    vmm.sleep(SHORT)
    assert(vm:resume(options))
    assert(vm:pause(10))
    local second = read(vm, vcpu)
    assert(vm:resume())
    return second - first
end

describe("time that stands still", function()
    for name, read in pairs {
        ["the VM's clock"] = function(vm)
            return clock_of(vm)
        end,
        ["the TSC"] = function(_, vcpu)
            return tsc_of(vcpu)
        end,
    } do
        it("lets " .. name .. " go on or stand still, as asked", function()
            local vm <close>, vcpu = tiny.spinning()
            local runs = over_a_short_pause(vm, vcpu, read, { time = "runs" })
            local untold = over_a_short_pause(vm, vcpu, read)
            local stops = over_a_short_pause(vm, vcpu, read, { time = "stops" })
            assert.is_true(runs >= SHORT and runs < SHORT + 5, runs .. " s")
            assert.is_true(untold >= SHORT and untold < SHORT + 5, untold .. " s")
            assert.is_true(stops > -SHORT and stops < SHORT, stops .. " s")
        end)
    end

    it("says for how long time stood still", function()
        local vm <close> = tiny.spinning()
        assert(vm:pause(10))
        vmm.sleep(SHORT)
        local ok, stood = vm:resume { time = "stops" }
        assert.is_true(ok)
        assert.is_true(stood >= SHORT and stood < SHORT + 5, stood .. " s")
        assert(vm:pause(10))
        assert.same({ true, 0 }, { vm:resume() })
    end)

    -- One-shot, masked, counting nanoseconds in twos; started with all that there is.
    it("has a local APIC's timer count down, or not, through a pause", function()
        local vm <close>, vcpu = tiny.spinning()
        local function count()
            return -(vcpu:reg "lapic.timer_current" * 2 / 1e9)
        end
        for time, stops in pairs { stops = true, runs = false } do
            assert(vm:pause(10))
            assert(vcpu:reg("lapic.lvt_timer", 0x10000))
            assert(vcpu:reg("lapic.timer_divide", 0))
            assert(vcpu:reg("lapic.timer_initial", 0xffffffff))
            assert(vcpu:reg("lapic.timer_current", 0xffffffff))
            assert(vm:resume())
            local counted = over_a_short_pause(vm, vcpu, count, { time = time })
            assert.is_true(counted > -SHORT and counted < 5, counted .. " s")
            assert.equal(stops, counted < SHORT, counted .. " s")
        end
    end)

    it("moves a TSC deadline with the TSC", function()
        local vm <close>, vcpu = tiny.spinning()
        local function pending()
            return vcpu:reg "lapic.irr2" & 1 == 1
        end
        assert(vm:pause(10))
        local khz = ("<I4"):unpack(vcpu:get_state "tsc_khz")
        assert(vcpu:reg("lapic.svr", 0x1ff)) -- enabled
        assert(vcpu:reg("lapic.lvt_timer", 0x40040)) -- TSC deadline, vector 0x40
        local deadline = vcpu:reg "msr.tsc" + khz * 1000 -- a second from now
        assert(vcpu:reg("msr.tsc_deadline", deadline))
        vmm.sleep(1.2)
        assert(vm:resume { time = "stops" })
        vmm.sleep(0.01)
        assert(vm:pause(10))
        assert.is_false(pending())
        assert.equal(deadline, vcpu:reg "msr.tsc_deadline")
        assert(vm:resume { time = "stops" })
        local limit = vmm.now() + 10
        repeat
            vmm.sleep(0.02)
            assert(vm:pause(10))
            local come, tsc = pending(), vcpu:reg "msr.tsc"
            assert(vm:resume { time = "stops" })
            assert.is_true(not come or tsc >= deadline)
        until come or vmm.now() > limit
        assert.is_true(vmm.now() <= limit)
    end)

    it("keeps the TSCs of two vCPUs together", function()
        local vm <close> = tiny.spinning(2)
        for _ = 1, 10 do
            assert(vm:pause(10))
            assert(vm:resume { time = "stops" })
        end
        assert(vm:pause(10))
        local apart = tsc_of(vm.vcpus[2]) - tsc_of(vm.vcpus[1])
        assert.is_true(math.abs(apart) < SHORT, apart .. " s")
    end)

    it("stops the time of a pause that a handler has asked for", function()
        local vm <close>, vcpu = tiny.bare("\xe6\x50" .. bare.SPIN) -- out 0x50, al
        assert(vm:device { pio = { 0x50, 1 }, write = function()
            assert(vm:pause())
        end })
        assert(vm:start())
        assert(vm:pause(10))
        vmm.sleep(SHORT)
        local _, stood = assert(vm:resume { time = "stops" })
        assert.is_true(stood >= SHORT, stood .. " s")
        assert.equal("running", vcpu.state)
    end)
end)
