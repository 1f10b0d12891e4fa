-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How the end of Linux is told: power off, reboot, panic.

local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

describe("Linux's end", function()
    it("is a poweroff soon after poweroff -f", function()
        local vm <close> = linux.boot { vcpus = { num = 2 } }
        local stop, seconds = linux.finish(vm, "poweroff -f")
        assert.same({ reason = "poweroff", text = "" }, stop)
        assert.is_true(seconds < linux.END_SECONDS, seconds .. " s")
    end)

    it("is a reboot through ACPI, the i8042, and what the kernel chooses untold", function()
        for _, how in ipairs { "reboot=a", "reboot=k", "" } do
            local vm <close> = linux.boot {
                kernel = { cmdline = "console=ttyS0 panic=1 pci=off quiet " .. how },
            }
            assert.equal("reboot", linux.finish(vm, "reboot -f").reason)
        end
    end)

    it("is a panic with its line when the kernel panics and reboots", function()
        local vm <close> = linux.boot()
        local stop = linux.finish(vm, "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
        assert.equal("panic", stop.reason)
        assert.matches("Kernel panic - not syncing: sysrq triggered crash", stop.text, 1, true)
    end)

    it("is a panic also when the kernel then waits for ever", function()
        local vm <close> = linux.boot {
            kernel = { cmdline = "console=ttyS0 panic=0 pci=off quiet" },
        }
        local stop = linux.finish(vm, "echo c >/proc/sysrq-trigger")
        assert.equal("panic", stop.reason)
    end)

    it("wakes an expect at once", function()
        local vm <close> = linux.boot()
        vm.console:send_line "poweroff -f"
        local before = vmm.now()
        local found, err, code = vm.console:try_expect("never said", { timeout = 20 })
        assert.is_nil(found)
        assert.equal("ended", code)
        assert.matches("the VM is ended: poweroff", tostring(err), 1, true)
        assert.is_true(vmm.now() - before < 30)
    end)
end)
