-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What is done to a running Linux from outside: NMIs, and the power button.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"

-- The NMIs that each CPU has had.
local function nmis(vm)
    local first, second = linux.run(vm, "grep NMI: /proc/interrupts"):match "NMI:%s+(%d+)%s+(%d+)"
    return { math.tointeger(first), math.tointeger(second) }
end

describe("vm:nmi", function()
    it("reaches all CPUs or one, and panics a kernel that is told to", function()
        local vm <close> = linux.boot { vcpus = { num = 2 } }
        local before = nmis(vm)
        assert.is_true(vm:nmi())
        assert.same({ before[1] + 1, before[2] + 1 }, nmis(vm))
        assert.is_true(vm:nmi(2))
        assert.same({ before[1] + 1, before[2] + 2 }, nmis(vm))
        assert(vm:pause(10))
        assert.is_true(vm:nmi(1))
        assert(vm:resume())
        assert.same({ before[1] + 2, before[2] + 2 }, nmis(vm))
        -- No error on the bus is the reason: Linux knows of none.
        assert.equal("4", linux.run(vm, "dmesg | grep -c 'NMI received for unknown reason 20'"))

        linux.run(vm, "echo 1 >/proc/sys/kernel/unknown_nmi_panic")
        assert.is_true(vm:nmi(1))
        local stop = assert(vm:wait { timeout = 6 })
        assert.equal("panic", stop.reason)
        assert.matches("NMI: Not continuing", stop.text, 1, true)
    end)
end)

describe("vm:power_button", function()
    -- struct input_event: time (16 bytes), type EV_KEY, code KEY_POWER, value 1: pressed
    local PRESSED = "01 00 74 00 01 00 00 00"

    it("is seen by Linux's button driver, and a guest powers off upon it", function()
        local kernel = assert(guests.kernel "cloud-amd64")
        local initrd = assert(guests.initramfs { kernel = kernel, modules = { "button", "evdev" } })
        local vm <close> = linux.boot { kernel = { initrd = initrd } }
        assert.equal("Power Button", linux.run(vm, "cat /sys/class/input/input0/name"))
        vm.console:send_line("(exec 3</dev/input/event0; echo LISTENS; "
            .. "head -c 24 <&3 | od -An -v -tx1 -j16; poweroff -f) &")
        vm.console:expect("LISTENS\r\n", { timeout = 12 })
        assert.is_true(vm:power_button())
        assert.equal("poweroff", assert(vm:wait { timeout = 12 }).reason)
        assert.matches(PRESSED, vm.console:output(), 1, true)
    end)

    it("is counted by the event device's interrupt, once for each press", function()
        local vm <close> = linux.boot()
        local function count()
            return tonumber(linux.run(vm, "grep -E 'ACPI:Ged' /proc/interrupts"):match ":%s+(%d+)")
        end
        assert.equal(0, count())
        assert.is_true(vm:power_button())
        assert.equal(1, count())
        assert.is_true(vm:power_button())
        assert.equal(2, count())
        assert.equal("", linux.run(vm, "dmesg | grep -E 'ACPI.*(Error|Warning|Exception)'"))
    end)
end)
