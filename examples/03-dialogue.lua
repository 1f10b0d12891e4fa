-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot from a config table, wait for the prompt, talk to the guest, check how it ends.
--
--   vmm-reference examples/03-dialogue.lua KERNEL INITRD

local vmm = require "vmm"

if not arg[2] then
    io.stderr:write "usage: vmm-reference examples/03-dialogue.lua KERNEL INITRD\n"
    os.exit(2)
end

local started = vmm.now()
local vm <close> = assert(vmm.vm {
    name = "dialogue",
    memory = { size_mib = 512 },
    vcpus = { num = 2 },
    kernel = {
        path = arg[1],
        initrd = arg[2],
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
    },
    console = function(bytes)
        io.write(bytes)
        io.flush()
    end,
})
assert(vm:start())

vm.console:expect("guest# ", { timeout = 30 })
print(("\n-- prompt after %.1f s"):format(vmm.now() - started))

vm.console:send_line "uname -a"
local release = vm.console:expect("Linux %S+ (%S+) #", { timeout = 30 })[1]
vm.console:expect "guest# "

vm.console:send_line "poweroff -f"
local stop = assert(vm:wait { timeout = 30 })
print(("\n-- Linux %s ended: %s"):format(release, stop.reason))
assert(stop.reason == "poweroff")
