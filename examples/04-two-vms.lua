-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Two VMs in one process, side by side, each with a task of its own.
--
--   vmm-reference examples/04-two-vms.lua KERNEL INITRD

local vmm = require "vmm"

if not arg[2] then
    io.stderr:write "usage: vmm-reference examples/04-two-vms.lua KERNEL INITRD\n"
    os.exit(2)
end

local function boot(name)
    local vm <close> = assert(vmm.vm {
        name = name,
        memory = { size_mib = 256 },
        kernel = {
            path = arg[1],
            initrd = arg[2],
            cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
        },
        console = "capture",
    })
    assert(vm:start())
    vm.console:expect("guest# ", { timeout = 30 })
    vm.console:send_line("hostname " .. name .. "; hostname; poweroff -f")
    vm.console:expect("\n" .. name, { timeout = 30 })
    return assert(vm:wait { timeout = 30 }).reason
end

local a, b = vmm.spawn(boot, "anna"), vmm.spawn(boot, "bert")
local reasons = vmm.wait_all { a, b }
print(("anna: %s, bert: %s"):format(reasons[1], reasons[2]))
