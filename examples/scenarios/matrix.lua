-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Four kernels, each on two machines: eight tests from one.
--
--   vmm-reference test --filter "real%-time" examples/scenarios/matrix.lua

local vmm = require "vmm"

-- The ELF file that is packed in a guest's bzImage, as a file of its own.
local vmlinux = os.tmpname()

local CLOUD = "%-cloud%-amd64$"

local KERNELS = {
    { name = "cloud", guest = "debian-cloud", release = CLOUD },
    { name = "vmlinux by PVH", guest = "debian-cloud", release = CLOUD,
        options = { path = vmlinux, flow = "pvh" } },
    { name = "PC", guest = "debian", release = "%d%-amd64$" },
    { name = "real-time", guest = "linux-image-rt-amd64", release = "%-rt%-amd64$" },
}

local MACHINES = {
    { name = "small", vcpus = 1, memory_mib = 256, transport = "mmio" },
    { name = "large", vcpus = 2, memory_mib = 1024, transport = "pci" },
}

-- What the guest's kernel finds its virtio devices by.
local BEHIND = { mmio = "/LNRO0005:", pci = "/pci0000:" }

describe("Debian", function()
    setup(function()
        assert(vmm.load.extract(vmm.guest("debian-cloud"):prepare().kernel, vmlinux))
    end)

    teardown(function()
        os.remove(vmlinux)
    end)

    for name, chosen in vmm.scenario.matrix { kernel = KERNELS, machine = MACHINES } do
        it("boots with " .. name, function()
            local machine = chosen.machine
            local vm <close> = vmm.scenario.vm {
                guest = chosen.kernel.guest, kernel = chosen.kernel.options,
                vcpus = { num = machine.vcpus }, memory = { size_mib = machine.memory_mib },
                transport = machine.transport,
            }
            vm:boot():wait()
            assert.equal(tostring(machine.vcpus), vm:succeed "nproc")
            assert.matches(chosen.kernel.release, vm:succeed "uname -r")
            assert.matches(BEHIND[machine.transport],
                vm:succeed "readlink -f /sys/bus/virtio/devices/virtio0")
        end)
    end
end)
