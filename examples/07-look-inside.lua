-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Who calls a function of Linux, and how it came there: a breakpoint at a name of the guest's
-- kernel, the task's name, a stack trace, and on.
--
--   vmm-reference examples/07-look-inside.lua KERNEL INITRD [SYMBOL [COMMAND]]

local vmm = require "vmm"

if not arg[2] then
    io.stderr:write("usage: vmm-reference examples/07-look-inside.lua KERNEL INITRD"
        .. " [SYMBOL [COMMAND]]\n")
    os.exit(2)
end
local symbol, command = arg[3] or "__x64_sys_sethostname", arg[4] or "hostname looked-at"

local vm <close> = assert(vmm.vm {
    name = "inside",
    memory = { size_mib = 512 },
    vcpus = { num = 2 },
    kernel = {
        path = arg[1],
        initrd = arg[2],
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
        unpack = false, -- the kernel unpacks itself, to an address of its own choice
    },
})
assert(vm:start())
vm.console:expect("guest# ", { timeout = 60 })

local breakpoint = assert(vm:breakpoint { at = symbol }) -- reads the kernel's symbols, too
vm.console:send_line(command)
local hit = assert(vm:wait_break { timeout = 30 })
local task = assert(vm:current(hit.vcpu))
print(("vCPU %d is at %s, in the name of %s (pid %d):"):format(hit.vcpu,
    assert(vm:symbolize(hit.address)), task.comm, task.pid))
print(assert(vm:backtrace(hit.vcpu)))
for _, instruction in ipairs(assert(vm:disassemble(hit.address, 4))) do
    print(("  %x: %s"):format(instruction.address, instruction.text))
end

breakpoint:remove()
vm:resume()
vm.console:expect("guest# ", { timeout = 30 })
vm.console:send_line "poweroff -f"
print("ended: " .. assert(vm:wait { timeout = 30 }).reason)
