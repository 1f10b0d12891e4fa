-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A whole PC from a config table: vmm.vm{...}.  Nothing here but the building blocks that a
-- script of one's own can use as well.

local alive = require "vmm.alive"
local boot = require "vmm.boot"
local config = require "vmm.config"
local console = require "vmm.console"
local core = require "vmm.core"
local cpuid = require "vmm.x86.cpuid"
local features = require "vmm.features"
local firmware = require "vmm.x86.firmware"
local layout = require "vmm.x86.layout"
local defaults = require "vmm.options"
local msrs = require "vmm.x86.msrs"
local terminal = require "vmm.terminal"
require "vmm.vm"

local machine = {}

local MIB = 1 << 20

-- Port 0x61: no parity error and no bus error is the cause of an NMI (bits 7 and 6); the PIT's
-- second output is high (bit 5), for which Linux waits without end when it measures the TSC.
local SYSTEM_CONTROL = 0x20

-- Building fails inside by raising { message, code }; machine.new returns it.
local function check(value, message, code, ...)
    if value then return value, message, code, ... end
    error({ message = message, code = code }, 0)
end

-- ---- parts, in the order they are made -----------------------------------------------------

local function add_memory(vm, options)
    local ranges = check(layout.ram_ranges(options.size_mib * MIB))
    vm.memory = check(core.memory {
        ranges = ranges,
        shared = options.shared,
        huge_pages = options.huge_pages,
    })
    check(vm:map(vm.memory))
end

local function add_vcpus(vm, kvm, options)
    local supported = check(kvm:supported_cpuid())
    local deadline = kvm:capability "KVM_CAP_TSC_DEADLINE_TIMER" ~= 0
    vm.vcpus = {}
    for id = 0, options.num - 1 do
        local vcpu = check(vm:create_vcpu(id))
        vcpu.cpuid = check(cpuid.build {
            supported = supported,
            id = id,
            vcpus = options.num,
            tsc_khz = ("<I4"):unpack(vcpu:get_state "tsc_khz"),
            tsc_deadline = deadline,
        })
        check(vcpu:set_msrs(msrs.initial()))
        vm.vcpus[id + 1] = vcpu
    end
end

local function add_consoles(vm, to, to2)
    vm.console = check(console.new(vm, {
        to = to,
        on_key = function(key)
            terminal.on_key(vm, key)
        end,
        on_text = function()
            vm:on_last_words()
        end,
    }))
    if to2 then vm.serial2 = check(console.new(vm, { to = to2 })) end
end

-- The devices of a PC, as far as they are built in.
local DEVICES = {
    { "serial", function(vm)
        return { irq = vm:irq(layout.serial_irq), console = vm.console.core }
    end, layout.serial_port },
    { "serial", function(vm)
        return { irq = vm:irq(layout.serial2_irq), console = vm.serial2.core }
    end, layout.serial2_port, part = "serial2" },
    { "i8042", function(vm) return { vm = vm } end, layout.i8042_port, layout.i8042_port + 4 },
    { "rtc", function(vm)
        local low, high = table.unpack(vm.memory:regions())
        return { below_4g = low.size, above_4g = high and high.size or 0 }
    end, layout.rtc_port },
    { "debug_port", function() return { name = "post" } end, layout.debug_port },
    { "debug_port", function()
        return { name = "system control", value = SYSTEM_CONTROL }
    end, layout.system_control_port },
    { "pvpanic", function(vm) return { vm = vm } end, layout.pvpanic_port },
    { "acpi_power", function(vm) return { vm = vm } end, layout.acpi_power_port,
        feature = "acpi" },
    { "acpi_events", function(vm) return { irq = vm:irq(layout.acpi_events_irq) } end,
        layout.acpi_events_port, feature = "acpi", field = "acpi_events" },
}

local function add_devices(vm, parts)
    for _, device in ipairs(DEVICES) do
        local name, options = device[1], device[2]
        if features.has(device.feature or name) and parts[device.part or name] ~= false then
            local made = check(core[name](options(vm)))
            for region = 0, #device - 3 do
                check(vm:attach(made, { pio = device[3 + region], region = region }))
            end
            if device.field then vm[device.field] = made end
        end
    end
