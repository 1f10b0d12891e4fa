-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- pvpanic, found through ACPI and driven by Linux's own module.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"

describe("Linux's pvpanic driver", function()
    it("finds the device and its events, and tells a panic before it is printed whole", function()
        local kernel = assert(guests.kernel "cloud-amd64")
        local initrd = assert(guests.initramfs { kernel = kernel, modules = { "pvpanic-mmio" } })
        -- A panic that would wait for ever: what ends the VM is the device or the console's text.
        local vm <close> = linux.boot {
            kernel = { initrd = initrd, cmdline = "console=ttyS0 panic=0 pci=off quiet" },
        }
        local told
        vm:on("panic", function(stop)
            told = stop
        end)
        assert.equal("0x3", linux.run(vm,
            "printf '0x%x' $(cat /sys/bus/platform/drivers/pvpanic-mmio/*/capability)"))
        local stop = linux.finish(vm, "echo c >/proc/sysrq-trigger")
        assert.equal("panic", stop.reason)
        assert.same(stop, told)
        local output = vm.console:output()
        assert.matches("Kernel panic - not syncing: sysrq triggered crash", output, 1, true)
        -- The driver writes in the panic notifiers; "end Kernel panic" would have come after them.
        assert.not_matches("end Kernel panic", output, 1, true)
    end)
end)
