-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Linux from the building blocks: everything that vmm.vm{...} does, in the open.  Copy this file
-- to make a machine of your own.
--
--   vmm-reference examples/02-boot.lua KERNEL [INITRD [CMDLINE]]

local vmm = require "vmm"
local layout = vmm.layout

local kernel_path, initrd_path = arg[1], arg[2]
local cmdline = arg[3] or "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet"
if not kernel_path then
    io.stderr:write "usage: vmm-reference examples/02-boot.lua KERNEL [INITRD [CMDLINE]]\n"
    os.exit(2)
end

-- The VM and its memory: RAM below the device gap at 3328 MiB, the rest above 4 GiB.  Memory
-- comes before the interrupt controllers (KVM takes 7 ms a slot otherwise).
local kvm = assert(vmm.kvm())
local vm <close> = assert(kvm:create_vm { name = "boot" })
local memory = assert(vmm.memory { ranges = layout.ram_ranges(512 << 20) })
assert(vm:map(memory))
assert(vm:create_irqchip())

-- Two vCPUs.  What the guest sees of the CPU is a table that you may change.
local count = 2
local vcpus = {}
for id = 0, count - 1 do
    local vcpu = assert(vm:create_vcpu(id))
    vcpu.cpuid = assert(vmm.cpuid.build {
        supported = assert(kvm:supported_cpuid()),
        id = id,
        vcpus = count,
        tsc_khz = ("<I4"):unpack(vcpu:get_state "tsc_khz"),
        tsc_deadline = kvm:capability "KVM_CAP_TSC_DEADLINE_TIMER" ~= 0,
        features = { "-avx512f" },
    })
    assert(vcpu:set_msrs(vmm.msrs.initial()))
    vcpus[#vcpus + 1] = vcpu
end
vm.vcpus = vcpus

-- Devices.  The console prints what the guest says; the serial port is its other end.
local console = assert(vmm.console(vm, {
    to = function(bytes)
        io.write(bytes)
        io.flush()
    end,
}))
local serial = vmm.serial { irq = vm:irq(layout.serial_irq), console = console.core }
local i8042 = vmm.i8042 { vm = vm }
assert(vm:attach(serial, { pio = layout.serial_port }))
assert(vm:attach(i8042, { pio = layout.i8042_port }))
assert(vm:attach(i8042, { pio = layout.i8042_port + 4, region = 1 }))
assert(vm:attach(vmm.acpi_power { vm = vm }, { pio = layout.acpi_power_port }))

-- A device in Lua: reads of port 0x510 count up.
local reads = 0
assert(vm:device {
    name = "counter",
    pio = { 0x510, 4 },
    read = function()
        reads = reads + 1
        return reads
    end,
})

-- What firmware would leave in memory, then the kernel, then the first vCPU's registers.
local rsdp = assert(vmm.firmware.place(memory, { vcpus = count }))
local plan = assert(vmm.boot.load {
    mem = memory,
    load = vmm.load,
    image = assert(vmm.load.open(kernel_path)),
    initrd = initrd_path and assert(vmm.load.open(initrd_path)),
    cmdline = cmdline,
    rsdp = rsdp,
})
vmm.boot.apply(plan, vcpus[1])
for _, placed in ipairs(plan.placed) do
    print(("%#10x %10d bytes  %s"):format(placed.base, placed.size, placed.what))
end

assert(vm:start())
console:expect("guest# ", { timeout = 30 })
console:send_line "nproc; poweroff -f"
local stop = assert(vm:wait { timeout = 30 })
print("\nthe guest ended: " .. stop.reason)