end

-- With PCI devices the default command line does not turn PCI off. Where ACPI does not, it tells
-- of virtio-mmio devices.
local function command_line(given, parts, has_acpi)
    if parts.pci and given == defaults.default_cmdline then
        return (given:gsub(" pci=off$", ""))
    end
    return parts.virtio_mmio
        and require("vmm.virtio").cmdline(given, parts.virtio_mmio, has_acpi) or given
end

local function load_kernel(vm, options, rsdp)
    local image = check(core.load.open(options.path))
    local initrd = options.initrd and check(core.load.open(options.initrd))
    vm.plan = check(boot.load {
        mem = vm.memory,
        load = core.load,
        image = image,
        cmdline = vm.disks and require("vmm.virtio_block").cmdline(options, vm.disks)
            or options.cmdline,
        initrd = initrd,
        himem_start = options.himem_start,
        flow = options.flow,
        unpack = options.unpack,
        slide = options.slide,
        mode = options.mode,
        address = options.flow == "flat" and options.himem_start or nil,
        rsdp = rsdp or nil,
    })
    boot.apply(vm.plan, vm.vcpus[1])
    image:close()
    if initrd then initrd:close() end
end

-- Must other processes map the guest's memory?
local function is_served_by_daemons(options)
    return options.share and #options.share > 0
        or options.block and require("vmm.virtio_block").is_shared(options.block)
end

-- What brings the virtio devices of an option, in the order that the guest finds them in. Of a
-- repeatable one `each` gets an element at a time.
local VIRTIO = {
    { name = "block", module = "vmm.virtio_block" },
    { name = "virtio_console", module = "vmm.virtio_console" },
    { name = "rng", module = "vmm.virtio_rng" },
    { name = "net", module = "vmm.virtio_net", each = true },
    { name = "vsock", module = "vmm.virtio_vsock" },
    { name = "balloon", module = "vmm.virtio_balloon" },
    { name = "share", module = "vmm.share", each = true },
}

local function add_virtio(vm, parts, options)
    for _, device in ipairs(VIRTIO) do
        local given = options[device.name]
        for _, one in ipairs(device.each and given or { given }) do
            check(require(device.module).add(vm, parts, one))
        end
    end
end

local function build(vm, kvm, options)
    options.memory.shared = options.memory.shared or is_served_by_daemons(options)
    add_memory(vm, options.memory)
    check(vm:create_irqchip())
    add_vcpus(vm, kvm, options.vcpus)
    add_consoles(vm, options.console, options.serial2)
    -- What ACPI describes; setup may add to it, and leave out what it has devices of its own for.
    local parts = {
        vcpus = #vm.vcpus,
        rtc = features.has "rtc",
        pvpanic = features.has "pvpanic",
        serial2 = vm.serial2 ~= nil,
        power_button = features.has "acpi",
        devices = {},
        tables = {},
        transport = options.transport,
    }
    if options.setup then options.setup(vm, parts) end
    add_devices(vm, parts)
    add_virtio(vm, parts, options)
    local rsdp, message, code = firmware.place(vm.memory, parts)
    check(rsdp ~= nil, message, code)
    if options.kernel then
        options.kernel.cmdline = command_line(options.kernel.cmdline, parts, rsdp)
        load_kernel(vm, options.kernel, rsdp)
    end
    if options.metrics or options.trace then
        check(require("vmm.observe").start(vm, options))
    end
    return vm
end

-- Builds a VM from a config table (vmm.config says which keys there are); it does not run yet.
-- A mistake in the table raises.  What the host or a file refuses returns nil, message, code.
function machine.new(given)
    local options, mistake = config.check(given)
    if not options then error("vmm.vm: " .. mistake, 2) end
    local kvm, message, code = core.kvm()
    if not kvm then return nil, message, code end
    local vm
    vm, message, code = kvm:create_vm { name = options.name }
    if not vm then return nil, message, code end
    local ok, result = pcall(build, vm, kvm, options)
    if ok then return alive.add(vm) end
    vm:close()
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, result.code
end

return machine
