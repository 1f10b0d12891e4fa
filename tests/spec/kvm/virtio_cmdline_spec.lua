-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Virtio-mmio devices that the kernel command line tells of, for kernels without ACPI.

local features = require "vmm.features"
local layout = require "vmm.x86.layout"
local tiny = require "tests.spec.support.tiny"
local virtio = require "vmm.virtio"
local vmm = require "vmm"

local TWO = {
    { base = 0xd0000000, size = 4096, gsi = 5 }, { base = 0xd0001000, size = 4096, gsi = 6 },
}
local TEXT = "virtio_mmio.device=4096@0xd0000000:5 virtio_mmio.device=4096@0xd0001000:6"

describe("the command line of a kernel with virtio-mmio devices", function()
    it("is as it was where ACPI tells of them", function()
        assert.equal("quiet", virtio.cmdline("quiet", TWO, true))
        assert.equal("acpi=strict", virtio.cmdline("acpi=strict", TWO, true))
    end)

    it("tells of each where acpi=off is on it, or there is no ACPI", function()
        assert.equal("acpi=off quiet " .. TEXT, virtio.cmdline("acpi=off quiet", TWO, true))
        assert.equal("quiet " .. TEXT, virtio.cmdline("quiet", TWO, false))
        assert.equal(TEXT, virtio.cmdline("", TWO, false))
    end)

    it("does so before what is for init, whose words are its own", function()
        assert.equal("acpi=off " .. TEXT .. " -- -v", virtio.cmdline("acpi=off -- -v", TWO, true))
        assert.equal("quiet -- acpi=off", virtio.cmdline("quiet -- acpi=off", TWO, true))
    end)

    it("is left alone when it tells of devices itself, or there are none", function()
        local own = "acpi=off virtio_mmio.device=1K@0x1000:5"
        assert.equal(own, virtio.cmdline(own, TWO, true))
        assert.equal("acpi=off", virtio.cmdline("acpi=off", nil, true))
    end)
end)

-- A machine's command line, as its guest finds it.
local function placed(options)
    options.memory = { size_mib = 16 }
    local vm <close> = assert(vmm.vm(options))
    return assert(vm.memory:read(layout.cmdline, 4096)):match "^%Z*"
end

describe("a machine", function()
    it("tells of its devices by the command line when that turns ACPI off", function()
        local function with(cmdline, transport)
            return placed {
                kernel = { path = tiny.path "hello", cmdline = cmdline }, rng = {},
                transport = transport,
            }
        end
        assert.equal("acpi=off virtio_mmio.device=4096@0xd0000000:5", with "acpi=off")
        assert.equal("acpi=off", with("acpi=off", "pci"))
        if features.has "acpi" then assert.equal("quiet", with "quiet") end
    end)

    it("has its device where it says, which a guest drives", function()
        local stop, output = tiny.run("virtio_mmio", {
            kernel = { cmdline = "acpi=off" }, rng = {},
        })
        assert.matches("irq 5\nPASS\n", output, 1, true)
        assert.equal("reboot", stop.reason)
    end)

    it("turns PCI off by its default command line only while it has no PCI device", function()
        local function with(transport, rng)
            return placed {
                kernel = { path = tiny.path "hello" }, transport = transport, rng = rng,
            }
        end
        assert.matches(" pci=off$", with("mmio", {}))
        assert.matches(" pci=off$", with("pci", nil))
        assert.equal("console=ttyS0 i8042.nokbd reboot=k panic=1", with("pci", {}))
    end)

    it("finds its root on the first disk when there is no initrd", function()
        local disk = os.tmpname()
        local file <close> = assert(io.open(disk, "wb"))
        assert(file:write(("\0"):rep(4096)))
        file:close()
        local function with(readonly, initrd)
            return placed {
                kernel = { path = tiny.path "hello", initrd = initrd },
                block = { { path = disk, readonly = readonly } },
            }
        end
        assert.matches(" pci=off root=/dev/vda rw$", with(false))
        assert.matches(" pci=off root=/dev/vda ro$", with(true))
        assert.matches(" pci=off$", with(false, tiny.path "hello"))
        os.remove(disk)
    end)
end)
