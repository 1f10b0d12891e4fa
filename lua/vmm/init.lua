-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The module vmm: local vmm = require "vmm".

local core = require "vmm.core"
local machine = require "vmm.machine"
local sched = require "vmm.sched"

return {
    version = core.version,
    executable = core.executable, -- path of the running program
    host_hardware = core.host_hardware, -- does this CPU offer VMX or SVM?
    now = core.now,

    -- a whole VM from a config table
    vm = machine.new,

    -- building blocks
    kvm = core.kvm,
    memory = core.memory,
    load = core.load,
    serial = core.serial,
    i8042 = core.i8042,
    rtc = core.rtc,
    acpi_power = core.acpi_power,
    debug_port = core.debug_port,
    console = require("vmm.console").new,
    boot = require "vmm.boot",
    layout = require "vmm.x86.layout",
    acpi = require "vmm.x86.acpi",
    mptable = require "vmm.x86.mptable",
    cpuid = require "vmm.x86.cpuid",
    msrs = require "vmm.x86.msrs",

    -- time and tasks
    sleep = sched.sleep,
    spawn = sched.spawn,
    wait_any = sched.wait_any,
    wait_all = sched.wait_all,
    step = core.step,
    loop_fd = core.loop_fd,
    watch = core.watch,
}
