-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The module vmm: local vmm = require "vmm".

local core = require "vmm.core"
local sched = require "vmm.sched"
require "vmm.extract"
require "vmm.features"
require "vmm.vm"

local vmm = {
    version = core.version,
    features = core.features, -- which blocks are built in: { serial = true, ... }
    executable = core.executable, -- path of the running program
    host_hardware = core.host_hardware, -- does this CPU offer VMX or SVM?
    now = core.now,

    -- building blocks
    kvm = core.kvm,
    memory = core.memory,
    load = core.load,
    serial = core.serial,
    i8042 = core.i8042,
    rtc = core.rtc,
    acpi_power = core.acpi_power,
    debug_port = core.debug_port,
    pvpanic = core.pvpanic,
    virtio_rng = core.virtio_rng,
    virtio_vsock = core.virtio_vsock,
    vhost_user = core.vhost_user,
    vhost_user_failure = core.vhost_user_failure,
    virtio_mmio = core.virtio_mmio,
    virtio_net = core.virtio_net,
    net_user = core.net_user,
    net_tap = core.net_tap,
    net_fault = core.net_fault,
    net_station = core.net_station,
    virtio_balloon = core.virtio_balloon,
    virtio_balloon_set = core.virtio_balloon_set,
    virtio_balloon_actual = core.virtio_balloon_actual,
    virtio_balloon_ask = core.virtio_balloon_ask,
    virtio_balloon_stats = core.virtio_balloon_stats,
    virtio_console = core.virtio_console,
    virtio_console_resize = core.virtio_console_resize,
    pci_host = core.pci_host,
    virtio_pci = core.virtio_pci,
    acpi_events = core.acpi_events,
    console = require("vmm.console").new,
    regex = core.regex,

    -- time and tasks
    sleep = sched.sleep,
    spawn = sched.spawn,
    wait_any = sched.wait_any,
    wait_all = sched.wait_all,
    step = sched.step,
    loop_fd = core.loop_fd,
    watch = core.watch,
}

-- Loaded when they are first used: a script that starts a guest by hand need not wait for ACPI.
local LATER = {
    vm = { "vmm.machine", "new" }, -- a whole VM from a config table
    link = { "vmm.link", "get" },
    block = { "vmm.virtio_block_backend", "new" }, -- a disk made of functions
    virtio_block = { "vmm.virtio_block", "new" },
    listen = { "vmm.socket", "listen" },
    connect = { "vmm.socket", "connect" },
    boot = { "vmm.boot" },
    layout = { "vmm.x86.layout" },
    firmware = { "vmm.x86.firmware" },
    acpi = { "vmm.x86.acpi" },
    mptable = { "vmm.x86.mptable" },
    cpuid = { "vmm.x86.cpuid" },
    msrs = { "vmm.x86.msrs" },
    metrics = { "vmm.metrics" },
    scenario = { "vmm.scenario" },
    guest = { "vmm.guest" },
    report = { "vmm.report" }, -- of what test runs recorded
    json = { "vmm.json" },
}

return setmetatable(vmm, {
    __names = LATER, -- for who lists them
    __index = function(_, name)
        local later = LATER[name]
        if not later then return nil end
        local module = require(later[1])
        vmm[name] = later[2] and module[later[2]] or module
        return vmm[name]
    end,
})
