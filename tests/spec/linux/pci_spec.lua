-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The PCI bus as Linux sees it: what it finds there, what lspci makes of it, and a device that is
-- removed, found again, and moved.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"

local DEVICE = "/sys/bus/pci/devices/0000:00:01.0"

-- A guest with an entropy device.
local function boot(cmdline)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_pci", "virtio-rng" },
    })
    return linux.boot {
        transport = "pci",
        rng = {},
        kernel = { initrd = initrd, cmdline = cmdline },
    }
end

-- What `lspci -vv` makes of the configuration space that the guest reads.
local function lspci(vm)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "00:01.0 Device\n"
    local dump = linux.run(vm, ("hexdump -v -n 256 -e '16/1 \"%%02x \" \"\\n\"' %s/config")
        :format(DEVICE))
    local offset = 0
    for line in dump:gmatch "[^\n]+" do
        file:write(("%02x: %s\n"):format(offset, line))
        offset = offset + 16
    end
    file:close()
    local text = process.capture { "lspci", "-vv", "-n", "-F", path }
    os.remove(path)
    return assert(text)
end

local function reads_entropy(vm)
    return linux.run(vm, "dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c") == "256"
end

describe("the PCI bus of a machine, to Linux,", function()
    local vm

    setup(function()
        -- The default command line, which has pci=off only while there is no PCI device.
        vm = boot "default"
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    it("is not turned off by the default command line", function()
        assert.equal("console=ttyS0 i8042.nokbd reboot=k panic=1", linux.run(vm,
            "cat /proc/cmdline"))
    end)

    it("is found by ACPI, without a complaint, and its configuration space is used", function()
        assert.equal("", linux.run(vm, "dmesg | grep -iE 'ACPI.*(error|warning|firmware bug)'"))
        assert.equal("", linux.run(vm, "dmesg | grep -iE 'pci.*(fail|conflict|invalid|rejected)'"))
        local memory = linux.run(vm, "cat /proc/iomem")
        assert.matches("e0000000%-e00fffff : PCI MMCONFIG 0000 %[bus 00%-00%]", memory)
        assert.matches("d8000000%-dfffffff : PCI Bus 0000:00\n"
            .. "%s+d8000000%-d8007fff : 0000:00:01.0\n", memory)
    end)

    it("has the bridge and the device", function()
        assert.equal("0x060000 0x1b36 0x0008\n0x00ff00 0x1af4 0x1044", linux.run(vm,
            "for d in /sys/bus/pci/devices/*; do echo $(cat $d/class $d/vendor $d/device); done"))
        assert.matches("^0008%s+1af41044%s", linux.run(vm, "tail -n 1 /proc/bus/pci/devices"))
    end)

    it("has capabilities that lspci understands", function()
        local text = lspci(vm)
        local from = 1
        for _, line in ipairs {
            "00:01.0 00ff: 1af4:1044 (rev 01)",
            "Subsystem: 1af4:1044",
            "Control: I/O- Mem+ BusMaster+",
            "DisINTx+",
            "Status: Cap+",
            "Region 0: Memory at d8000000 (64-bit, non-prefetchable)",
            "Capabilities: [40] Vendor Specific Information: VirtIO: CommonCfg",
            "BAR=0 offset=00000000 size=0000003c",
            "Capabilities: [50] Vendor Specific Information: VirtIO: ISR",
            "BAR=0 offset=00001000 size=00000001",
            "Capabilities: [60] Vendor Specific Information: VirtIO: Notify",
            "BAR=0 offset=00003000 size=00000004 multiplier=00000004",
            "Capabilities: [74] Vendor Specific Information: VirtIO: ",
            "Capabilities: [88] MSI-X: Enable+ Count=2 Masked-",
            "Vector table: BAR=0 offset=00004000",
            "PBA: BAR=0 offset=00005000",
        } do
            local _, last = text:find(line, from, true)
            assert.truthy(last, "no " .. line .. " in:\n" .. text)
            from = last
        end
        assert.falsy(text:find("<chain", 1, true)) -- "<chain broken>", "<chain looped>"
    end)

    it("finds a device again that was removed, above 4 GiB, and notifications follow", function()
        linux.run(vm, "echo 1 > " .. DEVICE .. "/remove")
        assert.equal("none", linux.run(vm, "cat /sys/class/misc/hw_random/rng_current"))
        assert.equal("", linux.run(vm, "ls /sys/bus/virtio/devices"))
        linux.run(vm, "echo 1 > /sys/bus/pci/rescan")
        assert.is_true(reads_entropy(vm))
        -- Linux forgets where the firmware had put it, and prefers the upper window.
        local base = linux.run(vm, "head -n 1 " .. DEVICE .. "/resource"):match "^0x(%x+)"
        assert.is_true(tonumber(base, 16) >= 1 << 32, base)
        local before = vm:exit_counts().mmio_write or 0
        linux.run(vm, "dd if=/dev/hwrng of=/dev/null bs=16 count=200 2>/dev/null")
        assert.is_true((vm:exit_counts().mmio_write or 0) - before < 100)
    end)
end)

describe("Linux that does not use the memory-mapped configuration space", function()
    it("drives the device by the ports", function()
        local vm <close> = boot "console=ttyS0 i8042.nokbd reboot=k panic=1 quiet pci=nommconf"
        assert.is_true(reads_entropy(vm))
        assert.falsy(linux.run(vm, "cat /proc/iomem"):find("MMCONFIG", 1, true))
        assert.equal("256", linux.run(vm, "wc -c < " .. DEVICE .. "/config"))
    end)
end)
