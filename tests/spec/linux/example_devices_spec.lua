-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The devices of examples/devices, driven by Linux: its own drivers, or a small program.

package.path = "examples/devices/?.lua;" .. package.path
local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local PROGRAMS = ".build/guest/linux/"

-- An initramfs with the programs that drive devices, and pvpanic's module.
local function initrd()
    local files = {}
    for _, name in ipairs { "ports", "hpet" } do
        files["/bin/" .. name] = { host = PROGRAMS .. name, mode = tonumber("755", 8) }
    end
    return assert(guests.initramfs {
        kernel = assert(guests.kernel "cloud-amd64"),
        modules = { "pvpanic-mmio" },
        files = files,
    })
end

-- A VM at its prompt, with devices: their options by the modules' names.
local function boot(names)
    local devices = {}
    local vm = assert(vmm.vm {
        memory = { size_mib = 512 },
        kernel = {
            path = linux.bzimage(),
            initrd = initrd(),
            cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=0 pci=off quiet",
        },
        setup = function(vm, parts)
            for name, options in pairs(names) do
                devices[name] = require(name)(vm, parts, options)
            end
        end,
    })
    assert(vm:start())
    vm.console:expect("guest# ", { timeout = linux.BOOT_SECONDS })
    return vm, devices
end

describe("in a Linux guest", function()
    local vm, devices
    local function run(command)
        return linux.run(vm, command)
    end

    setup(function()
        vm, devices = boot {
            counter = {}, hpet = {}, pvpanic = {}, pc_testdev = {}, debugcon = { port = 0x402 },
        }
    end)
    teardown(function()
        vm:close()
    end)

    it("the counter counts what a program reads, and is set by it", function()
        assert.equal("00000000\n00000001\n00000002",
            run "for i in 1 2 3; do ports in32 0x510; done")
        assert.equal("000000ff", run "ports out32 0x510 255; ports in32 0x510")
        assert.equal(256, devices.counter.count)
    end)

    it("debugcon is found, and takes text", function()
        assert.equal("e9", run "ports in8 0x402; ports text 0x402 'Hello, host'")
        assert.equal("Hello, host", devices.debugcon.text)
    end)

    it("pc-testdev's register and memory keep what they are given", function()
        assert.equal("12345678\n3456\n34", run(
            "ports out32 0xe0 0x12345678; ports in32 0xe0; ports in16 0xe1; ports in8 0xea"))
        assert.equal("0x89ABCDEF\n0xAB", run(
            "devmem 0xff00fff0 32 0x89abcdef; devmem 0xff00fff0 32; devmem 0xff00fff2 8"))
    end)

    it("pc-testdev's lines interrupt: the serial port's is counted once a raise", function()
        -- Nothing is printed between the two readings: no interrupt is the console's.
        local text = run("sleep 0.2; count() { awk '/ttyS0/ { print $2 }' /proc/interrupts; }; " ..
            "before=$(count); for i in $(seq 40); do ports out8 0x2004 1; " ..
            "ports out8 0x2004 0; done; after=$(count); echo $((after - before))")
        assert.is_true(tonumber(text) >= 40, text)
    end)

    it("Linux's hpet driver is given the interrupts it asks for", function()
        assert.equal("PNP0103", run "cat /sys/bus/acpi/drivers/hpet/*/hid")
        local count, ms = run("hpet 50 10"):match "^(%d+) interrupts in (%d+) ms"
        assert.is_true(tonumber(count) >= 10, count)
        -- 200 ms by the guest's clock, and never less; how late a busy host is, nobody knows
        assert.is_true(tonumber(ms) >= 150, ms)
        assert.is_true(devices.hpet.timers[1].interrupts >= 10)
    end)

    it("and counts them in /proc/interrupts, also those of a periodic timer", function()
        local text = run "hpet 64 16 periodic"
        local count = text:match "\n%s*%d+:%s+(%d+)[^\n]*hpet"
        assert.is_true(tonumber(count) >= 16, text)
    end)

    it("Linux's pvpanic driver tells the one in Lua of a panic", function()
        assert.equal("0x3", run
            "printf '0x%x' $(cat /sys/bus/platform/drivers/pvpanic-mmio/*/capability)")
        local stop = linux.finish(vm, "echo c >/proc/sysrq-trigger")
        assert.equal("panic", stop.reason)
        assert.equal(1, devices.pvpanic.events.panicked)
    end)
end)

describe("examples/06-devices.lua", function()
    it("shows its devices at work; its exit code is the guest's", function()
        local output, partial, code = process.capture({
            vmm.executable, "examples/06-devices.lua", linux.bzimage(), initrd(),
            "ports in32 0x510; ports text 0x402 bye; ports out8 0x501 5",
        }, { stderr = "merge" })
        local text = (output or partial):gsub("\r", "")
        assert.equal(11, code, text)
        assert.matches("00000000", text, 1, true)
        assert.matches("ended: poweroff isa-debug-exit: exit code 11", text, 1, true)
        assert.matches('debugcon: "bye", counter: 1', text, 1, true)
    end)

    it("needs no program of its own in the guest", function()
        local output, partial, code = process.capture({
            vmm.executable, "examples/06-devices.lua", linux.bzimage(), linux.initramfs(),
        }, { stderr = "merge" })
        local text = (output or partial):gsub("\r", "")
        assert.is_nil(code, text)
        assert.matches("0x12345678\nPNP0103\n/dev/hpet\n", text, 1, true)
    end)
end)
