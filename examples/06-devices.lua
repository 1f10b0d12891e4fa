-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Linux on a PC with six devices written in Lua (examples/devices), which vmm.vm's setup adds and
-- describes to the guest: a counter, an HPET, pvpanic, QEMU's test devices and a debug port.
--
--   vmm-reference examples/06-devices.lua KERNEL INITRD [COMMAND]
--
-- Runs the shell command in the guest and shows what it prints. The exit code is 0, or what the
-- guest gave to isa-debug-exit.

package.path = arg[0]:match "^(.*)/" .. "/devices/?.lua;" .. package.path
local counter = require "counter"
local debugcon = require "debugcon"
local hpet = require "hpet"
local isa_debug_exit = require "isa_debug_exit"
local pc_testdev = require "pc_testdev"
local pvpanic = require "pvpanic"
local vmm = require "vmm"

-- Of a shell with no program of ours: memory of the test device, and who drives the HPET.
local COMMAND = "devmem 0xff000000 32 0x12345678; devmem 0xff000000 32; "
    .. "cat /sys/bus/acpi/drivers/hpet/*/hid; ls /dev/hpet"

if not arg[2] then
    io.stderr:write "usage: vmm-reference examples/06-devices.lua KERNEL INITRD [COMMAND]\n"
    os.exit(2)
end

local devices = {}
local vm <close> = assert(vmm.vm {
    name = "devices",
    memory = { size_mib = 512 },
    kernel = {
        path = arg[1],
        initrd = arg[2],
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
    },
    console = function(bytes)
        io.write(bytes)
        io.flush()
    end,
    setup = function(vm, parts)
        devices.counter = counter(vm, parts)
        devices.hpet = hpet(vm, parts)
        devices.pvpanic = pvpanic(vm, parts)
        devices.exit = isa_debug_exit(vm, parts)
        devices.testdev = pc_testdev(vm, parts)
        devices.debugcon = debugcon(vm, parts, { port = 0x402 }) -- 0xe9 is the test device's
    end,
})

assert(vm:start())
vm.console:expect("guest# ", { timeout = 30 })
vm.console:send_line((arg[3] or COMMAND) .. "; poweroff -f")
local stop = assert(vm:wait { timeout = 30 })

print(("\n-- ended: %s %s"):format(stop.reason, stop.text))
print(("-- debugcon: %q, counter: %d"):format(devices.debugcon.text, devices.counter.count))
os.exit(devices.exit.code or 0, true)
